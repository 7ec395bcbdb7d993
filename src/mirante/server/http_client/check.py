"""What can be found wrong with a client before it is used: its files."""

from __future__ import annotations

from collections.abc import Iterator

from mirante.server.http_client.connection import check_tls
from mirante.server.http_client.model import HttpClient, Secret


def unusable(http: HttpClient) -> Iterator[str]:
    """What cannot be read of the files with secrets and certificates; nothing when all is well."""
    for secret in _secrets(http):
        yield from unreadable(secret)
    for tls in (http.tls, *([http.oauth2.tls] if http.oauth2 else [])):
        try:
            check_tls(tls)
        except OSError as error:
            yield f"tls_config cannot be used: {error}"


def unreadable(secret: Secret) -> Iterator[str]:
    """Why a secret cannot be read; nothing when it can."""
    try:
        secret.read()
    except OSError as error:
        yield f"{secret.file} cannot be read: {error.strerror}"


def _secrets(http: HttpClient) -> Iterator[Secret]:
    if http.authorization is not None:
        yield http.authorization.secret
        yield Secret(file=http.authorization.username_file)
    if http.oauth2 is not None:
        yield http.oauth2.secret
    yield from (secret for _, secret in http.headers)
