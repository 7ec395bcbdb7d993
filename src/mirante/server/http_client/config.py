"""The HTTP client's part of a configuration: credentials, TLS, proxies, headers.

Source: prometheus.io, "Configuration", sections ``http_config``, ``tls_config`` and ``oauth2``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from mirante.server.http_client.model import Authorization, HttpClient, OAuth2, Proxy, Secret, Tls
from mirante.server.yaml_reader import Section, Value

_VERSIONS = ("TLS10", "TLS11", "TLS12", "TLS13")
_RESERVED_HEADERS = frozenset({
    "authorization", "host", "content-encoding", "content-length", "content-type", "user-agent", "connection",
    "keep-alive", "proxy-authenticate", "proxy-authorization", "www-authenticate", "accept-encoding",
    "x-prometheus-remote-write-version", "x-prometheus-remote-read-version", "x-prometheus-scrape-timeout-seconds",
    "x-amz-date", "x-amz-security-token", "x-amz-content-sha256",
})  # fmt: skip


def read_http(section: Section, folder: Path) -> HttpClient:
    """Take the keys of the HTTP client; relative paths start at ``folder``."""
    ways = [
        section.take("basic_auth", lambda v: _read_basic(v, folder), None),
        section.take("authorization", lambda v: _read_authorization(v, folder), None),
        *_read_bearer(section, folder),
    ]
    found = [way for way in ways if way is not None]
    oauth2 = section.take("oauth2", lambda v: _read_oauth2(v, folder), None)
    if len(found) + (oauth2 is not None) > 1:
        section.value.fail(
            "at most one of basic_auth, authorization, oauth2, bearer_token and bearer_token_file may be given"
        )
    section.take("enable_http2", Value.flag, True)  # only allows it; requests here speak HTTP/1.1
    return HttpClient(
        authorization=found[0] if found else None,
        oauth2=oauth2,
        tls=section.take("tls_config", lambda v: read_tls(v, folder), Tls()),
        proxy=_read_proxy(section),
        follow_redirects=section.take("follow_redirects", Value.flag, True),
        headers=section.take("http_headers", lambda v: tuple(_read_headers(v, folder)), ()),
    )


def read_url(value: Value) -> str:
    """An absolute http or https URL."""
    url = value.text()
    if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
        value.fail(f'expected a URL such as http://host:port/path, got "{url}"')
    return url


def _read_basic(value: Value, folder: Path) -> Authorization:
    section = value.section()
    user = read_secret(section, "username", "username_file", folder)
    secret = read_secret(section, "password", "password_file", folder)
    section.finish()
    return Authorization("Basic", secret, user.text, user.file)


def _read_authorization(value: Value, folder: Path) -> Authorization:
    section = value.section()
    kind = section.take("type", lambda v: v.text().strip(), "Bearer")
    if kind.lower() == "basic":
        value.fail('authorization type cannot be set to "basic", use basic_auth instead')
    secret = read_secret(section, "credentials", "credentials_file", folder)
    section.finish()
    return Authorization(kind, secret)


def _read_bearer(section: Section, folder: Path) -> list[Authorization | None]:
    text = section.take("bearer_token", Value.text, "")
    file = section.take("bearer_token_file", lambda v: folder / v.text(), None)
    return [
        Authorization("Bearer", Secret(text)) if text else None,
        Authorization("Bearer", Secret(file=file)) if file else None,
    ]


def _read_oauth2(value: Value, folder: Path) -> OAuth2:
    section = value.section()
    found = OAuth2(
        client_id=section.take("client_id", Value.text, ""),
        secret=read_secret(section, "client_secret", "client_secret_file", folder),
        token_url=section.take("token_url", read_url, ""),
        scopes=section.take("scopes", Value.texts, ()),
        params=section.take("endpoint_params", lambda v: tuple((k, t.text()) for k, t in v.section().rest()), ()),
        tls=section.take("tls_config", lambda v: read_tls(v, folder), Tls()),
        proxy=_read_proxy(section),
    )
    section.finish()
    for key in ("client_id", "token_url"):
        if not getattr(found, key):
            value.fail(f"oauth2 {key} must be configured")
    if found.secret == Secret():
        value.fail("either oauth2 client_secret or client_secret_file must be configured")
    return found


def _read_proxy(section: Section) -> Proxy:
    proxy = Proxy(
        url=section.take("proxy_url", read_url, ""),
        exceptions=section.take("no_proxy", Value.text, ""),
        from_environment=section.take("proxy_from_environment", Value.flag, False),
        headers=section.take("proxy_connect_header", lambda v: tuple(_read_connect_headers(v)), ()),
    )
    if proxy.from_environment and (proxy.url or proxy.exceptions):
        section.value.fail("if proxy_from_environment is true, proxy_url and no_proxy must not be given")
    if (proxy.exceptions or proxy.headers) and not (proxy.url or proxy.from_environment):
        section.value.fail("if no_proxy or proxy_connect_header is given, proxy_url must be given too")
    return proxy


def _read_connect_headers(value: Value) -> Iterator[tuple[str, Secret]]:
    for name, texts in value.section().rest():
        for text in texts.texts():
            yield name, Secret(text)


def _read_headers(value: Value, folder: Path) -> Iterator[tuple[str, Secret]]:
    for name, given in value.section().rest():
        if name.lower() in _RESERVED_HEADERS:
            given.fail(f'header "{name}" is set by other settings and cannot be given here')
        section = given.section()
        for key in ("values", "secrets"):
            yield from ((name, Secret(text)) for text in section.take(key, Value.texts, ()))
        yield from ((name, Secret(file=folder / text)) for text in section.take("files", Value.texts, ()))
        section.finish()


def read_secret(section: Section, text_key: str, file_key: str, folder: Path) -> Secret:
    """Take a secret given as text or as the path of a file, not both; the empty one where it is not given."""
    text = section.take(text_key, Value.text, "")
    file = section.take(file_key, lambda v: folder / v.text(), None)
    if text and file:
        section.value.fail(f"at most one of {text_key} and {file_key} may be given")
    section.refuse(f"{text_key}_ref")
    return Secret(text, file)


def read_tls(value: Value, folder: Path) -> Tls:
    """Whom to trust and what to show; relative paths start at ``folder``."""
    section = value.section()

    def path(key: str) -> Path | None:
        return section.take(key, lambda v: folder / v.text(), None)

    tls = Tls(
        ca=section.take("ca", Value.text, ""),
        ca_file=path("ca_file"),
        cert_file=path("cert_file"),
        key_file=path("key_file"),
        server_name=section.take("server_name", Value.text, ""),
        insecure_skip_verify=section.take("insecure_skip_verify", Value.flag, False),
        min_version=section.take("min_version", lambda v: v.one_of(_VERSIONS), ""),
        max_version=section.take("max_version", lambda v: v.one_of(_VERSIONS), ""),
    )
    section.refuse("cert", "key", "ca_ref", "cert_ref", "key_ref")
    section.finish()
    if tls.ca and tls.ca_file:
        value.fail("at most one of ca and ca_file may be given")
    if (tls.cert_file is None) != (tls.key_file is None):
        value.fail("cert_file and key_file must be given together")
    return tls
