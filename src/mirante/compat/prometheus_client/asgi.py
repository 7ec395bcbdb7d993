"""The metrics as an ASGI application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from mirante.compat.prometheus_client.exposition import answer
from mirante.compat.prometheus_client.registry import REGISTRY, Collector, beneath

Message = MutableMapping[str, Any]
AsgiApp = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]


def make_asgi_app(registry: Collector = REGISTRY, disable_compression: bool = False) -> AsgiApp:
    """An ASGI application that shows the metrics at every path.

    Args:
        registry: a registry or any collector.
        disable_compression: never gzip.

    Example:
        >>> from starlette.applications import Starlette
        >>> Starlette().mount("/metrics", make_asgi_app())
    """

    async def prometheus_app(
        scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        if scope["type"] != "http":
            raise ValueError(f"metrics are shown over http, not {scope['type']}")
        asked = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        await beneath(registry).refresh()
        query = scope.get("query_string", b"").decode("latin-1")
        reply = answer(registry, scope["method"], scope["path"], query, asked, compress=not disable_compression)
        headers = [(name.lower().encode(), value.encode()) for name, value in reply.headers.items()]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})

    return prometheus_app
