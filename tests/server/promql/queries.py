"""What the tests of PromQL share: budgets, and readers filled from short notations."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from mirante.server.promql.engine import Engine, Result
from mirante.server.store.api import QueryBudget
from mirante.testing.memory_store import MemoryReader

MINUTE = 60_000


def budget(**limits: int) -> QueryBudget:
    """A budget with a minute left."""
    return QueryBudget(deadline=time.monotonic() + 60, **limits)  # type: ignore[arg-type]


def reader_of(series: Mapping[str, Sequence[float | None]], *, every: int = MINUTE) -> MemoryReader:
    """A reader with one series a metric name, a sample every ``every`` milliseconds from 0 on; None leaves one out."""
    reader = MemoryReader()
    for name, values in series.items():
        points = [(number * every, value) for number, value in enumerate(values) if value is not None]
        reader.add({"__name__": name}, points)
    return reader


def rows(result: Result) -> dict[tuple[tuple[str, str], ...], list[float | None]]:
    """The values of each series by its sorted labels, None where there is none."""
    return {
        tuple(sorted(labels.items())): [
            value if there else None for value, there in zip(values.tolist(), present.tolist(), strict=True)
        ]
        for labels, values, present in zip(result.labels, result.values, result.present, strict=True)
    }


def one_row(result: Result) -> list[float | None]:
    """The values of the only series."""
    (values,) = rows(result).values()
    return values


def instant(reader: MemoryReader, expr: str, at: int = 0) -> Result:
    """An instant query over a reader."""
    return Engine(reader).instant(expr, at, budget())


def ranged(reader: MemoryReader, expr: str, start: int, end: int, step: int = MINUTE) -> Result:
    """A range query over a reader."""
    return Engine(reader).range(expr, start, end, step, budget())
