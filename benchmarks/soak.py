"""Everything writes at once for ten minutes, and nothing is dropped or refused: ``make soak``.

OpenTelemetry's SDK over gRPC and over HTTP, the project's own SDK, and Debian's ``prometheus`` that scrapes itself
every second and writes to us. At the end the spans, log records, counters and samples are counted on both sides.
MIRANTE_SOAK_SECONDS says how long, MIRANTE_SOAK_RATE how many items each application makes a second. Ends with 1
when anything differs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil

SECONDS = float(os.environ.get("MIRANTE_SOAK_SECONDS", "600"))
RATE = float(os.environ.get("MIRANTE_SOAK_RATE", "200"))
PORT, GRPC_PORT, HTTP_PORT, PROMETHEUS_PORT = range(19_451, 19_455)
URL, PROMETHEUS = f"http://127.0.0.1:{PORT}", f"http://127.0.0.1:{PROMETHEUS_PORT}"
WAYS = ("grpc", "http", "mirante")
COUNT = """
import json, sys
from mirante.server.store.client import Engine

engine = Engine(f"chdb://{sys.argv[1]}")
found = {}
for kind, column in (("otel_traces", "SpanId"), ("otel_logs", "Body")):
    sql = f"SELECT ServiceName AS s, count() AS n, uniqExact({column}) AS u FROM {kind} GROUP BY s"
    found[kind] = {row["s"]: [row["n"], row["u"]] for row in engine.arrow(sql).to_pylist()}
print(json.dumps(found))
engine.close()
"""


def get(url: str) -> bytes:
    """The body of a GET."""
    with urllib.request.urlopen(url, timeout=60) as reply:
        body: bytes = reply.read()
        return body


def answers(url: str) -> bool:
    """Whether somebody is there and ready."""
    try:
        return bool(get(url))
    except OSError:
        return False


def value(base: str, query: str, at: float | None = None) -> float:
    """The one value of an instant query, 0 where there is none."""
    asked = urlencode({"query": query, **({} if at is None else {"time": f"{at:.3f}"})})
    result = json.loads(get(f"{base}/api/v1/query?{asked}"))["data"]["result"]
    return float(result[0]["value"][1]) if result else 0.0


def own_metrics(beginning: str) -> dict[str, float]:
    """The server's own metrics whose line begins like that."""
    lines = get(f"{URL}/metrics").decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line.startswith(beginning)}


@contextmanager
def running(command: list[str], ready: str, output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program, from when it answers until the block is left."""
    with output.open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink)
    try:
        while not answers(ready):
            if process.poll() is not None:
                sys.exit(f"{command[0]} ended:\n{output.read_text()}")
            time.sleep(0.1)
        yield process
    finally:
        process.terminate()
        process.wait()


def prometheus(folder: Path) -> list[str]:
    """The command of a Prometheus that scrapes itself and writes to us."""
    config = folder / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
        f"remote_write: [{{url: '{URL}/api/v1/write', queue_config: {{batch_send_deadline: 1s}}}}]\n"
        f"scrape_configs: [{{job_name: soak, static_configs: [{{targets: ['127.0.0.1:{PROMETHEUS_PORT}']}}]}}]\n"
    )
    listen = f"--web.listen-address=127.0.0.1:{PROMETHEUS_PORT}"
    return ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}", listen]


def applications() -> list[subprocess.Popen[bytes]]:
    """The three senders, started."""
    endpoints = {"grpc": f"http://127.0.0.1:{GRPC_PORT}", "http": f"http://127.0.0.1:{HTTP_PORT}", "mirante": URL}
    script = str(Path(__file__).parent / "soak_sender.py")
    return [
        subprocess.Popen(
            [sys.executable, script, way, endpoints[way], str(SECONDS), str(RATE)],
            stdout=subprocess.PIPE,
            env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoints[way]},
        )
        for way in WAYS
    ]


def watch(server: psutil.Process, senders: list[subprocess.Popen[bytes]]) -> None:
    """Print the server's memory and CPU until all senders have ended."""
    begun, every = time.monotonic(), max(5.0, SECONDS / 10)
    print("  time   RSS MiB   CPU s   bytes waiting for the store")
    due = 0.0
    while any(sender.poll() is None for sender in senders):
        passed = time.monotonic() - begun
        if passed >= due:
            used, waiting = server.cpu_times(), sum(own_metrics("mirante_store_log_bytes").values())
            rss = server.memory_info().rss / 2**20
            print(f"{passed:6.0f} {rss:9.0f} {used.user + used.system:7.1f} {waiting:29.0f}", flush=True)
            due += every
        time.sleep(0.2)


class Comparison:
    """Prints what was sent beside what was found."""

    def __init__(self) -> None:
        self.differs = False

    def row(self, what: str, sent: float, found: float) -> None:
        """One line."""
        self.differs |= sent != found
        print(f"{what:44} {sent:10.0f} {found:10.0f}  {'same' if sent == found else 'DIFFERENT'}")


def samples(base: str, window: int, at: float) -> set[tuple[str, float, str]]:
    """Series, time and value of every sample of Prometheus in the seconds before that time."""
    asked = urlencode({"query": f'{{job="soak",instance=~".+:{PROMETHEUS_PORT}"}}[{window}s]', "time": f"{at:.3f}"})
    found = json.loads(get(f"{base}/api/v1/query?{asked}"))["data"]["result"]
    return {
        (json.dumps(series["metric"], sort_keys=True), at, repr(float(value)))
        for series in found
        for at, value in series["values"]
    }


def compare_samples(table: Comparison, begun: float, ended: float) -> None:
    """Samples of Prometheus in a window that both have, and its own count of failures."""
    window, at = int(ended - begun - 10), ended - 10
    theirs, deadline = samples(PROMETHEUS, window, at), time.monotonic() + 60
    while (ours := samples(URL, window, at)) != theirs and time.monotonic() < deadline:
        time.sleep(0.5)
    table.row("samples of Prometheus", len(theirs), len(ours))
    table.row("samples that only one of both has", 0, len(theirs ^ ours))
    for name in ("failed", "dropped", "retried"):
        lost = value(PROMETHEUS, f"sum(prometheus_remote_storage_samples_{name}_total)")
        table.row(f"samples that Prometheus counts as {name}", 0, lost)


def compare_counters(table: Comparison, made: Mapping[str, int]) -> None:
    """The last value of each application's counter."""
    for service, count in made.items():
        query = f'max(last_over_time(soak_items_total{{job="{service}"}}[1h]))'
        deadline = time.monotonic() + 60
        while value(URL, query) != count and time.monotonic() < deadline:
            time.sleep(0.5)
        table.row(f"{service}: counter", count, value(URL, query))


def compare_rows(table: Comparison, made: Mapping[str, int], data: Path) -> None:
    """Spans and log records, all and different ones."""
    read = subprocess.run([sys.executable, "-c", COUNT, str(data)], capture_output=True, text=True, check=True)
    found: dict[str, dict[str, list[int]]] = json.loads(read.stdout)
    for service, count in made.items():
        for kind, name in (("otel_traces", "spans"), ("otel_logs", "log records")):
            rows, different = found[kind].get(service, [0, 0])
            table.row(f"{service}: {name}", count, rows)
            table.row(f"{service}: different {name}", count, different)


def compare_refusals(table: Comparison) -> None:
    """What the server itself counted as refused."""
    rejected = [n for line, n in own_metrics("mirante_ingest_items_total").items() if 'outcome="rejected"' in line]
    table.row("items refused", 0, sum(rejected))
    wrong = [n for line, n in own_metrics("mirante_ingest_requests_total").items() if 'code="2' not in line]
    table.row("requests refused", 0, sum(wrong))


def reports(senders: list[subprocess.Popen[bytes]]) -> list[Any]:
    """What the applications said at their end."""
    return [json.loads(sender.communicate()[0]) for sender in senders]


def main() -> None:
    """Run everything and compare."""
    table = Comparison()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        flags = ["--port", str(PORT), "--otlp-grpc-port", str(GRPC_PORT), "--otlp-http-port", str(HTTP_PORT)]
        command = [sys.executable, "-m", "mirante", "serve", "--data", str(folder / "data"), *flags]
        with running(command, f"{URL}/-/ready", folder / "mirante.log") as server:
            with running(prometheus(folder), f"{PROMETHEUS}/-/ready", folder / "prometheus.log"):
                time.sleep(10)  # it writes only what it scraped after it had opened its log
                begun = time.time()
                senders = applications()
                watch(psutil.Process(server.pid), senders)
                said = reports(senders)
                print(f"\n{'':44} {'sent':>10} {'found':>10}")
                compare_samples(table, begun, time.time())
            made = {one["service"]: one["made"] for one in said}
            compare_counters(table, made)
            compare_refusals(table)
        compare_rows(table, made, folder / "data")
    for one in said:
        table.row(f"{one['service']}: complaints {one['warnings'] or ''}", 0, len(one["warnings"]))
    sys.exit(table.differs)


if __name__ == "__main__":
    main()
