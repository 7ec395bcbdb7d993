"""The manager, and the standard bundle of a service."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from mirante import metrics
from mirante._core.guard import REPORTER
from mirante._core.protocols import Exportable
from mirante.errors import DeclarationError, DeliveryError
from mirante.exporters.memory import MemoryExporter
from mirante.metrics import REGISTRY, MetricsCollector, MetricsManager, Registry
from mirante.metrics.manager import _in_child
from mirante.metrics.window import Window
from mirante.testing.clock import FakeClock
from tests.peers import wait_for


def test_there_is_one_manager_of_the_process() -> None:
    """It declares in the process's own registry."""
    assert MetricsManager.get_instance() is MetricsManager.get_instance()
    assert MetricsManager.get_instance().registry is REGISTRY


def test_a_manager_declares_in_its_own_registry_with_all_options() -> None:
    """The same metrics as the functions of the module give."""
    registry = Registry()
    manager = MetricsManager(registry)
    manager.create_counter("c", "C", ["x"], unit="bytes").labels("a").inc()
    manager.create_gauge("g", "G", unit="seconds").set(1)
    manager.create_histogram("h", "H", buckets=[1]).observe(1)
    manager.create_summary("s", "S", quantiles=(), max_age=60).observe(1)
    names = [line.split(" ")[0] for line in registry.expose().decode().splitlines() if not line.startswith("#")]
    assert names == [
        'c_bytes_total{x="a"}', "g_seconds", 'h_bucket{le="1.0"}', 'h_bucket{le="+Inf"}', "h_count", "h_sum",
        "s_count", "s_sum",
    ]  # fmt: skip


def test_collecting_gives_the_event_loop_its_turn_between_families() -> None:
    """However many there are."""
    manager = MetricsManager(Registry())
    for n in range(5):
        manager.create_gauge(f"g{n}")

    async def main() -> tuple[int, int]:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        families = await manager.collect_all()
        task.cancel()
        return len(families), turns

    families, turns = asyncio.run(main())
    assert families == 5
    assert turns >= 5


def test_a_service_reports_what_its_middleware_measured() -> None:
    """Requests, errors among them, mean time and open connections."""
    service = MetricsCollector(Registry())
    assert service.collect() == {"requests": 0, "errors": 0, "response_time": 0.0, "connections": 0}
    service.duration.labels("GET", "/", "200").observe(0.25)
    service.duration.labels("GET", "/", "503").observe(0.75)
    service.active.labels("GET").inc(3)
    assert service.collect() == {"requests": 2, "errors": 1, "response_time": 0.5, "connections": 3}


class Async:
    """An exporter that is a coroutine function."""

    def __init__(self) -> None:
        self.names: list[str] = []

    async def export(self, batch: Sequence[Exportable], /) -> None:
        """Keep the names."""
        await asyncio.sleep(0)
        self.names += [family.name for family in batch]


class Broken:
    """An exporter whose destination is away."""

    def export(self, batch: Sequence[Exportable], /) -> None:
        """Fail."""
        raise DeliveryError("away")


def test_exporters_in_one_call() -> None:
    """Plain and asynchronous ones; one that fails does not cost the others their turn, and is reported."""
    manager, first, last = MetricsManager(Registry()), MemoryExporter(), Async()
    manager.create_gauge("depth").set(7)
    before = REPORTER.counts.get("exporter Broken", 0)
    manager.start([first, Broken(), last], interval=3600)
    manager.start([first, Broken(), last], interval=3600)
    manager.stop()
    manager.stop()
    assert [family.name for family in first.records] == last.names == ["depth", "depth"]
    assert REPORTER.counts["exporter Broken"] == before + 2
    assert manager.aggregates() == []


@pytest.mark.parametrize(("interval", "window"), [(0, 1), (1, 0), (float("nan"), 1)])
def test_times_must_be_positive(interval: float, window: float) -> None:
    """A mistake shows where it is made."""
    with pytest.raises(DeclarationError, match="positive"):
        MetricsManager(Registry()).start(interval=interval, window=window)


def test_aggregation_over_a_window() -> None:
    """Least, greatest, mean, and of what counts the increase and its rate, over restarts too."""
    clock, registry = FakeClock(), Registry()
    window = Window(60, clock)
    assert window.aggregates() == []
    jobs, depth = metrics.counter("jobs", registry=registry), metrics.gauge("depth", registry=registry)
    metrics.summary("wait", registry=registry, quantiles=[0.5]).observe(1)
    for add, value in ((100, 9.0), (5, 1.0), (10, 2.0), (1, 6.0)):
        jobs.inc(add)
        depth.set(value)
        if add == 1:
            jobs.clear()
            jobs.inc(3)
        window.add(registry.collect())
        clock.advance(25)
    found = {one.name + "".join(one.labels.values()): one for one in window.aggregates()}
    assert (found["jobs_total"].last, found["jobs_total"].increase, found["jobs_total"].rate) == (3, 13, 13 / 50)
    one = found["depth"]
    assert (one.count, one.min, one.max, one.mean, one.increase, one.rate) == (3, 1, 6, 3, None, None)
    assert found["wait_count"].increase == 0
    assert found["wait0.5"].increase is None


def test_the_manager_aggregates_by_itself() -> None:
    """From the first collection on."""
    manager = MetricsManager(Registry())
    manager.create_counter("jobs").inc(2)
    manager.start(interval=0.01)
    try:
        aggregates = wait_for(manager.aggregates, seconds=60)
        assert (aggregates[0].name, aggregates[0].last) == ("jobs_total", 2)
        before = manager._running
        _in_child()  # as after a fork
        assert manager._running is not before
        assert before is not None
        before.stop(1)
        wait_for(lambda: manager.aggregates()[0].count > 1, seconds=60)
    finally:
        manager.stop()
    manager._in_child()
    assert manager.aggregates() == []
