"""The ports of OTLP: the usual ones when they are free, those asked for or none."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterator

import grpc.aio
import pytest

from mirante.errors import ListenError
from mirante.server import otlp_ports
from mirante.server.otlp_ports import OtlpPorts
from mirante.server.settings import OtlpSettings
from tests.server.ingest.conftest import Door

HOST = "127.0.0.1"


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody else listens on."""
    with socket.create_server((HOST, 0)) as listener:
        yield listener.getsockname()[1]


def started(ports: OtlpPorts, caplog: pytest.LogCaptureFixture) -> tuple[list[str], list[str]]:
    """Start and stop it; gives what it warned of and what it told."""

    async def run() -> None:
        await ports.start(Door().app, 1000, None)
        await ports.stop()

    with caplog.at_level(logging.INFO, "mirante.server.otlp_ports"):
        asyncio.run(asyncio.wait_for(run(), 60))
    texts: dict[int, list[str]] = {logging.WARNING: [], logging.INFO: []}
    for record in caplog.records:
        if record.name == "mirante.server.otlp_ports":
            texts[record.levelno].append(record.getMessage())
    return texts[logging.WARNING], texts[logging.INFO]


def test_off(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is listened on, and nothing said."""
    with OtlpPorts(HOST, OtlpSettings("off", "off")) as ports:
        assert ports.sockets == []
        assert started(ports, caplog) == ([], [])


def test_any_free_port(caplog: pytest.LogCaptureFixture) -> None:
    """0 takes one, and tells which."""
    with OtlpPorts(HOST, OtlpSettings("0", "0")) as ports:
        (listener,) = ports.sockets
        warned, told = started(ports, caplog)
        assert warned == []
        assert told[0] == f"OTLP/HTTP has port {listener.getsockname()[1]} too"
        assert told[1].startswith("OTLP/gRPC has port ")
    assert listener.fileno() == -1


def test_usual_ports_that_are_taken(
    taken: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another collector may run there: that is worth a warning."""
    monkeypatch.setattr(otlp_ports, "USUAL", {"grpc": taken, "http": taken})
    with OtlpPorts(HOST, OtlpSettings()) as ports:
        assert ports.sockets == []
        warned, told = started(ports, caplog)
    assert [text.partition(":")[0] for text in warned] == [
        "OTLP over http has not its usual port",
        "OTLP over grpc has not its usual port",
    ]
    assert told == []


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_port_asked_for_that_is_taken(taken: int, protocol: str) -> None:
    """It is an error that names the flag."""
    chosen = {"grpc_port": "0", "http_port": "0", f"{protocol}_port": str(taken)}
    with pytest.raises(ListenError, match=f":{taken}.*--otlp-{protocol}-port"):
        OtlpPorts(HOST, OtlpSettings(**chosen))


def test_calls_are_taken(caplog: pytest.LogCaptureFixture) -> None:
    """The port that is told of is gRPC's."""

    async def run(ports: OtlpPorts) -> None:
        with caplog.at_level(logging.INFO, "mirante.server.otlp_ports"):
            await ports.start(Door().app, 1000, None)
        port = caplog.messages[-1].rpartition(" ")[2]
        async with grpc.aio.insecure_channel(f"{HOST}:{port}") as channel:
            call = channel.unary_unary("/opentelemetry.proto.collector.logs.v1.LogsService/Export")
            assert await call(b"") == b""
        await ports.stop()

    with OtlpPorts(HOST, OtlpSettings("0", "off")) as ports:
        asyncio.run(asyncio.wait_for(run(ports), 60))
