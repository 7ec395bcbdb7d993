"""An OTLP/HTTP receiver for tests: keeps what it gets, and answers as it is told."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Receiver:
    """What came in.

    Attributes:
        url: the base address to configure.
        requests: of metrics, in the order in which they came.
        traces: requests of spans.
        logs: requests of log lines.
        status: answered to the next ones.
        headers: answered with it.
        sent_headers: those of every request, names in lower case.
        arrived: set when metrics came in.
        silent: never answer.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.requests: list[ExportMetricsServiceRequest] = []
        self.traces: list[ExportTraceServiceRequest] = []
        self.logs: list[ExportLogsServiceRequest] = []
        self.sent_headers: list[dict[str, str]] = []
        self.status = 200
        self.headers: dict[str, str] = {}
        self.arrived = threading.Event()
        self.silent = False
        self.closing = threading.Event()

    def spans(self) -> list[Span]:
        """All that came."""
        return [
            span
            for request in self.traces
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def lines(self) -> list[LogRecord]:
        """All that came."""
        return [
            line
            for request in self.logs
            for resource in request.resource_logs
            for scope in resource.scope_logs
            for line in scope.log_records
        ]

    def take(self, path: str, body: bytes) -> None:
        """Keep a request."""
        match path:
            case "/v1/metrics":
                self.requests.append(ExportMetricsServiceRequest.FromString(body))
                self.arrived.set()
            case "/v1/traces":
                self.traces.append(ExportTraceServiceRequest.FromString(body))
            case _:
                assert path == "/v1/logs", path
                self.logs.append(ExportLogsServiceRequest.FromString(body))

    def wait(self) -> ExportMetricsServiceRequest:
        """The latest request, once there is one."""
        assert self.arrived.wait(60), "nothing was delivered"
        self.arrived.clear()
        return self.requests[-1]


def resource(request: ExportMetricsServiceRequest) -> dict[str, str | int]:
    """What the sender says about itself."""
    pairs = request.resource_metrics[0].resource.attributes
    return {pair.key: pair.value.string_value or pair.value.int_value for pair in pairs}


def numbers(request: ExportMetricsServiceRequest) -> dict[str, float]:
    """Sums and gauges by name; of several points the last."""
    metrics = request.resource_metrics[0].scope_metrics[0].metrics
    return {
        metric.name: point.as_double
        for metric in metrics
        for point in (*metric.sum.data_points, *metric.gauge.data_points)
    }


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a free port of the loopback interface."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.headers["Content-Type"] == "application/x-protobuf"
            receiver.sent_headers.append({name.lower(): value for name, value in self.headers.items()})
            receiver.take(self.path, gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
            if receiver.silent:
                receiver.closing.wait(30)
                return
            self.send_response(receiver.status)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver = Receiver(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()
