"""Showing metrics: as bytes, in a file, over HTTP."""

from __future__ import annotations

import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from mirante.compat.prometheus_client.gateway import (
    basic_auth_handler,
    default_handler,
    delete_from_gateway,
    instance_ip_grouping_key,
    passthrough_redirect_handler,
    push_to_gateway,
    pushadd_to_gateway,
    tls_auth_handler,
)
from mirante.compat.prometheus_client.registry import REGISTRY, Collector, CollectorRegistry, beneath
from mirante.formats.exposition import TEXT_CONTENT_TYPE
from mirante.metrics.exposition import respond
from mirante.metrics.registry import gather

__all__ = [
    "CONTENT_TYPE_LATEST",
    "CONTENT_TYPE_PLAIN_0_0_4",
    "CONTENT_TYPE_PLAIN_1_0_0",
    "MetricsHandler",
    "basic_auth_handler",
    "default_handler",
    "delete_from_gateway",
    "generate_latest",
    "instance_ip_grouping_key",
    "make_wsgi_app",
    "passthrough_redirect_handler",
    "push_to_gateway",
    "pushadd_to_gateway",
    "start_http_server",
    "start_wsgi_server",
    "tls_auth_handler",
    "write_to_textfile",
]

CONTENT_TYPE_PLAIN_0_0_4 = TEXT_CONTENT_TYPE
CONTENT_TYPE_PLAIN_1_0_0 = TEXT_CONTENT_TYPE.replace("0.0.4", "1.0.0")
CONTENT_TYPE_LATEST = CONTENT_TYPE_PLAIN_0_0_4
"""What ``generate_latest`` gives."""

UNDERSCORES = "underscores"
ALLOWUTF8 = "allow-utf-8"

StartResponse = Callable[[str, list[tuple[str, str]]], Any]
WsgiApp = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


def utf8_allowed(escaping: str) -> bool:
    """Whether names go out as they are.

    Raises:
        ValueError: the scheme is neither ``underscores`` nor ``allow-utf-8``.
    """
    if escaping not in {UNDERSCORES, ALLOWUTF8}:
        raise ValueError(f"escaping must be {UNDERSCORES!r} or {ALLOWUTF8!r}, not {escaping!r}")
    return escaping == ALLOWUTF8


def generate_latest(registry: Collector = REGISTRY, escaping: str = UNDERSCORES) -> bytes:
    """All metrics in Prometheus's text format; those of all processes, where several share theirs.

    Args:
        registry: a registry or any collector.
        escaping: ``underscores`` or ``allow-utf-8``, for names of the newer kind.

    Raises:
        ValueError: there is no such escaping here.

    Example:
        >>> from mirante.compat.prometheus_client import CollectorRegistry, Gauge
        >>> registry = CollectorRegistry()
        >>> Gauge("up", "Alive.", registry=registry).set(1)
        DONE
        >>> print(generate_latest(registry).decode(), end="")
        # HELP up Alive.
        # TYPE up gauge
        up 1.0
    """
    return gather(beneath(registry).exposed().chunks(utf8=utf8_allowed(escaping)))


def write_to_textfile(path: str, registry: Collector, escaping: str = ALLOWUTF8, tmpdir: str | None = None) -> None:
    """Write the metrics to a file that changes as a whole, for node_exporter's textfile collector.

    Args:
        path: must end in ``.prom`` for that collector to see it.
        registry: a registry or any collector.
        escaping: as for ``generate_latest``.
        tmpdir: where it is written before it is moved, on the same file system; beside it when not given.

    Raises:
        OSError: it cannot be written.
    """
    data = generate_latest(registry, escaping)
    target = Path(path)
    with tempfile.TemporaryDirectory(dir=tmpdir or target.parent) as folder:
        made = Path(folder, target.name)
        made.write_bytes(data)
        made.replace(target)


class Answer(NamedTuple):
    """What goes back to an HTTP client."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def line(self) -> str:
        """The status with its phrase."""
        return f"{self.status} {HTTPStatus(self.status).phrase}"


def answer(
    registry: Collector, method: str, path: str, query: str, headers: Mapping[str, str], *, compress: bool = True
) -> Answer:
    """Answer as prometheus_client's servers do: any path, ``name[]`` chooses samples, OPTIONS tells the methods."""
    allow = {"Allow": "OPTIONS,GET"}
    if method == "OPTIONS":
        return Answer(200, allow, b"")
    if method != "GET":
        return Answer(405, allow, f"# HTTP 405 Method Not Allowed: {method}; use OPTIONS or GET\n".encode())
    if path == "/favicon.ico":
        return Answer(200, {}, b"")
    names = parse_qs(query).get("name[]")
    if names and isinstance(registry, CollectorRegistry):
        registry = registry.restricted_registry(names)
    asked = dict(headers) if compress else {**headers, "accept-encoding": ""}
    reply = respond(beneath(registry), "GET", asked, None)
    return Answer(reply.status, dict(reply.headers), gather(reply.body))


def make_wsgi_app(registry: Collector = REGISTRY, disable_compression: bool = False) -> WsgiApp:
    """A WSGI application that shows the metrics at every path.

    Args:
        registry: a registry or any collector.
        disable_compression: never gzip.

    Example:
        >>> from mirante.compat.prometheus_client import CollectorRegistry
        >>> make_wsgi_app(CollectorRegistry())({"REQUEST_METHOD": "GET"}, lambda status, headers: print(status))
        200 OK
        [b'']
    """

    def prometheus_app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        asked = {
            "accept": environ.get("HTTP_ACCEPT", ""),
            "accept-encoding": environ.get("HTTP_ACCEPT_ENCODING", ""),
        }
        path, query = environ.get("PATH_INFO", ""), environ.get("QUERY_STRING", "")
        reply = answer(registry, environ["REQUEST_METHOD"], path, query, asked, compress=not disable_compression)
        start_response(reply.line, [*reply.headers.items()])
        return [reply.body]

    return prometheus_app


class MetricsHandler(BaseHTTPRequestHandler):
    """A request handler of the standard library's HTTP server that shows ``registry``, the process's own by default."""

    registry: Collector = REGISTRY

    def do_GET(self) -> None:
        """Answer with the metrics."""
        url = urlsplit(self.path)
        asked = {name.lower(): value for name, value in self.headers.items()}
        reply = answer(self.registry, "GET", url.path, url.query, asked)
        self.send_response(reply.status)
        for name, value in {**reply.headers, "Content-Length": str(len(reply.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not logged."""

    @classmethod
    def factory(cls, registry: Collector) -> type[MetricsHandler]:
        """A handler class that shows this registry."""
        return type(cls.__name__, (cls,), {"registry": registry})


class _Quiet(WSGIRequestHandler):
    """Requests are not logged."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


class ThreadingWSGIServer(ThreadingMixIn, WSGIServer):
    """A thread for each request, none of which keeps the process alive."""

    daemon_threads = True


class _ThreadingWSGIServer6(ThreadingWSGIServer):
    """The same for IPv6 addresses."""

    address_family = socket.AF_INET6


def start_wsgi_server(
    port: int,
    addr: str = "0.0.0.0",
    registry: Collector = REGISTRY,
    certfile: str | None = None,
    keyfile: str | None = None,
    client_cafile: str | None = None,
    client_capath: str | None = None,
    protocol: int = ssl.PROTOCOL_TLS_SERVER,
    client_auth_required: bool = False,
) -> tuple[WSGIServer, threading.Thread]:
    """Show the metrics over HTTP from a daemon thread.

    Args:
        port: 0 for a free one, see ``server.server_port``.
        addr: the address to listen on: all of them, as prometheus_client does, when not given.
        registry: a registry or any collector.
        certfile: with ``keyfile``, the certificate that makes it HTTPS.
        keyfile: its private key.
        client_cafile: certificates of the authorities that clients' certificates are checked against.
        client_capath: a folder of such.
        protocol: of TLS.
        client_auth_required: clients must have a certificate.

    Returns:
        The server, whose ``shutdown()`` and ``server_close()`` end it, and its thread.

    Raises:
        OSError: the address cannot be listened on, or a file cannot be read.

    Example:
        >>> server, thread = start_wsgi_server(0, "127.0.0.1")
        >>> server.shutdown()
        >>> server.server_close()
        >>> thread.join()
    """
    kind = _ThreadingWSGIServer6 if ":" in addr else ThreadingWSGIServer
    server = make_server(addr, port, make_wsgi_app(registry), kind, handler_class=_Quiet)
    if certfile and keyfile:
        try:
            context = _tls(protocol, client_cafile, client_capath, required=client_auth_required)
            context.load_cert_chain(certfile, keyfile)
        except OSError:
            server.server_close()
            raise
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, name="metrics-http", daemon=True)
    thread.start()
    return server, thread


start_http_server = start_wsgi_server


def _tls(protocol: int, cafile: str | None, capath: str | None, *, required: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    if cafile or capath:
        context.load_verify_locations(cafile, capath)
    else:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
    if required:
        context.verify_mode = ssl.CERT_REQUIRED
    return context
