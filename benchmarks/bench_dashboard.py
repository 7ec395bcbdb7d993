"""A dashboard of twenty panels, all asked for at once, while samples come in: ``mirante serve`` beside Prometheus 2.42.

``python -m benchmarks.bench_dashboard [--seconds 20] [--rate 50000] [--every 2]``. Each server in turn gets an hour of
5,000 series at 15 s, then new samples of 10,000 other series at the given rate; meanwhile the dashboard is refreshed
every few seconds: twenty range queries over the hour, each on a connection of its own. Told are the times of single
queries and of the whole refresh, the server's CPU time for one refresh (which depends less on what else the machine
has to do), with and without the new samples, and what became of these.
"""

from __future__ import annotations

import argparse
import http.client
import json
import shutil
import socket
import statistics
import sys
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import cramjam
import psutil

from benchmarks.bench_promql import INTERVAL, bodies, write
from mirante.formats import remote_write

HISTORY_SERIES, HOURS = 5_000, 1
LIVE_SERIES, PER_REQUEST = 10_000, 2_000
HEADERS = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}
PANELS = [
    "sum(rate(requests_total[5m]))",
    "sum by (job) (rate(requests_total[5m]))",
    "sum by (path) (rate(requests_total[5m]))",
    "topk(5, sum by (instance) (rate(requests_total[5m])))",
    "sum(increase(requests_total[15m]))",
    "count(requests_total)",
    "max by (job) (requests_total)",
    "avg by (path) (requests_total)",
    *(f'sum by (path) (rate(requests_total{{job="j{number}"}}[5m]))' for number in range(6)),
    *(f'rate(requests_total{{job="j{number}",path="/p1"}}[5m])' for number in range(3)),
    "sum(rate(live_total[1m]))",
    "sum by (job) (rate(live_total[1m]))",
    "count(live_total)",
]


@dataclass
class Times:
    """Seconds of single queries, of refreshes from the first question to the last answer, and of the server's CPU."""

    queries: list[float] = field(default_factory=list)
    refreshes: list[float] = field(default_factory=list)
    cpu: float = 0

    def __str__(self) -> str:
        cuts = statistics.quantiles(self.queries, n=20, method="inclusive")
        whole = statistics.median(self.refreshes)
        asked = f"{cuts[9] * 1e3:7.0f}{cuts[18] * 1e3:7.0f}{max(self.queries) * 1e3:7.0f}{whole * 1e3:9.0f}"
        return f"{asked}{self.cpu / len(self.refreshes) * 1e3:7.0f}"


@dataclass
class Sent:
    """What became of the new samples."""

    samples: int = 0
    seconds: float = 0
    latest: float = 0
    slowest: float = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rate", type=int, default=50_000)
    parser.add_argument("--every", type=float, default=2)
    options = parser.parse_args()
    print(f"{'milliseconds':24}{'p50':>7}{'p95':>7}{'worst':>7}{'refresh':>9}{'CPU':>7}")
    for name, command in {"mirante": mirante, "keeping nothing": forgetful, "Prometheus": prometheus}.items():
        with running(command) as server:
            fill(server.address)
            print(f"{name + ', alone':24}{refresh(server, options.seconds / 2, options.every)}", flush=True)
            busy(name, server, options.seconds, options.rate, options.every)


def busy(name: str, server: Running, seconds: float, rate: int, every: float) -> None:
    """The dashboard while samples come in."""
    start = time.time() + 10 + seconds / 10  # the requests are made before
    requests = list(live(start, seconds, rate))
    time.sleep(max(0.0, start - time.time()))
    sent = Sent()
    sender = threading.Thread(target=send, args=(server.address, requests, start, rate, sent))
    sender.start()
    times = refresh(server, seconds, every)
    sender.join()
    print(f"{f'{name}, {rate:,}/s':24}{times}")
    wait_for(lambda: counted(server.address, "live_total") == len(requests) * PER_REQUEST, "the new samples")
    print(
        f"    took {sent.samples / sent.seconds:,.0f} samples/s; slowest request {sent.slowest * 1e3:.0f} ms,"
        f" at most {sent.latest * 1e3:.0f} ms behind; all of them can be queried",
        flush=True,
    )


# The servers.


def mirante(folder: Path, port: int) -> list[str]:
    """The whole server."""
    off = ["--otlp-grpc-port", "off", "--otlp-http-port", "off", "--no-host-metrics", "--log-level", "error"]
    return [sys.executable, "-m", "mirante", "serve", "--data", str(folder / "data"), "--port", str(port), *off]


def forgetful(folder: Path, port: int) -> list[str]:
    """The same without the points of earlier queries."""
    return [*mirante(folder, port), "--query-cache-size", "0"]


def prometheus(folder: Path, port: int) -> list[str]:
    """Prometheus as a receiver."""
    config = folder / "prometheus.yml"
    config.write_text("")
    flags = ["--web.enable-remote-write-receiver", "--log.level=error", f"--web.listen-address=127.0.0.1:{port}"]
    return ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}", *flags]


class Running(NamedTuple):
    """A server that runs."""

    address: str
    process: psutil.Process

    def cpu(self) -> float:
        """Seconds of CPU so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


@contextmanager
def running(command: Callable[[Path, int], list[str]]) -> Iterator[Running]:
    """A server with its data in a folder that does not outlive it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="bench_dashboard"))
    process = psutil.Popen(command(folder, port))
    try:
        wait_for(lambda: answers(f"127.0.0.1:{port}"), "the server")
        yield Running(f"127.0.0.1:{port}", process)
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def answers(address: str) -> bool:
    """Whether it is ready."""
    try:
        return get(http.client.HTTPConnection(address, timeout=60), "/-/ready")[0] == 200
    except OSError:
        return False


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """For two minutes at most."""
    deadline = time.monotonic() + 120
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited in vain for {what}")
        time.sleep(0.2)


# The samples.


def fill(address: str) -> None:
    """The hour before now."""
    start = int(time.time() - HOURS * 3_600) * 1_000 - INTERVAL
    for body in bodies(HISTORY_SERIES, HOURS, start):
        write(f"http://{address}", body)
    wanted = HISTORY_SERIES * HOURS * 3_600_000 // INTERVAL
    wait_for(lambda: counted(address, "requests_total") == wanted, "the hour before now")


def live(start: float, seconds: float, rate: int) -> Iterator[bytes]:
    """Packed requests for that many seconds; each series has a new sample every time it comes round."""
    heads = [
        remote_write.labels({"__name__": "live_total", "instance": f"i{n // 100}", "job": f"j{n % 10}", "n": str(n)})
        for n in range(LIVE_SERIES)
    ]
    for number in range(round(seconds * rate / PER_REQUEST)):
        sample = remote_write.sample(float(number), round((start + number * PER_REQUEST / rate) * 1_000))
        first = number * PER_REQUEST % LIVE_SERIES
        body = b"".join(remote_write.series(head, sample) for head in heads[first : first + PER_REQUEST])
        yield bytes(cramjam.snappy.compress_raw(body))


def send(address: str, requests: Sequence[bytes], start: float, rate: int, sent: Sent) -> None:
    """Each request when it is due, on one connection."""
    connection = http.client.HTTPConnection(address, timeout=60)
    for number, body in enumerate(requests):
        due = start + number * PER_REQUEST / rate
        time.sleep(max(0.0, due - time.time()))
        began = time.time()
        connection.request("POST", "/api/v1/write", body, HEADERS)
        reply = connection.getresponse()
        reply.read()
        if reply.status != 204:
            raise SystemExit(f"a request was refused with {reply.status}")
        sent.samples += PER_REQUEST
        sent.seconds = max(time.time() - start, (number + 1) * PER_REQUEST / rate)
        sent.latest, sent.slowest = max(sent.latest, began - due), max(sent.slowest, time.time() - began)


# The questions.


def refresh(server: Running, seconds: float, every: float) -> Times:
    """Refresh the dashboard for that long, having done it once before."""
    times, connections = Times(), [http.client.HTTPConnection(server.address, timeout=120) for _ in PANELS]
    with ThreadPoolExecutor(len(PANELS)) as pool:
        list(pool.map(panel, connections, PANELS))
        end, used = time.monotonic() + seconds, server.cpu()
        while (began := time.monotonic()) < end:
            times.queries += pool.map(panel, connections, PANELS)
            times.refreshes.append(time.monotonic() - began)
            time.sleep(max(0.0, began + every - time.monotonic()))
    times.cpu = server.cpu() - used
    return times


def panel(connection: http.client.HTTPConnection, expr: str) -> float:
    """Seconds that a panel waits for its answer."""
    end = time.time() // 15 * 15
    asked = {"query": expr, "start": end - HOURS * 3_600, "end": end, "step": 15}
    began = time.perf_counter()
    status, text = get(connection, f"/api/v1/query_range?{urllib.parse.urlencode(asked)}")
    took = time.perf_counter() - began
    if status != 200:
        raise SystemExit(f"{expr}: {text[:300]!r}")
    return took


def counted(address: str, metric: str) -> int:
    """How many samples of a metric can be queried."""
    asked = urllib.parse.urlencode({"query": f"sum(count_over_time({metric}[2h]))"})
    _, text = get(http.client.HTTPConnection(address, timeout=120), f"/api/v1/query?{asked}")
    found = json.loads(text)["data"]["result"]
    return int(found[0]["value"][1]) if found else 0


def get(connection: http.client.HTTPConnection, path: str) -> tuple[int, bytes]:
    """Status and body."""
    connection.request("GET", path)
    reply = connection.getresponse()
    return reply.status, reply.read()


if __name__ == "__main__":
    main()
