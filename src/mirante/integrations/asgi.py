"""ASGI: a middleware that measures requests, and an endpoint that exposes metrics. Pure ASGI, for any framework."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from time import perf_counter
from typing import Any

from mirante._core.guard import REPORTER
from mirante.metrics.exposition import OPEN, Access, respond
from mirante.metrics.registry import REGISTRY, Registry
from mirante.metrics.service import MetricsCollector

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})
_STATUS = {code: str(code) for code in range(100, 600)}


class MiranteMiddleware:
    """Measures every HTTP request by method, route template and status, until its last byte has been handed over.

    A request that no route took has the empty route, because a raw path may hold anything. An exception that leaves the
    application counts as status 500; a request whose task was cancelled before it was answered has the empty status.

    Args:
        app: the application inside.
        registry: where the metrics live; the process's own when not given.

    Example:
        >>> async def hello(scope, receive, send):
        ...     await send({"type": "http.response.start", "status": 200, "headers": []})
        ...     await send({"type": "http.response.body", "body": b"hello"})
        >>> app = MiranteMiddleware(hello)
    """

    def __init__(self, app: App, *, registry: Registry = REGISTRY) -> None:
        self.app = app
        self._service = MetricsCollector(registry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; what is not HTTP passes through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        root = scope.get("root_path", "")
        status = ""

        async def send_and_see(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = _STATUS.get(message["status"], "")
            await send(message)

        active = self._service.active.labels(method)
        active.inc()
        start = perf_counter()
        try:
            await self.app(scope, receive, send_and_see)
        except Exception:
            status = "500"
            raise
        finally:
            seconds = perf_counter() - start
            active.dec()
            try:
                self._service.duration.labels(method, route_template(scope, root), status).observe(seconds)
            except Exception as error:  # noqa: BLE001 - a framework's unforeseen route must not cost the answer
                REPORTER.fault("MiranteMiddleware", error)


def route_template(scope: Scope, root_path: str = "") -> str:
    """The template of the route that took the request, prefixes of mounts and included routers with it.

    Args:
        scope: the request's scope after the application has run, with the ``route`` that Starlette leaves in it.
        root_path: what it was before the application ran.

    Returns:
        Such as ``/items/{item}``; the empty string where no route is known.

    Example:
        >>> route_template({"path": "/nowhere"})
        ''
    """
    path: str = scope["path"]
    if root_path and path.startswith(root_path):
        path = path[len(root_path) :]
    values = scope.get("path_params", {})
    route = scope.get("route")
    template: str | None = getattr(route, "path_format", None)
    if template is not None:
        return template if path == template else _with_prefix(path, route, values)
    if "endpoint" not in scope:
        return ""
    # Taken by something whose route is not told: of the path all is fixed but the parameters, or what a mount took.
    names = {str(value): name for name, value in values.items()}
    mounted = str(scope.get("root_path", ""))[len(root_path) :]
    return _named(mounted, names) + "/{path}" if mounted else _named(path, names)


def _with_prefix(path: str, route: Any, values: Mapping[str, Any]) -> str:  # noqa: ANN401 - a route of any framework
    """The route's template behind what comes before it in the path.

    A route inside a mount or an included router knows only its own part. It is found as the part of the path that gives
    exactly the route's parameters; in what precedes it the other parameters' values are replaced by their names.
    """
    start = 0
    while start >= 0:
        found = route.path_regex.match(path[start:])
        if found and _same(found.groupdict(), route.param_convertors, values):
            others = {str(value): name for name, value in values.items() if name not in route.param_convertors}
            return _named(path[:start], others) + str(route.path_format)
        start = path.find("/", start + 1)
    return str(route.path_format)


def _same(texts: Mapping[str, str], convertors: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    return all(convertors[name].convert(text) == values[name] for name, text in texts.items() if name in values)


def _named(prefix: str, names: Mapping[str, str]) -> str:
    """The prefix with values replaced by names; nothing if a value is not there as it stands, so that none can stay."""
    segments = prefix.split("/")
    if any(value not in segments for value in names):
        return ""
    return "/".join("{" + names[segment] + "}" if segment in names else segment for segment in segments)


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
