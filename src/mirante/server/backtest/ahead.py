"""Answers what rules ask for many times at once: one range query instead of many instant ones."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from mirante.errors import BadQueryError, QueryCanceledError, QueryError, QueryTimeoutError
from mirante.server.promql.engine import Engine, Result
from mirante.server.promql.leaf import check
from mirante.server.rules.evaluation import Point
from mirante.server.rules.model import Expression
from mirante.server.rules.query import points, sql_points
from mirante.server.store.api import Labels, QueryBudget
from mirante.server.store.user_sql import UserSql

FEW = 32
"""Times of which each is asked by itself when together they fail: a rule that always fails must not cost the most."""


class Asking(Protocol):
    """Answers queries."""

    def instant(self, expression: Expression, at: int) -> Sequence[Point]:
        """As ``RuleQuery.vector``."""
        ...

    def range(self, text: str, start: int, end: int, step: int) -> Result:
        """As ``Engine.range``."""
        ...

    def check(self) -> None:
        """Raises QueryCanceledError or QueryTimeoutError when it is enough."""
        ...


class StoreAsking:
    """Asks a store.

    Args:
        engine: answers PromQL for many times at once.
        one_by_one: answers it for one after the other.
        sql: answers SQL; None where there is none.
        budget: of everything together.
    """

    def __init__(self, engine: Engine, one_by_one: Engine, sql: UserSql | None, budget: QueryBudget) -> None:
        self._engine, self._one_by_one, self._sql, self._budget = engine, one_by_one, sql, budget

    def instant(self, expression: Expression, at: int) -> Sequence[Point]:
        """See Asking."""
        if expression.language == "promql":
            return points(self._one_by_one.instant(expression.text, at, self._budget))
        if self._sql is None:
            raise BadQueryError("there are no logs and traces that SQL could ask")
        moment = f"{at // 1000}.{at % 1000:03d}"
        return sql_points(self._sql.run(expression.text, {"now": moment}, self._budget).to_pylist())

    def range(self, text: str, start: int, end: int, step: int) -> Result:
        """See Asking."""
        return self._engine.range(text, start, end, step, self._budget)

    def check(self) -> None:
        """See Asking."""
        check(self._budget)


class _Piece(NamedTuple):
    """What an expression yields at some consecutive steps; ``ends`` says where each step's points end."""

    labels: Sequence[Labels]
    rows: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    ends: npt.NDArray[np.int64]
    error: QueryError | None = None

    @property
    def steps(self) -> int:
        return len(self.ends) - 1

    def at(self, step: int) -> list[Point]:
        if self.error is not None:
            raise self.error
        span = slice(self.ends[step], self.ends[step + 1])
        rows, values = self.rows[span].tolist(), self.values[span].tolist()
        return [Point(self.labels[row], value) for row, value in zip(rows, values, strict=True)]

    def busy(self) -> npt.NDArray[np.bool_]:
        return np.diff(self.ends) > 0 if self.error is None else np.ones(self.steps, dtype=np.bool_)


@dataclass(slots=True)
class Ahead:
    """The RuleQuery of one rule in a replay: its own expression is asked ahead, what templates ask is not.

    Attributes:
        asking: answers.
        expression: of the rule.
        offset: its query offset in milliseconds.
    """

    asking: Asking
    expression: Expression
    offset: int
    _times: range = range(0)
    _busy: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    _pieces: Sequence[_Piece] = ()
    _starts: Sequence[int] = ()

    def prepare(self, times: range) -> None:
        """Ask for the evaluations at those times.

        Raises:
            QueryCanceledError: nobody waits for it any more.
            QueryTimeoutError: it is enough.
            StoreError: the store failed.
        """
        self._times = range(times.start - self.offset, times.stop - self.offset, times.step)
        self._pieces = list(self._ask(self._times))
        self._starts = list(accumulate((piece.steps for piece in self._pieces), initial=0))[:-1]
        self._busy = np.concatenate([piece.busy() for piece in self._pieces])

    def next_busy(self, place: int) -> int:
        """The first of the times, by its place, from that one on at which there is something, or an error."""
        found = np.flatnonzero(self._busy[place:])
        return place + int(found[0]) if len(found) else len(self._busy)

    def vector(self, expression: Expression, at: int) -> Sequence[Point]:
        """See RuleQuery."""
        if expression is not self.expression or at not in self._times:
            return self.asking.instant(expression, at)
        place = self._times.index(at)
        number = bisect_right(self._starts, place) - 1
        return self._pieces[number].at(place - self._starts[number])

    def _ask(self, times: range) -> Iterator[_Piece]:
        """What the expression yields; where a part fails, or is too much, its halves are asked."""
        try:
            result = self.asking.range(self.expression.text, times[0], times[-1], times.step)
        except (QueryCanceledError, QueryTimeoutError):
            raise
        except QueryError:
            if len(times) <= FEW:
                yield from map(self._ask_one, times)
            else:
                half = len(times) // 2
                yield from self._ask(times[:half])
                yield from self._ask(times[half:])
        else:
            yield _piece(result)

    def _ask_one(self, at: int) -> _Piece:
        """What it yields at one time, or why it cannot be evaluated then."""
        error: QueryError | None = None
        found: Sequence[Point] = ()
        try:
            found = self.asking.instant(self.expression, at)
        except QueryError as failed:
            self.asking.check()  # it may be that nobody waits any more
            error = failed
        rows, values = np.arange(len(found)), np.array([point.value for point in found], dtype=np.float64)
        return _Piece([point.labels for point in found], rows, values, np.array([0, len(found)]), error)


def _piece(result: Result) -> _Piece:
    steps, rows = np.nonzero(result.present.T)
    ends = np.searchsorted(steps, np.arange(result.present.shape[1] + 1))
    return _Piece(result.labels, rows, result.values.T[result.present.T], ends.astype(np.int64))
