"""The times at which a query is evaluated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mirante.server.promql.matrix import Ints


@dataclass(frozen=True, slots=True)
class Steps:
    """``count`` times from ``start`` on, ``step`` milliseconds apart; an instant query has one."""

    start: int
    step: int
    count: int

    @property
    def end(self) -> int:
        """The last time."""
        return self.start + (self.count - 1) * self.step

    @property
    def times(self) -> Ints:
        """All times as an int64 array of milliseconds."""
        return self.start + self.step * np.arange(self.count, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Query:
    """What a whole query was asked with, subqueries and all.

    Attributes:
        start: first time, to which ``@ start()`` points; milliseconds, as all.
        end: last time asked for, to which ``@ end()`` points.
        step: distance of the steps, 0 for an instant query.
        lookback: how far an instant selector looks back.
        subquery_step: step of a subquery that gives none.
        delayed_names: whether metric names go only from the finished answer.
        many: whether it is a range query.
    """

    start: int
    end: int
    step: int
    lookback: int
    subquery_step: int
    delayed_names: bool
    many: bool


def subquery_steps(outer: Steps, at: int | None, offset: int, span: int, step: int) -> Steps:
    """Multiples of ``step`` in the windows that the outer steps look back on: aligned to the epoch, left-open."""
    first, last = (outer.start, outer.end) if at is None else (at, at)
    after, until = first - offset - span, last - offset
    start = (after // step + 1) * step
    return Steps(start, step, max(0, (until - start) // step + 1))
