"""What is said in code, piece by piece, counts like an argument of configure, and reaches the server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import mirante
from mirante import alerts, config
from mirante.alerts import Alert
from mirante.configure import _State, wishes
from mirante.errors import ConfigError
from mirante.exporters.metric_push import pushgateway
from mirante.metrics import Registry
from tests.sdk.settings_receiver import SettingsReceiver, receiving_settings

pytestmark = pytest.mark.usefixtures("nothing_said")

DOWN = Alert("Down", "up == 0", "critical")
HOOK = "https://hooks.slack.com/services/x"


@pytest.fixture
def receiver() -> Iterator[SettingsReceiver]:
    """A server."""
    with receiving_settings() as found:
        yield found


def test_configuration_in_code() -> None:
    """Each function says its part; what the others said stays."""
    config.set_metrics_retention(days=15)
    config.configure_exporter(push_gateway="http://127.0.0.1:9091", job_name="core")
    config.configure_exporter(interval="30s")
    config.configure_alerts(slack_webhook=HOOK, email="ops@example.org,dev@example.org")
    settings = config.current()
    assert settings.retention.metrics_days == 15
    assert settings.exporters.pushgateway == ("http://127.0.0.1:9091", "core")
    assert settings.alerts.slack_webhook == HOOK
    assert settings.alerts.email == "ops@example.org, dev@example.org"
    assert settings.export_interval == 30.0
    config.reset()
    assert config.current() == config.SdkSettings()


def test_secrets_stand_in_no_repr() -> None:
    """The token and the webhook's URL are not to land in a log by accident."""
    settings = mirante.configure("shop", disabled=True, token="geheim", alert_slack_webhook=HOOK)  # noqa: S106
    assert "geheim" not in repr(settings)
    assert "hooks.slack.com" not in repr((settings, settings.alerts))


@pytest.mark.parametrize("days", [0, -1, "soon", float("inf"), True])
def test_a_wrong_word_is_refused_where_it_is_said(days: float) -> None:
    """And counts for nothing."""
    with pytest.raises(ConfigError, match="metrics_retention_days = .* expected a number of days above zero"):
        config.set_metrics_retention(days=days)
    with pytest.raises(ConfigError, match="alert_slack_webhook = <secret> cannot be used"):
        config.configure_alerts(slack_webhook="ftp://secret")
    with pytest.raises(ConfigError, match="alert_email = 'ops' cannot be used"):
        config.configure_alerts(email="ops")
    assert config.current().retention.metrics_days is None


def test_code_wins_over_the_environment_and_configures_own_arguments_over_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One table, one precedence; what is in force is what current gives."""
    monkeypatch.setenv("MIRANTE_METRICS_RETENTION_DAYS", "5")
    monkeypatch.setenv("MIRANTE_EXPORT_INTERVAL", "5")
    assert config.current().retention.metrics_days == 5
    config.set_metrics_retention(days=6)
    config.configure_exporter(timeout=3)
    in_force = mirante.configure("shop", metrics_retention_days=7)
    assert (in_force.metrics_retention_days, in_force.export_interval, in_force.export_timeout) == (7, 5, 3)
    assert config.current() is in_force
    mirante.disable()
    assert config.current().retention.metrics_days == 6


def test_what_is_said_later_is_in_force_at_once(receiver: SettingsReceiver) -> None:
    """The telemetry that runs is set up anew; with a word that cannot be used, it goes on as it was."""
    before = mirante.configure("shop", registry=Registry())
    config.configure_exporter(push_gateway=receiver.url, job_name="core")
    running = _State.running
    assert running is not None
    assert config.current() is running.settings is not before
    assert len(running.pushes) == 1
    with pytest.raises(ConfigError, match="cannot be used: expected a URL"):
        config.configure_exporter(push_gateway="ftp://nowhere")
    assert config.current().exporters.pushgateway.url == receiver.url
    assert _State.running is not None
    config.reset()
    assert config.current().exporters.pushgateway.url is None


def test_the_job_at_the_pushgateway_is_the_service_unless_said_otherwise() -> None:
    """By ``job_name``."""
    settings = config.SdkSettings(service_name="shop", push_gateway="http://127.0.0.1:9")
    assert getattr(pushgateway(settings), "path", "").startswith("/metrics/job/shop/")
    config.configure_exporter(push_gateway="http://127.0.0.1:9", job_name="core")
    assert getattr(pushgateway(config.current()), "path", "").startswith("/metrics/job/core/")


@pytest.mark.slow
def test_alerts_and_wishes_reach_the_server(receiver: SettingsReceiver) -> None:
    """Whether they were said before configure or after it; what is taken back is taken back there."""
    config.set_metrics_retention(days=15)
    mirante.configure("shop/web", endpoint=receiver.url, export_interval=0.05, registry=Registry())
    assert receiver.wait("PUT", "retention") == {"metrics_days": 15}
    alerts.register(DOWN)
    assert receiver.wait("PUT", "rules/shop%2Fweb") == {"groups": [{"name": "alerts", "rules": [DOWN.to_rule()]}]}
    alerts.unregister(DOWN)
    assert receiver.wait("DELETE", "rules/shop%2Fweb") is None
    config.configure_alerts(slack_webhook=HOOK)
    assert receiver.wait("PUT", "alerts") == {"slack_webhook": HOOK}


def test_a_short_program_asks_before_it_leaves(receiver: SettingsReceiver) -> None:
    """Or when it says flush; a thread's first round would come a second later."""
    alerts.register(DOWN)
    mirante.configure("shop", endpoint=receiver.url, registry=Registry(), shutdown_timeout=60)
    assert mirante.flush(60)
    assert [one.path for one in receiver.asked] == ["rules/shop"]
    config.set_metrics_retention(days=1)
    assert mirante.shutdown()
    assert [one.path for one in receiver.asked].count("retention") == 1


def test_without_a_server_nothing_is_asked() -> None:
    """Of whom? Nor is it in a forked child."""
    alerts.register(DOWN)
    mirante.configure("shop", registry=Registry())
    assert _State.running is not None
    assert _State.running.asking is None
    _State.running.in_child()
    assert _State.running.asking is None


def test_a_forked_child_goes_on_asking(receiver: SettingsReceiver) -> None:
    """Only for what is said in the child; its parent's thread is not there."""
    config.set_metrics_retention(days=15)
    mirante.configure("shop", endpoint=receiver.url, registry=Registry(), metrics_exporter="none", shutdown_timeout=60)
    assert mirante.flush(60)
    running = _State.running
    assert running is not None
    before = running.asking
    assert before is not None
    assert before.stop(flush=False)
    running.in_child()
    alerts.register(DOWN)
    assert mirante.flush(60)
    assert running.asking is not before
    assert [one.path for one in receiver.asked] == ["retention", "rules/shop"]


def test_what_is_said_of_nothing_is_not_asked_for() -> None:
    """An application that says nothing leaves the server's settings alone."""
    assert set(wishes(config.SdkSettings()).values()) == {None}
