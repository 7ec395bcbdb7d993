"""WSGI: a middleware that traces and measures requests, and an endpoint that exposes metrics, for any framework."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import copy_context
from http import HTTPStatus
from typing import Any

from opentelemetry.propagators.textmap import Getter

from mirante._core.guard import REPORTER
from mirante.integrations.exchange import HEADER, Exchange
from mirante.integrations.incoming import METHODS, Parents, address, described, exclusion
from mirante.metrics.exposition import OPEN, Access, respond
from mirante.metrics.registry import REGISTRY, Registry, gather
from mirante.metrics.service import MetricsCollector
from mirante.tracing.context import get_context

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]
Call = Callable[[Any, Environ, StartResponse], Iterable[bytes]]
"""Runs an application for one request; a class's ``__call__``, for instance."""

SEEN = "mirante.exchange"
"""Key of the environment under which a middleware leaves the exchange; those inside it do nothing."""


def variable(header: str) -> str:
    """What the environment calls a header.

    Example:
        >>> variable("X-Request-ID")
        'HTTP_X_REQUEST_ID'
    """
    return "HTTP_" + header.upper().replace("-", "_")


class _EnvironGetter(Getter[Mapping[str, Any]]):
    def get(self, carrier: Mapping[str, Any], key: str) -> list[str] | None:
        found = carrier.get(variable(key))
        return None if found is None else [found]

    def keys(self, carrier: Mapping[str, Any]) -> list[str]:
        return [name[5:].replace("_", "-").lower() for name in carrier if name.startswith("HTTP_")]


_PARENTS = Parents(_EnvironGetter(), variable)
_HEADER_VARIABLE = variable(HEADER)


class MiranteMiddleware:
    """Traces and measures every request until its last byte has been handed over.

    Span, request id and metrics are those of the ASGI middleware. A plain WSGI application has no route templates, so
    its requests have the empty route.

    Args:
        app: the application inside.
        registry: where the metrics live; the process's own when not given.
        excluded: paths that are left alone, as the setting ``web_excluded_urls``, which holds when it is not given.
        route: tells the template of the route that took a request from its environment, when the answer begins.

    Raises:
        ConfigError: a pattern in ``excluded`` is no regular expression.

    Example:
        >>> def hello(environ, start_response):
        ...     start_response("200 OK", [])
        ...     return [b"hello"]
        >>> app = MiranteMiddleware(hello)
    """

    def __init__(
        self,
        app: App,
        *,
        registry: Registry = REGISTRY,
        excluded: str | Iterable[str] | None = None,
        route: Callable[[Environ], str] | None = None,
    ) -> None:
        self.app = app
        self._serve = observed(_run, registry, excluded, route=route)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        return self._serve(self.app, environ, start_response)


def _run(app: App, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return app(environ, start_response)


def observed(
    call: Call,
    registry: Registry = REGISTRY,
    excluded: str | Iterable[str] | None = None,
    *,
    claim: Callable[[Any], bool] | None = None,
    route: Callable[[Environ], str] | None = None,
) -> Call:
    """What the middleware does, around a function that runs an application: to stand in for a class's ``__call__``.

    Args:
        call: the function.
        registry: as for MiranteMiddleware.
        excluded: the same.
        claim: whether requests to that application are ours; always when not given.
        route: as for MiranteMiddleware.

    Raises:
        ConfigError: as MiranteMiddleware.
    """
    service = MetricsCollector(registry)
    left_out = exclusion(excluded)

    def serve(app: Any, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:  # noqa: ANN401 - as call takes it
        exchange: WsgiExchange | None = None
        try:
            if SEEN not in environ and (claim is None or claim(app)):
                path = path_of(environ)
                if left_out is None or not left_out(path):
                    exchange = WsgiExchange()
                    exchange.open(service, environ, path, environ.get("SERVER_PROTOCOL", "").removeprefix("HTTP/"))
                    exchange.route = route
        except Exception as error:  # noqa: BLE001 - telemetry must not cost the answer
            exchange = None
            REPORTER.fault("MiranteMiddleware", error)
        if exchange is None:
            return call(app, environ, start_response)
        environ[SEEN] = exchange
        return _answer(call, app, environ, start_response, exchange)

    return serve


def _answer(
    call: Call,
    app: Any,  # noqa: ANN401 - as call takes it
    environ: Environ,
    start_response: StartResponse,
    exchange: WsgiExchange,
) -> Iterable[bytes]:
    def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:  # noqa: ANN401 - as PEP 3333 has it
        code = status[:3]
        exchange.status = int(code) if code.isdecimal() else None
        exchange.locate(environ)
        return start_response(status, [*headers, (HEADER, exchange.request_id)], *more)

    try:
        body = call(app, environ, start)
        if not isinstance(body, list | tuple | environ.get("wsgi.file_wrapper", tuple)):
            return Body(body, exchange, environ)
        exchange.end(environ)  # it is all there, and the server may want to know its length or its file
    except BaseException as error:
        exchange.fail(error)
        exchange.end(environ)
        raise
    else:
        return body
    finally:
        exchange.leave()


def path_of(environ: Mapping[str, Any]) -> str:
    """The path that was asked for, with what comes before the application's own part."""
    path: str = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return path if path.isascii() else path.encode("latin-1", "replace").decode("utf-8", "replace")


class WsgiExchange(Exchange):
    """An exchange that begins with a WSGI environment, or with Django's that is like it.

    Attributes:
        route: tells the route's template from the environment.
    """

    __slots__ = ("_template", "route")
    route: Callable[[Any], str] | None

    def open(self, service: MetricsCollector, environ: Mapping[str, Any], path: str, version: str) -> None:
        """Begin, with what the environment says."""
        self._template = ""
        scheme = environ.get("wsgi.url_scheme", "http")
        host = environ.get("HTTP_HOST")
        if host is not None:
            to = address(host, scheme)
        elif port := environ.get("SERVER_PORT", ""):
            to = address(f"{environ.get('SERVER_NAME', '')}:{port}", scheme)
        else:
            to = None
        method = environ["REQUEST_METHOD"]
        attributes = described(method, scheme, version, to, environ.get("REMOTE_ADDR"), environ.get("HTTP_USER_AGENT"))
        attributes["url.path"] = path
        known = method in METHODS
        self.begin(
            service,
            method if known else "_OTHER",
            method if known else "HTTP",
            environ.get(_HEADER_VARIABLE),
            attributes,
            _PARENTS.context(environ, environ, get_context()),
        )

    def locate(self, request: Any) -> None:  # noqa: ANN401 - what route takes
        """Look for the route; some frameworks know it only while they are at work."""
        try:
            self._template = (self.route(request) if self.route is not None else "") or self._template
        except Exception as error:  # noqa: BLE001 - a framework's unforeseen route must not cost the answer
            REPORTER.fault("MiranteMiddleware", error)

    def end(self, request: Any) -> None:  # noqa: ANN401 - the same
        """Finish it, unless that has been done."""
        if not self.over:
            self.locate(request)
            self.finish(self._template)


class Body:
    """An answer's parts on their way to the server; the exchange ends with the last one, or when they are closed.

    What makes them runs in the request's context, and nothing of that context stays with the server's thread.

    Args:
        parts: of the application.
        exchange: ends with them.
        request: what tells the exchange its route.
    """

    def __init__(self, parts: Iterable[bytes], exchange: WsgiExchange, request: Any) -> None:  # noqa: ANN401 - see WsgiExchange
        self._parts = parts
        self._exchange = exchange
        self._request = request
        self._context = copy_context()
        self._next: Callable[[], bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            if self._next is None:
                self._next = self._context.run(iter, self._parts).__next__
            return self._context.run(self._next)
        except StopIteration:
            self._end()
            raise
        except BaseException as error:
            self._context.run(self._exchange.fail, error)
            self._end()
            raise

    def close(self) -> None:
        """The server needs no more of it."""
        try:
            close = getattr(self._parts, "close", None)
            if close is not None:
                self._context.run(close)
        finally:
            self._end()

    def _end(self) -> None:
        self._context.run(self._exchange.end, self._request)


class WsgiMetricsEndpoint:
    """A WSGI application that answers with the metrics, in the format and compression that the request accepts.

    Args:
        registry: what to expose; the process's own metrics when not given.
        access: who may read; everybody when not given.

    Example:
        >>> app = WsgiMetricsEndpoint(Registry())
        >>> app({"REQUEST_METHOD": "GET"}, lambda status, headers: print(status))
        200 OK
        [b'']
    """

    def __init__(self, registry: Registry = REGISTRY, *, access: Access = OPEN) -> None:
        self._registry = registry
        self._access = access

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        headers = {
            name.removeprefix("HTTP_").replace("_", "-").lower(): str(value)
            for name, value in environ.items()
            if name.startswith("HTTP_")
        }
        answer = respond(
            self._registry, environ["REQUEST_METHOD"], headers, environ.get("REMOTE_ADDR") or None, self._access
        )
        body = gather(answer.body)
        sent = [*answer.headers.items()]
        if environ["REQUEST_METHOD"] != "HEAD":
            sent.append(("Content-Length", str(len(body))))
        start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", sent)
        return [body]


metrics_endpoint = WsgiMetricsEndpoint()
"""The process's own metrics: ``DispatcherMiddleware(app, {"/metrics": metrics_endpoint})``."""
