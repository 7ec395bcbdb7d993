"""The HTTP client's part of a scrape configuration: credentials, TLS, redirects.

Source: prometheus.io, "Configuration", sections ``http_config`` and ``tls_config``.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from mirante.server.scrape.model import Authorization, Secret, Tls
from mirante.server.yaml_reader import Section, Value

_LATER = ("oauth2", "proxy_url", "no_proxy", "proxy_from_environment", "proxy_connect_header", "http_headers")
_VERSIONS = ("TLS10", "TLS11", "TLS12", "TLS13")


class HttpConfig(NamedTuple):
    """How requests are made."""

    authorization: Authorization | None
    tls: Tls
    follow_redirects: bool


def read_http(section: Section, folder: Path) -> HttpConfig:
    """Take the keys of the HTTP client; relative paths start at ``folder``."""
    ways = [
        section.take("basic_auth", lambda v: _read_basic(v, folder), None),
        section.take("authorization", lambda v: _read_authorization(v, folder), None),
        *_read_bearer(section, folder),
    ]
    found = [way for way in ways if way is not None]
    if len(found) > 1:
        section.value.fail("at most one of basic_auth, authorization, bearer_token and bearer_token_file may be given")
    tls = section.take("tls_config", lambda v: _read_tls(v, folder), Tls())
    redirects = section.take("follow_redirects", Value.flag, True)
    section.take("enable_http2", Value.flag, True)  # only allows it; scrapes here speak HTTP/1.1
    section.refuse(*_LATER)
    return HttpConfig(found[0] if found else None, tls, redirects)


def _read_basic(value: Value, folder: Path) -> Authorization:
    section = value.section()
    username = section.take("username", Value.text, "")
    secret = _read_secret(section, "password", "password_file", folder)
    section.refuse("username_file")
    section.finish()
    return Authorization("Basic", secret, username)


def _read_authorization(value: Value, folder: Path) -> Authorization:
    section = value.section()
    kind = section.take("type", lambda v: v.text().strip(), "Bearer")
    if kind.lower() == "basic":
        value.fail('authorization type cannot be set to "basic", use basic_auth instead')
    secret = _read_secret(section, "credentials", "credentials_file", folder)
    section.finish()
    return Authorization(kind, secret)


def _read_bearer(section: Section, folder: Path) -> list[Authorization | None]:
    text = section.take("bearer_token", Value.text, "")
    file = section.take("bearer_token_file", lambda v: folder / v.text(), None)
    return [
        Authorization("Bearer", Secret(text)) if text else None,
        Authorization("Bearer", Secret(file=file)) if file else None,
    ]


def _read_secret(section: Section, text_key: str, file_key: str, folder: Path) -> Secret:
    text = section.take(text_key, Value.text, "")
    file = section.take(file_key, lambda v: folder / v.text(), None)
    if text and file:
        section.value.fail(f"at most one of {text_key} and {file_key} may be given")
    section.refuse(f"{text_key}_ref")
    return Secret(text, file)


def _read_tls(value: Value, folder: Path) -> Tls:
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
