"""A small HTTP server that exposes the metrics of a program which has no web server of its own."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from mirante.metrics.exposition import OPEN, Access, respond
from mirante.metrics.registry import REGISTRY, Registry, gather


class MetricsServer:
    """Serves ``/metrics`` from daemon threads until it is closed.

    Attributes:
        port: the TCP port, useful where 0 was asked for.

    Example:
        >>> server = start_http_server(0)
        >>> server.port > 0
        True
        >>> server.close()
    """

    def __init__(self, http: ThreadingHTTPServer) -> None:
        self._http = http
        self.port: int = http.server_address[1]
        self._thread = threading.Thread(target=http.serve_forever, name="mirante-exposition", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening and wait for the serving thread."""
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


def start_http_server(
    port: int, addr: str = "127.0.0.1", *, registry: Registry = REGISTRY, access: Access = OPEN
) -> MetricsServer:
    """Expose metrics over HTTP.

    Args:
        port: TCP port; 0 takes any free one.
        addr: address to listen on; only this machine's when not given.
        registry: what to expose.
        access: who may read; everybody who reaches the address when not given.

    Raises:
        OSError: the address cannot be listened on.

    Example:
        >>> server = start_http_server(0)
        >>> server.close()
    """

    class Handler(_Handler):
        exposed = registry
        limits = access

    http = ThreadingHTTPServer((addr, port), Handler)
    http.daemon_threads = True
    return MetricsServer(http)


class _Handler(BaseHTTPRequestHandler):
    exposed: Registry
    limits: Access
    protocol_version = "HTTP/1.1"
    timeout = 30  # seconds without a byte after which a connection is closed

    def do_GET(self) -> None:
        if self.path.split("?")[0] not in ("/", "/metrics"):
            self.send_error(404, "the metrics are at /metrics")
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = respond(self.exposed, "GET", headers, self.client_address[0], self.limits)
        body = gather(answer.body)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep scrapes out of the host's standard error."""
