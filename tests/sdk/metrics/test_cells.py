"""Totals are exact however many threads record, with and without the GIL's protection."""

from __future__ import annotations

import asyncio
import dis
import sys
import threading
from collections.abc import Callable
from types import FunctionType

import pytest

from mirante.errors import DeclarationError
from mirante.metrics import Counter, Gauge, Histogram, Summary, cells
from mirante.metrics.cells import LOCKED, PLAIN, Cells

THREADS = 8
TIMES = 20_000

SWITCHING = {"RESUME", "JUMP_BACKWARD"}
"""Where CPython 3.11 and later may let another thread in, besides calls."""


def hammer(function: Callable[[], object]) -> None:
    """Call a function from eight threads that are made to take turns as often as possible."""

    def work() -> None:
        for _ in range(TIMES):
            function()

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)


@pytest.fixture(params=[PLAIN, LOCKED], ids=["plain", "locked"])
def twins(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Cells:
    """Both families of twins, the second forced as it would be on a free-threaded build."""
    chosen: Cells = request.param
    monkeypatch.setattr(cells, "CELLS", chosen)
    return chosen


def test_eight_threads_on_one_counter_lose_nothing(twins: Cells) -> None:
    """Every increment counts."""
    counter = Counter("c")
    hammer(counter.inc)
    assert counter.value == THREADS * TIMES


def test_eight_threads_on_one_gauge_lose_nothing(twins: Cells) -> None:
    """Every step up and down counts."""
    gauge = Gauge("g")
    hammer(lambda: (gauge.inc(3.0), gauge.dec()))
    assert gauge.value == 2 * THREADS * TIMES


def test_eight_threads_on_one_histogram_lose_nothing(twins: Cells) -> None:
    """Count, sum and buckets are all exact."""
    histogram = Histogram("h", buckets=[1.0])
    hammer(lambda: histogram.observe(0.5))
    assert histogram.count == THREADS * TIMES
    assert histogram.sum == THREADS * TIMES / 2


def test_eight_threads_on_one_summary_lose_nothing(twins: Cells) -> None:
    """Count and sum are exact, beside the quantiles."""
    summary = Summary("s")
    hammer(lambda: summary.observe(0.5))
    assert summary.count == THREADS * TIMES
    assert summary.sum == THREADS * TIMES / 2


def test_only_cpython_with_its_gil_goes_without_locks() -> None:
    """Anywhere else the lock-based twins serve."""
    assert cells.choose("cpython", gil=True) is PLAIN
    assert cells.choose("cpython", gil=False) is LOCKED
    assert cells.choose("pypy", gil=True) is LOCKED


def switch_points_inside_updates(function: Callable[..., object]) -> list[str]:
    """Instructions at which another thread may come in between reading a number and writing it back."""
    assert isinstance(function, FunctionType)
    inside, found = False, []
    for instruction in dis.get_instructions(function):
        name = instruction.opname
        reads = name == "LOAD_DEREF" and instruction.argval in {"total", "count"}
        inside = inside or reads or name == "BINARY_SUBSCR"
        if inside and (name in SWITCHING or name.startswith("CALL")):
            found.append(name)
        if name in {"STORE_DEREF", "STORE_SUBSCR"}:
            inside = False
    return found


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="reads CPython's bytecode")
def test_no_thread_can_come_in_while_a_number_is_updated() -> None:
    """The bytecode has no call and no jump back between a read and its write, which is what exactness stands on."""
    for function in (PLAIN.counter().inc, PLAIN.histogram((1.0,)).observe, PLAIN.summary(None).observe):
        assert switch_points_inside_updates(function) == []


def test_the_reader_of_bytecode_sees_a_call_inside_an_update() -> None:
    """The check above can fail."""
    total = 0.0

    def unsafe(amount: float) -> None:
        nonlocal total
        total += abs(amount)

    assert switch_points_inside_updates(unsafe) != []


@pytest.mark.parametrize("amount", [-1, -0.1, float("nan"), float("-inf")])
def test_a_counter_never_falls(twins: Cells, amount: float) -> None:
    """What would make it fall is refused, and leaves it as it was."""
    counter = Counter("c")
    counter.inc(2)
    with pytest.raises(DeclarationError, match="zero or more"):
        counter.inc(amount)
    assert counter.value == 2


def test_nan_is_not_observed(twins: Cells) -> None:
    """One NaN would spoil the sum for good."""
    for instrument in (Histogram("h"), Summary("s")):
        with pytest.raises(DeclarationError, match="NaN"):
            instrument.observe(float("nan"))
        assert instrument.count == 0


def test_recording_may_be_awaited_or_not(twins: Cells) -> None:
    """The result of every recording function can be awaited, without giving way to the loop."""
    counter, gauge, histogram, summary = Counter("c"), Gauge("g"), Histogram("h"), Summary("s")

    async def record() -> None:
        await counter.inc()
        await counter.increment()
        await gauge.inc(5)
        await gauge.dec()
        await gauge.set(gauge.value * 2)
        await histogram.observe(1)
        await summary.observe(1)

    asyncio.run(record())
    assert (counter.value, gauge.value, histogram.count, summary.count) == (2, 8, 1, 1)
