"""ASGI's lifespan: servers' loggers are taken over when it has started; at its end what was recorded is delivered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from mirante._core.serving import server_started, server_stopped

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]


def delivering(send: Send) -> Send:
    """The ``send`` of a lifespan that tells of the start, and delivers before it lets the last message through.

    Example:
        >>> import asyncio
        >>> async def send(message):
        ...     print(message["type"])
        >>> asyncio.run(delivering(send)({"type": "lifespan.startup.complete"}))
        lifespan.startup.complete
    """

    async def send_and_deliver(message: Message) -> None:
        if message["type"].startswith("lifespan.shutdown."):
            server_stopped()  # blocks: the server serves nobody any more, and this is bounded
        await send(message)
        if message["type"] == "lifespan.startup.complete":
            server_started()

    return send_and_deliver
