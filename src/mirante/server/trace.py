"""How a query was answered: its nodes, one inside the other, and the statements that each needed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Read:
    """A statement that the engine answered for a query.

    Attributes:
        sql: its text.
        parameters: bound in it, long ones shortened.
        seconds: until the answer was there.
        rows: of the answer.
        scanned: rows that the engine went through, as it estimates from its index.
    """

    sql: str
    parameters: Mapping[str, object]
    seconds: float
    rows: int
    scanned: int


@dataclass(slots=True)
class Step:
    """A node of a plan as it was evaluated.

    Attributes:
        node: what it is, as people write it.
        seconds: with all its parts.
        series: of its value.
        points: of its value.
        reads: that were made for it, and for none of its parts.
        kept: points that had been computed for an earlier query and were still true.
        parts: the nodes inside.
    """

    node: str
    seconds: float = 0.0
    series: int = 0
    points: int = 0
    reads: list[Read] = field(default_factory=list)
    kept: int = 0
    parts: list[Step] = field(default_factory=list)


class Trace:
    """Takes notes while a query is answered, on the thread that answers it.

    Example:
        >>> trace = Trace()
        >>> with trace.step("rate(...)"), trace.step("m[5m]"):
        ...     trace.read(Read("SELECT 1", {}, 0.001, rows=1, scanned=1))
        >>> trace.root.parts[0].parts[0].reads[0].sql
        'SELECT 1'
    """

    def __init__(self) -> None:
        self.root = Step("query")
        self._open = [self.root]

    @contextmanager
    def step(self, node: str) -> Iterator[Step]:
        """A node, while it is evaluated."""
        step = Step(node)
        self._open[-1].parts.append(step)
        self._open.append(step)
        started = time.perf_counter()
        try:
            yield step
        finally:
            step.seconds = time.perf_counter() - started
            self._open.pop()

    def read(self, read: Read) -> None:
        """A statement for the node that is being evaluated."""
        self._open[-1].reads.append(read)

    def kept(self, points: int) -> None:
        """Points that need not be computed for the node that is being evaluated."""
        self._open[-1].kept += points


def document(step: Step) -> dict[str, Any]:
    """A step as JSON, milliseconds rounded to microseconds."""
    return {
        "node": step.node,
        "milliseconds": round(step.seconds * 1000, 3),
        "series": step.series,
        "points": step.points,
        "pointsKept": step.kept,
        "reads": [
            {
                "sql": read.sql,
                "parameters": dict(read.parameters),
                "milliseconds": round(read.seconds * 1000, 3),
                "rows": read.rows,
                "rowsScanned": read.scanned,
            }
            for read in step.reads
        ],
        "parts": [document(part) for part in step.parts],
    }
