"""The manager, and the standard bundle of a service."""

from __future__ import annotations

import asyncio

from mirante.metrics import REGISTRY, MetricsCollector, MetricsManager, Registry


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
