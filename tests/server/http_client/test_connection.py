"""OAuth 2.0, proxies and headers, against real servers."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from mirante.errors import HttpClientError
from mirante.server.http_client.connection import Connection, authorize, proxy_for
from mirante.server.http_client.model import Authorization, HttpClient, OAuth2, Proxy, Secret
from tests.server.scrape.parts import Exposer, serving


async def get(connection: Connection, url: str) -> bytes:
    """The body of an answer."""
    async with asyncio.timeout(60), connection.request("GET", url, {}) as answer:
        return await answer.read()


@asynccontextmanager
async def connected(http: HttpClient) -> AsyncIterator[Connection]:
    """A connection, closed afterwards."""
    connection = Connection(http)
    try:
        yield connection
    finally:
        await connection.close()


class Authority:
    """Gives tokens to the client ``me`` with the secret ``s3``, who is known by ``header`` or by the form."""

    def __init__(self, *, header: bool = True, expires: object = 3600) -> None:
        self.forms: list[dict[str, Any]] = []
        self._header, self._expires = header, expires

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """Answer."""
        form = dict(await request.post())
        self.forms.append(form)
        basic = "Basic " + base64.b64encode(b"me:s3").decode()
        known = request.headers.get("Authorization") == basic if self._header else form.get("client_secret") == "s3"
        if not known:
            return web.json_response({"error": "invalid_client", "error_description": "who are you?"}, status=401)
        return web.json_response({"access_token": f"t{len(self.forms)}", "expires_in": self._expires})


@pytest.mark.parametrize("header", [True, False])
def test_a_token_is_fetched_and_kept(header: bool) -> None:
    """With scopes and parameters; a server that wants the credentials in the form gets them there."""

    async def main() -> None:
        authority, exposer = Authority(header=header), Exposer()
        async with serving(authority) as tokens, serving(exposer) as target:
            oauth2 = OAuth2("me", Secret("s3"), f"http://{tokens}/token", ("a", "b"), (("audience", "c"),))
            async with connected(HttpClient(oauth2=oauth2)) as connection:
                for _ in range(2):
                    await get(connection, f"http://{target}/")
        form = {"grant_type": "client_credentials", "audience": "c", "scope": "a b"}
        if header:
            assert authority.forms == [form]
        else:
            assert authority.forms[1:] == [{**form, "client_id": "me", "client_secret": "s3"}]
        assert {r.headers["Authorization"] for r in exposer.requests} == {f"Bearer t{len(authority.forms)}"}

    asyncio.run(main())


def test_a_token_that_expires_is_fetched_anew() -> None:
    """Some seconds early; one without a time is for one request."""

    async def main() -> None:
        authority, exposer = Authority(expires=5), Exposer()
        async with serving(authority) as tokens, serving(exposer) as target:
            oauth2 = OAuth2("me", Secret("s3"), f"http://{tokens}/token")
            async with connected(HttpClient(oauth2=oauth2)) as connection:
                for _ in range(2):
                    await get(connection, f"http://{target}/")
        assert [r.headers["Authorization"] for r in exposer.requests] == ["Bearer t1", "Bearer t2"]

    asyncio.run(main())


def test_no_token_is_an_error_with_the_servers_reason() -> None:
    """Also where the server answers with no JSON at all."""

    async def main() -> None:
        async with serving(Authority()) as tokens, serving(Exposer()) as nothing:
            for url, reason in ((f"http://{tokens}/", "who are you?"), (f"http://{nothing}/", "HTTP status 200")):
                async with connected(HttpClient(oauth2=OAuth2("me", Secret("no"), url))) as connection:
                    with pytest.raises(HttpClientError, match=rf"oauth2: no token from {url}: {reason}"):
                        await get(connection, "http://127.0.0.1:1/")

    asyncio.run(main())


@asynccontextmanager
async def proxy(heads: list[bytes]) -> AsyncIterator[str]:
    """A proxy that answers everything itself and keeps what it was asked."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nx 1")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def test_requests_go_through_the_proxy() -> None:
    """HTTPS by CONNECT, with its headers."""

    async def main() -> None:
        heads: list[bytes] = []
        async with proxy(heads) as url:
            http = HttpClient(proxy=Proxy(url, "exempt.test", headers=(("X-Via", Secret("mirante")),)))
            async with connected(http) as connection:
                assert await get(connection, "http://shop.test/metrics") == b"x 1"
                with pytest.raises(aiohttp.ClientError):
                    await get(connection, "https://shop.test/metrics")  # this proxy speaks no TLS afterwards
        assert heads[0].startswith(b"GET http://shop.test/metrics HTTP/1.1\r\n")
        assert heads[1].startswith(b"CONNECT shop.test:443 HTTP/1.1\r\n")
        assert b"X-Via: mirante" in heads[1]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("exceptions", "url", "exempt"),
    [
        ("", "http://a.test", False),
        ("a.test", "http://a.test", True),
        ("A.test", "http://a.TEST:80", True),
        ("b.test, a.test", "http://a.test", True),
        ("a.test", "http://x.a.test", True),
        (".a.test", "http://x.a.test", True),
        ("*.a.test", "http://x.a.test", True),
        ("a.test", "http://ba.test", False),
        ("a.test:8080", "http://a.test:8080", True),
        ("a.test:8080", "http://a.test:80", False),
        ("*", "http://a.test", True),
        ("10.0.0.0/8", "http://10.1.2.3:9100", True),
        ("10.0.0.0/8", "http://11.1.2.3:9100", False),
        ("10.0.0.0/8", "http://a.test", False),
        ("::1", "http://[::1]:9100", True),
    ],
)
def test_exceptions_of_a_proxy(exceptions: str, url: str, exempt: bool) -> None:
    """``no_proxy``: names, domains, networks, ports."""
    assert proxy_for(Proxy("http://p:1", exceptions), url) == ("" if exempt else "http://p:1")


def test_a_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """By scheme, with its exceptions; it is not looked at unless it is asked for."""
    variables: Mapping[str, str] = {"http_proxy": "http://p:1", "https_proxy": "http://q:2", "no_proxy": "a.test"}
    for name, value in variables.items():
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.setenv(name, value)
    environment = Proxy(from_environment=True)
    assert proxy_for(environment, "http://b.test") == "http://p:1"
    assert proxy_for(environment, "https://b.test") == "http://q:2"
    assert proxy_for(environment, "http://a.test") == ""
    assert proxy_for(Proxy(), "http://b.test") == ""


def test_headers_are_sent_and_files_read_anew(tmp_path: Path) -> None:
    """A name may have several values."""
    file = tmp_path / "tenant"
    file.write_text("two\n")

    async def main() -> None:
        exposer = Exposer()
        http = HttpClient(headers=(("X-Tenant", Secret("one")), ("X-Tenant", Secret(file=file))))
        async with serving(exposer) as target, connected(http) as connection:
            await get(connection, f"http://{target}/")
            file.write_text("three")
            await get(connection, f"http://{target}/")
        assert [r.headers.getall("X-Tenant") for r in exposer.requests] == [["one", "two"], ["one", "three"]]

    asyncio.run(main())


def test_a_user_name_may_stand_in_a_file(tmp_path: Path) -> None:
    """It is read anew each time, without its line end."""
    file = tmp_path / "user"
    file.write_text("ana\n")
    how = Authorization("Basic", Secret("p"), username_file=file)
    assert authorize(how) == f"Basic {base64.b64encode(b'ana:p').decode()}"
    file.write_text("rui")
    assert authorize(how) == f"Basic {base64.b64encode(b'rui:p').decode()}"
