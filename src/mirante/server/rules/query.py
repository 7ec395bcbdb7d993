"""Answers what rules ask from the store: PromQL by the engine of queries, SQL within what is allowed."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from mirante.errors import BadQueryError
from mirante.server.promql.engine import Engine, Result
from mirante.server.rules.evaluation import Point
from mirante.server.rules.model import Expression
from mirante.server.store.api import QueryBudget
from mirante.server.store.user_sql import UserSql

VALUE = "value"
"""The column of an SQL rule's answer that is no label."""


@dataclass(slots=True)
class Budgets:
    """Gives every query its limits, and ends those that run.

    Args:
        seconds: longest run of one.
        max_samples: samples that one may hold.
        cancel: ends the query of that id in the engine.
    """

    seconds: float
    max_samples: int
    cancel: Callable[[str], None]
    _running: dict[str, QueryBudget] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ended: bool = False

    @contextmanager
    def open(self) -> Iterator[QueryBudget]:
        """The budget of one query."""
        budget = QueryBudget(
            deadline=time.monotonic() + self.seconds, max_samples=self.max_samples, canceled=self._ended
        )
        budget.query_id = f"mirante-rule-{next(self._numbers)}"
        with self._lock:
            self._running[budget.query_id] = budget
        try:
            yield budget
        finally:
            with self._lock:
                del self._running[budget.query_id]

    def end(self) -> None:
        """Cancel what runs, and whatever is asked from now on."""
        self._ended = True
        with self._lock:
            running = list(self._running.values())
        for budget in running:
            budget.canceled = True
            self.cancel(budget.query_id)


class StoreQuery:
    """The RuleQuery of a server.

    Args:
        engine: answers PromQL.
        sql: answers SQL.
        budgets: the limits.
    """

    def __init__(self, engine: Engine, sql: UserSql, budgets: Budgets) -> None:
        self._engine, self._sql, self._budgets = engine, sql, budgets

    def vector(self, expression: Expression, at: int) -> Sequence[Point]:
        """See RuleQuery; SQL gets the time as its parameter ``now``."""
        with self._budgets.open() as budget:
            if expression.language == "sql":
                moment = f"{at // 1000}.{at % 1000:03d}"
                return sql_points(self._sql.run(expression.text, {"now": moment}, budget).to_pylist())
            return points(self._engine.instant(expression.text, at, budget))


def points(result: Result) -> list[Point]:
    """A result as points.

    Raises:
        BadQueryError: it is neither a vector nor a scalar.
    """
    if result.type not in {"vector", "scalar"}:
        raise BadQueryError("rule result is not a vector or scalar")
    values, present = result.values[:, 0].tolist(), result.present[:, 0].tolist()
    return [Point(labels, value) for labels, value, there in zip(result.labels, values, present, strict=True) if there]


def sql_points(rows: Sequence[dict[str, object]]) -> list[Point]:
    """The rows of an SQL rule as points: ``value`` is a number, every other column a label.

    Raises:
        BadQueryError: a row has no numeric value.

    Example:
        >>> sql_points([{"service": "shop", "value": 3}])
        [Point(labels={'service': 'shop'}, value=3.0)]
    """
    return [
        Point({name: str(text) for name, text in row.items() if name != VALUE and text is not None}, _number(row))
        for row in rows
    ]


def _number(row: dict[str, object]) -> float:
    if VALUE not in row:
        raise BadQueryError(f"SQL of a rule must give a column named {VALUE}; it gives {', '.join(row)}")
    found = row[VALUE]
    if found is None:
        return math.nan
    try:
        return float(found)  # type: ignore[arg-type] # whatever is no number raises
    except (TypeError, ValueError):
        raise BadQueryError(f"the column {VALUE} of a rule's SQL must be a number, not {found!r}") from None
