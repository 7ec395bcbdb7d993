"""Pages come over real HTTP, with Prometheus's headers, and what goes wrong is said in a person's words."""

from __future__ import annotations

import asyncio
import errno
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from mirante.errors import ScrapeError
from mirante.server.http_client.failure import explain
from mirante.server.http_client.model import Authorization, HttpClient, Secret, Tls
from mirante.server.scrape.fetch import Client, Fetched
from mirante.server.scrape.model import Limits, ScrapeJob
from tests.peers import free_port, program
from tests.server.scrape.parts import Exposer, Handler, serving

TIMEOUT_MS = 5_000


def fetch(handler: Handler, timeout_ms: int = TIMEOUT_MS, path: str = "/metrics", **job: Any) -> Fetched:
    """One fetch from a real server."""

    async def main() -> Fetched:
        async with serving(handler) as address:
            return await get(f"http://{address}{path}", timeout_ms, **job)

    return asyncio.run(main())


async def get(url: str, timeout_ms: int = TIMEOUT_MS, **job: Any) -> Fetched:
    """One fetch."""
    client = Client(ScrapeJob("node", **job))
    try:
        return await client.fetch(url, timeout_ms)
    finally:
        await client.close()


def answering(
    status: int = 200, body: bytes = b"x 1\n", **headers: str
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A handler that always answers the same."""

    async def answer(_: web.Request) -> web.Response:
        await asyncio.sleep(0)
        return web.Response(status=status, body=body, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return answer


def test_the_request_is_prometheus_own() -> None:
    """Who asks, what is preferred, how long it may take; the answer comes packed."""
    exposer = Exposer()
    fetched = fetch(exposer, timeout_ms=2_500)
    headers = exposer.requests[0].headers
    assert headers["User-Agent"].startswith("mirante/")
    assert headers["Accept"].startswith("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,")
    assert headers["Accept"].endswith("text/plain;version=0.0.4;q=0.3,*/*;q=0.2")
    assert headers["Accept-Encoding"] == "gzip"
    assert headers["X-Prometheus-Scrape-Timeout-Seconds"] == "2.5"
    assert "Authorization" not in headers
    assert (fetched.gzip, fetched.format, fetched.page()) == (True, "text", b"temperature 20\n")


def test_names_of_the_old_rules_are_asked_for() -> None:
    """``metric_name_validation_scheme: legacy`` has the target write other names with underscores."""
    exposer = Exposer()
    fetch(exposer, name_validation="legacy", protocols=("PrometheusProto", "OpenMetricsText1.0.0"))
    assert exposer.requests[0].headers["Accept"] == (
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.4,"
        "application/openmetrics-text;version=1.0.0;escaping=underscores;q=0.3,*/*;q=0.2"
    )


def test_compression_can_be_off() -> None:
    """``enable_compression: false`` asks for the page as it is."""
    fetched = fetch(Exposer(), enable_compression=False)
    assert (fetched.gzip, fetched.page()) == (False, b"temperature 20\n")


@pytest.mark.parametrize(
    ("content_type", "job", "expected"),
    [
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", {}, "openmetrics"),
        ("Text/Plain;version=0.0.4", {}, "text"),
        ("application/octet-stream", {}, "text"),
        ("application/vnd.google.protobuf; encoding=delimited", {}, "protobuf"),
        ("", {"fallback_protocol": "OpenMetricsText1.0.0"}, "openmetrics"),
        ("", {"fallback_protocol": "PrometheusProto"}, "protobuf"),
    ],
)
def test_the_content_type_says_the_format(content_type: str, job: dict[str, Any], expected: str) -> None:
    """Where it says nothing that is known, ``fallback_scrape_protocol`` counts."""
    assert fetch(Exposer(content_type=content_type), **job).format == expected


@pytest.mark.parametrize(
    ("how", "header"),
    [
        (Authorization("Basic", Secret("pä"), "user"), "Basic dXNlcjpww6Q="),
        (Authorization("Bearer", Secret("token")), "Bearer token"),
        (Authorization("Token", Secret("abc")), "Token abc"),
    ],
)
def test_credentials(how: Authorization, header: str) -> None:
    """The header of each way."""
    exposer = Exposer()
    fetch(exposer, http=HttpClient(authorization=how))
    assert exposer.requests[0].headers["Authorization"] == header


def test_a_secret_file_is_read_for_every_request(tmp_path: Path) -> None:
    """Rotating a token needs no reload; a file that is gone is the scrape's error."""
    exposer, file = Exposer(), tmp_path / "token"
    how = Authorization("Bearer", Secret(file=file))
    for token in ("one", "two"):
        file.write_text(token + "\n")
        fetch(exposer, http=HttpClient(authorization=how))
    assert [r.headers["Authorization"] for r in exposer.requests] == ["Bearer one", "Bearer two"]
    file.unlink()
    with pytest.raises(ScrapeError, match=f"^{file}: No such file or directory$"):
        fetch(exposer, http=HttpClient(authorization=how))


@pytest.mark.parametrize("status", [404, 500, 503, 204])
def test_only_200_is_a_page(status: int) -> None:
    """The error has the number, and the name where HTTP knows one."""
    with pytest.raises(ScrapeError, match=f"^server returned HTTP status {status} [A-Z]"):
        fetch(answering(status))


def test_redirects_are_followed_unless_forbidden() -> None:
    """``follow_redirects: false`` makes them an error."""

    async def redirect(request: web.Request) -> web.Response:
        await asyncio.sleep(0)
        if request.path == "/metrics":
            return web.Response(status=302, headers={"Location": "/elsewhere"})
        return web.Response(text="x 1\n")

    assert fetch(redirect).page() == b"x 1\n"
    with pytest.raises(ScrapeError, match="server returned HTTP status 302 Found"):
        fetch(redirect, http=HttpClient(follow_redirects=False))


def test_endless_redirects_end() -> None:
    """A loop is an error of its own."""
    with pytest.raises(ScrapeError, match="stopped after 10 redirects"):
        fetch(answering(302, Location="/metrics"))


def test_a_target_that_hangs_is_given_up() -> None:
    """The timeout counts for the whole scrape."""

    async def hang(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    with pytest.raises(ScrapeError, match=r"^no answer within 0\.05s \(scrape_timeout\)$"):
        fetch(hang, timeout_ms=50)


@pytest.mark.parametrize("packed", [True, False])
def test_a_page_that_is_too_large_is_refused(packed: bool) -> None:
    """The limit counts unpacked bytes, and a small packed body cannot get around it."""
    exposer = Exposer(page="x 1\n" * 1000)
    with pytest.raises(ScrapeError, match=r"body size limit exceeded: the page has more than 3999 bytes"):
        fetch(exposer, limits=Limits(body_size=3999), enable_compression=packed).page()
    assert len(fetch(exposer, limits=Limits(body_size=4000), enable_compression=packed).page()) == 4000


@pytest.mark.parametrize(
    ("body", "message"),
    [(b"no gzip", "the page cannot be decompressed: Error -3"), (b"\x1f\x8b\x08", "it ends too early")],
)
def test_a_page_that_is_wrongly_packed_is_refused(body: bytes, message: str) -> None:
    """What claims to be gzip must be."""
    with pytest.raises(ScrapeError, match=message):
        fetch(answering(body=body, Content_Encoding="gzip")).page()


def test_nobody_listens() -> None:
    """The commonest error has its common name."""
    with pytest.raises(ScrapeError, match="^connection refused$"):
        asyncio.run(get(f"http://127.0.0.1:{free_port()}/metrics"))


def test_a_name_that_does_not_exist() -> None:
    """``.invalid`` never resolves."""
    with pytest.raises(ScrapeError, match=r"^no such host: nowhere\.invalid$"):
        asyncio.run(get("http://nowhere.invalid:80/metrics"))


def test_a_server_that_is_not_one() -> None:
    """Whoever closes the connection, or speaks something else, is described as such."""

    async def main(greeting: bytes) -> None:
        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(greeting)
            writer.close()
            await writer.wait_closed()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            await get(f"http://127.0.0.1:{port}/metrics")

    with pytest.raises(ScrapeError, match="the server closed the connection without an answer|connection reset"):
        asyncio.run(main(b""))
    with pytest.raises(ScrapeError, match=r"Bad status line|Expected HTTP/"):
        asyncio.run(main(b"SSH-2.0-OpenSSH\r\n\r\n"))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (aiohttp.ServerDisconnectedError(), "the server closed the connection without an answer"),
        (ConnectionResetError(), "connection reset by the other side"),
        (aiohttp.ClientOSError(errno.ECONNRESET, "Connection reset by peer"), "connection reset by the other side"),
        (OSError(), "OSError"),
    ],
)
def test_errors_that_only_some_networks_make(error: Exception, reason: str) -> None:
    """Each has words; one without a message is named by its type."""
    assert explain(error) == reason


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for ``localhost`` and its key, signed by itself."""
    return make_certificate(tmp_path_factory.mktemp("tls"), "localhost")


def make_certificate(folder: Path, name: str) -> Path:
    """Write ``cert.pem`` and ``key.pem`` for a host of that name."""
    subprocess.run(
        [program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}",
         "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder


def fetch_tls(folder: Path, tls: Tls, *, mutual: bool = False) -> Fetched:
    """One fetch over TLS from 127.0.0.1, whose certificate says ``localhost``."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    if mutual:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(folder / "cert.pem")

    async def main() -> Fetched:
        async with serving(Exposer(), context) as address:
            return await get(f"https://{address}/metrics", scheme="https", http=HttpClient(tls=tls))

    return asyncio.run(main())


def test_an_authority_is_trusted_for_its_names(authority: Path) -> None:
    """From a file or the configuration itself; ``server_name`` says whose certificate is expected."""
    for trusted in (Tls(ca_file=authority / "cert.pem"), Tls(ca=(authority / "cert.pem").read_text())):
        named = Tls(ca=trusted.ca, ca_file=trusted.ca_file, server_name="localhost")
        assert fetch_tls(authority, named).page() == b"temperature 20\n"
    with pytest.raises(ScrapeError, match="^certificate verification failed: .*IP address mismatch"):
        fetch_tls(authority, Tls(ca_file=authority / "cert.pem"))
    with pytest.raises(ScrapeError, match="^certificate verification failed: .*self.signed"):
        fetch_tls(authority, Tls(server_name="localhost"))


def test_verification_can_be_skipped(authority: Path) -> None:
    """``insecure_skip_verify`` trusts anybody."""
    assert fetch_tls(authority, Tls(insecure_skip_verify=True)).page() == b"temperature 20\n"


def test_a_client_certificate_is_shown(authority: Path) -> None:
    """To a server that asks for one."""
    shown = Tls(insecure_skip_verify=True, cert_file=authority / "cert.pem", key_file=authority / "key.pem")
    assert fetch_tls(authority, shown, mutual=True).page() == b"temperature 20\n"
    with pytest.raises(ScrapeError):
        fetch_tls(authority, Tls(insecure_skip_verify=True), mutual=True)


def test_versions_are_bounded(authority: Path) -> None:
    """The server here speaks 1.2 at most."""
    assert fetch_tls(authority, Tls(insecure_skip_verify=True, max_version="TLS12")).page()
    with pytest.raises(ScrapeError, match=r"(?i)protocol.version|connection reset"):
        fetch_tls(authority, Tls(insecure_skip_verify=True, min_version="TLS13"))


def test_certificates_that_change_are_followed(authority: Path, tmp_path: Path) -> None:
    """Without a reload; files that are broken in between leave what worked."""
    trusted = tmp_path / "ca.pem"

    def put(text: str) -> None:
        new = tmp_path / "new.pem"
        new.write_text(text)
        new.rename(trusted)

    async def main() -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(authority / "cert.pem", authority / "key.pem")
        put((authority / "cert.pem").read_text())
        async with serving(Exposer(), context) as address:
            url = f"https://{address}/metrics"
            client = Client(ScrapeJob("node", http=HttpClient(tls=Tls(ca_file=trusted, server_name="localhost"))))
            try:
                await client.fetch(url, TIMEOUT_MS)
                put("this is no certificate")
                await client.fetch(url, TIMEOUT_MS)
                put(_another_authority(tmp_path))
                with pytest.raises(ScrapeError, match="certificate verify failed"):
                    await client.fetch(url, TIMEOUT_MS)
                trusted.unlink()
                with pytest.raises(ScrapeError, match="certificate verify failed"):
                    await client.fetch(url, TIMEOUT_MS)
                put((authority / "cert.pem").read_text())
                await client.fetch(url, TIMEOUT_MS)
            finally:
                await client.close()

    asyncio.run(main())


def _another_authority(folder: Path) -> str:
    make_certificate(folder, "elsewhere")
    return (folder / "cert.pem").read_text()
