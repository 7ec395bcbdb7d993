"""Listens and serves: the socket, the signals, uvicorn. Knows nothing of what is served."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import uvicorn
from starlette.types import ASGIApp

from mirante.errors import ConfigError, ListenError

GRACE_SECONDS = 5
"""How long open requests may go on after the signal to stop."""

_BACKLOG = 2048


class Certificate(NamedTuple):
    """With what to speak TLS: a certificate chain, and its key where that is in another file."""

    chain: Path
    key: Path | None = None

    def check(self) -> None:
        """See that the two belong together, before anything is started.

        Raises:
            ConfigError: they cannot be read, or do not.
        """
        try:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(self.chain, self.key)
        except OSError as error:  # an SSLError is one
            files = f"{self.chain}{f' and {self.key}' if self.key else ''}"
            raise ConfigError(f"tls_cert: {files} cannot be used: {error.strerror or error}", key="tls_cert") from None


def bind(host: str, port: int, flag: str = "--port") -> socket.socket:
    """A socket bound to the address and listening; port 0 takes any free one, ``flag`` is what chooses another.

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
        hint = f"; stop what uses it, or choose another {flag}" if error.errno == 98 else ""  # EADDRINUSE
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


async def run(
    app: ASGIApp,
    listeners: Sequence[socket.socket],
    started: Callable[[], Awaitable[None]],
    hung_up: Callable[[], Awaitable[None]],
    certificate: Certificate | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; a second signal does not wait for open requests.

    Args:
        app: what answers; its lifespan is not used.
        listeners: from ``bind``.
        started: awaited when requests are being taken.
        hung_up: awaited on SIGHUP.
        certificate: to speak TLS with; HTTP without it.
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
            ssl_certfile=certificate and certificate.chain,
            ssl_keyfile=certificate and certificate.key,
        ),
        started,
    )

    def stop() -> None:
        server.force_exit = server.should_exit
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    under_way: set[asyncio.Task[None]] = set()  # the loop itself does not keep tasks alive

    def hang_up() -> None:
        task = loop.create_task(_awaited(hung_up))
        under_way.add(task)
        task.add_done_callback(under_way.discard)

    loop.add_signal_handler(signal.SIGHUP, hang_up)
    await server.serve(list(listeners))


async def _awaited(call: Callable[[], Awaitable[None]]) -> None:
    await call()
