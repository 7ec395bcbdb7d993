"""Instruments and their children: labels, values, and what their users do with them."""

from __future__ import annotations

import asyncio
import enum
import math
import threading
from typing import Any

import pytest

from mirante._core.guard import REPORTER
from mirante.errors import DeclarationError
from mirante.metrics import Counter, Gauge, Histogram, Registry, Summary, cells
from mirante.metrics.cells import LOCKED
from mirante.testing.clock import FakeClock


class Method(str, enum.Enum):  # noqa: UP042 - this is the older spelling, whose str() is another text
    """A label value as programs often have it: a ``str`` whose ``str()`` is another text."""

    GET = "GET"


def exposed(instrument: Any) -> str:
    """The instrument's exposition without its headers."""
    registry = Registry()
    registry.register(instrument)
    lines = registry.expose().decode().splitlines()
    return "\n".join(line for line in lines if not line.startswith("#"))


def test_labels_by_position_by_name_and_mixed_are_the_same_child() -> None:
    """A child can be kept, and is found again."""
    counter = Counter("c", labels=["method", "code"])
    child = counter.labels("GET", 200)
    assert counter.labels("GET", "200") is child
    assert counter.labels(code=200, method="GET") is child
    assert counter.labels("GET", code="200") is child
    child.inc()
    assert exposed(counter) == 'c_total{method="GET",code="200"} 1.0'


def test_values_that_are_equal_but_not_the_same_text_are_different_series() -> None:
    """1, True and 1.0 are equal in Python."""
    gauge = Gauge("g", labels=["x"])
    for value in (1, True, 1.0):
        gauge.labels(value).set(1)
    assert {child.label_values for child in gauge.children()} == {("1",), ("True",), ("1.0",)}


@pytest.mark.parametrize("enum_first", [True, False])
def test_a_subclass_of_str_counts_as_the_text_it_holds(enum_first: bool) -> None:
    """Whether it came before or after the plain text."""
    counter = Counter("c", labels=["method"])
    values = [Method.GET, "GET"] if enum_first else ["GET", Method.GET]
    for value in values:
        counter.labels(value).inc()
    assert exposed(counter) == 'c_total{method="GET"} 2.0'


def test_a_value_that_cannot_be_hashed_becomes_text() -> None:
    """As any value that is not text."""
    counter = Counter("c", labels=["x"])
    counter.labels(["a"]).inc()
    assert exposed(counter) == "c_total{x=\"['a']\"} 1.0"


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ((), {}),
        (("a",), {}),
        (("a", "b", "c"), {}),
        ((), {"x": "a"}),
        ((), {"x": "a", "z": "b"}),
        (("a",), {"x": "b"}),
        (("a", "b"), {"y": "c"}),
        ((), {"x": "a", "y": "b", "z": "c"}),
    ],
)
def test_label_values_that_do_not_fit_are_refused(values: tuple[str, ...], named: dict[str, str]) -> None:
    """The message names the labels that are needed."""
    with pytest.raises(DeclarationError, match=r"\('x', 'y'\)"):
        Counter("c", labels=["x", "y"]).labels(*values, **named)


def test_a_metric_with_labels_does_not_record_by_itself() -> None:
    """Every recording method says what to do instead."""
    counter, gauge = Counter("c", labels=["x"]), Gauge("g", labels=["x"])
    histogram, summary = Histogram("h", labels=["x"]), Summary("s", labels=["x"])
    calls: list[Any] = [
        counter.inc, counter.increment, gauge.inc, gauge.dec, gauge.set, gauge.set_to_current_time,
        gauge.set_function, gauge.track_inprogress, gauge.time, histogram.observe, histogram.time,
        summary.observe, summary.time,
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(DeclarationError, match=r"\.labels\(\.\.\.\) first"):
            call(1)


def test_a_removed_series_is_gone_and_begins_again_from_zero() -> None:
    """Whoever kept the child counts on unseen."""
    counter = Counter("c", labels=["x"])
    kept = counter.labels("a")
    counter.labels("b").inc()
    kept.inc()
    counter.remove("a")
    counter.remove("never there")
    kept.inc()
    assert exposed(counter) == 'c_total{x="b"} 1.0'
    assert counter.labels("a").value == 0
    counter.remove(x="b")
    counter.clear()
    assert exposed(counter) == ""


def test_clear_without_labels_starts_again_from_zero() -> None:
    """The one series stays, and its functions stay valid."""
    counter, histogram, summary = Counter("c"), Histogram("h", buckets=[1]), Summary("s")
    plain = Summary("p", quantiles=())
    for record in (counter.inc, histogram.observe, summary.observe, plain.observe):
        record(5)
    for instrument in (counter, histogram, summary, plain):
        instrument.clear()
    assert (counter.value, histogram.count, histogram.sum, summary.count, summary.sum) == (0, 0, 0, 0, 0)
    assert math.isnan(summary.quantile(0.5))
    counter.inc()
    assert counter.value == 1


def test_reset_keeps_gauges() -> None:
    """A forked child's counts begin at zero, but its settings are those of its parent."""
    gauge = Gauge("g")
    gauge.set(4)
    gauge.reset()
    assert gauge.value == 4


def test_two_threads_get_the_same_child() -> None:
    """However close they ask, no count is lost to a second child."""
    counter = Counter("c", labels=["x"])
    start = threading.Barrier(8)

    def work() -> None:
        start.wait()
        for n in range(200):
            counter.labels(n).inc()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {child.value for child in counter.children()} == {8.0}


def test_gauge_functions_are_asked_at_each_collection() -> None:
    """The value is what the function gives then."""
    gauge, waiting = Gauge("g"), [1, 2]
    gauge.set_function(lambda: len(waiting))
    assert exposed(gauge) == "g 2.0"
    waiting.clear()
    assert exposed(gauge) == "g 0.0"


def test_a_failing_gauge_function_costs_only_its_own_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exposition stays whole; the fault is reported."""
    monkeypatch.delenv("MIRANTE_RAISE_FAULTS")
    gauge = Gauge("g")

    def broken() -> float:
        raise OSError("gone")

    gauge.set_function(broken)
    before = sum(REPORTER.counts.values())
    assert exposed(gauge) == "g NaN"
    assert sum(REPORTER.counts.values()) > before


def test_a_gauge_takes_numbers_only() -> None:
    """What is not a number raises where it is set."""
    gauge = Gauge("g")
    gauge.set(True)
    assert exposed(gauge) == "g 1.0"
    with pytest.raises(ValueError, match="could not convert"):
        gauge.set("many")  # type: ignore[arg-type]


def test_a_gauge_can_hold_the_present_time() -> None:
    """Seconds since the epoch."""
    gauge = Gauge("g")
    gauge.set_to_current_time()
    assert gauge.value > 1_600_000_000


def test_in_progress_goes_up_and_down_again_even_on_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """As context manager and as decorator; with the lock-based twin too."""
    monkeypatch.setattr(cells, "CELLS", LOCKED)
    gauge = Gauge("g")
    seen = []

    @gauge.track_inprogress()
    def work(depth: int) -> None:
        seen.append(gauge.value)
        if depth:
            work(depth - 1)
        raise KeyError

    with pytest.raises(KeyError):
        work(2)
    assert seen == [1, 2, 3]
    assert gauge.value == 0


def test_exceptions_are_counted_and_go_on() -> None:
    """Only those of the kinds asked for."""
    counter, labelled = Counter("c"), Counter("l", labels=["x"])
    with pytest.raises(KeyError), counter.count_exceptions():
        raise KeyError
    with pytest.raises(KeyError), counter.count_exceptions(ValueError):
        raise KeyError
    with pytest.raises(ValueError), labelled.labels("a").count_exceptions((KeyError, ValueError)):  # noqa: PT011
        raise ValueError
    with counter.count_exceptions():
        pass
    assert (counter.value, labelled.value) == (1, 1)


def test_timers_measure_blocks_functions_and_coroutines() -> None:
    """A decorated function keeps its name, and overlapping calls are measured each by itself."""
    histogram, summary, gauge = Histogram("h", buckets=[0.001, 10]), Summary("s"), Gauge("g")

    @histogram.time()
    @summary.time()
    def plain(depth: int) -> str:
        """Documented."""
        return plain(depth - 1) if depth else "done"

    @histogram.time()
    async def coroutine() -> str:
        await asyncio.sleep(0.01)
        return "done"

    async def three() -> list[str]:
        return list(await asyncio.gather(coroutine(), coroutine(), coroutine()))

    assert plain(3) == "done"
    assert plain.__name__ == "plain"
    assert plain.__doc__ == "Documented."
    assert asyncio.run(three()) == ["done"] * 3
    assert (histogram.count, summary.count) == (7, 4)
    assert 0.03 <= histogram.sum < 10
    with gauge.time():
        pass
    assert 0 < gauge.value < 10
    with Histogram("labelled", labels=["x"]).labels("a").time() as timer:
        pass
    assert timer is not None


def test_buckets_are_cumulative_and_have_inclusive_bounds() -> None:
    """A value equal to a bound belongs to that bucket; ``le`` is written as prometheus_client does."""
    histogram = Histogram("h", buckets=[0.5, 1, 1e6])
    for value in (0.5, 0.6, 1, 2, float("inf")):
        histogram.observe(value)
    lines = exposed(histogram).splitlines()
    assert lines[:4] == [
        'h_bucket{le="0.5"} 1',
        'h_bucket{le="1.0"} 3',
        'h_bucket{le="1e+06"} 4',
        'h_bucket{le="+Inf"} 5',
    ]
    assert lines[4:] == ["h_count 5", "h_sum +Inf"]


def test_a_summary_reports_the_quantiles_of_its_window() -> None:
    """Values older than ``max_age`` no longer count for them, but for count and sum."""
    clock = FakeClock()
    summary = Summary("s", labels=["x"], quantiles=[0.5], max_age=50, clock=clock)
    for value in (1.0, 2.0, 3.0):
        summary.labels("a").observe(value)
    assert summary.quantile(0.5, "a") == pytest.approx(2.0, rel=0.01)
    clock.advance(51)
    assert exposed(summary) == 's{x="a",quantile="0.5"} NaN\ns_count{x="a"} 3\ns_sum{x="a"} 6.0'


def test_a_summary_without_quantiles_gives_count_and_sum() -> None:
    """As prometheus_client's."""
    summary = Summary("s", quantiles=())
    summary.observe(3)
    assert exposed(summary) == "s_count 1\ns_sum 3.0"
    assert math.isnan(summary.quantile(0.5))
    assert [sample.name for family in summary.collect() for sample in family.samples] == ["s_count", "s_sum"]


def test_instruments_show_what_they_are() -> None:
    """In a debugger."""
    assert repr(Counter("c", labels=["x"])) == "<Counter c ('x',)>"


def test_increment_is_another_word_for_inc() -> None:
    """On the metric and on its children, for code that was written with it."""
    counter, gauge = Counter("c", labels=["a"]), Gauge("g")
    counter.labels("x").increment(2)
    gauge.increment()
    assert (counter.value, gauge.value) == (2, 1)


def test_what_a_gauge_does_not_know() -> None:
    """Without a ttl nobody asks when it was set; how processes are merged must be a known word."""
    assert Gauge("g").children()[0].mark() is None
    with pytest.raises(DeclarationError, match="multiprocess_mode"):
        Gauge("g", multiprocess_mode="most")  # type: ignore[arg-type] # that is the mistake
