"""What the tests of all web frameworks use: what was measured, and requests to an ASGI application."""

from __future__ import annotations

import asyncio
from typing import Any

from mirante.metrics import Registry

Seen = dict[tuple[str, ...], int]
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE_ID = 0x0AF7651916CD43DD8448EB211C80319C
PARENT_ID = 0xB7AD6B7169203331
ERROR = 2


def requests(registry: Registry) -> Seen:
    """How many requests by method, route and status."""
    histogram = registry.get("http_server_request_duration_seconds")
    assert histogram is not None
    return {child.label_values: sum(child.counts) for child in histogram.children() if sum(child.counts)}


def active(registry: Registry) -> float:
    """Requests in flight."""
    gauge = registry.get("http_server_active_requests")
    assert gauge is not None
    return float(sum(child.value for child in gauge.children()))


def http(path: str = "/", method: str = "GET", **headers: str) -> dict[str, Any]:
    """A scope."""
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": pairs}
    return {**scope, "http_version": "1.1", "scheme": "http"}


def exchange(app: Any, scope: dict[str, Any], *received: dict[str, Any]) -> list[dict[str, Any]]:
    """Run an ASGI application for one scope; what it sent."""
    sent: list[dict[str, Any]] = []
    coming = [*received, {"type": "http.disconnect"}]

    async def receive() -> dict[str, Any]:
        return coming.pop(0) if len(coming) > 1 else coming[0]

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(asyncio.wait_for(app(scope, receive, send), 60))
    return sent
