"""OTLP over gRPC: another way in to the same application.

A call becomes the HTTP request that would have brought the same body, so that whatever stands in the application's door
(tokens, limits of a sender, the access log) and behind it holds for both; its answer becomes a gRPC status.

Source: opentelemetry.io, "OTLP Specification", sections "OTLP/gRPC"; grpc.io, "HTTP to gRPC status code mapping".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

import grpc
import grpc.aio
import orjson
from google.protobuf.message import DecodeError
from starlette.types import ASGIApp, Message

from mirante.errors import ListenError
from mirante.formats.protobuf import blob, int64, string
from mirante.server.http import GRACE_SECONDS, Certificate
from mirante.server.store.protos import Parsed, Proto

PATHS = {
    f"opentelemetry.proto.collector.{package}.v1.{name}Service": f"/v1/{signal}"
    for package, name, signal in (
        ("trace", "Trace", "traces"),
        ("metrics", "Metrics", "metrics"),
        ("logs", "Logs", "logs"),
    )
}
"""Where each service's ``Export`` goes."""

_STATUS = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,  # for ever: without a time to come again a sender gives up
    415: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
}
_NOT_PASSED_ON = ("content-", "cookie", "grpc-", ":", "te", "host", "transfer-")
"""Beginnings of the names of metadata that say how the call was made, or that gRPC has no use for."""

_STATUS_MESSAGE: Callable[[bytes], Parsed] = (
    Proto("message Status { int32 code = 1; string message = 2; }").message_class().FromString
)


class Answer(NamedTuple):
    """What the application said.

    Attributes:
        status: of HTTP.
        headers: names in lower case.
        body: all of it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    def sentence(self) -> str:
        """Why it was refused: in the receivers' own ``google.rpc.Status``, in the door's JSON, or in text."""
        kind = self.headers.get("content-type", "").partition(";")[0]
        try:
            if kind == "application/x-protobuf":
                return str(_STATUS_MESSAGE(self.body).message)
            if kind == "application/json":
                return str(orjson.loads(self.body)["error"])
        except (DecodeError, orjson.JSONDecodeError, LookupError, TypeError):  # from nobody that we know
            return f"HTTP status {self.status}"
        return self.body.decode("utf-8", "replace").strip()


class GrpcServer:
    """Takes calls in the running event loop.

    Args:
        app: what serves them.
        max_body: bytes of a message, unpacked.
        certificate: to speak TLS with.
    """

    def __init__(self, app: ASGIApp, max_body: int, certificate: Certificate | None = None) -> None:
        self._app = app
        self._max_body = max_body
        self._certificate = certificate
        self._server: grpc.aio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; gives the port, which is another than the one asked for where that was 0.

        Raises:
            ListenError: the address cannot be listened on.
        """
        server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", self._max_body),
                ("grpc.so_reuseport", 0),  # or two servers would share a port without knowing
            ]
        )
        server.add_generic_rpc_handlers(tuple(self._handler(service, path) for service, path in PATHS.items()))
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            found = self._add_port(server, address)
        except RuntimeError:
            raise ListenError(f"cannot listen on {address} for OTLP/gRPC") from None
        await server.start()
        self._server = server
        return found

    def _add_port(self, server: grpc.aio.Server, address: str) -> int:
        if self._certificate is None:
            return int(server.add_insecure_port(address))
        chain = self._certificate.chain.read_bytes()
        key = self._certificate.key.read_bytes() if self._certificate.key else chain
        return int(server.add_secure_port(address, grpc.ssl_server_credentials([(key, chain)])))

    async def stop(self) -> None:
        """Take no more calls, and let those that are open end."""
        if self._server is not None:
            await self._server.stop(GRACE_SECONDS)

    def _handler(self, service: str, path: str) -> grpc.GenericRpcHandler:
        async def export(body: bytes, context: grpc.aio.ServicerContext) -> bytes:
            answer = await call(self._app, path, body, _headers(context), _client(context.peer()))
            if answer.status != 200:
                await _abort(context, answer)
            return answer.body

        # Without functions to read and write messages both are bytes.
        return grpc.method_handlers_generic_handler(service, {"Export": grpc.unary_unary_rpc_method_handler(export)})


async def call(app: ASGIApp, path: str, body: bytes, headers: Mapping[str, str], client: tuple[str, int]) -> Answer:
    """Ask an ASGI application as a POST of a protobuf message does."""
    sent = {**headers, "content-type": "application/x-protobuf", "content-length": str(len(body))}
    scope: dict[str, Any] = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "2", "method": "POST", "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "client": client,
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in sent.items()],
        "server": None, "state": {},
    }  # fmt: skip
    waiting = [{"type": "http.request", "body": body, "more_body": False}]
    status, received, parts = 500, {}, []

    async def receive() -> Message:
        return waiting.pop() if waiting else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        nonlocal status, received
        if message["type"] == "http.response.start":
            status = message["status"]
            received = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in message["headers"]}
        else:
            parts.append(message.get("body", b""))

    await app(scope, receive, send)
    return Answer(status, received, b"".join(parts))


def _headers(context: grpc.aio.ServicerContext) -> dict[str, str]:
    """The call's metadata as headers: the token, and what carries the trace."""
    return {
        name: value
        for name, value in context.invocation_metadata() or ()
        if isinstance(value, str) and not name.startswith(_NOT_PASSED_ON)
    }


def _client(peer: str) -> tuple[str, int]:
    """Address and port of ``ipv4:127.0.0.1:80`` and the like.

    Example:
        >>> _client("ipv6:%5B::1%5D:80"), _client("unix:")
        (('::1', 80), ('', 0))
    """
    host, _, port = unquote(peer).partition(":")[2].rpartition(":")
    return (host.strip("[]"), int(port)) if port.isdecimal() else ("", 0)


async def _abort(context: grpc.aio.ServicerContext, answer: Answer) -> None:
    """End the call with the status that says the same, and with the time to wait where there is one.

    The time is told twice: as the specification has it, and where the Python SDK looks for it.
    """
    code = _STATUS.get(answer.status, grpc.StatusCode.UNKNOWN)
    sentence = answer.sentence()
    details: list[tuple[str, bytes]] = []
    wait = answer.headers.get("retry-after", "")
    if wait.isdecimal():
        retry_info = blob(1, int64(1, int(wait)))
        packed = string(1, "type.googleapis.com/google.rpc.RetryInfo") + blob(2, retry_info)
        status = int64(1, code.value[0]) + string(2, sentence) + blob(3, packed)
        details = [("grpc-status-details-bin", status), ("google.rpc.retryinfo-bin", retry_info)]
    await context.abort(code, sentence, tuple(details))
