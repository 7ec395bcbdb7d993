"""The access log: who asked for what, and how it was answered."""

from __future__ import annotations

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mirante.server.access.guard import WHO

log = logging.getLogger("mirante.access")


class AccessLog:
    """A line for every request, when its last byte has been handed over. Stands outside of the door."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request and tell of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, size, started = 0, 0, time.perf_counter()

        async def see(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                size += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, see)
        except Exception:
            status = status or 500
            raise
        finally:
            milliseconds = (time.perf_counter() - started) * 1000
            client = (scope.get("client") or ("-",))[0]
            who = scope[WHO].name if WHO in scope else "-"
            # The path without its query, which may hold what people searched for, or a code.
            log.info(
                '%s %s "%s %s" %d %d %.1fms', client, who, scope["method"], _printable(scope["path"]), status, size,
                milliseconds,
            )  # fmt: skip


def _printable(path: str) -> str:
    """The path without line ends and quotes, with which somebody could forge lines."""
    return path.encode("unicode_escape").decode("ascii").replace('"', "%22")
