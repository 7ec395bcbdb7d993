"""Outages: what could not be delivered waits on disk, survives the process and comes back in order."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mirante._core.protocols import Exportable
from mirante._core.record import Metric, to_json
from mirante._core.spool import Spool
from mirante.errors import DeliveryError, StoreError
from mirante.telemetry import Aggregate, Batch, Retry
from mirante.telemetry.backlog import Backlog
from tests.sdk.telemetry.support import Scripted, Stuck, Switched, collector, eventually

pytestmark = pytest.mark.anyio

FAST = Retry(delay=0.001, max_delay=0.01)


def metric(value: float, **more: Any) -> Metric:
    """A measurement."""
    return Metric("m", value, datetime.now(UTC), **more)


def segments(folder: Path) -> list[Path]:
    """Files of all spools."""
    return list(folder.glob("*/*/*.segment"))


async def test_an_outage_loses_nothing_and_keeps_the_order(tmp_path: Path) -> None:
    """What was recorded during it comes after what was recorded before it."""
    out = Switched()
    async with collector(Batch(3), FAST, exporter=out, buffer_size=2, spool_dir=tmp_path) as mine:
        for number in range(10):
            mine.record("a", number, tags={"n": number}, metadata={"path": tmp_path})
        assert not await mine.flush()
        stats = (await mine.get_stats())["exporters"]["Switched"]
        assert (stats["spooled"], stats["exported"], stats["dropped_by_reason"]) == (10, 0, {})
        out.on.set()
        await asyncio.to_thread(eventually, lambda: len(out.values) == 10)
        mine.record("a", 10)
        await mine.flush()
    assert out.values == list(range(11))
    assert segments(tmp_path) == []


async def test_the_next_process_delivers_what_the_last_one_left(tmp_path: Path) -> None:
    """Summaries too, exactly as they were."""
    out = Switched()
    async with collector(Aggregate(), exporter=out, spool_dir=tmp_path) as mine:
        mine.record("a", 1.0, tags={"x": "y"})
        mine.record("a", 3.0, tags={"x": "y"})
    seen: list[Any] = []

    class Keeping(Switched):
        def export(self, batch: Sequence[Exportable]) -> None:
            seen.extend(batch)

    Keeping.__name__ = "Switched"
    async with collector(exporter=Keeping(), spool_dir=tmp_path):
        await asyncio.to_thread(eventually, lambda: seen)
    assert (seen[0].count, seen[0].sum, seen[0].tags, set(seen[0].quantiles)) == (2, 4.0, {"x": "y"}, {0.5, 0.9, 0.99})


async def test_refused_records_do_not_block_those_behind_them(tmp_path: Path) -> None:
    """They are dropped and counted when their turn comes."""
    out = Scripted(OSError("down"), DeliveryError("busy"), DeliveryError("bad", permanent=True))
    async with collector(Batch(1), FAST, exporter=out, spool_dir=tmp_path) as mine:
        mine.record("a", 1)
        mine.record("a", 2)
        await mine.flush()
        await asyncio.to_thread(eventually, lambda: out.values)
        assert (await mine.get_stats())["dropped_by_reason"] == {"rejected": 1}
    assert out.values == [2]


async def test_a_destination_that_asks_for_time_gets_it(tmp_path: Path) -> None:
    """No attempt before it is over, not even at the end."""
    out = Scripted(DeliveryError("busy", retry_after=3600))
    async with collector(Batch(1), FAST, exporter=out, spool_dir=tmp_path) as mine:
        mine.record("a", 1)
        await mine.flush()
        mine.record("a", 2)
        await mine.flush()
        assert (await mine.get_stats())["exporters"]["Scripted"]["spooled"] == 2
    assert out.calls == [[1]]


async def test_what_a_stuck_destination_holds_at_the_end_is_kept(tmp_path: Path) -> None:
    """The batch under way too: it may arrive twice, but not never."""
    out = Stuck()
    mine = collector(Batch(1), exporter=out, buffer_size=1, spool_dir=tmp_path, shutdown_timeout=0.05)
    await mine.initialize()
    mine.record("a", 1)
    await asyncio.to_thread(out.entered.wait)
    mine.record("a", 2)
    await mine.teardown()
    out.release.set()
    await asyncio.to_thread(eventually, lambda: out.closed)
    backlog = Backlog(tmp_path / "test.Stuck", 1 << 20)
    assert [one.value for one in backlog.read(10)] == [1, 2]
    backlog.close()


async def test_a_full_spool_makes_room_and_counts(tmp_path: Path) -> None:
    """The oldest go."""
    out = Switched()
    async with collector(FAST, exporter=out, spool_dir=tmp_path, spool_max_bytes=2_000) as mine:
        for number in range(100):
            mine.record("a", number)
        await mine.flush()
        stats = await mine.get_stats()
        spooled = stats["exporters"]["Switched"]["spooled"]
        assert 0 < spooled < 40
        assert stats["dropped_by_reason"] == {"spool_full": 100 - spooled}
        out.on.set()
        await asyncio.to_thread(eventually, lambda: len(out.values) == spooled)
    assert out.values == list(range(100 - spooled, 100))


async def test_a_disk_that_fails_is_told_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The records that it did not take are lost, those after it are not."""
    out = Switched()
    async with collector(FAST, exporter=out, spool_dir=tmp_path, name="failing disk") as mine:
        mine._deliveries[0]._backlog._own.close()  # type: ignore[union-attr] # stands for the disk
        mine.record("a", 1)
        await mine.flush()
        assert (await mine.get_stats())["dropped_by_reason"] == {"spool_full": 1}
    assert "is closed; records are dropped" in caplog.text


async def test_a_backlog_that_cannot_be_read_is_told_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Later, so that a passing fault of the disk costs nothing."""
    out = Switched()
    async with collector(FAST, exporter=out, spool_dir=tmp_path, name="unreadable") as mine:
        mine.record("a", 1)
        await mine.flush()
        (segment,) = segments(tmp_path)
        hidden = segment.rename(segment.with_suffix(".hidden"))
        await asyncio.to_thread(eventually, lambda: "cannot be read" in caplog.text)
        hidden.rename(segment)
        out.on.set()
        await asyncio.to_thread(eventually, lambda: out.values)
    assert out.values == [1]


def test_each_process_has_a_spool_of_its_own_and_adopts_those_of_the_dead(tmp_path: Path) -> None:
    """Living ones are left alone; what the dead left goes first."""
    first, second, third = (Backlog(tmp_path, 1 << 20) for _ in range(3))
    for number, one in enumerate((first, second, third)):
        one.append([metric(number * 10), metric(number * 10 + 1)])
    second.close()
    third.close()
    heir = Backlog(tmp_path, 1 << 20)
    heir.append([metric(99)])
    assert heir.waiting == 5
    assert heir.waiting_bytes > 0
    got = []
    while batch := heir.read(10):
        got.append([one.value for one in batch])
        assert [one.value for one in heir.read(10)] == got[-1]  # the same until it is committed
        heir.commit()
        heir.commit()
    assert got == [[20, 21], [10, 11, 99]]
    heir.close()
    first.close()


def test_an_empty_spool_of_the_dead_is_left_for_the_next(tmp_path: Path) -> None:
    """It holds nothing to adopt."""
    first, second = (Backlog(tmp_path, 1 << 20) for _ in range(2))
    first.close()
    second.close()
    third, fourth = (Backlog(tmp_path, 1 << 20) for _ in range(2))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"]
    third.close()
    fourth.close()


def test_what_is_no_measurement_is_counted_and_skipped(tmp_path: Path) -> None:
    """Left by another version, for example; a torn tail is cut off and counted in bytes."""
    spool = Spool(tmp_path / "0")
    spool.append([b"{}", b"no json", b"[]", b'{"timestamp":"x","name":"m","value":1}'])
    spool.close()
    backlog = Backlog(tmp_path, 1 << 20)
    assert backlog.read(3) == []
    assert backlog.losses() == {"spool_damaged": 4}
    assert backlog.waiting == 0
    backlog.append([metric(1)])
    backlog.close()
    (segment,) = tmp_path.glob("0/*.segment")
    with segment.open("ab") as file:
        file.write(b"\x40\x00\x00")
    again = Backlog(tmp_path, 1 << 20)
    assert again.torn_bytes == 3
    assert [one.value for one in again.read(3)] == [1]
    again.close()


def test_a_directory_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    """Nothing else could be done about it here."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreError):
        Backlog(tmp_path / "file", 1 << 20)


def test_the_record_on_disk_is_readable_json() -> None:
    """So that a person can look at it in need."""
    assert list(to_json(metric(1.0, tags={"a": "b"}, metadata={"c": 1}))) == [
        "timestamp",
        "name",
        "value",
        "tags",
        "metadata",
    ]


OUTAGE = """
import sys, time
from pathlib import Path
from mirante.errors import DeliveryError
from mirante.exporters.http import Connection
from mirante._core.clock import SYSTEM_CLOCK
from mirante.telemetry import Batch, MetricsCollector, Retry, TelemetryConfig

class Post:
    def __init__(self, url):
        self.connection = Connection(url, 5.0, {}, SYSTEM_CLOCK)
    def export(self, batch):
        self.connection.request("POST", body=" ".join(str(int(m.value)) for m in batch).encode())

folder, url, first = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
mine = MetricsCollector(
    TelemetryConfig("test", buffer_size=10, spool_dir=folder),
    stages=[Batch(7), Retry(delay=0.01, max_delay=0.05)],
    exporter=Post(url),
)
number = first
while True:
    mine.record("n", number)
    number += 1
    if number % 10 == 0:
        for delivery in mine._deliveries:
            delivery.barrier().result(10)
        print(number, flush=True)
        time.sleep(0.005)
"""


def receiver(got: list[int]) -> ThreadingHTTPServer:
    """Collects the numbers that it is sent."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.extend(map(int, self.rfile.read(int(self.headers["Content-Length"])).split()))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.mark.slow
def test_sigkill_during_an_outage_loses_nothing(tmp_path: Path) -> None:
    """Killed again and again while the destination is away: all that was flushed arrives, each life's in order."""
    script = tmp_path / "outage.py"
    script.write_text(OUTAGE)
    port_of_nobody = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    port = port_of_nobody.server_port
    port_of_nobody.server_close()
    url = f"http://127.0.0.1:{port}/"
    flushed = [life_until_killed(script, tmp_path, url, life * 1_000_000, 20) for life in range(3)]
    got: list[int] = []
    server = receiver(got)
    try:
        url = f"http://127.0.0.1:{server.server_port}/"
        everything = {n for life, end in enumerate(flushed) for n in range(life * 1_000_000, end)}
        process = start(script, tmp_path, url, 9_000_000)
        eventually(lambda: everything <= set(got))
        kill(process)
    finally:
        server.shutdown()
        server.server_close()
    first_seen = list(dict.fromkeys(got))
    assert first_seen == sorted(first_seen)


def start(script: Path, folder: Path, url: str, first: int) -> subprocess.Popen[bytes]:
    """One life of the recording program."""
    command = [sys.executable, str(script), str(folder / "spool"), url, str(first)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Without warning."""
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout:
        process.stdout.close()


def life_until_killed(script: Path, folder: Path, url: str, first: int, lines: int) -> int:
    """Start it, kill it after so many lines, and give the last number that it said was flushed."""
    process = start(script, folder, url, first)
    assert process.stdout
    said = [process.stdout.readline() for _ in range(lines)]
    kill(process)
    return int(said[-1])
