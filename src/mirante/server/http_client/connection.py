"""HTTP connections as a ``http_config`` asks for them: TLS, credentials, proxies, headers.

Secrets that stand in files are read for every request, so that they can be rotated.
"""

from __future__ import annotations

import base64
import ssl
import time
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlencode, urlsplit

import aiohttp
import yarl
from multidict import CIMultiDict

from mirante._core.version import version
from mirante.errors import HttpClientError
from mirante.server.http_client.model import Authorization, HttpClient, OAuth2, Proxy, Tls

USER_AGENT = f"mirante/{version()}"

_KEEP_ALIVE_SECONDS = 300.0
_TOKEN_MARGIN_SECONDS = 10.0  # a token is renewed this long before it expires
_TLS_VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}


class Connection:
    """Makes requests in one way; connections are kept between them.

    Raises:
        OSError: a certificate file cannot be read (``ssl.SSLError`` is one too).
    """

    def __init__(self, http: HttpClient) -> None:
        self._http = http
        self._tokens = TokenSource(http.oauth2) if http.oauth2 else None
        self._sessions = Sessions(http.tls)

    async def close(self) -> None:
        """Close the connections."""
        await self._sessions.close()
        if self._tokens is not None:
            await self._tokens.close()

    @asynccontextmanager
    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Any request; the body of the answer comes as it was sent, packed or not.

        Raises:
            HttpClientError: no token could be had for it.
            OSError: a secret's file cannot be read.
            aiohttp.ClientError: no answer.
        """
        sent = CIMultiDict(headers)
        for name, secret in self._http.headers:
            sent.add(name, secret.read())
        if self._tokens is not None:
            sent["Authorization"] = f"Bearer {await self._tokens.token()}"
        elif self._http.authorization is not None:
            sent["Authorization"] = authorize(self._http.authorization)
        route = _route(self._http.proxy, url)
        request = self._sessions.session.request(
            method,
            yarl.URL(url, encoded=True),
            headers=sent,
            data=body,
            allow_redirects=self._http.follow_redirects,
            server_hostname=self._http.tls.server_name or None,
            proxy=route.proxy,
            proxy_headers=route.headers,
        )
        async with request as answer:
            yield answer


class TokenSource:
    """Fetches OAuth 2.0 tokens by the client credentials grant (RFC 6749, section 4.4)."""

    def __init__(self, oauth2: OAuth2) -> None:
        self._oauth2 = oauth2
        self._sessions = Sessions(oauth2.tls)
        self._token, self._expires = "", 0.0

    async def close(self) -> None:
        """Close the connections."""
        await self._sessions.close()

    async def token(self) -> str:
        """A token that is valid for some time yet.

        Raises:
            HttpClientError: the token URL gives none, with its reason.
        """
        if time.monotonic() >= self._expires:
            secret = self._oauth2.secret.read()
            # A server takes the credentials in the header or in the form: the header is what the standard prefers.
            answer = await self._ask(_basic(self._oauth2.client_id, secret), {})
            if "access_token" not in answer:
                form = {"client_id": self._oauth2.client_id, "client_secret": secret}
                answer = await self._ask(None, form)
            if "access_token" not in answer:
                reason = answer.get("error_description") or answer.get("error") or "no access_token in the answer"
                raise HttpClientError(f"oauth2: no token from {self._oauth2.token_url}: {reason}")
            self._token = str(answer["access_token"])
            self._expires = time.monotonic() + float(answer.get("expires_in") or 0) - _TOKEN_MARGIN_SECONDS
        return self._token

    async def _ask(self, authorization: str | None, form: Mapping[str, str]) -> Mapping[str, Any]:
        fields = {"grant_type": "client_credentials", **form, **dict(self._oauth2.params)}
        if self._oauth2.scopes:
            fields["scope"] = " ".join(self._oauth2.scopes)
        route = _route(self._oauth2.proxy, self._oauth2.token_url)
        request = self._sessions.session.post(
            self._oauth2.token_url,
            data=urlencode(fields),
            headers={
                "Content-Type": "application/x-www-form-urlencoded",
                **({"Authorization": authorization} if authorization else {}),
            },
            proxy=route.proxy,
            proxy_headers=route.headers,
        )
        async with request as answer:
            try:
                found = await answer.json(content_type=None)
            except ValueError:
                found = None
            return found if isinstance(found, dict) else {"error": f"HTTP status {answer.status}"}


def authorize(how: Authorization) -> str:
    """The ``Authorization`` header.

    Raises:
        OSError: the file of the secret or of the user name cannot be read.
    """
    secret = how.secret.read()
    return _basic(how.user(), secret) if how.type == "Basic" else f"{how.type} {secret}"


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def proxy_for(proxy: Proxy, url: str) -> str:
    """URL of the proxy through which that URL is reached, or the empty string.

    Example:
        >>> proxy_for(Proxy("http://proxy:3128", exceptions="localhost,.internal"), "http://db.internal:9100/metrics")
        ''
    """
    found, exceptions = proxy.url, proxy.exceptions
    if proxy.from_environment:
        environment = urllib.request.getproxies()
        found, exceptions = environment.get(urlsplit(url).scheme, ""), environment.get("no", "")
    return "" if found and _is_exempt(urlsplit(url), exceptions) else found


def _is_exempt(url: SplitResult, exceptions: str) -> bool:
    """Whether ``no_proxy`` names the host: as itself, by a domain above it, by a network, with a port or by ``*``."""
    host = (url.hostname or "").lower()
    for entry in (text.strip().lower() for text in exceptions.split(",")):
        name, _, port = entry.rpartition(":") if entry.count(":") == 1 else (entry, "", "")
        domain = name.lstrip("*").lstrip(".")
        if entry == "*":
            return True
        if port and port != str(url.port):
            continue
        if domain and (host == domain or host.endswith(f".{domain}")):
            return True
        with suppress(ValueError):
            if ip_address(host) in ip_network(name, strict=False):
                return True
    return False


class _Route(NamedTuple):
    """By which proxy a request goes."""

    proxy: str | None = None
    headers: CIMultiDict[str] | None = None


def _route(proxy: Proxy, url: str) -> _Route:
    found = proxy_for(proxy, url)
    if not found:
        return _Route()
    return _Route(found, CIMultiDict((name, secret.read()) for name, secret in proxy.headers))


def check_tls(tls: Tls) -> None:
    """Try the files of a ``tls_config``.

    Raises:
        OSError: one cannot be used (``ssl.SSLError`` is one too).
    """
    tls_context(tls)


class Sessions:
    """A session that is opened when it is first needed: what was built and never used leaves nothing to close.

    When the files of its certificates change, another session takes its place; files that do not fit together leave the
    one that works.
    """

    def __init__(self, tls: Tls) -> None:
        self._tls, self._context = tls, _context_or_default(tls)
        self._signature = _signature(tls)
        self._opened: aiohttp.ClientSession | None = None
        self._retired: list[aiohttp.ClientSession] = []  # requests may be under way; idle connections end by themselves

    @property
    def session(self) -> aiohttp.ClientSession:
        """The session, for use in the running event loop."""
        signature = _signature(self._tls)
        if signature != self._signature:
            with suppress(OSError):
                self._context, self._signature = _context_or_default(self._tls), signature
                self._retired += [self._opened] if self._opened else []
                self._opened = None
        if self._opened is None:
            self._opened = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ssl=self._context, keepalive_timeout=_KEEP_ALIVE_SECONDS),
                timeout=aiohttp.ClientTimeout(total=None),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
            )
        return self._opened

    async def close(self) -> None:
        """Close what was opened; the next use opens another."""
        opened, self._opened, self._retired = [*self._retired, self._opened], None, []
        for session in opened:
            if session is not None:
                await session.close()


def _signature(tls: Tls) -> tuple[tuple[int, int], ...]:
    """What tells whether the files have changed."""
    found = []
    for file in filter(None, (tls.ca_file, tls.cert_file, tls.key_file)):
        with suppress(OSError):
            status = file.stat()
            found.append((status.st_mtime_ns, status.st_ino))
    return tuple(found)


def _context_or_default(tls: Tls) -> ssl.SSLContext | bool:
    """True is aiohttp's own context, which all sessions share: making one takes 20 ms."""
    return True if tls == Tls() else tls_context(tls)


def tls_context(tls: Tls) -> ssl.SSLContext:
    """What ``tls_config`` asks of connections.

    Raises:
        OSError: a file cannot be used (``ssl.SSLError`` is one too).
    """
    context = ssl.create_default_context(cafile=tls.ca_file, cadata=tls.ca or None)
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.cert_file is not None:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    if tls.min_version:
        context.minimum_version = _TLS_VERSIONS[tls.min_version]
    if tls.max_version:
        context.maximum_version = _TLS_VERSIONS[tls.max_version]
    return context
