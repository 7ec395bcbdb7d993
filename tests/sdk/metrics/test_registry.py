"""Registries: one object for one declaration, and an exposition that nothing can spoil."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from mirante import metrics
from mirante._core.guard import REPORTER
from mirante._core.model import MetricFamily, Sample
from mirante.errors import DuplicateMetricError
from mirante.metrics import Counter, Gauge, Registry
from mirante.metrics.family import Instrument


class Fixed:
    """A collector that always gives the same families."""

    def __init__(self, *families: MetricFamily) -> None:
        self.families = families

    def collect(self) -> Iterator[MetricFamily]:
        """As a collector does."""
        yield from self.families


def one(name: str, value: float = 1.0) -> MetricFamily:
    """A gauge with one sample."""
    return MetricFamily(name, "gauge", samples=(Sample(name, {}, value),))


def test_the_same_declaration_gives_the_same_object() -> None:
    """The help text may differ, and a counter's suffix may be left out."""
    registry = Registry()
    first = metrics.counter("jobs_total", "Jobs.", ["kind"], registry=registry)
    assert metrics.counter("jobs", "Done jobs.", ("kind",), registry=registry) is first
    assert metrics.counter("jobs_total", registry=Registry()) is not first
    assert registry.get("jobs_total") is first
    assert registry.get("jobs") is first
    assert registry.get("other") is None


DECLARATIONS: list[Callable[[Registry], object]] = [
    lambda registry: metrics.gauge("m", registry=registry),
    lambda registry: metrics.counter("m", registry=registry),
    lambda registry: metrics.counter("m", labels=["x"], registry=registry),
    lambda registry: metrics.histogram("m", registry=registry),
    lambda registry: metrics.histogram("m", registry=registry, buckets=[1, 2]),
    lambda registry: metrics.summary("m", registry=registry),
    lambda registry: metrics.summary("m", registry=registry, quantiles=[0.5]),
    lambda registry: metrics.summary("m", registry=registry, max_age=60),
    lambda registry: metrics.gauge("m_sum", registry=registry),
    lambda registry: metrics.gauge("m_bytes", registry=registry),
    lambda registry: metrics.gauge("m", registry=registry, unit="bytes"),
]


@pytest.mark.parametrize(("a", "b"), [(0, 1), (1, 2), (0, 3), (3, 4), (5, 6), (5, 7), (3, 8), (8, 5), (9, 10)], ids=str)
def test_a_conflict_names_both_places(a: int, b: int) -> None:
    """File and line of both declarations, in the message and as attributes."""
    registry = Registry()
    DECLARATIONS[a](registry)
    with pytest.raises(DuplicateMetricError, match="give one of them another name") as caught:
        DECLARATIONS[b](registry)
    here = re.compile(re.escape(__file__) + r":\d+$")
    assert here.match(caught.value.first)
    assert here.match(caught.value.second)
    assert caught.value.first != caught.value.second
    assert caught.value.first in str(caught.value)
    assert caught.value.second in str(caught.value)
    assert caught.value.name.startswith("m")


def test_an_unregistered_instrument_frees_its_names() -> None:
    """And is no longer exposed; taking out what is not there does nothing."""
    registry = Registry()
    gauge = metrics.gauge("m", registry=registry)
    registry.unregister(gauge)
    registry.unregister(gauge)
    assert registry.expose() == b""
    metrics.counter("m", registry=registry)


def test_an_instrument_made_by_hand_can_be_registered() -> None:
    """Registering it twice changes nothing."""
    registry, gauge = Registry(), Gauge("g")
    assert registry.register(gauge) is gauge
    assert registry.register(gauge) is gauge
    assert registry.expose().count(b"# TYPE") == 1


def test_collectors_are_asked_each_time_and_once_however_often_registered() -> None:
    """Until they are taken out."""
    registry, collector = Registry(), Fixed(one("a"))
    registry.register(collector)
    registry.register(collector)
    assert registry.expose() == b"# HELP a \n# TYPE a gauge\na 1.0\n"
    collector.families = (one("a", 2.0),)
    assert [sample.value for family in registry.collect() for sample in family.samples] == [2.0]
    registry.unregister(collector)
    assert list(registry.collect()) == []


def test_a_failing_collector_does_not_cost_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is reported and left out."""
    monkeypatch.delenv("MIRANTE_RAISE_FAULTS")

    class Broken:
        def collect(self) -> Iterator[MetricFamily]:
            yield one("b")
            raise OSError("no such device")

    registry = Registry()
    registry.register(Broken())
    registry.register(Fixed(one("a")))
    before = REPORTER.counts.get("collector Broken", 0)
    assert [family.name for family in registry.collect()] == ["a"]
    assert REPORTER.counts["collector Broken"] == before + 1


def test_a_family_that_is_there_already_is_left_out() -> None:
    """Twice the same name would make the whole exposition invalid."""
    registry = Registry()
    metrics.gauge("a", registry=registry).set(5)
    registry.register(Fixed(one("a"), one("b"), one("b", 2.0)))
    before = REPORTER.counts.get("metric b", 0)
    assert registry.expose().decode().splitlines()[2::3] == ["a 5.0", "b 1.0"]
    assert REPORTER.counts["metric b"] == before + 1


def test_reset_reaches_every_instrument() -> None:
    """As a forked child needs it."""
    registry = Registry()
    counter = metrics.counter("c", registry=registry)
    counter.inc()
    registry.reset()
    assert counter.value == 0


def test_declaring_from_many_threads_gives_one_object() -> None:
    """Whoever comes first."""
    registry, found = Registry(), []
    start = threading.Barrier(8)

    def declare() -> None:
        start.wait()
        found.append(metrics.counter("c", registry=registry))

    threads = [threading.Thread(target=declare) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1


FORKING = """
import os, threading
from mirante import metrics
registry, stop = metrics.Registry(), threading.Event()
def declare():
    while not stop.is_set():
        metrics.counter("c", registry=registry)
thread = threading.Thread(target=declare)
thread.start()
for _ in range(30):
    pid = os.fork()
    if pid == 0:
        metrics.counter("d", registry=registry)
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
stop.set()
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")
def test_a_forked_child_can_declare_while_its_parent_was_declaring() -> None:
    """The lock is never copied while another thread holds it."""
    # Not measured: coverage's own lock does not survive a fork of a process with threads.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKING], env=environment, check=True, timeout=60
    )


def test_chunks_are_small_and_add_up() -> None:
    """A thousand lines at a time, whatever the instrument."""
    registry = Registry()
    for n in range(1500):
        metrics.gauge("g", "", ["n"], registry=registry).labels(n).set(n)
        metrics.histogram("h", "", ["n"], registry=registry, buckets=range(1, 40)).labels(n).observe(n)
    chunks = list(registry.chunks(openmetrics=True))
    assert max(chunk.count(b"\n") for chunk in chunks) <= 1000
    assert b"".join(chunks) == registry.expose(openmetrics=True)
    assert registry.expose(openmetrics=True).endswith(b"# EOF\n")


@pytest.mark.slow
def test_a_big_exposition_gives_other_threads_their_turn() -> None:
    """They get it a hundred times during 100,000 series, even where the interpreter never makes anyone give way."""
    registry, stop, ticks = Registry(), threading.Event(), Counter("ticks")
    counter = metrics.counter("c", "", ["n"], registry=registry, max_label_sets=100_000)
    for n in range(100_000):
        counter.labels(n).inc()

    def record() -> None:
        while not stop.is_set():
            ticks.inc()
            time.sleep(0.00001)

    thread, interval = threading.Thread(target=record), sys.getswitchinterval()
    sys.setswitchinterval(60)
    try:
        thread.start()
        before = ticks.value
        registry.expose()
        turns = ticks.value - before
    finally:
        sys.setswitchinterval(interval)
        stop.set()
        thread.join()
    assert turns >= 50


def test_the_base_says_nothing_of_its_own() -> None:
    """Instruments must say how their children begin and what they look like."""
    assert Instrument.__abstractmethods__ >= {"_new", "_samples", "_text"}
