"""The way to one destination: what happens when it fails, hangs, refuses or is too slow."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Sequence
from typing import Any

import pytest

from mirante._core.protocols import Exportable
from mirante.errors import DeliveryError
from mirante.exporters import MemoryExporter
from mirante.telemetry import Batch, Retry
from tests.sdk.telemetry.support import Scripted, Stuck, collector, eventually

pytestmark = pytest.mark.anyio


async def reasons(mine: Any) -> dict[str, int]:
    """What was dropped, by reason."""
    found: dict[str, int] = (await mine.get_stats())["dropped_by_reason"]
    return found


async def test_batches_have_the_size_asked_for() -> None:
    """The smallest of several, in order."""
    out = Scripted()
    async with collector(Batch(3), Batch(2), exporter=out) as mine:
        for number in range(5):
            mine.record("a", number)
    assert out.calls == [[0, 1], [2, 3], [4]]


async def test_what_failed_is_repeated_and_what_arrived_is_not() -> None:
    """Each batch on its own."""
    out = Scripted(None, OSError("down"), OSError("down"), None)
    async with collector(Batch(2), Retry(delay=0.001), exporter=out) as mine:
        for number in range(6):
            mine.record("a", number)
        assert await mine.flush()
        assert (await mine.get_stats())["exporters"]["Scripted"]["retries"] == 2
    assert out.calls == [[0, 1], [2, 3], [2, 3], [2, 3], [4, 5]]
    assert out.values == [0, 1, 2, 3, 4, 5]


async def test_refused_data_is_dropped_at_once_and_told(caplog: pytest.LogCaptureFixture) -> None:
    """What comes after is delivered."""
    out = Scripted(DeliveryError("bad label", permanent=True))
    async with collector(Batch(1), Retry(delay=60), exporter=out, name="refused") as mine:
        mine.record("a", 1)
        mine.record("a", 2)
        await mine.flush()
        assert await reasons(mine) == {"rejected": 1}
    assert out.values == [2]
    assert "refused: 1 records were dropped: bad label" in caplog.text


async def test_without_retry_a_failed_batch_is_dropped_and_told(caplog: pytest.LogCaptureFixture) -> None:
    """With the cause."""
    async with collector(exporter=Scripted(ValueError("a bug")), name="no retry") as mine:
        mine.record("a", 1)
        assert await mine.flush()
        assert await reasons(mine) == {"delivery_failed": 1}
    assert "1 records could not be delivered and were dropped: ValueError: a bug" in caplog.text


async def test_a_queue_that_is_full_drops_the_oldest() -> None:
    """Exactly so many records as are too many, and whoever waits for a flush is not left waiting."""
    out = Stuck()
    mine = collector(Batch(4), exporter=out, buffer_size=4, queue_size=6)
    await mine.initialize()
    for _ in range(4):
        mine.record("a", -1)
    await asyncio.to_thread(out.entered.wait)
    mine.record("a", 0)
    waiting = asyncio.ensure_future(mine.flush())
    await asyncio.sleep(0)
    for number in range(1, 9):
        mine.record("a", number)
    assert await reasons(mine) == {"queue_full": 3}
    assert (await mine.get_stats())["exporters"]["Stuck"]["queued"] == 6
    out.release.set()
    assert await asyncio.wait_for(waiting, 20)
    await mine.teardown()
    assert out.values == [-1, -1, -1, -1, 3, 4, 5, 6, 7, 8]


async def test_waiting_for_a_retry_ends_with_the_pipeline() -> None:
    """A minute's pause does not delay the end; what is left has its one attempt."""
    out = Scripted(*[OSError("down")] * 2)
    mine = collector(Batch(1), Retry(delay=60, max_delay=60), exporter=out)
    await mine.initialize()
    mine.record("a", 1)
    mine.record("a", 2)
    flushing = asyncio.ensure_future(mine.flush())
    await asyncio.to_thread(eventually, lambda: out.calls)
    await asyncio.wait_for(mine.teardown(), 20)
    await flushing
    assert out.calls == [[1], [2]]
    assert await reasons(mine) == {"delivery_failed": 2}


async def test_a_short_pause_is_waited_for_even_at_the_end() -> None:
    """As long as the deadline allows."""
    out = Scripted(OSError("down"))
    mine = collector(Retry(delay=0.2), exporter=out, shutdown_timeout=20.0)
    await mine.initialize()
    mine.record("a", 1)
    await mine.teardown()
    assert out.values == [1]


async def test_what_was_stuck_at_the_end_is_counted_once() -> None:
    """What arrives later does not count as exported; a failure later is not counted again."""
    out = Stuck()
    mine = collector(Batch(1), exporter=out, buffer_size=1, shutdown_timeout=0.05)
    await mine.initialize()
    mine.record("a", 1)
    await asyncio.to_thread(out.entered.wait)
    mine.record("a", 2)
    flushing = asyncio.ensure_future(mine.flush())
    await asyncio.sleep(0)
    await mine.teardown()
    assert not await flushing
    out.script = [OSError("too late")]
    out.release.set()
    await asyncio.to_thread(eventually, lambda: out.closed)
    assert await reasons(mine) == {"shutdown": 2}
    assert out.calls == [[1]]


async def test_what_is_stuck_in_a_pause_is_given_up_when_abandoned() -> None:
    """A retry does not go on behind the back of a host that has moved on."""
    out = Scripted(*[OSError("down")] * 9)
    mine = collector(Retry(delay=0.3, max_delay=0.3), exporter=out, shutdown_timeout=0.4)
    await mine.initialize()
    mine.record("a", 1)
    await mine.teardown()
    await asyncio.to_thread(eventually, lambda: out.closed)
    assert len(out.calls) <= 3
    assert sum((await reasons(mine)).values()) == 1


class Coroutine(Scripted):
    """An exporter with a coroutine and a connection that belongs to one loop."""

    def __init__(self, *script: Exception | None) -> None:
        super().__init__(*script)
        self.loops: set[int] = set()
        self.threads: set[str] = set()

    async def export(self, batch: Sequence[Exportable]) -> None:  # type: ignore[override] # the other kind of exporter
        """Needs a loop."""
        await asyncio.sleep(0)
        self.loops.add(id(asyncio.get_running_loop()))
        self.threads.add(threading.current_thread().name)
        super().export(batch)


async def test_a_coroutine_runs_on_a_loop_of_its_own() -> None:
    """Always the same one, on the delivery's thread."""
    out = Coroutine(None, OSError("down"))
    async with collector(Batch(1), Retry(delay=0.001), exporter=out) as mine:
        for number in range(3):
            mine.record("a", number)
    assert out.values == [0, 1, 2]
    assert out.threads == {"telemetry test to Coroutine"}
    assert len(out.loops) == 1
    assert id(asyncio.get_running_loop()) not in out.loops


class Hanging:
    """Its coroutine never ends."""

    def __init__(self) -> None:
        self.cancelled = 0

    async def export(self, _batch: Sequence[Exportable]) -> None:
        """Hang."""
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


async def test_a_coroutine_that_hangs_is_cancelled_after_its_time(caplog: pytest.LogCaptureFixture) -> None:
    """And counts as failed."""
    out = Hanging()
    async with collector(exporter=out, export_timeout=0.02, name="hanging") as mine:
        mine.record("a", 1)
        await mine.flush()
    assert out.cancelled == 1
    assert "no answer within 0.02 s" in caplog.text


class Cancelling:
    """Its coroutine cancels itself, and it cannot be closed."""

    async def export(self, _batch: Sequence[Exportable]) -> None:
        """Cancel."""
        raise asyncio.CancelledError

    def close(self) -> None:
        """Fail."""
        raise OSError("cannot close")


async def test_whatever_an_exporter_does_the_thread_lives_on(caplog: pytest.LogCaptureFixture) -> None:
    """Even cancelling itself, and failing to close."""
    async with collector(exporter=Cancelling(), name="cancelling") as mine:
        mine.record("a", 1)
        await mine.flush()
        mine.record("a", 1)
        await mine.flush()
        assert await reasons(mine) == {"delivery_failed": 2}
    assert "the exporter cancelled itself" in caplog.text
    assert "closing Cancelling: OSError: cannot close" in caplog.text


async def test_an_exporter_that_wants_to_exit_does_not_end_its_thread() -> None:
    """What comes after is delivered."""
    out = Scripted(SystemExit(1))  # type: ignore[arg-type] # no Exception, which is the point
    async with collector(Batch(1), exporter=out) as mine:
        mine.record("a", 1)
        mine.record("a", 2)
    assert out.values == [2]


class Future:
    """Returns something to await that is no coroutine."""

    def __init__(self) -> None:
        self.memory = MemoryExporter()

    def export(self, batch: Sequence[Exportable]) -> Awaitable[None]:
        """Not DONE itself, but like it."""
        self.memory.export(batch)

        class Ready:
            def __await__(self) -> Any:
                yield from asyncio.sleep(0).__await__()

        return Ready()


async def test_any_awaitable_is_awaited() -> None:
    """Not only coroutines."""
    out = Future()
    async with collector(exporter=out) as mine:
        mine.record("a", 1)
    assert len(out.memory.records) == 1
