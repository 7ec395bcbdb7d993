"""An OTLP/HTTP receiver on loopback, read by the reference protobuf messages."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

Answer = Callable[[int], tuple[int, dict[str, str], bytes]]


def accept(_number: int) -> tuple[int, dict[str, str], bytes]:
    """Every request is good."""
    return 200, {}, b""


class Receiver:
    """Listens while its block runs.

    Attributes:
        answer: gives status, headers and body for the n-th request, counted from 0.
        bodies: what came with a 200, decoded.
        requests: headers of all requests.
    """

    def __init__(self, answer: Answer = accept) -> None:
        self.answer = answer
        self.bodies: list[Any] = []
        self.requests: list[dict[str, str]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, headers, content = receiver.answer(len(receiver.requests))
                receiver.requests.append({name.lower(): value for name, value in self.headers.items()})
                if status == 200:
                    raw = gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body
                    receiver.bodies.append(ExportTraceServiceRequest.FromString(raw))
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Keep the test's output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/traces"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def spans(self) -> Iterator[Any]:
        """All spans that were accepted."""
        for body in self.bodies:
            for resource in body.resource_spans:
                for scope in resource.scope_spans:
                    yield from scope.spans

    def names(self) -> list[str]:
        """Their names, in order."""
        return [span.name for span in self.spans()]
