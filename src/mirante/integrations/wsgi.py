"""WSGI: an endpoint that exposes metrics, for Flask, Django and whatever else speaks it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from mirante.metrics.exposition import OPEN, Access, respond
from mirante.metrics.registry import REGISTRY, Registry, gather

StartResponse = Callable[[str, list[tuple[str, str]]], Any]


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
