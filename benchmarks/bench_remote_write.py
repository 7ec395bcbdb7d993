"""Remote write and OTLP into whole servers, beside Debian's Prometheus and VictoriaMetrics; the sender costs little.

    python benchmarks/bench_remote_write.py [--scrapes 600] [--known 1000000] [--settle 30] [--servers mirante]

Bodies are made and packed before the clock starts; ``sender.c``, compiled here with ``cc``, sends each once. As a real
sender does, every connection has series of its own and sends their samples in order. The servers take turns.

* samples/s: from the first byte sent until a query counts all of them.
* CPU: seconds of the server's process for a million samples, until then; and with what it does in the seconds after
  (merges). It depends less than the rate does on what else the machine has to do.
* bytes a sample, after merges: Prometheus's blocks as a snapshot writes them, without the log that it keeps beside
  them; VictoriaMetrics's folder after a forced merge; mirante's samples and series after ``OPTIMIZE ... FINAL``. And
  the data directory as it stood when the server had settled: Prometheus's is its log, mirante's has merged parts too.

Counters have uneven steps and jittered times. Nothing is asserted. A server that is not installed is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import cramjam
import numpy as np
import psutil
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from mirante.formats import remote_write
from mirante.server.store.client import Engine

PER_REQUEST, PER_TARGET, INTERVAL = 2_000, 100, 15_000
OTLP_ITEMS, OTLP_REQUESTS = 512, 1_024
METRIC = "bench_requests_total"
PATIENCE = 120.0
WRITE_HEADERS = "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n"
OTLP_HEADERS = "Content-Type: application/x-protobuf\r\n"


class Sent(NamedTuple):
    """What the sender says."""

    requests: int
    retries: int
    seconds: float


class Load(NamedTuple):
    """Samples ready to be sent.

    Attributes:
        first: files, one a connection, in which each series is told for the first time.
        files: the rest of them, one a connection.
        series: how many, which is the number of samples in ``first`` too.
        samples: how many are in ``files``.
        end: Unix time after the last.
        last: selects the targets that every connection tells last.
        last_samples: how many samples these have in all.
    """

    first: list[Path]
    files: list[Path]
    series: int
    samples: int
    end: float
    last: str
    last_samples: int


class Server(NamedTuple):
    """How a server is started, and what it takes after its merges.

    Attributes:
        name: for the table.
        command: what starts it on a port, with its data in a folder.
        ready: path that answers 200 when it is ready.
        merged: bytes on disk after merges, asked of the server while it runs; None where it must be stopped first.
    """

    name: str
    command: Callable[[Path, int], list[str]]
    ready: str
    merged: Callable[[Path, str], int] | None


# What is sent.


def write_bodies(path: Path, bodies: Iterable[bytes]) -> Path:
    """Bodies as ``sender.c`` reads them."""
    with path.open("wb") as file:
        for body in bodies:
            file.write(struct.pack("<I", len(body)) + body)
    return path


def label_bytes(number: int) -> bytes:
    """Labels of one of the series: a hundred of them a target."""
    target, path = divmod(number, PER_TARGET)
    pairs = {"__name__": METRIC, "instance": f"host-{target}:9100", "job": f"job-{target % 10}", "path": f"/p/{path}"}
    return remote_write.labels(pairs)


def samples_of(numbers: range, scrapes: range, start: int) -> Iterator[bytes]:
    """Samples of those series, scrape by scrape, each a series field of its own as in Prometheus's own requests."""
    made = np.random.default_rng(numbers.start)
    heads = [remote_write.series_head(label_bytes(number)) for number in numbers]
    steps = made.integers(1, 500, len(numbers))  # some count fast, some slowly
    values = made.integers(0, 1_000_000, len(numbers)).astype("<f8")
    phases = made.integers(0, INTERVAL, len(numbers) // PER_TARGET + 1)
    for scrape in scrapes:
        values += made.poisson(steps)
        times = start + scrape * INTERVAL + phases + made.integers(-20, 20, len(phases))
        tails = [remote_write.sample_tail(int(at)) for at in times]
        packed = values.tobytes()
        for place, head in enumerate(heads):
            yield head + packed[8 * place : 8 * place + 8] + tails[place // PER_TARGET]


def pack(samples: Iterator[bytes]) -> Iterator[bytes]:
    """Requests of 2,000 samples."""
    while body := b"".join(islice(samples, PER_REQUEST)):
        yield bytes(cramjam.snappy.compress_raw(body))


def make_load(folder: Path, series: int, scrapes: int, connections: int) -> Load:
    """Scrapes of so many series that end five minutes ago, dealt out to so many connections."""
    end = int(time.time() - 300) * 1000
    start = end - (scrapes + 2) * INTERVAL
    first, rest, last = [], [], set()
    for lane in range(connections):
        numbers = range(lane * series // connections, (lane + 1) * series // connections)
        name = f"{series}-{connections}-{lane}"
        first.append(write_bodies(folder / f"{name}.first", pack(samples_of(numbers, range(1), start))))
        rest.append(write_bodies(folder / f"{name}.rest", pack(samples_of(numbers, range(1, scrapes + 1), start))))
        last.add(numbers[-1] // PER_TARGET)
    selector = f'{{instance=~"{"|".join(f"host-{target}:9100" for target in sorted(last))}"}}'
    return Load(first, rest, series, series * scrapes, end / 1000, selector, len(last) * PER_TARGET * (scrapes + 1))


def ten_attributes(item: Span | LogRecord, number: int) -> None:
    """What an HTTP server's span or log record says of a request."""
    for name in range(9):
        item.attributes.add(key=f"http.attribute{name}").value.string_value = f"value {number}"
    item.attributes.add(key="http.response.status_code").value.int_value = 200


def span_body() -> bytes:
    """A request of spans."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "orders"
    scope = resource.scope_spans.add()
    for number in range(OTLP_ITEMS):
        now = time.time_ns()
        ids = {"trace_id": os.urandom(16), "span_id": os.urandom(8)}
        span = scope.spans.add(name="GET /cart", start_time_unix_nano=now, end_time_unix_nano=now + 5_000_000, **ids)
        ten_attributes(span, number)
    return bytes(request.SerializeToString())


def log_body() -> bytes:
    """A request of log records of sixty letters."""
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "orders"
    scope = resource.scope_logs.add()
    for number in range(OTLP_ITEMS):
        record = scope.log_records.add(time_unix_nano=time.time_ns(), severity_number=9, severity_text="INFO")
        record.trace_id, record.span_id = os.urandom(16), os.urandom(8)
        record.body.string_value = f"order {number} was placed by customer {os.urandom(8).hex()} in the shop"
        ten_attributes(record, number)
    return bytes(request.SerializeToString())


# Who sends.


def compile_sender(folder: Path) -> Path:
    """The sender as a program."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise SystemExit("a C compiler is needed for benchmarks/sender.c: apt-get install gcc libc6-dev")
    made = folder / "sender"
    subprocess.run([compiler, "-O2", "-pthread", "-o", made, Path(__file__).with_name("sender.c")], check=True)
    return made


def send(sender: Path, port: int, path: str, headers: str, files: list[Path]) -> Sent:
    """Send every body of the files, a connection a file."""
    done = subprocess.run(
        [sender, str(port), path, headers, *files], stdout=subprocess.PIPE, text=True, check=True, timeout=PATIENCE
    )
    requests, retries, seconds = done.stdout.split()
    return Sent(int(requests), int(retries), float(seconds))


# Who receives.


def serve_mirante(folder: Path, port: int) -> list[str]:
    """The whole server."""
    off = ["--otlp-grpc-port", "off", "--otlp-http-port", "off", "--no-host-metrics", "--log-level", "error"]
    return [sys.executable, "-m", "mirante", "serve", "--data", str(folder), "--port", str(port), *off]


def serve_prometheus(folder: Path, port: int) -> list[str]:
    """Prometheus as a receiver, which may be asked for a snapshot."""
    config = folder.with_suffix(".yml")
    config.write_text("")
    flags = ["--web.enable-remote-write-receiver", "--web.enable-admin-api", "--log.level=error"]
    place = [f"--config.file={config}", f"--storage.tsdb.path={folder}", f"--web.listen-address=127.0.0.1:{port}"]
    return ["prometheus", *flags, *place]


def serve_victoria(folder: Path, port: int) -> list[str]:
    """VictoriaMetrics, which may count more series at once than it does by default."""
    limits = ["-search.maxUniqueTimeseries=3000000", "-search.disableCache", "-retentionPeriod=1", "-loggerLevel=ERROR"]
    return ["victoria-metrics", f"-storageDataPath={folder}", f"-httpListenAddr=127.0.0.1:{port}", *limits]


def size_of(folder: Path) -> int:
    """Bytes of the files of a folder that may change meanwhile."""
    used = subprocess.run(["du", "-sb", folder], stdout=subprocess.PIPE, check=False, text=True)
    return int(used.stdout.split()[0])


def merged_prometheus(folder: Path, url: str) -> int:
    """Bytes of the blocks in a snapshot."""
    urllib.request.urlopen(urllib.request.Request(f"{url}/api/v1/admin/tsdb/snapshot", method="POST")).close()
    return size_of(folder / "snapshots")


def merged_victoria(folder: Path, url: str) -> int:
    """Bytes of the folder when everything has been merged."""
    for path in ("/internal/force_flush", "/internal/force_merge"):
        urllib.request.urlopen(url + path).close()
    time.sleep(10)  # the merge goes on in the background, and parts that were merged are removed after it
    return size_of(folder)


def merged_mirante(folder: Path) -> int:
    """Bytes of samples and series in the store of a server that has ended, merged completely."""
    engine = Engine(f"chdb://{folder}")
    try:
        connection = engine.connect()
        for table in ("samples", "series"):
            connection.command(f"OPTIMIZE TABLE {table} FINAL")
        found = connection.arrow(
            "SELECT sum(bytes_on_disk) AS bytes FROM system.parts WHERE active AND table IN ('samples', 'series')"
        )
        return int(found.to_pylist()[0]["bytes"])
    finally:
        engine.close()


MIRANTE = Server("mirante", serve_mirante, "/-/ready", None)
SERVERS = (
    MIRANTE,
    Server("prometheus", serve_prometheus, "/-/ready", merged_prometheus),
    Server("victoria-metrics", serve_victoria, "/health", merged_victoria),
)


class Running(NamedTuple):
    """A server that runs."""

    url: str
    port: int
    process: psutil.Process

    def cpu(self) -> float:
        """Seconds of CPU so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def peak_mb(self) -> float:
        """The most memory that it ever had resident."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1000

    def data(self, path: str, **parameters: object) -> dict[str, Any]:
        """The ``data`` of a GET's JSON."""
        with urllib.request.urlopen(f"{self.url}{path}?{urllib.parse.urlencode(parameters)}") as reply:
            return dict(json.load(reply)["data"])

    def samples(self, end: float, selector: str = "") -> int:
        """How many samples a query counts."""
        found = self.data("/api/v1/query", query=f"sum(count_over_time({METRIC}{selector}[1d]))", time=end)["result"]
        return int(found[0]["value"][1]) if found else 0

    def rows(self, table: str) -> int:
        """How many rows a table of ours has."""
        return int(self.data("/api/v1/status/store")["tables"].get(table, {}).get("rows", 0))

    def wait_for(self, count: Callable[[], int], wanted: int) -> tuple[float, float, float]:
        """Count until all is there; when that count began, and the CPU seconds before and after it."""
        deadline = time.monotonic() + PATIENCE
        while True:
            begun, before = time.perf_counter(), self.cpu()
            counted = count()
            if counted >= wanted:
                return begun, before, self.cpu()
            if time.monotonic() > deadline:
                raise SystemExit(f"{counted:,} of {wanted:,} can be queried after {PATIENCE:g} s")
            time.sleep(0.05)

    def wait_for_all(self, load: Load) -> tuple[float, float, float]:
        """Count what was sent last until it is there, which costs little, then everything."""
        self.wait_for(lambda: self.samples(load.end, load.last), load.last_samples)
        return self.wait_for(lambda: self.samples(load.end), load.series + load.samples)


@contextmanager
def running(server: Server, folder: Path) -> Iterator[Running]:
    """The server, ended when the block is left."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    with (
        folder.with_suffix(".log").open("wb") as output,
        subprocess.Popen(server.command(folder, port), stdout=output, stderr=output) as process,
    ):
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(600):
                try:
                    urllib.request.urlopen(url + server.ready).close()
                    break
                except OSError:
                    time.sleep(0.1)
            yield Running(url, port, psutil.Process(process.pid))
        finally:
            process.terminate()
            process.wait()


def measure_samples(server: Server, sender: Path, load: Load, folder: Path, settle: float) -> None:
    """One server under one load, as a line of the table."""
    with running(server, folder) as peer:
        send(sender, peer.port, "/api/v1/write", WRITE_HEADERS, load.first)
        peer.wait_for(lambda: peer.samples(load.end), load.series)
        cpu, started = peer.cpu(), time.perf_counter()
        sent = send(sender, peer.port, "/api/v1/write", WRITE_HEADERS, load.files)
        done, before, after = peer.wait_for_all(load)
        time.sleep(settle)
        later = peer.cpu() - after
        peak, directory = peer.peak_mb(), size_of(folder)
        merged = server.merged(folder, peer.url) if server.merged else 0
    if server.merged is None:
        merged = merged_mirante(folder)
    total, all_samples = load.samples / 1e6, load.samples + load.series
    print(
        f"  {server.name:17}{load.samples / sent.seconds:12,.0f}{load.samples / (done - started):12,.0f}"
        f"{(before - cpu) / total:9.2f}{(before - cpu + later) / total:9.2f}{peak:9,.0f}"
        f"{merged / all_samples:9.2f}{directory / all_samples:9.2f}{sent.retries:6}",
        flush=True,
    )


def measure_otlp(sender: Path, table: str, path: str, bodies: list[bytes], connections: int, folder: Path) -> None:
    """Spans or log records into our own server, as a line of the table."""
    each = OTLP_REQUESTS // connections
    files = [
        write_bodies(folder / f"{lane}.otlp", (bodies[(lane + k) % len(bodies)] for k in range(each)))
        for lane in range(connections)
    ]
    warm, items = write_bodies(folder / "warm.otlp", bodies[:1]), connections * each * OTLP_ITEMS
    with running(MIRANTE, folder / "data") as peer:
        send(sender, peer.port, path, OTLP_HEADERS, [warm])
        peer.wait_for(lambda: peer.rows(table), OTLP_ITEMS)
        cpu, started = peer.cpu(), time.perf_counter()
        sent = send(sender, peer.port, path, OTLP_HEADERS, files)
        done, before, _ = peer.wait_for(lambda: peer.rows(table), OTLP_ITEMS + items)
        print(
            f"  {path:12}{connections:4} connections{items / sent.seconds:12,.0f}{items / (done - started):12,.0f}"
            f"{(before - cpu) / items * 1e6:9.2f}{peer.peak_mb():9,.0f}{sent.retries:6}",
            flush=True,
        )


def machine() -> str:
    """How busy the machine is with other things."""
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def compare(sender: Path, options: argparse.Namespace, series: int, scrapes: int, connections: int) -> None:
    """Every server under the same load."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        load = make_load(folder, series, scrapes, connections)
        print(f"{series:,} series, {load.samples:,} samples, {connections} connections; {machine()}")
        print(f"  {'':17}{'taken/s':>12}{'queried/s':>12}{'CPU s/M':>9}{'merged':>9}{'peak MB':>9}", end="")
        print(f"{'B/sample':>9}{'as is':>9}{'again':>6}")
        for server in SERVERS:
            if server.name in options.servers and (server is MIRANTE or shutil.which(server.name)):
                measure_samples(server, sender, load, folder / server.name, options.settle)


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--scrapes", type=int, default=600, help="of 10,000 series; 5760 are a day")
    arguments.add_argument("--known", type=int, default=1_000_000, help="series of the second load; 0 for none")
    arguments.add_argument("--settle", type=float, default=30.0, help="seconds for merges before sizes are taken")
    arguments.add_argument("--servers", nargs="*", default=[server.name for server in SERVERS])
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as made:
        sender = compile_sender(Path(made))
        for connections in (1, 8):
            compare(sender, options, 10_000, options.scrapes, connections)
        if options.known:
            compare(sender, options, options.known, 2, 8)
        if "mirante" not in options.servers:
            return
        print(f"OTLP, {OTLP_ITEMS} to a request, ten attributes; {machine()}")
        print(f"  {'':28}{'taken/s':>12}{'queried/s':>12}{'CPU s/M':>9}{'peak MB':>9}{'again':>6}")
        kinds = (("otel_traces", "/v1/traces", span_body), ("otel_logs", "/v1/logs", log_body))
        for table, path, make in kinds:
            bodies = [make() for _ in range(32)]
            for connections in (8, 64):
                with tempfile.TemporaryDirectory() as folder:
                    measure_otlp(sender, table, path, bodies, connections, Path(folder))


if __name__ == "__main__":
    main()
