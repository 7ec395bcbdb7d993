"""Targets from a URL: asked as Prometheus asks, kept when the server fails."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from mirante.errors import ConfigError
from mirante.server.http_client.model import Authorization, HttpClient, Secret, Tls
from mirante.server.scrape.manager import ScrapeManager
from mirante.server.scrape.model import HttpSd, PrometheusConfig, ScrapeJob, TargetGroup
from mirante.server.scrape.sd import http
from tests.peers import free_port
from tests.server.scrape.parts import Discovered, MemoryLog, serving


class Directory:
    """A server of targets; ``reply`` is what it answers, None lets the client wait."""

    def __init__(self, *addresses: str) -> None:
        self.requests: list[web.Request] = []
        self.reply: web.Response | None = None
        self.has(*addresses)

    def has(self, *addresses: str) -> None:
        """List these."""
        self.reply = web.json_response([{"targets": list(addresses), "labels": {"env": "x"}}])

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """Answer."""
        self.requests.append(request)
        if self.reply is None:
            await asyncio.sleep(60)
        assert self.reply is not None
        text, headers = self.reply.body, {"Content-Type": self.reply.headers["Content-Type"]}
        assert isinstance(text, bytes)
        return web.Response(body=text, status=self.reply.status, headers=headers)


def test_targets_come_from_the_answer() -> None:
    """The request is Prometheus's own; every group says which URL it comes from; no change, no news."""

    async def main() -> None:
        directory, found = Directory("a:1", "b:1"), Discovered()
        async with serving(directory) as address:
            url = f"http://{address}/targets?of=x"
            sd = HttpSd(url, 90_000, HttpClient(authorization=Authorization("Bearer", Secret("t"))))
            async with found.running(sd):
                targets = ({"__address__": "a:1"}, {"__address__": "b:1"})
                assert found.published == [[TargetGroup(f"{url}:0", targets, {"env": "x", "__meta_url": url})]]
                headers = directory.requests[0].headers
                assert directory.requests[0].path_qs == "/targets?of=x"
                assert headers["Accept"] == "application/json"
                assert headers["X-Prometheus-Refresh-Interval-Seconds"] == "90"
                assert headers["Authorization"] == "Bearer t"
                assert headers["User-Agent"].startswith("mirante/")
                await found.steps.next()
                assert len(found.published) == 1
                directory.has("c:1")
                await found.steps.next()
                assert found.addresses() == ["c:1"]
                assert found.steps.slept == [90.0, 90.0, 90.0]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (web.Response(status=503, text="no"), "server returned HTTP status 503 Service Unavailable"),
        (web.Response(text="[]"), 'unsupported content type "text/plain'),
        (web.Response(text="[", content_type="application/json"), "is not JSON: "),
        (web.Response(body=b" " * 2000, content_type="application/json"), "the answer has more than 0 MiB"),
        (None, "no answer within 2s"),
    ],
)
def test_a_failure_keeps_the_last_targets(
    reply: web.Response | None, reason: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told with the URL and the reason, and the next good answer counts again."""
    monkeypatch.setattr(http, "_MAX_BYTES", 1000)

    async def main() -> None:
        directory, found, refresh = Directory("a:1"), Discovered(), 60_000 if reply else 2_000
        async with serving(directory) as address, found.running(HttpSd(f"http://{address}/", refresh)):
            directory.reply = reply
            await found.steps.next()
            assert (found.addresses(), found.failures["http"]) == (["a:1"], 1)
            directory.has("b:1")
            await found.steps.next()
            assert found.addresses() == ["b:1"]

    asyncio.run(main())
    assert f": {reason}" in caplog.text


def test_a_server_that_is_not_there_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is published before the first answer."""

    async def main() -> None:
        found = Discovered()
        async with found.running(HttpSd(f"http://127.0.0.1:{free_port()}/")):
            assert found.published == []

    asyncio.run(main())
    assert "connection refused; its last targets stay" in caplog.text


def test_certificates_that_cannot_be_used_refuse_the_configuration() -> None:
    """Before anything changes."""
    sd = HttpSd("https://127.0.0.1/", http=HttpClient(tls=Tls(ca_file=Path("/nowhere.pem"))))
    manager = ScrapeManager(PrometheusConfig(), MemoryLog())
    with pytest.raises(ConfigError, match='tls_config of job name "a" cannot be used: .*No such file'):
        manager.prepare(PrometheusConfig((ScrapeJob("a", discoveries=(sd,)),)))
    asyncio.run(manager.stop())
