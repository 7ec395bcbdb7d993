"""A real server is killed again and again in mid load: all that it acknowledged is there afterwards, and counts once.

MIRANTE_TEST_KILLS says how often (``make soak``: 20).
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import cramjam
import grpc
import orjson
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from tests.peers import Peer, fetch, mirante, wait_for
from tests.write_request import write_request

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("MIRANTE_TEST_KILLS", "6"))
PATIENCE = 300.0
PER_REQUEST = 20
ENOUGH = (1, 12, 0, 60, 5, 120)
"""What every sender gets acknowledged before the kills, in turn: at once, and in the midst of inserts and merges."""
START_MS = int(time.time() * 1000) - 1_800_000
PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}
READ = """
import json, sys
from mirante.server.store.client import Engine

engine = Engine(f"chdb://{sys.argv[1]}")
spans = engine.arrow("SELECT ServiceName AS sender, toUInt64(SpanName) AS number FROM otel_traces")
logs = engine.arrow("SELECT ServiceName AS sender, toUInt64(Body) AS number FROM otel_logs")
print(json.dumps([[row["sender"], row["number"]] for table in (spans, logs) for row in table.to_pylist()]))
engine.close()
"""


class Load(threading.Thread):
    """Sends numbered items for as long as it is asked to, none of them twice.

    Args:
        sender: its name.
        send: sends the items of these numbers, and raises unless they are acknowledged.
        per_request: how many at a time.
    """

    def __init__(self, sender: str, send: Callable[[Sequence[int]], None], per_request: int = PER_REQUEST) -> None:
        super().__init__(name=sender, daemon=True)
        self._send, self._per_request = send, per_request
        self._ended = threading.Event()
        self.sent = 0
        self.acknowledged: list[int] = []
        self.problem = ""

    def run(self) -> None:
        """Send."""
        while not self._ended.wait(0.01):
            numbers = range(self.sent, self.sent + self._per_request)
            self.sent += self._per_request
            try:
                self._send(numbers)
            except (OSError, http.client.HTTPException, grpc.RpcError) as error:  # nobody is there, or no longer
                self.problem = f"{self.name}: {error!r}"
                self._ended.wait(0.1)
            else:
                self.acknowledged += numbers

    def end(self) -> None:
        """Send no more."""
        self._ended.set()
        self.join(PATIENCE)
        assert not self.is_alive()


def post(url: str, body: bytes, headers: dict[str, str], method: str = "POST") -> None:
    """One request that must be acknowledged."""
    status, answer = fetch(url, data=body, headers=headers, method=method)
    if status not in {200, 202, 204}:
        raise OSError(f"{status}: {answer.decode()}")


def spans_of(sender: str, numbers: Sequence[int]) -> bytes:
    """A request with a span for each number."""
    made = [
        Span(
            name=str(number),
            trace_id=os.urandom(16),
            span_id=os.urandom(8),
            start_time_unix_nano=(START_MS + number) * 1_000_000,
            end_time_unix_nano=(START_MS + number + 1) * 1_000_000,
        )
        for number in numbers
    ]
    of_resource = ResourceSpans(resource=_resource(sender), scope_spans=[ScopeSpans(spans=made)])
    return ExportTraceServiceRequest(resource_spans=[of_resource]).SerializeToString()


def records_of(sender: str, numbers: Sequence[int]) -> bytes:
    """A request with a log record for each number."""
    made = [
        LogRecord(time_unix_nano=(START_MS + number) * 1_000_000, body=AnyValue(string_value=str(number)))
        for number in numbers
    ]
    of_resource = ResourceLogs(resource=_resource(sender), scope_logs=[ScopeLogs(log_records=made)])
    return ExportLogsServiceRequest(resource_logs=[of_resource]).SerializeToString()


def _resource(sender: str) -> Resource:
    return Resource(attributes=[KeyValue(key="service.name", value=AnyValue(string_value=sender))])


def loki_push(numbers: Sequence[int]) -> bytes:
    """A push with a line for each number."""
    values = [[str((START_MS + number) * 1_000_000), str(number)] for number in numbers]
    return orjson.dumps({"streams": [{"stream": {"service_name": "loki"}, "values": values}]})


def json_lines(numbers: Sequence[int]) -> bytes:
    """A line of JSON for each number."""
    lines = ({"time": START_MS + n, "message": str(n), "service": "json_lines"} for n in numbers)
    return b"\n".join(map(orjson.dumps, lines))


def remote_write(numbers: Sequence[int]) -> bytes:
    """A sample for each number, in five series, each with times of its own."""
    series = (({"__name__": "written", "job": str(n % 5)}, [(START_MS + n // 5, float(n))]) for n in numbers)
    return bytes(cramjam.snappy.compress_raw(write_request(series)))


@contextmanager
def loads(port: int, over_grpc: int, over_http: int) -> Iterator[list[Load]]:
    """Senders of every kind, at work."""
    url, otlp = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{over_http}"
    options = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 500)]
    with grpc.insecure_channel(f"127.0.0.1:{over_grpc}", options) as channel:
        package = "/opentelemetry.proto.collector"
        export_spans = channel.unary_unary(f"{package}.trace.v1.TraceService/Export")
        export_logs = channel.unary_unary(f"{package}.logs.v1.LogsService/Export")
        snappy = {"Content-Encoding": "snappy", **PROTOBUF}
        senders = [
            Load("remote_write", lambda n: post(f"{url}/api/v1/write", remote_write(n), snappy)),
            Load("spans_http", lambda n: post(f"{otlp}/v1/traces", spans_of("spans_http", n), PROTOBUF)),
            Load("logs_http", lambda n: post(f"{url}/v1/logs", records_of("logs_http", n), PROTOBUF)),
            Load("spans_grpc", lambda n: export_spans(spans_of("spans_grpc", n), timeout=30)),
            Load("logs_grpc", lambda n: export_logs(records_of("logs_grpc", n), timeout=30)),
            Load("loki", lambda n: post(f"{url}/loki/api/v1/push", loki_push(n), JSON)),
            Load("json_lines", lambda n: post(f"{url}/insert/jsonline", json_lines(n), JSON)),
            Load("pushed", lambda n: post(f"{url}/metrics/job/killed", b"pushed %d\n" % n[0], {}, "PUT"), 1),
        ]
        for load in senders:
            load.start()
        try:
            yield senders
        finally:
            for load in senders:
                load.end()


def kill(peer: Peer, senders: Sequence[Load], enough: int) -> None:
    """Kill the server once it has acknowledged so many requests of every sender."""
    before = [len(load.acknowledged) for load in senders]

    def served() -> bool:
        return all(
            len(load.acknowledged) - count >= (enough if load.name == "pushed" else enough * PER_REQUEST)
            for load, count in zip(senders, before, strict=True)
        )

    wait_for(
        served,
        seconds=PATIENCE,
        what=f"{enough} requests of each to be acknowledged; last problems: {[load.problem for load in senders]}",
    )
    assert peer.stop(signal.SIGKILL) == -signal.SIGKILL


def plant(data: Path) -> list[Path]:
    """Temporary files as a killed run leaves them."""
    planted = [data / "tmp" / "half", data / "engine" / "tmp" / "half", data / "formats" / "otlp.proto.123"]
    for file in planted:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"half")
    return planted


def steady_ports(count: int) -> list[int]:
    """Free ports below those that the system gives to clients.

    Any other may be the senders' own while the server is down: a client may even connect to itself.
    """
    ports: list[int] = []
    with ExitStack() as held:
        while len(ports) < count:
            port = 20_000 + int.from_bytes(os.urandom(2)) % 10_000
            with suppress(OSError):
                held.enter_context(socket.socket()).bind(("127.0.0.1", port))
                ports.append(port)
    return ports


def test_nothing_is_lost_and_nothing_counts_twice(tmp_path: Path) -> None:
    """Samples, spans, lines and pushes of eight senders, over HTTP and gRPC."""
    port, over_grpc, over_http = steady_ports(3)
    flags = ("--otlp-grpc-port", str(over_grpc), "--otlp-http-port", str(over_http), "--no-host-metrics")
    data = tmp_path / "data"
    with loads(port, over_grpc, over_http) as senders:
        for number in range(KILLS):
            with mirante(tmp_path, *flags, port=port) as peer:
                kill(peer, senders, ENOUGH[number % len(ENOUGH)])
            planted = plant(data)
    with mirante(tmp_path, *flags, port=port) as peer:
        assert not [file for file in planted if file.exists()]
        by_name = {load.name: load for load in senders}
        check_samples(peer, by_name["remote_write"])
        check_pushes(peer, by_name["pushed"])
        assert peer.stop() == 0
    check_rows(data, by_name)


def check_samples(peer: Peer, load: Load) -> None:
    """Every acknowledged sample is there, and raw queries, counts and sums count it once."""
    wait_for(lambda: set(load.acknowledged) <= {n for _, n in samples(peer, "written")}, seconds=PATIENCE)
    found = samples(peer, "written")
    numbers = [n for _, n in found]
    assert len(set(numbers)) == len(numbers)
    assert set(numbers) <= set(range(load.sent))
    assert all(at == n // 5 for at, n in found)
    (count,) = peer.query("sum(count_over_time(written[1d]))")
    (total,) = peer.query("sum(sum_over_time(written[1d]))")
    assert (float(count["value"][1]), float(total["value"][1])) == (len(numbers), sum(numbers))


def check_pushes(peer: Peer, load: Load) -> None:
    """Every acknowledged push became a sample, and the group has a value that was sent after the last of them."""
    wait_for(lambda: set(load.acknowledged) <= {n for _, n in samples(peer, "pushed")}, seconds=PATIENCE)
    found = samples(peer, "pushed")
    assert len({at for at, _ in found}) == len(found)
    assert {n for _, n in found} <= set(range(load.sent))
    (last,) = peer.query("pushed")
    assert load.acknowledged[-1] <= float(last["value"][1]) < load.sent


def samples(peer: Peer, name: str) -> list[tuple[int, int]]:
    """Time (in milliseconds since the start) and number of every sample of all series of that name."""
    return [
        (round(float(at) * 1000) - START_MS, int(value))
        for series in peer.query(f"{name}[1d]")
        for at, value in series["values"]
    ]


def check_rows(data: Path, by_name: dict[str, Load]) -> None:
    """Every acknowledged span and log record is stored once; what was not acknowledged is there once at most."""
    command = [sys.executable, "-c", READ, str(data)]
    read = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE)
    rows: list[Any] = json.loads(read.stdout)
    for name, load in by_name.items():
        numbers = [number for sender, number in rows if sender == name]
        if name not in {"remote_write", "pushed"}:
            assert len(set(numbers)) == len(numbers), name
            assert set(load.acknowledged) <= set(numbers) <= set(range(load.sent)), name
