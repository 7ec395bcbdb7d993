"""The server's table of settings: each row is a flag, an environment variable and a key of ``mirante.toml``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mirante.config import one_of, seconds, setting, whole


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


@dataclass(frozen=True, slots=True)
class QuerySettings:
    """Limits of one query."""

    timeout: float = setting(120.0, "Longest time that a query may take, in seconds.", parse=_positive_seconds)
    max_samples: int = setting(50_000_000, "Most samples that one query may hold at once.", parse=_positive)
    max_concurrency: int = setting(4, "Queries that run at the same time; more wait.", parse=_positive)
    lookback_delta: float = setting(
        300.0, "How far back an instant selector looks for a sample, in seconds.", parse=_positive_seconds
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


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Everything that ``mirante serve`` can be told."""

    data: Path = setting(Path("mirante-data"), "Directory that holds all data; made when it is missing.")
    host: str = setting("127.0.0.1", "Address to listen on.")
    port: int = setting(8503, "TCP port of the page and of every HTTP API.", parse=_port)
    prometheus_config: Path | None = setting(None, "A prometheus.yml whose scrape_configs are scraped.")
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
    otlp: OtlpSettings = OtlpSettings()
    limits: LimitSettings = LimitSettings()
    query: QuerySettings = QuerySettings()
