"""How fast telemetry comes in without HTTP, until it can be queried: what the door costs, and what the store does.

    python benchmarks/bench_ingest.py [--seconds 5]

Prints samples, spans and log records a second: the door alone (bodies unpacked and checked; a second of CPU),
the store alone (log, loader and engine). ``bench_remote_write.py`` measures the whole server.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path

import cramjam
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from mirante.formats import remote_write
from mirante.server.ingest.counts import IngestCounts
from mirante.server.ingest.exchange import Bounds, Request
from mirante.server.ingest.otlp import OtlpReceiver
from mirante.server.ingest.remote_write import RemoteWriteReceiver
from mirante.server.store.api import Stream
from mirante.server.store.client import Engine
from mirante.server.store.migrations import migrate
from mirante.server.store.writer import LogWriter

SERIES, PER_REQUEST = 10_000, 2_000
PROTOBUF = "application/x-protobuf"


class Load:
    """Requests of one kind, made once and sent again and again."""

    def __init__(self, path: str, stream: Stream, items: int, bodies: Sequence[bytes], *, snappy: bool = False) -> None:
        self.path = path
        self.stream = stream
        self.items = items
        self.bodies = bodies
        encoding = "snappy" if snappy else ""
        packed = [bytes(cramjam.snappy.compress_raw(body)) if snappy else body for body in bodies]
        self.requests = [Request(body, PROTOBUF, encoding) for body in packed]


def samples() -> Load:
    """Scrapes of 10,000 series with four labels, 15 s apart, in requests of 2,000 samples."""
    start = int(time.time()) // 15 * 15_000 - 30 * 15_000
    heads = [
        remote_write.labels(
            {"__name__": "requests_total", "instance": f"i{s // 10}", "job": f"j{s % 10}", "path": f"/p{s % 7}"}
        )
        for s in range(SERIES)
    ]
    bodies = [
        b"".join(
            remote_write.series(heads[s], remote_write.sample(float(scrape * 75 + s % 9), start + scrape * 15_000))
            for s in range(first, first + PER_REQUEST)
        )
        for scrape in range(30)
        for first in range(0, SERIES, PER_REQUEST)
    ]
    return Load("/api/v1/write", "remote_write", PER_REQUEST, bodies, snappy=True)


def spans(count: int = 512) -> Load:
    """Spans with ten attributes and an event each."""
    bodies = []
    for _ in range(16):
        request = ExportTraceServiceRequest()
        resource = request.resource_spans.add()
        resource.resource.attributes.add(key="service.name").value.string_value = "orders"
        scope = resource.scope_spans.add()
        for number in range(count):
            now = time.time_ns()
            span = scope.spans.add(
                trace_id=os.urandom(16),
                span_id=os.urandom(8),
                name="GET /cart",
                start_time_unix_nano=now,
                end_time_unix_nano=now + 5_000_000,
            )
            for name in range(9):
                span.attributes.add(key=f"http.attribute{name}").value.string_value = f"value {number}"
            span.attributes.add(key="http.response.status_code").value.int_value = 200
            span.events.add(name="exception", time_unix_nano=now)
        bodies.append(request.SerializeToString())
    return Load("/v1/traces", "otlp_traces", count, bodies)


def records(count: int = 512) -> Load:
    """Log records of sixty letters with five attributes each."""
    bodies = []
    for _ in range(16):
        request = ExportLogsServiceRequest()
        resource = request.resource_logs.add()
        resource.resource.attributes.add(key="service.name").value.string_value = "orders"
        scope = resource.scope_logs.add()
        for number in range(count):
            record = scope.log_records.add(
                time_unix_nano=time.time_ns(),
                severity_number=9,
                severity_text="INFO",
                trace_id=os.urandom(16),
                span_id=os.urandom(8),
            )
            record.body.string_value = f"order {number} was placed by customer {os.urandom(8).hex()} in the shop"
            for name in range(5):
                record.attributes.add(key=f"attribute{name}").value.string_value = f"value {number}"
        bodies.append(request.SerializeToString())
    return Load("/v1/logs", "otlp_logs", count, bodies)


class Nowhere:
    """A log that keeps nothing: what is left is the door."""

    def append(self, stream: Stream, bodies: Sequence[bytes]) -> None:
        """Keep nothing."""


def rate(
    load: Load, seconds: float, step: Callable[[int], object], finish: Callable[[], object] = lambda: None
) -> float:
    """Items a second of a step repeated for so long, and of what must follow."""
    started = time.perf_counter()
    number = 0
    while time.perf_counter() - started < seconds:
        step(number)
        number += 1
    finish()
    return number * load.items / (time.perf_counter() - started)


def door_alone(load: Load, seconds: float) -> float:
    """Items of a second of CPU: one thread's, whatever else the machine has to do."""
    take, requests = receiver(load), cycle(load.requests)
    number, started = 0, time.thread_time()
    while time.thread_time() - started < seconds:
        take(next(requests))
        number += 1
    return number * load.items / (time.thread_time() - started)


def receiver(load: Load) -> Callable[[Request], object]:
    """The door of that load, without what is behind it."""
    if load.stream == "remote_write":
        return RemoteWriteReceiver(Nowhere(), Bounds(), IngestCounts()).receive
    return OtlpReceiver(load.path.rpartition("/")[2], Nowhere(), Bounds(), IngestCounts()).receive


def store_alone(load: Load, seconds: float, folder: Path) -> float:
    """Bodies appended to the log as fast as it takes them, until all is loaded."""
    engine = Engine(f"chdb://{folder}")
    migrate(engine)
    log = LogWriter(engine, folder / "log")
    log.append(load.stream, [load.bodies[0]])
    log.wait_until_loaded()

    def step(number: int) -> None:
        log.append(load.stream, [load.bodies[number % len(load.bodies)]])
        if number % 50 == 49:  # never more in the log than a group or two
            log.wait_until_loaded()

    result = rate(load, seconds, step, log.wait_until_loaded)
    log.close()
    engine.close()
    return result


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=5.0)
    options = arguments.parse_args()
    print(f"{'':14}{'door alone':>14}{'store alone':>14}   items a second")
    for name, load in (("samples", samples()), ("spans", spans()), ("log records", records())):
        door = door_alone(load, options.seconds / 2)
        with tempfile.TemporaryDirectory() as folder:
            store = store_alone(load, options.seconds, Path(folder))
        print(f"{name:14}{door:14,.0f}{store:14,.0f}")


if __name__ == "__main__":
    main()
