"""The SDK's own table: what an application can say about its telemetry."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from mirante.config.parsers import Parser, headers, milliseconds, one_of
from mirante.config.table import EnvName, lenient, setting


def sent_headers(signal: str, what: str) -> Any:  # noqa: ANN401 - a dataclass field stands in for any type
    """The setting of what is sent with every request of an OTLP signal: ``metrics``, ``traces`` or ``logs``."""
    return setting(
        "",
        f"Headers sent with {what}, as `key=value,key=value`, percent-encoded.",
        env=_of_signal(signal, "HEADERS", headers, "", secret=True),
        parse=headers,
        secret=True,
    )


def sent_compression(signal: str) -> Any:  # noqa: ANN401 - a dataclass field stands in for any type
    """The setting of how the requests of an OTLP signal are compressed."""
    parse = one_of("gzip", "none")
    env = _of_signal(signal, "COMPRESSION", parse, "gzip")
    return setting("gzip", "Compression of what is sent: `gzip` or `none`.", env=env, parse=parse)


def _of_signal(signal: str, name: str, parse: Parser, default: object, *, secret: bool = False) -> tuple[EnvName, ...]:
    """OpenTelemetry's variable of a signal, and the one of all signals, which it wins over."""
    prefix = "OTEL_EXPORTER_OTLP_"
    names = (f"{prefix}{signal.upper()}_{name}", prefix + name)
    return tuple(lenient(one, parse, default, secret=secret) for one in names)


def days(value: object) -> float:
    """A number of days above zero.

    Raises:
        ValueError: it is none.

    Example:
        >>> days("1.5")
        1.5
    """
    try:
        number = float(str(value))
    except ValueError:
        number = 0.0
    if isinstance(value, bool) or not 0 < number < float("inf"):
        raise ValueError("expected a number of days above zero")
    return number


def webhook(value: object) -> str:
    """The URL of a webhook; it is a secret, so that no error repeats it.

    Raises:
        ValueError: it is none.
    """
    url = urlsplit(str(value).strip())
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError("expected a URL such as https://hooks.slack.com/services/...")
    return str(value).strip()


def email(value: object) -> str:
    """One address, or several separated by commas.

    Raises:
        ValueError: one of them is none.

    Example:
        >>> email("ops@example.org,dev@example.org")
        'ops@example.org, dev@example.org'
    """
    addresses = [one.strip() for one in str(value).split(",")]
    for address in addresses:
        name, at, host = address.rpartition("@")
        if not (name and at and host) or any(character.isspace() for character in address):
            raise ValueError("expected an e-mail address such as ops@example.org, or several separated by commas")
    return ", ".join(addresses)


class RetentionRequest(NamedTuple):
    """How long the server is asked to keep what it gets.

    Attributes:
        metrics_days: days that metrics are kept, or None where nothing was said.
    """

    metrics_days: float | None


class PushgatewayTarget(NamedTuple):
    """A Pushgateway that gets the metrics too.

    Attributes:
        url: where it is, or None.
        job_name: value of the label ``job`` there.
    """

    url: str | None
    job_name: str


class ExporterTargets(NamedTuple):
    """Where the telemetry goes.

    Attributes:
        endpoint: base URL of the server, or None.
        pushgateway: the Pushgateway.
    """

    endpoint: str | None
    pushgateway: PushgatewayTarget


@dataclass(frozen=True, slots=True)
class AlertRequest:
    """Who the server is asked to tell of alerts, where its own configuration does not say.

    Attributes:
        slack_webhook: URL of a Slack webhook, or the empty string.
        email: addresses separated by commas, or the empty string.
    """

    slack_webhook: str = field(repr=False)
    email: str


@dataclass(frozen=True)
class SdkSettings:
    """What an application can say about its own telemetry."""

    service_name: str = setting(
        "unknown_service", "Name of the service; becomes the `job` label.", env=("OTEL_SERVICE_NAME",)
    )
    endpoint: str | None = setting(
        None,
        "Base URL of the server that takes telemetry; nothing is sent without it.",
        env=("OTEL_EXPORTER_OTLP_ENDPOINT",),
    )
    otlp_protocol: str = setting(
        "http/protobuf",
        "How telemetry is sent: `http/protobuf`, which every OTLP receiver takes.",
        env=(lenient("OTEL_EXPORTER_OTLP_PROTOCOL", one_of("http/protobuf"), "http/protobuf"),),
        parse=one_of("http/protobuf"),
    )
    otlp_certificate: Path | None = setting(
        None,
        "Certificates (PEM) of those who are trusted to take telemetry; the system's when not given.",
        env=("OTEL_EXPORTER_OTLP_CERTIFICATE",),
    )
    otlp_client_certificate: Path | None = setting(
        None, "Certificate chain (PEM) that is shown to them.", env=("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",)
    )
    otlp_client_key: Path | None = setting(
        None,
        "Its private key (PEM), where it is not in the same file.",
        env=("OTEL_EXPORTER_OTLP_CLIENT_KEY",),
    )
    token: str = setting("", "Token that the server asks for, sent as `Authorization: Bearer`.", secret=True)
    metrics_exporter: str = setting(
        "otlp",
        "Where metrics go besides being scraped: `otlp` or `none`.",
        env=(lenient("OTEL_METRICS_EXPORTER", one_of("otlp", "none"), "otlp"),),
        parse=one_of("otlp", "none"),
    )
    metrics_endpoint: str | None = setting(
        None,
        "The whole URL that takes metrics; the server's `/v1/metrics` when not given.",
        env=("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",),
    )
    metrics_headers: str = sent_headers("metrics", "metrics")
    metrics_compression: str = sent_compression("metrics")
    push_gateway: str | None = setting(
        None,
        "URL of a Prometheus Pushgateway that gets the metrics too, in a group by job and instance.",
        env=("PROMETHEUS_PUSH_GATEWAY",),
    )
    push_job_name: str = setting("", "Job of what the Pushgateway gets; the service's name when not given.")
    export_interval: float = setting(
        15.0, "Seconds between two exports of metrics.", env=(EnvName("OTEL_METRIC_EXPORT_INTERVAL", milliseconds),)
    )
    export_timeout: float = setting(
        10.0,
        "Seconds that one export may take.",
        env=(
            EnvName("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", milliseconds),
            EnvName("OTEL_EXPORTER_OTLP_TIMEOUT", milliseconds),
        ),
    )
    shutdown_timeout: float = setting(2.0, "Seconds that leaving the process may be delayed to deliver what is left.")
    integrations: str = setting(
        "all", "Libraries that are monitored: `all`, `none` or names separated by commas; `-name` leaves one out."
    )
    uncaught_exceptions: bool = setting(True, "Whether exceptions that nobody catches are logged.")
    disabled: bool = setting(False, "Turn all telemetry off.", env=("OTEL_SDK_DISABLED",))
    resource_attributes: str = setting(
        "", "Attributes of the process, as `key=value,key=value`, percent-encoded.", env=("OTEL_RESOURCE_ATTRIBUTES",)
    )
    metrics_retention_days: float | None = setting(
        None, "Days that the server is asked to keep metrics; its own retention holds when not given.", parse=days
    )
    alert_slack_webhook: str = setting(
        "",
        "Slack webhook that the server is asked to tell of alerts, where its own configuration names no receiver.",
        parse=webhook,
        secret=True,
    )
    alert_email: str = setting(
        "",
        "E-mail addresses, separated by commas, that the server is asked to tell of alerts in the same way.",
        parse=email,
    )

    @property
    def retention(self) -> RetentionRequest:
        """How long the server is asked to keep what it gets."""
        return RetentionRequest(self.metrics_retention_days)

    @property
    def exporters(self) -> ExporterTargets:
        """Where the telemetry goes."""
        job = self.push_job_name or self.service_name
        return ExporterTargets(self.endpoint, PushgatewayTarget(self.push_gateway, job))

    @property
    def alerts(self) -> AlertRequest:
        """Who the server is asked to tell of alerts."""
        return AlertRequest(self.alert_slack_webhook, self.alert_email)
