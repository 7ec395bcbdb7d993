"""What an application says of its telemetry in code, piece by piece: ``config.set_metrics_retention(days=15)``.

Such a word counts like an argument of ``mirante.configure``, whose own arguments win over it. It is in force at once:
where telemetry runs already, it is set up anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mirante.config.sdk import SdkSettings
from mirante.config.table import resolve


class _Said:
    """Replaced whole, never changed in place: a reader on another thread sees one state or the other."""

    values: Mapping[str, object] = {}
    in_force: SdkSettings | None = None
    changed: Callable[[], object] | None = None


def set_metrics_retention(*, days: float) -> None:
    """Ask the server to keep metrics for so long.

    Args:
        days: above zero; a fraction is part of a day.

    Raises:
        ConfigError: it is no number of days.

    Example:
        >>> set_metrics_retention(days=15)
        >>> current().retention.metrics_days
        15.0
        >>> reset()
    """
    _say(metrics_retention_days=days)


def configure_exporter(
    *,
    push_gateway: str | None = None,
    job_name: str | None = None,
    endpoint: str | None = None,
    interval: float | str | None = None,
    timeout: float | str | None = None,
) -> None:
    """Say where the telemetry goes; what is not given stays as it is.

    Args:
        push_gateway: URL of a Prometheus Pushgateway that gets the metrics too.
        job_name: value of the label ``job`` there; the service's name when never said.
        endpoint: base URL of the server.
        interval: seconds between two exports of metrics, or a duration such as ``30s``.
        timeout: seconds that one export may take, or a duration.

    Raises:
        ConfigError: one of them cannot be used.

    Example:
        >>> configure_exporter(push_gateway="http://127.0.0.1:9091", job_name="core")
        >>> current().exporters.pushgateway
        PushgatewayTarget(url='http://127.0.0.1:9091', job_name='core')
        >>> reset()
    """
    _say(
        push_gateway=push_gateway,
        push_job_name=job_name,
        endpoint=endpoint,
        export_interval=interval,
        export_timeout=timeout,
    )


def configure_alerts(*, slack_webhook: str | None = None, email: str | None = None) -> None:
    """Ask the server to tell of alerts in these ways, where its own configuration names no receiver.

    Args:
        slack_webhook: URL of a Slack webhook.
        email: an address, or several separated by commas.

    Raises:
        ConfigError: one of them cannot be used.

    Example:
        >>> configure_alerts(slack_webhook="https://hooks.slack.com/services/x", email="ops@example.org")
        >>> current().alerts
        AlertRequest(email='ops@example.org')
        >>> reset()
    """
    _say(alert_slack_webhook=slack_webhook, alert_email=email)


def current() -> SdkSettings:
    """The settings in force: those of ``mirante.configure``, or, before it is called, what it would start with.

    Raises:
        ConfigError: a variable of the environment cannot be used.
    """
    return _Said.in_force or resolve(SdkSettings, code=_Said.values)


def reset() -> None:
    """Forget what was said by these functions: for tests, and for programs that say it anew."""
    _Said.values = {}
    if _Said.changed is not None:
        _Said.changed()


def declared() -> Mapping[str, object]:
    """What was said by these functions, by key of the table."""
    return _Said.values


def publish(settings: SdkSettings | None, changed: Callable[[], object] | None) -> None:
    """What telemetry runs with, and whom to call when something else is said; None for both when it has stopped."""
    _Said.in_force, _Said.changed = settings, changed


def _say(**values: object) -> None:
    given = {key: value for key, value in values.items() if value is not None}
    resolve(SdkSettings, code=given, environ={})  # refuse here and now what cannot be used
    before = _Said.values
    _Said.values = {**before, **given}
    if _Said.changed is None:
        return
    try:
        _Said.changed()
    except BaseException:
        _Said.values = before
        raise
