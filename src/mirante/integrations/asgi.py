"""ASGI: a middleware that traces and measures requests, and an endpoint that exposes metrics, for any framework."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from opentelemetry.propagators.textmap import Getter

from mirante._core.guard import REPORTER
from mirante.integrations.exchange import HEADER, Exchange
from mirante.integrations.incoming import METHODS, Parents, address, described, exclusion
from mirante.integrations.lifespan import delivering
from mirante.integrations.routes import route_template
from mirante.metrics.exposition import OPEN, Access, respond
from mirante.metrics.registry import REGISTRY, Registry
from mirante.metrics.service import MetricsCollector
from mirante.tracing.context import get_context

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]

SEEN = "mirante.seen"
"""Key of the scope under which a middleware tells those inside it that there is nothing to do for them.

Not the exchange itself, which has the scope: a cycle makes the garbage collector the most expensive part of a request.
"""

_FASTAPI = "fastapi.telemetry"
"""Key under which FastAPI leaves its own telemetry of the request; where it is there, FastAPI begins none."""

_HEADER = HEADER.lower().encode()
_NORMAL_CLOSE = (1000, 1001, 1005)
_REMEMBERED = 512
_LONGEST = 512


class _HeaderGetter(Getter[Headers]):
    def get(self, carrier: Headers, key: str) -> list[str] | None:
        wanted = key.lower().encode("latin-1")
        return [value.decode("latin-1") for name, value in carrier if name == wanted] or None

    def keys(self, carrier: Headers) -> list[str]:
        return [name.decode("latin-1") for name, _ in carrier]


_PARENTS = Parents(_HeaderGetter(), str.encode)


class MiranteMiddleware:
    """Traces and measures every HTTP request until its last byte has been handed over, and every websocket.

    Each has a span, whose parent is what its headers say, named by method and route template, and a request id: the one
    in its ``X-Request-ID`` or a new one, which goes back in the answer's. Code inside sees both as current, so that its
    spans, log lines and exemplars belong to them. Requests are counted and timed by method, route and status; one that
    no route took has the empty route, because a raw path may hold anything. An exception that leaves the application
    counts as status 500; a request whose task was cancelled before it was answered has the empty status and is no
    error.

    Args:
        app: the application inside.
        registry: where the metrics live; the process's own when not given.
        excluded: paths that are left alone, as the setting ``web_excluded_urls``, which holds when it is not given.

    Raises:
        ConfigError: a pattern in ``excluded`` is no regular expression.

    Example:
        >>> async def hello(scope, receive, send):
        ...     await send({"type": "http.response.start", "status": 200, "headers": []})
        ...     await send({"type": "http.response.body", "body": b"hello"})
        >>> app = MiranteMiddleware(hello)
    """

    def __init__(self, app: App, *, registry: Registry = REGISTRY, excluded: str | Iterable[str] | None = None) -> None:
        self.app = app
        self._serve = observed(_run, registry, excluded)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or websocket; anything else passes through."""
        await self._serve(self.app, scope, receive, send)


Call = Callable[[Any, Scope, Receive, Send], Awaitable[None]]
"""Runs an application for one request; a class's ``__call__``, for instance."""


def observed(
    call: Call,
    registry: Registry = REGISTRY,
    excluded: str | Iterable[str] | None = None,
    claim: Callable[[Any, Scope], bool] | None = None,
) -> Call:
    """What the middleware does, around a function that runs an application: to stand in for a class's ``__call__``.

    Args:
        call: the function.
        registry: as for MiranteMiddleware.
        excluded: the same.
        claim: whether a request to that application is ours; always when not given.

    Raises:
        ConfigError: as MiranteMiddleware.
    """
    service = MetricsCollector(registry)
    left_out = exclusion(excluded)

    async def serve(app: Any, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ANN401 - as call takes it
        exchange: _AsgiExchange | None = None
        kind = scope["type"]
        try:
            mine = kind != "lifespan" and SEEN not in scope and (claim is None or claim(app, scope))
            if mine:
                scope.setdefault(_FASTAPI, None)
            if mine and (left_out is None or not left_out(scope["path"])):
                if kind == "http":
                    exchange = _HTTP()
                    method = scope["method"]
                    known = method in METHODS
                    exchange.open(service, scope, send, method if known else "_OTHER", method if known else "HTTP")
                elif kind == "websocket":
                    exchange = _WebSocket()
                    exchange.open(None, scope, send, "GET", "WS")
        except Exception as error:  # noqa: BLE001 - telemetry must not cost the answer
            exchange = None
            REPORTER.fault("MiranteMiddleware", error)
        if exchange is None:
            await call(app, scope, receive, delivering(send) if kind == "lifespan" else send)
            return
        scope[SEEN] = True
        try:
            await call(app, scope, receive, exchange.send)
        except BaseException as error:
            exchange.fail(error)
            raise
        finally:
            exchange.end()
            exchange.leave()

    return serve


def _run(app: App, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
    return app(scope, receive, send)


class _AsgiExchange(Exchange):
    """An exchange with the ASGI messages that belong to it."""

    __slots__ = ("_root", "_scope", "_send")

    def open(self, service: MetricsCollector | None, scope: Scope, send: Send, method: str, name: str) -> None:
        """Begin, with what the scope says."""
        self._scope = scope
        self._root = scope.get("root_path", "")
        self._send = send
        headers = scope["headers"]
        found: dict[bytes, bytes] = dict(headers)
        client = scope.get("client")
        key = (
            scope["method"] if method == "_OTHER" else method,
            scope.get("scheme", "http"),
            scope.get("http_version", "1.1"),
            found.get(b"host"),
            found.get(b"user-agent"),
            client[0] if client else None,
        )
        attributes = (_attributes.get(key) or _describe(key, scope)).copy()
        attributes["url.path"] = scope["path"]
        given = found.get(_HEADER)
        self.begin(
            service,
            method,
            name,
            None if given is None else given.decode("latin-1"),
            attributes,
            _PARENTS.context(found, headers, get_context()),
        )

    async def send(self, message: Message) -> None:
        """Pass a message on to the server; an answer's first one gets the request id."""

    def named(self, message: Message) -> Message:
        """The message with the request id among its headers, in a copy: the application may send it again."""
        return {**message, "headers": [*message.get("headers", ()), (_HEADER, self.request_id.encode())]}

    def end(self) -> None:
        """Finish it, unless that has been done."""
        if self.over:
            return
        route = ""
        try:
            route = route_template(self._scope, self._root)
        except Exception as error:  # noqa: BLE001 - a framework's unforeseen route must not cost the answer
            REPORTER.fault("MiranteMiddleware", error)
        finally:
            self.finish(route)


class _HTTP(_AsgiExchange):
    __slots__ = ("_to_the_end",)

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            self.status = status = message["status"]
            # A server error's exception is known when the application returns, as is the end of what has trailers.
            self._to_the_end = status >= 500 or message.get("trailers", False)
            await self._send(self.named(message))
            return
        await self._send(message)
        if kind == "http.response.body" and not message.get("more_body") and not self._to_the_end:
            self.end()


class _WebSocket(_AsgiExchange):
    __slots__ = ()

    def fail(self, error: BaseException) -> None:
        """An end that one side asked for is none to complain about."""
        if getattr(error, "code", None) in _NORMAL_CLOSE:
            return
        status = self.status
        super().fail(error)
        self.status = status or self.status

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "websocket.accept":
            self.status = 101
            message = self.named(message)
        elif kind == "websocket.http.response.start":
            self.status = message["status"]
            message = self.named(message)
        elif kind == "websocket.close" and self.status is None:
            self.status = 403  # what a server answers to a handshake that is refused
        await self._send(message)


_Key = tuple[str, str, str, bytes | None, bytes | None, str | None]

_attributes: dict[_Key, dict[str, Any]] = {}  # much is the same from one request to the next; bounded below


def _describe(key: _Key, scope: Scope) -> dict[str, Any]:
    """The attributes of a request's span, but for its path; remembered for further requests that are alike."""
    method, scheme, version, host, agent, client = key
    to = scope.get("server") if host is None else address(host.decode("latin-1"), scheme)
    found = described(method, scheme, version, to, client, None if agent is None else agent.decode("latin-1"))
    # Without a host the server's address is no part of the key; and the client chooses its headers.
    if host is not None and len(host) + len(agent or b"") <= _LONGEST:
        if len(_attributes) >= _REMEMBERED:
            _attributes.clear()
        _attributes[key] = found
    return found


class MetricsEndpoint:
    """An ASGI application that answers with the metrics, in the format and compression that the request accepts.

    The event loop gets its turn between any two stretches of 1,000 lines.

    Args:
        registry: what to expose; the process's own metrics when not given.
        access: who may read; everybody when not given.

    Example:
        >>> from starlette.applications import Starlette
        >>> app = Starlette()
        >>> app.add_route("/metrics", MetricsEndpoint())
    """

    def __init__(self, registry: Registry = REGISTRY, *, access: Access = OPEN) -> None:
        self._registry = registry
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        client = scope.get("client")
        answer = respond(self._registry, scope["method"], headers, client[0] if client else None, self._access)
        if answer.status == 200:
            await self._registry.refresh()
        pairs = [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": pairs})
        if self._registry.shared:  # then its first part is read from files, off the event loop
            import asyncio

            first = await asyncio.to_thread(next, answer.body, b"")
            await send({"type": "http.response.body", "body": first, "more_body": True})
        for part in answer.body:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


metrics_endpoint = MetricsEndpoint()
"""The process's own metrics: ``app.add_route("/metrics", metrics_endpoint)``."""
