"""The collector as its users meet it: recording from anywhere, flushing, ending, and what it says about itself."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
import weakref
from multiprocessing import process, util
from pathlib import Path
from typing import Any

import pytest

from mirante._core import destinations
from mirante._core.model import MetricFamily
from mirante.errors import DeclarationError, StoreError
from mirante.exporters import MemoryExporter
from mirante.metrics import REGISTRY
from mirante.telemetry import (
    Aggregate,
    Batch,
    Metric,
    MetricsCollector,
    RateLimit,
    Retry,
    Sample,
    TelemetryConfig,
    live,
)
from mirante.telemetry.stages.base import Bound, DeliveryContext, RecordContext, Send
from tests.sdk.telemetry.support import FakeClock, Scripted, Stuck, collector, eventually

pytestmark = pytest.mark.anyio


def families(source: Any) -> dict[tuple[str, str, str], float]:
    """Samples by name, exporter and reason."""
    found: list[MetricFamily] = list(source.collect())
    return {
        (s.name, s.labels.get("exporter", ""), s.labels.get("reason", "")): s.value
        for family in found
        for s in family.samples
        if family.name.startswith("mirante_telemetry") and s.labels["collector"] == "test"
    }


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": ""}, "name must not be empty"),
        ({"buffer_size": 0}, "buffer_size must be more than 0, not 0"),
        ({"flush_interval": -1.0}, "flush_interval must be more than 0, not -1.0"),
        ({"shutdown_timeout": float("nan")}, "shutdown_timeout must be more than 0, not nan"),
    ],
)
def test_a_wrong_setting_is_named(wrong: dict[str, Any], message: str) -> None:
    """With the value that was given."""
    with pytest.raises(DeclarationError, match=message):
        TelemetryConfig(**{"name": "x", **wrong})


def test_stages_that_cannot_work_are_refused() -> None:
    """What is no stage, and what would take a sum for a measurement."""
    with pytest.raises(DeclarationError, match="'oops' is no stage"):
        collector("oops")
    with pytest.raises(DeclarationError, match="Sample after Aggregate"):
        collector(Aggregate(), Sample(0.5))
    with pytest.raises(DeclarationError, match="Aggregate after Aggregate"):
        collector(Aggregate(), Retry(), Aggregate())


async def test_record_needs_no_await_and_no_loop() -> None:
    """Awaited or not, it is the same."""
    out = MemoryExporter()
    async with collector(exporter=out) as mine:
        mine.record("a", 1)
        await mine.record("b", 2)
        assert await mine.flush()
        assert [one.name for one in out.records] == ["a", "b"]


def test_a_program_without_a_loop_uses_it_as_a_context() -> None:
    """The end of the block delivers."""
    out = MemoryExporter()
    with collector(exporter=out) as mine:
        mine.record("a", 1)
    assert [one.name for one in out.records] == ["a"]


def test_the_interval_flushes() -> None:
    """Without anybody asking."""
    out = MemoryExporter()
    with collector(exporter=out, flush_interval=0.01) as mine:
        mine.record("a", 1)
        eventually(lambda: out.records)
        mine.record("b", 1)
        eventually(lambda: len(out.records) == 2)


def test_the_first_record_starts_it() -> None:
    """For those who do not want to initialize."""
    out = MemoryExporter()
    mine = collector(exporter=out, buffer_size=2)
    mine.record("a", 1)
    mine.record("b", 1)
    eventually(lambda: len(out.records) == 2)
    mine.shutdown()


async def test_a_wrong_value_raises_where_it_is_written() -> None:
    """And nothing else is lost by it."""
    out = MemoryExporter()
    async with collector(exporter=out) as mine:
        with pytest.raises(ValueError, match="finite"):
            mine.record("a", float("nan"))
        mine.record("b", 1)
    assert [one.name for one in out.records] == ["b"]


async def test_several_loops_and_threads_share_one_collector() -> None:
    """Nothing is lost between them, and each can flush."""
    out = MemoryExporter()
    async with collector(exporter=out, buffer_size=100) as mine:

        async def records() -> None:
            for number in range(500):
                await mine.record("a", number)
            assert await mine.flush()

        threads = [threading.Thread(target=lambda: asyncio.run(records())) for _ in range(4)]
        for thread in threads:
            thread.start()
        await records()
        for thread in threads:
            await asyncio.to_thread(thread.join)
        assert (await mine.get_stats())["metrics_count"] == 2500
    assert len(out.records) == 2500


async def test_a_stuck_destination_does_not_hold_the_loop() -> None:
    """Recording goes on, and the end comes after the deadline."""
    out = Stuck()
    loop = asyncio.get_running_loop()
    mine = collector(exporter=out, buffer_size=1, shutdown_timeout=0.2)
    await mine.initialize()
    mine.record("a", 1)
    await asyncio.to_thread(out.entered.wait)
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        ticks += 1
        loop.call_later(0.01, tick)

    tick()
    began = loop.time()
    await mine.teardown()
    assert 0.1 < loop.time() - began < 10
    assert ticks >= 5
    stats = await mine.get_stats()
    assert stats["dropped_by_reason"] == {"shutdown": 1}
    out.release.set()
    eventually(lambda: out.closed)


async def test_several_exporters_are_isolated() -> None:
    """One hangs, one refuses, one works: it gets everything."""
    stuck, failing, good = Stuck(), Scripted(*[OSError("down")] * 3), MemoryExporter()
    mine = collector(exporter=[stuck, failing, good], buffer_size=1, shutdown_timeout=0.1)
    await mine.initialize()
    for number in range(3):
        mine.record("a", number)
    eventually(lambda: len(good.records) == 3 and len(failing.calls) == 3)
    assert not stuck.calls
    stuck.release.set()
    await mine.teardown()
    stats = await mine.get_stats()
    assert stats["exporters"]["Scripted"]["dropped_by_reason"] == {"delivery_failed": 3}
    assert stats["exporters"]["MemoryExporter"]["exported"] == 3
    assert stats["exporters"]["Stuck"]["exported"] == 3


async def test_two_exporters_of_a_kind_have_different_names() -> None:
    """In statistics, metrics and on disk."""
    async with collector(exporter=(MemoryExporter(), MemoryExporter(), Scripted())) as mine:
        assert list((await mine.get_stats())["exporters"]) == ["MemoryExporter", "MemoryExporter-2", "Scripted"]


async def test_without_an_exporter_it_keeps_a_bounded_history() -> None:
    """The most recent records."""
    async with MetricsCollector(TelemetryConfig("test", history_size=2)) as mine:
        for number in range(3):
            mine.record("a", number)
    assert [one.value for one in mine.history if isinstance(one, Metric)] == [1, 2]
    assert MetricsCollector().config.name == "default"


async def test_without_an_exporter_it_feeds_what_is_configured() -> None:
    """And does not close it, because others use it too."""
    shared = Scripted()
    destinations.set_configured((shared,))
    try:
        async with collector() as mine:
            mine.record("a", 7)
    finally:
        destinations.set_configured(())
    assert shared.values == [7]
    assert shared.closed == 0
    assert not mine.history


async def test_its_own_exporter_is_closed_at_the_end() -> None:
    """Once."""
    out = Scripted()
    async with collector(exporter=out) as mine:
        mine.record("a", 1)
    await mine.teardown()
    mine.shutdown()
    assert out.closed == 1


async def test_after_the_end_records_are_counted_as_dropped_until_it_starts_again() -> None:
    """Nothing is lost in silence; a new start counts from zero."""
    out = MemoryExporter()
    mine = collector(exporter=out)
    await mine.initialize()
    await mine.initialize()
    await mine.teardown()
    mine.record("late", 1)
    assert (await mine.get_stats())["dropped_by_reason"] == {"closed": 1}
    assert await mine.flush()
    await mine.initialize()
    mine.record("again", 1)
    await mine.teardown()
    assert [one.name for one in out.records] == ["again"]
    assert (await mine.get_stats())["dropped"] == 0


async def test_disabled_it_does_nothing_at_all() -> None:
    """No thread, no check of values, no registration."""
    before = threading.active_count()
    async with collector(exporter=MemoryExporter(), enabled=False) as mine:
        await mine.record("", float("nan"))
        assert threading.active_count() == before
        stats = await mine.get_stats()
    assert (stats["enabled"], stats["metrics_count"]) == (False, 0)


class Faulty:
    """A stage of a user that fails when recording or flushing."""

    def __init__(self, *, in_drain: bool) -> None:
        self.in_drain = in_drain

    def bind(self, context: RecordContext) -> Bound:
        """Fail where told."""

        def fail(*_: object) -> None:
            raise RuntimeError("bug in a stage")

        return Bound(context.emit, fail) if self.in_drain else Bound(fail)


@pytest.mark.parametrize("in_drain", [True, False])
async def test_a_fault_in_a_stage_is_told_and_not_the_hosts(
    in_drain: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Outside of tests; the other stages go on."""
    monkeypatch.delenv("MIRANTE_RAISE_FAULTS")
    out = MemoryExporter()
    mine = collector(Faulty(in_drain=in_drain), exporter=out, name=f"faulty-{in_drain}")
    await mine.initialize()
    mine.record("a", 1)
    await mine.teardown()
    assert "bug in a stage" in caplog.text
    assert (await mine.get_stats())["dropped_by_reason"] == {"stage_failed": 1}
    assert len(out.records) == in_drain


class Doubling:
    """A user's own stages."""

    def bind(self, context: RecordContext) -> Bound:
        """Pass everything on twice."""

        def record(metric: Metric) -> None:
            context.emit(metric)
            context.emit(metric)

        return Bound(record)


class Reversing:
    """A user's own delivery stage."""

    def wrap(self, send: Send, context: DeliveryContext) -> Send:
        """Turn batches round."""
        assert context.wait(0.0)
        return lambda batch: send(batch[::-1])


async def test_users_write_their_own_stages() -> None:
    """A class with one method is enough, anywhere among the others."""
    out = MemoryExporter()
    async with collector(Doubling(), Aggregate(), Batch(1), Reversing(), exporter=out) as mine:
        mine.record("a", 1)
    assert out.records[0].count == 2
    async with collector(Reversing(), exporter=out) as mine:
        mine.record("b", 1)
        mine.record("c", 1)
    assert [one.name for one in out.records] == ["a", "c", "b"]


async def test_three_stages_together() -> None:
    """What the limit lets through is sampled, and what is kept is summed up for what was not."""
    clock = FakeClock()
    out = MemoryExporter()
    stages = (RateLimit(1000), Sample(0.1, seed=1), Aggregate())
    async with collector(*stages, exporter=out, clock=clock) as mine:
        for _ in range(2000):
            mine.record("hits", 1.0)
        reasons = (await mine.get_stats())["dropped_by_reason"]
    (one,) = out.records
    assert reasons["rate_limit"] == 1000
    assert one.count == pytest.approx(10 * (1000 - reasons["sampled"]))
    assert one.sum == pytest.approx(1000, rel=0.3)


async def test_its_own_metrics_are_in_the_process_registry() -> None:
    """Those of all collectors in one family each."""
    refusing = Scripted(OSError("down"))
    async with collector(RateLimit(1), exporter=refusing) as mine, collector(exporter=MemoryExporter()) as other:
        mine.record("a", 1)
        mine.record("a", 1)
        other.record("a", 1)
        await mine.flush()
        found = families(mine)
        assert found["mirante_telemetry_recorded_total", "", ""] == 2
        assert found["mirante_telemetry_dropped_total", "", "rate_limit"] == 1
        assert found["mirante_telemetry_dropped_total", "Scripted", "delivery_failed"] == 1
        assert found["mirante_telemetry_exported_total", "Scripted", ""] == 0
        assert found["mirante_telemetry_spool_bytes", "Scripted", ""] == 0
        text = REGISTRY.expose().decode()
    assert text.count("# TYPE mirante_telemetry_recorded_total counter") == 1
    assert 'mirante_telemetry_queue_records{collector="test",exporter="MemoryExporter"} 0' in text
    assert families(live.PIPELINES) == {}


def test_a_collector_that_was_never_started_leaves_nothing_behind() -> None:
    """It is collected like any other object."""
    mine = collector()
    gone = weakref.ref(mine)
    del mine
    gc.collect()
    assert gone() is None


async def test_a_spool_that_cannot_be_used_is_an_error_at_initialize_and_a_warning_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A record must not raise because of it."""
    (tmp_path / "file").write_text("in the way")
    out = MemoryExporter()
    mine = collector(exporter=out, spool_dir=tmp_path / "file", name="in the way")
    with pytest.raises(StoreError):
        await mine.initialize()
    mine.record("a", 1)
    await mine.teardown()
    assert len(out.records) == 1
    assert "no spool, an outage will lose records" in caplog.text


def test_recording_in_a_signal_handler_while_recording() -> None:
    """Cannot lock itself out."""
    out = MemoryExporter()
    with collector(Aggregate(), exporter=out) as mine:

        def interrupt(*_: object) -> None:
            mine.record("signal", 1)

        before = signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0005)
        try:
            for _ in range(30_000):
                mine.record("main", 1)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
    counts = {one.name: one.count for one in out.records}
    assert counts["main"] == 30_000
    assert counts["signal"] > 0


def test_after_a_fork_the_child_begins_empty() -> None:
    """What the parent recorded, the parent delivers; an ended collector stays ended."""
    out = MemoryExporter()
    running, ended = collector(exporter=out), collector(exporter=out)
    running.initialize()
    ended.initialize()
    ended.shutdown()
    parents = running._deliveries
    running.record("parent", 1)
    live._after_fork()
    ended.after_fork()
    ended.record("late", 1)
    running.record("child", 1)
    running.shutdown()
    ended.shutdown()
    assert [one.name for one in out.records] == ["child"]
    for delivery in parents:
        delivery.stop(1.0).result(10)


def test_a_child_of_multiprocessing_delivers_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end runs multiprocessing's finalizers and not those of ``atexit``."""
    out = MemoryExporter()
    monkeypatch.setattr(process, "parent_process", lambda: "a parent")
    registered: dict[object, util.Finalize] = util._finalizer_registry  # type: ignore[attr-defined] # what a child runs
    before = set(registered)
    mine = collector(exporter=out)
    mine.record("a", 1)
    for key in set(registered) - before:
        registered[key]()
    assert len(out.records) == 1


CHILDREN = """
import multiprocessing, os, sys
from mirante.exporters import FileExporter
from mirante.telemetry import MetricsCollector, TelemetryConfig

mine = MetricsCollector(TelemetryConfig("test", flush_interval=3600), exporter=FileExporter(sys.argv[1]))

def work(number):
    mine.record("child", number)

if __name__ == "__main__":
    mine.initialize()
    mine.record("parent", 0)
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=work, args=(n,)) for n in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    if os.fork() == 0:
        work(3)
        sys.exit()
    os.wait()
"""


@pytest.mark.slow
def test_children_and_parent_deliver_their_own_when_they_end(tmp_path: Path) -> None:
    """Forked by multiprocessing or by hand, without anybody calling teardown: each record exactly once."""
    script = tmp_path / "children.py"
    script.write_text(CHILDREN)
    subprocess.run([sys.executable, str(script), str(tmp_path / "out")], check=True, timeout=60)
    lines = "".join(path.read_text() for path in (tmp_path / "out").iterdir()).splitlines()
    assert sorted(line.split('"name":')[1].rstrip("}") for line in lines) == [
        '"child","value":0.0',
        '"child","value":1.0',
        '"child","value":2.0',
        '"child","value":3.0',
        '"parent","value":0.0',
    ]


STUCK = """
import time
from mirante.telemetry import MetricsCollector, TelemetryConfig

class Stuck:
    def export(self, batch):
        time.sleep(600)

mine = MetricsCollector(TelemetryConfig("test", buffer_size=1, shutdown_timeout=0.2), exporter=Stuck())
mine.record("a", 1)
"""


@pytest.mark.slow
def test_a_stuck_exporter_does_not_keep_the_process_alive() -> None:
    """It ends after the deadline, with success."""
    done = subprocess.run(
        [sys.executable, "-c", STUCK], check=True, timeout=30, capture_output=True, env={**os.environ}
    )
    assert done.stderr == b""


@pytest.mark.slow
def test_importing_the_package_loads_nothing_heavy() -> None:
    """Neither asyncio nor urllib3 nor the extras' packages."""
    code = (
        "import sys, mirante.telemetry, mirante.telemetry.collector;"
        "heavy = ('asyncio', 'urllib3', 'cramjam', 'rich', 'pyarrow');"
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=30, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
