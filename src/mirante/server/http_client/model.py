"""How requests are made, as frozen values: what Prometheus and Alertmanager call ``http_config``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Secret:
    """A password or token, given in the configuration or in a file that is read anew for every request."""

    text: str = field(default="", repr=False)
    file: Path | None = None

    def read(self) -> str:
        """The secret itself; a file's line end is not part of it.

        Raises:
            OSError: the file cannot be read.
        """
        return self.text if self.file is None else self.file.read_text(encoding="utf-8").strip()


@dataclass(frozen=True, slots=True)
class Authorization:
    """The ``Authorization`` header: ``Basic`` where there is a user name, otherwise ``type`` and the secret."""

    type: str
    secret: Secret
    username: str = ""
    username_file: Path | None = None

    def user(self) -> str:
        """The user name, which may stand in a file.

        Raises:
            OSError: the file cannot be read.
        """
        return Secret(self.username, self.username_file).read()


@dataclass(frozen=True, slots=True)
class Tls:
    """``tls_config``: whom to trust and what to show."""

    ca: str = ""
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    server_name: str = ""
    insecure_skip_verify: bool = False
    min_version: str = ""
    max_version: str = ""


@dataclass(frozen=True, slots=True)
class Proxy:
    """Through what requests go.

    Attributes:
        url: of the proxy; the empty string for none.
        exceptions: ``no_proxy``: hosts that are reached directly, separated by commas.
        from_environment: take ``http_proxy``, ``https_proxy`` and ``no_proxy`` of the environment instead.
        headers: sent to the proxy with CONNECT.
    """

    url: str = field(default="", repr=False)  # may hold a password
    exceptions: str = ""
    from_environment: bool = False
    headers: tuple[tuple[str, Secret], ...] = ()


@dataclass(frozen=True, slots=True)
class OAuth2:
    """The client credentials grant: a token is fetched from ``token_url`` and renewed before it expires."""

    client_id: str
    secret: Secret
    token_url: str
    scopes: tuple[str, ...] = ()
    params: tuple[tuple[str, str], ...] = ()
    tls: Tls = Tls()
    proxy: Proxy = Proxy()


@dataclass(frozen=True, slots=True)
class HttpClient:
    """How requests are made: what Prometheus calls ``http_config``.

    Attributes:
        headers: sent with every request; a name may stand there more than once.
    """

    authorization: Authorization | None = None
    oauth2: OAuth2 | None = None
    tls: Tls = Tls()
    proxy: Proxy = Proxy()
    follow_redirects: bool = True
    headers: tuple[tuple[str, Secret], ...] = ()


PLAIN = HttpClient()
"""Requests without anything special."""
