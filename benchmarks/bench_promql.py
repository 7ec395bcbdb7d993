"""PromQL over the same samples in mirante's embedded store, in Prometheus 2.42 and in VictoriaMetrics 1.79 (Debian's).

``python benchmarks/bench_promql.py [--series 10000] [--hours 6] [--runs 7]``. All answer the same range queries at a
step of a minute, in turns; told are medians, of the time and of the CPU time, which depends less on what else the
machine has to do. mirante's is the engine's plus the writing of the JSON, the others' that of their HTTP API. mirante
answers twice: *first* keeps no computed points, *again* takes those that the last answer left, as a dashboard that is
refreshed does. VictoriaMetrics is asked not to use its cache; its functions are defined otherwise, so answers are
compared with Prometheus's alone.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import socket
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import cramjam
import psutil

from mirante.formats import remote_write
from mirante.formats.protobuf import delimited
from mirante.server.promql.encode import encode
from mirante.server.promql.engine import Engine
from mirante.server.store.api import QueryBudget
from mirante.server.store.client import Connection
from mirante.server.store.client import Engine as Store
from mirante.server.store.migrations import migrate
from mirante.server.store.protos import proto
from mirante.server.store.reader import StoreReader

START = 1_700_000_040_000 // 60_000 * 60_000
INTERVAL = 15_000
SCRAPES_TO_A_BODY = 20
SERIES_TO_A_BODY = 1_000
QUERIES = {
    "sum(rate(m[5m]))": "sum(rate(requests_total[5m]))",
    "sum by (job) (rate(m[5m]))": "sum by (job) (rate(requests_total[5m]))",
    "sum(increase(m[1h]))": "sum(increase(requests_total[1h]))",
    "topk(5, rate(m[5m]))": "topk(5, rate(requests_total[5m]))",
    "142 series of rate(m[5m])": 'rate(requests_total{job="j1",path="/p1"}[5m])',
    "1,000 series of m": 'requests_total{job="j1"}',
}


def bodies(series: int, hours: int, start: int = START) -> Iterator[bytes]:
    """Uncompressed remote-write requests, in the order of time from ``start`` on."""
    labels = [
        remote_write.labels(
            {"__name__": "requests_total", "instance": f"i{n // 10}", "job": f"j{n % 10}", "path": f"/p{n % 7}"}
        )
        for n in range(series)
    ]
    scrapes = hours * 3_600_000 // INTERVAL
    for first in range(0, scrapes, SCRAPES_TO_A_BODY):
        # A second off the minute: Prometheus 2.42 still has windows that are closed on the left.
        ticks = [(k * 75, start + 1_000 + k * INTERVAL) for k in range(first, min(first + SCRAPES_TO_A_BODY, scrapes))]
        samples = [b"".join(remote_write.sample(float(v + extra), t) for v, t in ticks) for extra in range(9)]
        for low in range(0, series, SERIES_TO_A_BODY):
            part = range(low, min(low + SERIES_TO_A_BODY, series))
            yield b"".join(remote_write.series(labels[n], samples[n % 9]) for n in part)


class Peer(NamedTuple):
    """Another server that runs.

    Attributes:
        url: under which Prometheus's API is.
        process: the server.
        more: parameters of every query.
    """

    url: str
    process: psutil.Process
    more: Mapping[str, str] = {}

    def ask(self, expr: str, start: int, end: int) -> bytes:
        """A range query."""
        query = {"query": expr, "start": str(start / 1000), "end": str(end / 1000), "step": "60", **self.more}
        with urllib.request.urlopen(
            f"{self.url}/api/v1/query_range?{urllib.parse.urlencode(query)}", timeout=120
        ) as reply:
            return bytes(reply.read())

    def cpu(self) -> float:
        """Seconds of CPU so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


@contextmanager
def running(command: Sequence[str], address: str) -> Iterator[psutil.Process]:
    """A server, once it answers."""
    process = psutil.Popen(command)
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://{address}/-/ready", timeout=5)
                break
            except OSError:
                time.sleep(0.1)
        yield process
    finally:
        process.terminate()
        process.wait(30)


def free_address() -> str:
    """Where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@contextmanager
def prometheus(folder: Path) -> Iterator[Peer]:
    """The real one, taking remote write."""
    address, config = free_address(), folder / "prometheus.yml"
    config.write_text("global: {}\n")
    command = [
        shutil.which("prometheus") or "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--storage.tsdb.retention.time=100y",
        "--web.enable-remote-write-receiver",
        f"--web.listen-address={address}",
        "--log.level=error",
    ]
    with running(command, address) as process:
        yield Peer(f"http://{address}", process)


@contextmanager
def victoria(folder: Path) -> Iterator[Peer]:
    """VictoriaMetrics, which looks for samples that are years old too."""
    address = free_address()
    command = [
        shutil.which("victoria-metrics") or "victoria-metrics",
        f"-storageDataPath={folder / 'victoria'}",
        f"-httpListenAddr={address}",
        "-retentionPeriod=100y",
        "-loggerLevel=ERROR",
    ]
    with running(command, address) as process:
        yield Peer(f"http://{address}", process, {"nocache": "1"})


def write(url: str, body: bytes) -> None:
    """One remote-write request."""
    headers = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}
    request = urllib.request.Request(f"{url}/api/v1/write", bytes(cramjam.snappy.compress_raw(body)), headers)
    urllib.request.urlopen(request, timeout=60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=10_000)
    parser.add_argument("--hours", type=int, default=6)
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    end = START + options.hours * 3_600_000
    folder = Path(tempfile.mkdtemp(prefix="bench_promql"))
    store = Store(f"chdb://{folder / 'mirante'}")
    try:
        migrate(store)
        with prometheus(folder) as real, victoria(folder) as other:
            load(store, [real.url, other.url], options.series, options.hours)
            print("milliseconds, and in brackets those of CPU; the load of the machine is", os.getloadavg()[0])
            print(f"{'':28}{'mirante, first':>18}{'again':>16}{'Prometheus':>18}{'VictoriaMetrics':>18}")
            for title, expr in QUERIES.items():
                compare(title, expr, store, (real, other), end, options.runs)
    finally:
        store.close()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"peak memory of mirante's process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def load(store: Store, urls: Sequence[str], series: int, hours: int) -> None:
    """The same bodies into all."""
    connection = store.connect()
    group: list[bytes] = []
    for number, body in enumerate(bodies(series, hours)):
        for url in urls:
            write(url, body)
        group.append(delimited(body))
        if len(group) == 10:
            insert(connection, group, f"bench-{number}")
            group.clear()
    insert(connection, group, "bench-last")
    connection.command("OPTIMIZE TABLE samples FINAL")


def insert(connection: Connection, group: list[bytes], token: str) -> None:
    """One group of bodies into the store's table."""
    if group:
        message = proto("remote_write")
        connection.insert_messages(
            "remote_write_in", b"".join(group), proto=message.text, message=message.root, token=token
        )


class Took(NamedTuple):
    """Seconds of one answer, on the wall and of CPU."""

    wall: float
    cpu: float


def timed(ask: Callable[[], bytes], cpu: Callable[[], float]) -> tuple[bytes, Took]:
    """An answer and what it took."""
    used, started = cpu(), time.perf_counter()
    answer = ask()
    return answer, Took(time.perf_counter() - started, cpu() - used)


def compare(title: str, expr: str, store: Store, peers: tuple[Peer, Peer], end: int, runs: int) -> None:
    """Times one query on all and compares the answers of the first two."""
    first, again = Engine(StoreReader(store)), Engine(StoreReader(store, grid_bytes=1 << 30))

    def ours(engine: Engine) -> bytes:
        return encode(engine.range(expr, START, end, 60_000, QueryBudget(deadline=time.monotonic() + 300)))

    columns: list[tuple[Callable[[], bytes], Callable[[], float]]] = [
        (lambda: ours(first), time.process_time),
        (lambda: ours(again), time.process_time),
        *((partial(peer.ask, expr, START, end), peer.cpu) for peer in peers),
    ]
    took: list[list[Took]] = [[] for _ in columns]
    answers = [ask() for ask, _ in columns]  # what they do only once is done
    for _ in range(runs):
        for number, (ask, cpu) in enumerate(columns):
            answers[number], seconds = timed(ask, cpu)
            took[number].append(seconds)
    text = "".join(
        f"{median(x.wall for x in each) * 1e3:10.0f} ({median(x.cpu for x in each) * 1e3:5.0f})" for each in took
    )
    difference = largest_difference(json.loads(answers[0]), json.loads(answers[2])["data"])
    print(f"{title:28}{text}   largest difference {difference:.0e}", flush=True)


def largest_difference(left: dict[str, Any], right: dict[str, Any]) -> float:
    """The largest relative difference of the values at each time, infinite when there are more of them on one side.

    By value and not by series: of series with equal values either may be among the top five.
    """
    worst = 0.0
    ours, theirs = by_time(left), by_time(right)
    if ours.keys() != theirs.keys():
        return float("inf")
    for moment, values in ours.items():
        if len(values) != len(theirs[moment]):
            return float("inf")
        for a, b in zip(sorted(values), sorted(theirs[moment]), strict=True):
            if a != b:
                worst = max(worst, abs(a - b) / max(abs(a), abs(b)))
    return worst


def by_time(answer: dict[str, Any]) -> dict[float, list[float]]:
    """All values of an answer by their time."""
    times: dict[float, list[float]] = {}
    for series in answer["result"]:
        for moment, value in series["values"]:
            times.setdefault(moment, []).append(float(value))
    return times


if __name__ == "__main__":
    main()
