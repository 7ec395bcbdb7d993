"""The ports on which OTLP is expected: 4317 for gRPC and 4318 for HTTP, unless a collector has them already."""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING, Self

from starlette.types import ASGIApp

from mirante.errors import ListenError
from mirante.server import http
from mirante.server.settings import OtlpSettings

if TYPE_CHECKING:
    from mirante.server.grpc import GrpcServer

log = logging.getLogger(__name__)

USUAL = {"grpc": 4317, "http": 4318}


class OtlpPorts:
    """Listens on both, besides the main port. A context manager: leaving it closes what is still open.

    Args:
        host: the address.
        settings: which ports.

    Attributes:
        sockets: bound for HTTP.

    Raises:
        ListenError: a port that was asked for by its number cannot be listened on.
    """

    def __init__(self, host: str, settings: OtlpSettings) -> None:
        self._host = host
        self._notices: list[str] = []
        self._grpc: GrpcServer | None = None
        self.sockets: list[socket.socket] = []
        self._grpc_port: int | None = None
        if (listener := self._bound("http", settings.http_port)) is not None:
            self.sockets.append(listener)
        if (probe := self._bound("grpc", settings.grpc_port)) is not None:
            # gRPC binds its own socket, but only when the store is open: then it is late to hear that it cannot.
            probe.close()
            self._grpc_port = _number("grpc", settings.grpc_port)

    def _bound(self, protocol: str, wanted: str) -> socket.socket | None:
        if wanted == "off":
            return None
        try:
            return http.bind(self._host, _number(protocol, wanted), f"--otlp-{protocol}-port")
        except ListenError as error:
            if wanted != "auto":
                self.close()
                raise
            self._notices.append(f"OTLP over {protocol} has not its usual port: {error}")
            return None

    async def start(self, app: ASGIApp, max_body: int, certificate: http.Certificate | None) -> None:
        """Take gRPC calls, and say what is listened on.

        Raises:
            ListenError: somebody was faster.
        """
        for notice in self._notices:
            log.warning("%s", notice)
        for listener in self.sockets:
            log.info("OTLP/HTTP has port %d too", listener.getsockname()[1])
        if self._grpc_port is not None:
            from mirante.server.grpc import GrpcServer  # here, as it takes memory

            server = GrpcServer(app, max_body, certificate)
            log.info("OTLP/gRPC has port %d", await server.start(self._host, self._grpc_port))
            self._grpc = server

    async def stop(self) -> None:
        """Take no more calls, and let those that are open end."""
        if self._grpc is not None:
            await self._grpc.stop()

    def close(self) -> None:
        """Close what is bound."""
        for listener in self.sockets:
            listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _number(protocol: str, wanted: str) -> int:
    return USUAL[protocol] if wanted == "auto" else int(wanted)
