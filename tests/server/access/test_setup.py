"""When tokens are asked for, and what a sender's limits do to its requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request as HttpRequest
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from typer.testing import CliRunner

from mirante.cli.main import app
from mirante.config import resolve
from mirante.errors import AccessError, ConfigError
from mirante.metrics import Registry
from mirante.server.access.limits import LimitGuard
from mirante.server.access.setup import logs_access, make_access, make_limits, tokens_needed
from mirante.server.app import certificate_of
from mirante.server.ingest.exchange import Refusal
from mirante.server.ingest.series_limit import SeriesLimitedLog
from mirante.server.settings import LimitSettings, ServerSettings
from mirante.server.store.api import Stream
from tests.server.asgi import Reply, call
from tests.write_request import write_request


@pytest.mark.parametrize(
    ("host", "auth", "needed"),
    [
        ("127.0.0.1", "auto", False),
        ("::1", "auto", False),
        ("localhost", "auto", False),
        ("0.0.0.0", "auto", True),
        ("::", "auto", True),
        ("monitor.example", "auto", True),
        ("0.0.0.0", "off", False),
        ("127.0.0.1", "on", True),
    ],
)
def test_tokens_are_needed_beyond_this_machine(host: str, auth: str, needed: bool) -> None:
    """Unless somebody decides otherwise; with them every request is logged."""
    settings = ServerSettings(host=host, auth=auth)
    assert tokens_needed(settings) == needed
    assert logs_access(settings) == needed
    assert logs_access(replace(settings, access_log="on"))
    assert not logs_access(replace(settings, access_log="off"))


def test_a_broken_file_of_tokens_is_found_at_the_start(tmp_path: Path) -> None:
    """Not with the first request."""
    (tmp_path / "access.json").write_text("{")
    with pytest.raises(AccessError, match="access.json"):
        make_access(ServerSettings(), tmp_path, Registry())


def test_a_key_needs_its_certificate(tmp_path: Path) -> None:
    """And both must be what they say."""
    assert certificate_of(ServerSettings()) is None
    with pytest.raises(ConfigError, match="tls_key needs tls_cert"):
        certificate_of(ServerSettings(tls_key=tmp_path / "key.pem"))
    found = certificate_of(ServerSettings(tls_cert=tmp_path / "cert.pem"))
    assert found is not None
    with pytest.raises(ConfigError, match=r"cert\.pem cannot be used: No such file"):
        found.check()
    (tmp_path / "cert.pem").write_text("no certificate")
    with pytest.raises(ConfigError, match=r"cert\.pem and .*cert\.pem cannot be used"):
        found._replace(key=tmp_path / "cert.pem").check()


@pytest.fixture
def receiver() -> Callable[..., Reply]:
    """A receiver behind limits that reads its body."""
    limits = make_limits(LimitSettings(bytes_per_second=10), Registry())

    async def take(request: HttpRequest) -> Response:
        return PlainTextResponse(str(len(await request.body())))

    behind = Starlette(
        routes=[Route("/api/v1/write", take, methods=["POST"]), Route("/api/v1/query", take, methods=["POST"])],
        middleware=[Middleware(LimitGuard, limits=limits)],
    )

    def ask(path: str, body: bytes = b"") -> Reply:
        return asyncio.run(call(behind, "POST", path, body))

    return ask


def test_who_sent_too_much_is_told_when_to_come_again(receiver: Callable[..., Reply]) -> None:
    """429 with the seconds; questions are no concern of it."""
    assert receiver("/api/v1/write", b"x" * 250).text == "250"
    refused = receiver("/api/v1/write", b"x")
    assert refused.status == 429
    assert 14 <= int(refused.headers["retry-after"]) <= 15
    assert refused.text == ("More than 10 bytes a second from this sender; wait, or raise limits.bytes_per_second.\n")
    assert receiver("/api/v1/query").status == 200


def test_a_body_with_too_many_series_is_not_taken() -> None:
    """As a whole, and before it is stored; known series and other signals always pass."""
    taken: list[tuple[Stream, Sequence[bytes]]] = []

    class Log:
        def append(self, stream: Stream, bodies: Sequence[bytes]) -> None:
            taken.append((stream, bodies))

    log = SeriesLimitedLog(Log(), make_limits(LimitSettings(series=2), Registry()))
    two = write_request([({"__name__": "up", "job": name}, [(1, 1.0)]) for name in "ab"])
    log.append("remote_write", [two])
    log.append("remote_write", [two])
    log.append("otlp_traces", [b"anything"])
    with pytest.raises(Refusal, match="More than 2 series") as refused:
        log.append("remote_write", [write_request([({"__name__": "up", "job": "c"}, [(1, 1.0)])])])
    assert (refused.value.status, refused.value.retry_after) == (429, 60)
    assert [stream for stream, _ in taken] == ["remote_write", "remote_write", "otlp_traces"]


@pytest.mark.parametrize("written", ["-1", "inf", "many", True])
def test_a_rate_is_a_number_that_is_not_negative(written: object) -> None:
    """Anything else is an error that names the setting."""
    with pytest.raises(ConfigError, match="samples_per_second"):
        resolve(ServerSettings, code={"limits.samples_per_second": written})
    assert resolve(ServerSettings, code={"limits.samples_per_second": "2.5"}).limits.samples_per_second == 2.5


def test_a_lifetime_of_a_token_is_a_duration(tmp_path: Path) -> None:
    """The command line says what is wrong with another one."""
    result = CliRunner().invoke(
        app, ["token", "create", "a", "--right", "read", "--expires", "soon", "--data", str(tmp_path)]
    )
    assert isinstance(result.exception, ConfigError)
    assert "--expires = 'soon' cannot be used" in str(result.exception)
