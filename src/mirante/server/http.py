"""Listens and serves: the socket, the signals, uvicorn. Knows nothing of what is served."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

from mirante.errors import ListenError

GRACE_SECONDS = 5
"""How long open requests may go on after the signal to stop."""

_BACKLOG = 2048


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to the address, not yet listening; port 0 takes any free one.

    Raises:
        ListenError: it is in use, not allowed, or no address of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ListenError(f"cannot listen on {host}:{port}: {error.strerror}") from None
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        # At once, so that a second server on the port fails here and not after it has opened its store.
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        hint = "; stop what uses it, or choose another --port" if error.errno == 98 else ""  # EADDRINUSE
        raise ListenError(f"cannot listen on {host}:{port}: {error.strerror}{hint}") from None
    listener.setblocking(False)
    return listener


class _Uvicorn(uvicorn.Server):
    """Uvicorn that tells when it takes requests, and leaves the signals to us.

    It would raise them again at the end and so turn a clean stop into a kill.
    """

    def __init__(self, config: uvicorn.Config, started: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._when_started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        await self._when_started()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def run(app: ASGIApp, listener: socket.socket, started: Callable[[], Awaitable[None]]) -> None:
    """Serve until SIGTERM or SIGINT; a second signal does not wait for open requests.

    Args:
        app: what answers; its lifespan is not used.
        listener: from ``bind``.
        started: awaited when requests are being taken.
    """
    server = _Uvicorn(
        uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
            timeout_keep_alive=75,
        ),
        started,
    )

    def stop() -> None:
        server.force_exit = server.should_exit
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    await server.serve([listener])
