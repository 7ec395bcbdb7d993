"""OTLP/gRPC: another way in to the same application. Real channels on loopback."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from mirante.errors import ListenError, StoreError
from mirante.server.grpc import PATHS, GrpcServer
from mirante.server.http import Certificate
from mirante.server.ingest.exchange import Bounds
from tests.peers import program
from tests.server.ingest.conftest import NOW, Door, FixedClock
from tests.server.ingest.test_otlp import GOOD, gauge

NAMES = {path.removeprefix("/v1/"): service for service, path in PATHS.items()}
Call = Callable[..., Awaitable[bytes]]


def talk(
    app: Any,
    said: Callable[[Callable[[str], Call]], Awaitable[object]],
    *,
    max_body: int = 10_000,
    certificate: Certificate | None = None,
) -> None:
    """Start a server, and run what talks to it."""

    async def run() -> None:
        server = GrpcServer(app, max_body, certificate)
        port = await server.start("127.0.0.1", 0)
        if certificate is None:
            channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        else:
            trusted = grpc.ssl_channel_credentials(certificate.chain.read_bytes())
            channel = grpc.aio.secure_channel(f"localhost:{port}", trusted)
        async with channel:
            await said(lambda signal: channel.unary_unary(f"/{NAMES[signal]}/Export"))
        await server.stop()

    asyncio.run(asyncio.wait_for(run(), 60))


async def fails(call: Awaitable[bytes]) -> grpc.aio.AioRpcError:
    """The error with which a call ends."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_every_signal_is_stored(compression: grpc.Compression) -> None:
    """A body goes where OTLP/HTTP takes the same body, packed or not."""
    door = Door()

    async def said(method: Callable[[str], Call]) -> None:
        for signal, message in GOOD.items():
            assert await method(signal)(message.SerializeToString(), compression=compression) == b""

    talk(door.app, said)
    assert [stream for stream, _ in door.log.bodies] == ["otlp_traces", "otlp_logs", "remote_write"]
    assert door.log.bodies[0][1] == GOOD["traces"].SerializeToString()
    assert door.counted()["otlp_traces/200"] == 1


def test_what_was_refused_is_told() -> None:
    """Partial success comes back as over HTTP."""
    door = Door()

    async def said(method: Callable[[str], Call]) -> None:
        answer = await method("metrics")(gauge(NOW, 1).SerializeToString())
        assert b"there are times outside of" in answer

    talk(door.app, said)


def test_nonsense() -> None:
    """A body that is none is an invalid argument, and nothing is stored."""
    door = Door()

    async def said(method: Callable[[str], Call]) -> None:
        error = await fails(method("logs")(b"junk"))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert (error.details() or "").startswith("The body is not an ExportLogsServiceRequest: ")

    talk(door.app, said)
    assert door.log.bodies == []


def test_messages_that_are_too_large() -> None:
    """They are refused for ever, however small they were packed."""
    door = Door()

    async def said(method: Callable[[str], Call]) -> None:
        for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
            error = await fails(method("logs")(bytes(10_001), compression=compression))
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "grpc-status-details-bin" not in dict(error.trailing_metadata() or ())

    talk(door.app, said)


def test_a_store_that_fails_is_to_be_tried_again() -> None:
    """The sender is told when: 5 s, as over HTTP."""
    door = Door()
    door.log.error = StoreError("gone")

    async def said(method: Callable[[str], Call]) -> None:
        error = await fails(method("logs")(GOOD["logs"].SerializeToString()))
        assert (error.code(), error.details()) == (grpc.StatusCode.UNAVAILABLE, "It cannot be stored now: gone.")
        trailers: dict[str, Any] = dict(error.trailing_metadata() or ())
        assert trailers["google.rpc.retryinfo-bin"] == b"\x0a\x02\x08\x05"
        details = trailers["grpc-status-details-bin"]
        assert b"type.googleapis.com/google.rpc.RetryInfo" in details
        assert details.endswith(trailers["google.rpc.retryinfo-bin"])

    talk(door.app, said)


def answering(status: int, body: str = "", **headers: str) -> Starlette:
    """An application that always says the same, as its door would."""

    async def answer(_: Request) -> Response:
        return PlainTextResponse(body, status, headers)

    return Starlette(routes=[Route("/v1/logs", answer, methods=["POST"])])


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, grpc.StatusCode.UNAUTHENTICATED),
        (403, grpc.StatusCode.PERMISSION_DENIED),
        (429, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (418, grpc.StatusCode.UNKNOWN),
    ],
)
def test_what_stands_in_the_door_is_heard(status: int, code: grpc.StatusCode) -> None:
    """Refusals of tokens and limits become gRPC's own, with their words and their time to wait."""

    async def said(method: Callable[[str], Call]) -> None:
        error = await fails(method("logs")(b""))
        assert (error.code(), error.details()) == (code, "Not you.")
        trailers: dict[str, Any] = dict(error.trailing_metadata() or ())
        assert trailers.get("google.rpc.retryinfo-bin") == (b"\x0a\x02\x08\x07" if status == 429 else None)

    headers = {"Retry-After": "7"} if status == 429 else {}
    talk(answering(status, "Not you.\n", **headers), said)


@pytest.mark.parametrize(
    ("kind", "body", "sentence"),
    [
        ("application/x-protobuf", "\x07junk", "HTTP status 500"),
        ("application/json", "junk", "HTTP status 500"),
        ("application/json", "[]", "HTTP status 500"),
        ("application/json", '{"status": "error", "error": "Not you."}', "Not you."),
    ],
)
def test_words_of_any_kind(kind: str, body: str, sentence: str) -> None:
    """Whatever an application answers, the call ends with a status."""

    async def said(method: Callable[[str], Call]) -> None:
        error = await fails(method("logs")(b""))
        assert (error.code(), error.details()) == (grpc.StatusCode.UNKNOWN, sentence)

    talk(answering(500, body, **{"Content-Type": kind}), said)


def test_an_unknown_service_is_not_implemented() -> None:
    """As gRPC has it."""

    async def said(method: Callable[[str], Call]) -> None:
        NAMES["profiles"] = "opentelemetry.proto.collector.profiles.v1.ProfilesService"
        error = await fails(method("profiles")(b""))
        assert error.code() is grpc.StatusCode.UNIMPLEMENTED

    talk(answering(200), said)


def test_what_the_application_sees() -> None:
    """The token, the trace and the sender's address; nothing that says how the call was made."""
    seen: dict[str, Any] = {}

    async def answer(request: Request) -> Response:
        seen.update(request.headers)
        seen["client"] = request.client
        seen["body"] = await request.body()
        return Response()

    async def said(method: Callable[[str], Call]) -> None:
        metadata = (
            ("authorization", "Bearer abc"), ("traceparent", "00-1"), ("cookie", "a=b"), ("x-bin", b"\x00"),
            ("content-encoding", "gzip"),
        )  # fmt: skip
        await method("logs")(b"hello", metadata=metadata)

    talk(Starlette(routes=[Route("/v1/logs", answer, methods=["POST"])]), said)
    assert seen.pop("user-agent").startswith("grpc-python-asyncio/")
    assert seen.pop("client").host == "127.0.0.1"
    assert seen == {
        "authorization": "Bearer abc", "traceparent": "00-1", "content-type": "application/x-protobuf",
        "content-length": "5", "body": b"hello",
    }  # fmt: skip


def test_a_port_that_is_taken() -> None:
    """Two servers do not share a port without knowing it."""

    async def run() -> None:
        first, second = (GrpcServer(answering(200), 10) for _ in range(2))
        port = await first.start("127.0.0.1", 0)
        with pytest.raises(ListenError, match=f"cannot listen on 127.0.0.1:{port} for OTLP/gRPC"):
            await second.start("127.0.0.1", port)
        await second.stop()
        await first.stop()

    asyncio.run(asyncio.wait_for(run(), 60))


def test_tls(tmp_path: Path) -> None:
    """With a certificate it speaks TLS, the key beside it or in the same file."""
    chain, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    made = [program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run([*made, *subject, "-keyout", key, "-out", chain], check=True, capture_output=True)
    ssl.create_default_context().load_verify_locations(chain)
    both = tmp_path / "both.pem"
    both.write_bytes(chain.read_bytes() + key.read_bytes())

    async def said(method: Callable[[str], Call]) -> None:
        assert await method("logs")(ExportLogsServiceRequest().SerializeToString()) == b""

    for certificate in (Certificate(chain, key), Certificate(both)):
        talk(Door(bounds=Bounds(clock=FixedClock())).app, said, certificate=certificate)
