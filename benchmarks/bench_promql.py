"""PromQL over the same samples in mirante's embedded store and in Prometheus 2.42 (Debian's package), with the ratios.

``python benchmarks/bench_promql.py [--series 10000] [--hours 6] [--runs 5]``. Both answer the same range queries at a
step of a minute; mirante's time is the engine's plus the writing of the JSON, Prometheus's is that of its HTTP API.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cramjam

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


@contextmanager
def prometheus(folder: Path) -> Iterator[str]:
    """The real one, taking remote write."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    config = folder / "prometheus.yml"
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
    process = subprocess.Popen(command)
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://{address}/-/ready", timeout=5)
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(30)


def write(url: str, body: bytes) -> None:
    """One remote-write request."""
    headers = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}
    request = urllib.request.Request(f"{url}/api/v1/write", bytes(cramjam.snappy.compress_raw(body)), headers)
    urllib.request.urlopen(request, timeout=60)


def ask(url: str, expr: str, start: int, end: int) -> bytes:
    """A range query at the real Prometheus."""
    query = {"query": expr, "start": str(start / 1000), "end": str(end / 1000), "step": "60"}
    with urllib.request.urlopen(f"{url}/api/v1/query_range?{urllib.parse.urlencode(query)}", timeout=120) as reply:
        return bytes(reply.read())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=10_000)
    parser.add_argument("--hours", type=int, default=6)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    end = START + options.hours * 3_600_000
    folder = Path(tempfile.mkdtemp(prefix="bench_promql"))
    store = Store(f"chdb://{folder / 'mirante'}")
    try:
        migrate(store)
        with prometheus(folder) as url:
            load(store, url, options.series, options.hours)
            engine = Engine(StoreReader(store))
            print(f"{'query':32}{'mirante':>10}{'prometheus':>12}{'faster':>8}   largest difference")
            for title, expr in QUERIES.items():
                compare(title, expr, engine, url, end, options.runs)
    finally:
        store.close()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"peak memory of mirante's process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def load(store: Store, url: str, series: int, hours: int) -> None:
    """The same bodies into both."""
    connection = store.connect()
    group: list[bytes] = []
    for number, body in enumerate(bodies(series, hours)):
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


def compare(title: str, expr: str, engine: Engine, url: str, end: int, runs: int) -> None:
    """Times one query on both and compares the answers."""
    ours, theirs = [], []
    for _ in range(runs):
        started = time.perf_counter()
        budget = QueryBudget(deadline=time.monotonic() + 300)
        answer = encode(engine.range(expr, START, end, 60_000, budget))
        ours.append(time.perf_counter() - started)
        started = time.perf_counter()
        reply = ask(url, expr, START, end)
        theirs.append(time.perf_counter() - started)
    left, right = min(ours), min(theirs)
    difference = largest_difference(json.loads(answer), json.loads(reply)["data"])
    print(f"{title:32}{left * 1e3:8.0f}ms{right * 1e3:10.0f}ms{right / left:7.1f}x   {difference:.1e}")


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
