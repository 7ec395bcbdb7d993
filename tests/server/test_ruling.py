"""The address in links: one that whoever reads a notification can open."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from mirante.server.ruling import external_url
from mirante.server.settings import ServerSettings

HERE = socket.gethostname()


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        (ServerSettings(), "http://127.0.0.1:8503"),
        (ServerSettings(host="10.0.0.7"), "http://10.0.0.7:8503"),
        (ServerSettings(host="::1"), "http://[::1]:8503"),
        (ServerSettings(host="0.0.0.0"), f"http://{HERE}:8503"),
        (ServerSettings(host="::", tls_cert=Path("cert.pem")), f"https://{HERE}:8503"),
        (ServerSettings(web_external_url="https://mirante.example/x"), "https://mirante.example/x"),
    ],
)
def test_links_lead_to_where_the_server_listens(settings: ServerSettings, url: str) -> None:
    """The host's name only where it listens on every address: on loopback nothing answers under that name."""
    assert external_url(settings, 8503) == url
