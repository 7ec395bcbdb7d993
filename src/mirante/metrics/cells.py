"""Where the numbers live: one closure for each bound counter, histogram and summary.

Under the GIL no lock is needed, and the totals are exact all the same: CPython lets another thread in only at the
start of a function, after a call and at a backward jump, and between reading a cell and writing it back there is none
of these (``tests/sdk/metrics/test_cells.py`` reads the bytecode to make sure). Where that does not hold, on a
free-threaded build or another implementation, the lock-based twins serve. Which, is settled once, at import.

A kept ``inc`` is a plain function that finds its number in its own cell: the cheapest call that Python has. (A gauge
has several operations, and a closure for each would cost a child 700 bytes: it is a slotted object with methods.)
"""

from __future__ import annotations

import sys
import threading
from bisect import bisect_left
from collections.abc import Callable, Mapping
from types import CellType
from typing import NamedTuple, Protocol

from mirante._core.done import DONE, Done
from mirante._core.model import Exemplar
from mirante.errors import DeclarationError
from mirante.metrics.exemplars import keep_example, take


class Increment(Protocol):
    """Adds to a counter."""

    def __call__(self, amount: float = 1.0, exemplar: Mapping[str, str] | None = None) -> Done:
        """Add ``amount``; the result may be awaited or ignored.

        Args:
            amount: zero or more.
            exemplar: labels of an example, such as ``{"trace_id": ...}``; the current span's where none are given.

        Raises:
            DeclarationError: the amount is negative or NaN, which would make the counter fall, or the exemplar has more
                than 128 characters.
        """
        ...


class Observe(Protocol):
    """Records one value."""

    def __call__(self, value: float, exemplar: Mapping[str, str] | None = None) -> Done:
        """Record ``value``, in the metric's base unit; the result may be awaited or ignored.

        Args:
            value: what was measured.
            exemplar: labels of an example, such as ``{"trace_id": ...}``; the current span's where none are given.

        Raises:
            DeclarationError: the value is NaN, which would spoil the sum for good, or the exemplar has more than 128
                characters.
        """
        ...


class CounterCell(NamedTuple):
    """A counter's function and the cells in which its total and its exemplar live."""

    inc: Increment
    total: CellType
    example: CellType


class HistogramCell(NamedTuple):
    """A histogram's function, its counts and exemplars by bucket, and the cell of its sum.

    The counts are not cumulative, the last is that of +Inf.
    """

    observe: Observe
    counts: list[int]
    sum: CellType
    examples: dict[int, Exemplar]


class SummaryCell(NamedTuple):
    """A summary's function and the cells of its count and sum; a summary has no exemplars in any format."""

    observe: Callable[[float], Done]
    counted: CellType
    sum: CellType


def _refuse_amount(amount: float) -> DeclarationError:
    return DeclarationError(f"a counter cannot be incremented by {amount}: the amount must be zero or more")


def _refuse_nan() -> DeclarationError:
    return DeclarationError("NaN cannot be observed: it would spoil the sum for good")


def _cell(function: Callable[..., Done], variable: str) -> CellType:
    """The cell that the closure shares with nobody else under that name."""
    cells: tuple[CellType, ...] = function.__closure__ or ()
    names: tuple[str, ...] = function.__code__.co_freevars
    return cells[names.index(variable)]


def plain_counter() -> CounterCell:
    """A counter for builds with the GIL."""
    total = 0.0
    example: Exemplar | None = None

    def inc(amount: float = 1.0, exemplar: Mapping[str, str] | None = None) -> Done:
        nonlocal total, example
        if amount >= 0.0:
            total += amount
            if exemplar is not None:
                example = take(exemplar, amount, example)
            return DONE
        raise _refuse_amount(amount)

    return CounterCell(inc, _cell(inc, "total"), _cell(inc, "example"))


def locked_counter() -> CounterCell:
    """A counter for builds on which threads run at the same time."""
    lock = threading.Lock()
    unlocked = plain_counter()

    def inc(amount: float = 1.0, exemplar: Mapping[str, str] | None = None) -> Done:
        with lock:
            return unlocked.inc(amount, exemplar)

    return CounterCell(inc, unlocked.total, unlocked.example)


def plain_histogram(bounds: tuple[float, ...]) -> HistogramCell:
    """A histogram for builds with the GIL; ``bounds`` are the finite upper bounds of its buckets."""
    counts = [0] * (len(bounds) + 1)
    total = 0.0
    examples: dict[int, Exemplar] = {}
    find = bisect_left

    def observe(value: float, exemplar: Mapping[str, str] | None = None) -> Done:
        nonlocal total
        if value == value:  # noqa: PLR0124 - NaN alone differs from itself
            counts[find(bounds, value)] += 1
            total += value
            if exemplar is not None:
                keep_example(examples, find(bounds, value), exemplar, value)
            return DONE
        raise _refuse_nan()

    return HistogramCell(observe, counts, _cell(observe, "total"), examples)


def locked_histogram(bounds: tuple[float, ...]) -> HistogramCell:
    """A histogram for builds on which threads run at the same time."""
    lock = threading.Lock()
    unlocked = plain_histogram(bounds)

    def observe(value: float, exemplar: Mapping[str, str] | None = None) -> Done:
        with lock:
            return unlocked.observe(value, exemplar)

    return HistogramCell(observe, unlocked.counts, unlocked.sum, unlocked.examples)


def plain_summary(keep: Callable[[float], None] | None) -> SummaryCell:
    """A summary for builds with the GIL; ``keep`` takes each value for the quantiles, where there are any."""
    count = 0
    total = 0.0

    def observe(value: float) -> Done:
        nonlocal count, total
        if value == value:  # noqa: PLR0124 - NaN alone differs from itself
            count += 1
            total += value
            if keep is not None:
                keep(value)
            return DONE
        raise _refuse_nan()

    return SummaryCell(observe, _cell(observe, "count"), _cell(observe, "total"))


def locked_summary(keep: Callable[[float], None] | None) -> SummaryCell:
    """A summary for builds on which threads run at the same time."""
    lock = threading.Lock()
    unlocked = plain_summary(keep)

    def observe(value: float) -> Done:
        with lock:
            return unlocked.observe(value)

    return SummaryCell(observe, unlocked.counted, unlocked.sum)


class Cells(NamedTuple):
    """One family of twins."""

    counter: Callable[[], CounterCell]
    histogram: Callable[[tuple[float, ...]], HistogramCell]
    summary: Callable[[Callable[[float], None] | None], SummaryCell]


PLAIN = Cells(plain_counter, plain_histogram, plain_summary)
LOCKED = Cells(locked_counter, locked_histogram, locked_summary)


def choose(implementation: str, *, gil: bool) -> Cells:
    """The twins that are exact on this interpreter."""
    return PLAIN if implementation == "cpython" and gil else LOCKED


CELLS = choose(sys.implementation.name, gil=getattr(sys, "_is_gil_enabled", lambda: True)())
