"""The server's settings from every source."""

from __future__ import annotations

from pathlib import Path

import pytest

from mirante.config import resolve
from mirante.errors import ConfigError
from mirante.server.settings import ServerSettings


def test_every_setting_can_come_from_the_environment(tmp_path: Path) -> None:
    """Text becomes what the setting is."""
    environ = {
        "MIRANTE_DATA": str(tmp_path),
        "MIRANTE_HOST": "::1",
        "MIRANTE_PORT": "0",
        "MIRANTE_HOST_METRICS": "off",
        "MIRANTE_LOG_LEVEL": "DEBUG",
        "MIRANTE_QUERY_TIMEOUT": "2m",
        "MIRANTE_QUERY_MAX_SAMPLES": "10",
        "MIRANTE_QUERY_MAX_CONCURRENCY": "2",
        "MIRANTE_QUERY_LOOKBACK_DELTA": "90",
    }
    got = resolve(ServerSettings, environ=environ)
    assert (got.data, got.host, got.port, got.host_metrics, got.log_level) == (tmp_path, "::1", 0, False, "debug")
    assert (got.query.timeout, got.query.max_samples, got.query.max_concurrency) == (120.0, 10, 2)
    assert got.query.lookback_delta == 90.0


def test_every_setting_can_come_from_the_file(tmp_path: Path) -> None:
    """Typed TOML values, sections as tables."""
    file = tmp_path / "mirante.toml"
    file.write_text('port = 9000\nlog_level = "error"\nhost_metrics = false\n[query]\ntimeout = 5\nmax_samples = 7\n')
    got = resolve(ServerSettings, environ={}, file=file)
    assert (got.port, got.log_level, got.host_metrics) == (9000, "error", False)
    assert (got.query.timeout, got.query.max_samples) == (5.0, 7)


@pytest.mark.parametrize(
    ("given", "port"), [("AUTO", "auto"), (False, "off"), ("off", "off"), (4317, "4317"), ("0", "0")]
)
def test_ports_of_otlp(given: object, port: str) -> None:
    """A number, or whether the usual one is taken."""
    assert resolve(ServerSettings, code={"otlp.grpc_port": given}, environ={}).otlp.grpc_port == port


@pytest.mark.parametrize("given", ["", "none", True, -1, 70_000])
def test_what_is_no_port_of_otlp(given: object) -> None:
    """The error says what may be said."""
    with pytest.raises(ConfigError, match="expected auto, off, a TCP port from 1 to 65535, or 0 for any free one"):
        resolve(ServerSettings, code={"otlp.http_port": given}, environ={})


@pytest.mark.parametrize("given", ["host.name, cloud.region,", ["host.name", "cloud.region"]])
def test_promoted_attributes(given: object) -> None:
    """Names separated by commas, or a list."""
    settings = resolve(ServerSettings, code={"otlp.promote_resource_attributes": given}, environ={})
    assert settings.otlp.promoted() == ("host.name", "cloud.region")
    assert ServerSettings().otlp.promoted() == ()
