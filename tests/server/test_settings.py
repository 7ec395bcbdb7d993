"""The server's settings from every source."""

from __future__ import annotations

from pathlib import Path

import pytest

from mirante.config import resolve
from mirante.errors import ConfigError
from mirante.server.keeping import flags_of
from mirante.server.settings import PatternRetention, ServerSettings


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


def test_the_retention_of_each_signal() -> None:
    """Durations, 0 for ever, days as users of Prometheus stacks set them; patterns as text or as a list."""
    environ = {"PROMETHEUS_RETENTION_DAYS": "90", "MIRANTE_RETENTION_METRIC_PATTERNS": "debug_.*=1d slo=x_.*=0"}
    found = resolve(ServerSettings, code={"retention.logs": "36h", "retention.size": "50GB"}, environ=environ).retention
    assert (found.metrics, found.logs, found.size) == (90 * 86_400, 36 * 3600, 50 << 30)
    assert found.metric_patterns == (PatternRetention("debug_.*", 86_400.0), PatternRetention("slo=x_.*", 0.0))
    again = resolve(ServerSettings, code={"retention.metric_patterns": found.metric_patterns}, environ={})
    assert again.retention.metric_patterns == found.metric_patterns


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("retention.logs", -1, "expected a duration such as 30d"),
        ("retention.metric_patterns", "debug_.*", "is no pattern=duration"),
        ("retention.metric_patterns", "(=1d", "is no regular expression"),
        ("retention.metric_patterns", 5, "expected a list"),
        ("retention.size", "big", "not a valid size"),
        ("retention.size", True, "whole number"),
        ("min_free_disk", "100%", "a share below 100%"),
        ("min_free_disk", "much", "not a valid size"),
    ],
)
def test_what_cannot_be_kept(key: str, value: object, words: str) -> None:
    """The error names key and value."""
    with pytest.raises(ConfigError, match=words):
        resolve(ServerSettings, code={key: value}, environ={})


@pytest.mark.parametrize("text", ["auto", "5%", "2GB"])
def test_the_reserve_of_the_disk(text: str) -> None:
    """A share, a size, or our choice."""
    assert resolve(ServerSettings, code={"min_free_disk": text}, environ={}).min_free_disk == text


def test_alerts_can_be_routed_by_the_variables_that_users_of_prometheus_stacks_set() -> None:
    """``ALERT_SLACK_WEBHOOK`` and ``ALERTMANAGER_URL``; the webhook is a secret and stands in no ``repr``."""
    environ = {
        "ALERT_SLACK_WEBHOOK": "https://hooks.slack.com/services/T/B/x",
        "ALERTMANAGER_URL": "http://127.0.0.1:9093/, http://127.0.0.1:9094",
        "MIRANTE_WEB_EXTERNAL_URL": "https://mirante.example.org/",
        "MIRANTE_ALERTING_EMAIL": "ops@example.org,dev@example.org",
        "MIRANTE_ALERTING_SMARTHOST": "mail.example.org:587",
    }
    got = resolve(ServerSettings, environ=environ)
    assert got.alertmanager == ("http://127.0.0.1:9093", "http://127.0.0.1:9094")
    assert got.web_external_url == "https://mirante.example.org"
    assert got.alerting.slack_webhook == "https://hooks.slack.com/services/T/B/x"
    assert got.alerting.email == "ops@example.org, dev@example.org"
    assert got.alerting.smarthost == "mail.example.org:587"
    assert "hooks.slack.com" not in repr(got)
    assert flags_of(got)["alerting-slack-webhook"] == "<secret>"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("alerting.slack_webhook", "ftp://hooks.slack.com/secret"),
        ("alerting.email", "nobody"),
        ("alerting.smarthost", "mail.example.org"),
        ("alertmanager", "127.0.0.1:9093"),
        ("web_external_url", "mirante.example.org"),
    ],
)
def test_a_route_that_cannot_be_is_refused_without_its_secret(key: str, value: str) -> None:
    """The error names the key; what is secret is not repeated."""
    with pytest.raises(ConfigError, match=key) as caught:
        resolve(ServerSettings, code={key: value}, environ={})
    assert "secret" not in str(caught.value).replace("<secret>", "")
