"""A program that takes OTLP spans and log lines and writes down what it has taken before it answers.

    python -m tests.sdk.faults.receiver PORT FILE

It may be killed at any moment and started again: whatever stands in the file has arrived.
"""

from __future__ import annotations

import gzip
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


def spans(body: bytes) -> tuple[Any, list[str]]:
    """Resource and names of the spans in a request."""
    (part,) = ExportTraceServiceRequest.FromString(body).resource_spans
    return part.resource, [span.name for scope in part.scope_spans for span in scope.spans]


def lines(body: bytes) -> tuple[Any, list[str]]:
    """Resource and messages of the log lines in a request."""
    (part,) = ExportLogsServiceRequest.FromString(body).resource_logs
    return part.resource, [line.body.string_value for scope in part.scope_logs for line in scope.log_records]


READ = {"/v1/traces": spans, "/v1/logs": lines}


class Handler(BaseHTTPRequestHandler):
    """Answers 200 to whatever it could read."""

    protocol_version = "HTTP/1.1"
    book = -1

    def do_GET(self) -> None:
        """Ready."""
        self._answer()

    def do_POST(self) -> None:
        """Write down, then answer."""
        resource, names = READ[self.path](gzip.decompress(self.rfile.read(int(self.headers["Content-Length"]))))
        (pid,) = (pair.value.int_value for pair in resource.attributes if pair.key == "process.pid")
        entry = {"signal": self.path, "pid": pid, "names": names}
        os.write(self.book, f"{json.dumps(entry)}\n".encode())  # one write, so that requests do not mix
        self._answer()

    def _answer(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


class Server(ThreadingHTTPServer):
    """On a port that a killed predecessor has used."""

    allow_reuse_address = True
    daemon_threads = True


if __name__ == "__main__":
    Handler.book = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
