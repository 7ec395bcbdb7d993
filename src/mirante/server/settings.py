"""The server's table of settings: each row is a flag, an environment variable and a key of ``mirante.toml``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from mirante.config import EnvName, email, one_of, seconds, setting, webhook, whole
from mirante.formats.size import parse_size


def _port(value: object) -> int:
    if isinstance(value, bool) or not str(value).isdecimal() or not 0 <= int(str(value)) <= 65535:
        raise ValueError("expected a TCP port from 1 to 65535, or 0 for any free one")
    return int(str(value))


def _positive_seconds(value: object) -> float:
    number = seconds(value)
    if not number > 0:
        raise ValueError("expected a duration above zero")
    return number


def _positive(value: object) -> int:
    number = int(str(value)) if not isinstance(value, bool) and str(value).isdecimal() else 0
    if number < 1:
        raise ValueError("expected a whole number above zero")
    return number


def _level(value: object) -> str:
    level = str(value).lower()
    if level not in {"debug", "info", "warning", "error"}:
        raise ValueError("expected debug, info, warning or error")
    return level


def _size(value: object) -> int:
    return parse_size(str(value)) if not isinstance(value, bool) else whole(0)(value)


@dataclass(frozen=True, slots=True)
class QuerySettings:
    """Limits of one query."""

    timeout: float = setting(120.0, "Longest time that a query may take, in seconds.", parse=_positive_seconds)
    max_samples: int = setting(50_000_000, "Most samples that one query may hold at once.", parse=_positive)
    max_concurrency: int = setting(4, "Queries that run at the same time; more wait.", parse=_positive)
    lookback_delta: float = setting(
        300.0, "How far back an instant selector looks for a sample, in seconds.", parse=_positive_seconds
    )
    cache_size: int = setting(
        128 << 20,
        "Memory for computed points that later queries use again as far as they are still true; 0 keeps none.",
        parse=_size,
    )


def _rate(value: object) -> float:
    number = float(str(value))
    if isinstance(value, bool) or not 0 <= number < float("inf"):
        raise ValueError("expected a number a second, or 0 for any")
    return number


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """What one sender may send: a token, or an address where no token is asked for."""

    bytes_per_second: float = setting(0.0, "Bytes a second, as they come; 0 for any.", parse=_rate)
    samples_per_second: float = setting(0.0, "Samples a second; 0 for any.", parse=_rate)
    spans_per_second: float = setting(0.0, "Spans a second; 0 for any.", parse=_rate)
    log_records_per_second: float = setting(0.0, "Log records a second; 0 for any.", parse=_rate)
    series: int = setting(0, "Series of the last hour or two; 0 for any.", parse=whole(0))


class PatternRetention(NamedTuple):
    """How long the metrics of some names are kept.

    Attributes:
        pattern: a regular expression for the whole name.
        seconds: how long, 0 for ever.
    """

    pattern: str
    seconds: float


def _kept(value: object) -> float:
    number = seconds(value)
    if not 0 <= number < float("inf"):
        raise ValueError("expected a duration such as 30d, or 0 for ever")
    return number


def _days(value: object) -> float:
    return _kept(float(str(value)) * 86_400)


def _patterns(value: object) -> tuple[PatternRetention, ...]:
    texts = value.split() if isinstance(value, str) else value
    if not isinstance(texts, Iterable):
        raise ValueError("expected a list such as ['debug_.*=1d', 'slo_.*=400d']")
    return tuple(map(_pattern, texts))


def _pattern(text: object) -> PatternRetention:
    if isinstance(text, PatternRetention):
        return text
    pattern, equals, duration = str(text).rpartition("=")
    if not equals or not pattern:
        raise ValueError(f"{text!r} is no pattern=duration, such as debug_.*=1d")
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
    return PatternRetention(pattern, _kept(duration))


def _reserve(value: object) -> str:
    text = str(value).strip()
    if text.endswith("%"):
        if not 0 <= float(text[:-1]) < 100:
            raise ValueError("expected a share below 100%")
    elif text != "auto":
        parse_size(text)
    return text


@dataclass(frozen=True, slots=True)
class RetentionSettings:
    """How long data is kept; what is older is dropped by whole days (UTC)."""

    metrics: float = setting(
        30 * 86_400.0,
        "How long metrics are kept, 30 days unless said otherwise; 0 for ever.",
        parse=_kept,
        env=(EnvName("PROMETHEUS_RETENTION_DAYS", _days),),
    )
    logs: float = setting(
        14 * 86_400.0, "How long log records are kept, 14 days unless said otherwise; 0 for ever.", parse=_kept
    )
    traces: float = setting(
        7 * 86_400.0, "How long spans are kept, 7 days unless said otherwise; 0 for ever.", parse=_kept
    )
    metric_patterns: tuple[PatternRetention, ...] = setting(
        (),
        "Other times for metrics whose whole name matches, as `pattern=duration`, separated by blanks; the first that "
        "matches counts.",
        parse=_patterns,
    )
    size: int = setting(
        0,
        "What the whole store may take on disk, such as 50GB: beyond it the oldest is dropped; 0 for any.",
        parse=_size,
    )


@dataclass(frozen=True, slots=True)
class BackupSettings:
    """Backups that the server makes by itself."""

    directory: Path | None = setting(None, "Folder for backups; `backups` in the data directory when not given.")
    every: float = setting(0.0, "Time between two backups, such as 1d; 0 for none.", parse=_kept)
    keep: int = setting(7, "How many backups are kept; the oldest beyond that are removed.", parse=_positive)
    files: str = setting(
        "", "More files and folders for every backup, separated by colons; the server's own configuration is in anyway."
    )


def _otlp_port(value: object) -> str:
    text = "off" if value is False else str(value).strip().lower()
    if text in {"auto", "off"}:
        return text
    try:
        return str(_port(value))
    except ValueError:
        raise ValueError("expected auto, off, a TCP port from 1 to 65535, or 0 for any free one") from None


def _names(value: object) -> str:
    names = value if isinstance(value, list) else str(value).split(",")
    return ",".join(filter(None, (str(name).strip() for name in names)))


@dataclass(frozen=True, slots=True)
class OtlpSettings:
    """How OpenTelemetry's protocol is taken."""

    grpc_port: str = setting(
        "auto",
        "TCP port of OTLP/gRPC: a number (0 for any free one), `off`, or `auto`, which is 4317 unless it is taken.",
        parse=_otlp_port,
    )
    http_port: str = setting(
        "auto",
        "One more TCP port for OTLP/HTTP: a number (0 for any free one), `off`, or `auto`: 4318 unless it is taken.",
        parse=_otlp_port,
    )
    promote_resource_attributes: str = setting(
        "",
        "Resource attributes that become labels of every metric besides `job` and `instance`, separated by commas.",
        parse=_names,
    )

    def promoted(self) -> tuple[str, ...]:
        """The attributes' names."""
        return tuple(filter(None, self.promote_resource_attributes.split(",")))


def _http_url(text: str) -> str:
    url = urlsplit(text.strip())
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise ValueError("expected a URL that begins with http:// or https://")
    return text.strip().rstrip("/")


def _http_urls(value: object) -> tuple[str, ...]:
    texts = value if isinstance(value, list | tuple) else str(value).replace(",", " ").split()
    return tuple(_http_url(str(text)) for text in texts)


def _external_url(value: object) -> str:
    return _http_url(str(value))


def _address(value: object) -> str:
    host, _, port = str(value).rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) <= 65535:
        raise ValueError("expected host:port, such as 127.0.0.1:25")
    return str(value)


def _texts(value: object) -> tuple[str, ...]:
    texts = value if isinstance(value, list | tuple) else str(value).replace(",", " ").split()
    return tuple(map(str, texts))


SHIPPED = ("agents", "host", "mirante", "services")
"""Sets of rules that ship."""


def _shipped(value: object) -> str:
    names = _texts(value)
    for name in names if names not in {("all",), ("none",)} else ():
        if name not in SHIPPED:
            raise ValueError(f"expected some of {', '.join(SHIPPED)}, or all, or none, got {name!r}")
    return ",".join(names)


@dataclass(frozen=True, slots=True)
class AlertingSettings:
    """Who is told of alerts while there is no `alertmanager.yml`, and how long is known what was told."""

    slack_webhook: str = setting(
        "", "Slack webhook that is told.", env=("ALERT_SLACK_WEBHOOK",), parse=webhook, secret=True
    )
    email: str = setting("", "E-mail addresses that are told, separated by commas.", parse=email)
    smarthost: str = setting(
        "127.0.0.1:25", "SMTP server, as `host:port`, that takes this mail without a password.", parse=_address
    )
    history: float = setting(
        90 * 86_400.0,
        "How long notifications are remembered, 90 days unless said otherwise; 0 for ever.",
        parse=_kept,
    )


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Everything that ``mirante serve`` can be told."""

    data: Path = setting(Path("mirante-data"), "Directory that holds all data; made when it is missing.")
    host: str = setting("127.0.0.1", "Address to listen on.")
    port: int = setting(8503, "TCP port of the page and of every HTTP API.", parse=_port)
    prometheus_config: Path | None = setting(None, "A prometheus.yml whose scrape_configs are scraped.")
    alertmanager_config: Path | None = setting(None, "An alertmanager.yml that says who is told of alerts, and how.")
    alertmanager: tuple[str, ...] = setting(
        (),
        "URLs of Alertmanagers that get our alerts, separated by commas or blanks.",
        env=("ALERTMANAGER_URL",),
        parse=_http_urls,
    )
    shipped_rules: str = setting(
        "all",
        "Rules that ship and are evaluated: some of agents, host, mirante and services, or all, or none.",
        parse=_shipped,
    )
    slo_files: tuple[str, ...] = setting(
        (),
        "Files of service level objectives, separated by commas or blanks: patterns, or `agents`, which ships.",
        parse=_texts,
    )
    web_external_url: str = setting(
        "",
        "Address under which people reach this server, for links in notifications; made from the address that it "
        "listens on when not given.",
        parse=_external_url,
    )
    host_metrics: bool = setting(True, "Collect the metrics of this machine and of the server itself.")
    log_level: str = setting("info", "Least severe log lines to print: debug, info, warning or error.", parse=_level)
    auth: str = setting(
        "auto",
        "Whether a token is needed: `on`, `off`, or `auto`, which is `on` as soon as it listens beyond this machine.",
        parse=one_of("auto", "on", "off"),
    )
    access_log: str = setting(
        "auto",
        "Whether every request is logged: `on`, `off`, or `auto`, which is `on` where a token is needed.",
        parse=one_of("auto", "on", "off"),
    )
    tls_cert: Path | None = setting(None, "Certificate chain (PEM) with which to speak TLS.")
    tls_key: Path | None = setting(None, "Its private key (PEM), where it is not in the same file.")
    admin_api: bool = setting(
        False, "Allow what removes data over HTTP: deleting series, log records and spans, and changing the retention."
    )
    min_free_disk: str = setting(
        "auto",
        "Free disk space below which nothing is taken in any more: a size, a share such as `5%`, or `auto`, which is "
        "5 % of the disk and 1 GiB at most.",
        parse=_reserve,
    )
    retention: RetentionSettings = RetentionSettings()
    alerting: AlertingSettings = AlertingSettings()
    backup: BackupSettings = BackupSettings()
    otlp: OtlpSettings = OtlpSettings()
    limits: LimitSettings = LimitSettings()
    query: QuerySettings = QuerySettings()

    def shipped(self) -> tuple[str, ...]:
        """The sets of rules that ship and are wanted."""
        return {"all": SHIPPED, "none": ()}.get(self.shipped_rules) or tuple(
            name for name in SHIPPED if name in self.shipped_rules.split(",")
        )
