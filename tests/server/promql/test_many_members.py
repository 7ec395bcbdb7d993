"""Aggregations over so many series that they are folded, or judged, in parts."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirante.server.promql.engine import Engine
from mirante.testing.memory_store import MemoryReader
from tests.server.promql.queries import MINUTE, budget, rows

STEPS = 3
Cells = Sequence[Sequence[float | None]]
KINDS: dict[str, Sequence[float | None]] = {
    "ties": [1.0, 1.0, 1.0, 2.0],
    "infinities": [-math.inf, -math.inf, 0.0, math.inf],
    "gaps": [None, None, None, None, None, None, None, -math.inf, 1.0],
    "nan": [math.nan, 1.0, 2.0],
    "whole numbers": [float(n) for n in range(400)],
}


def reader_of_cells(cells: Cells) -> MemoryReader:
    """One series a row, every second one of the same group."""
    reader = MemoryReader()
    for number, row in enumerate(cells):
        points = [(step * MINUTE, value) for step, value in enumerate(row) if value is not None]
        reader.add({"__name__": "m", "n": f"{number:04}", "g": str(number % 2)}, points)
    return reader


def ranked(cells: Cells, step: int, members: Sequence[int], count: int, sign: int) -> dict[int, float]:
    """Of those members the ``count`` greatest values (least, when the sign is negative), of equal ones the first."""
    there = [(number, value) for number in members if (value := cells[number][step]) is not None]
    order = sorted(there, key=lambda one: (math.isnan(one[1]), 0.0 if math.isnan(one[1]) else -sign * one[1], one[0]))
    return dict(order[: max(0, count)])


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.sampled_from([1, 63, 600, 1_300]),
    kind=st.sampled_from(sorted(KINDS)),
    count=st.integers(-1, 4),
    op=st.sampled_from(["topk", "bottomk"]),
    grouped=st.booleans(),
)
def test_the_largest_of_many_are_those_of_a_plain_ranking(
    seed: int, size: int, kind: str, count: int, op: str, grouped: bool
) -> None:
    """Whichever parts of the series are left out beforehand, of ties the first, NaN only when there is nothing else."""
    chance = random.Random(seed)  # noqa: S311 # no secret
    cells = [[chance.choice(KINDS[kind]) for _ in range(STEPS)] for _ in range(size)]
    reader = reader_of_cells(cells)
    by = "by (g) " if grouped else ""
    answer = Engine(reader, lookback_ms=1_000).range(
        f"{op} {by}({count}, m)", 0, (STEPS - 1) * MINUTE, MINUTE, budget()
    )
    got: dict[int, list[float | None]] = {int(dict(key)["n"]): row for key, row in rows(answer).items()}
    groups = [range(0, size, 2), range(1, size, 2)] if grouped else [range(size)]
    for step in range(STEPS):
        wanted: dict[int, float] = {}
        for group in groups:
            wanted |= ranked(cells, step, group, count, 1 if op == "topk" else -1)
        chosen = {number: row[step] for number, row in got.items() if row[step] is not None}
        assert sorted(chosen) == sorted(wanted)
        assert [str(chosen[number]) for number in sorted(chosen)] == [str(wanted[number]) for number in sorted(wanted)]


FOLDS: dict[str, Callable[[Sequence[float]], float]] = {
    "sum": math.fsum,
    "min": min,
    "max": max,
    "count": len,
    "avg": lambda values: math.fsum(values) / len(values),
}


@pytest.mark.parametrize("gaps", [0.0, 0.7])
@pytest.mark.parametrize("op", sorted(FOLDS))
def test_a_fold_in_parts_is_the_fold_of_all(op: str, gaps: float) -> None:
    """More cells than are folded at a time, in one group and in two."""
    count, steps, chance = 400, 400, random.Random(op)  # noqa: S311 # no secret
    cells = [[None if chance.random() < gaps else chance.uniform(-9, 9) for _ in range(steps)] for _ in range(count)]
    engine = Engine(reader_of_cells(cells), lookback_ms=1_000)
    groups = {(): range(count), (("g", "0"),): range(0, count, 2), (("g", "1"),): range(1, count, 2)}
    answers: dict[tuple[tuple[str, str], ...], list[float | None]] = {}
    for by in ("", "by (g) "):
        answers |= rows(engine.range(f"{op} {by}(m)", 0, (steps - 1) * MINUTE, MINUTE, budget()))
    for key, members in groups.items():
        for step in range(0, steps, 37):
            values = [value for number in members if (value := cells[number][step]) is not None]
            got = answers[key][step]
            assert got is not None
            assert math.isclose(got, FOLDS[op](values), rel_tol=1e-13, abs_tol=1e-12)
