"""Where rules come from, and the address in links: one that whoever reads a notification can open."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from mirante.server.application_settings import ApplicationSettings
from mirante.server.ruling import RuleSources, external_url
from mirante.server.scrape.config import read_config
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


def test_patterns_without_a_file_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """They are no error, as in Prometheus; but a name that is misspelled would never alert anybody."""
    (tmp_path / "there.yml").write_text("groups: []")
    config = tmp_path / "prometheus.yml"
    config.write_text("rule_files: [there.yml, gone.yml]")
    settings = ServerSettings(shipped_rules="none")
    sources = RuleSources(settings, lambda: read_config(config), ApplicationSettings(tmp_path / "asked"), "")
    assert sources.read().rules.groups == ()
    assert caplog.messages == [f"rule_files: no file matches {tmp_path}/gone.yml"]
