"""What can be said about tracing, and the variables of the OpenTelemetry specification that say it too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mirante.config import lenient, milliseconds, one_of, sent_compression, sent_headers, setting, whole
from mirante.errors import ConfigError

SAMPLERS = (
    "always_on", "always_off", "traceidratio", "rate_limited", "tail", "parentbased_always_on",
    "parentbased_always_off", "parentbased_traceidratio", "parentbased_rate_limited",
)  # fmt: skip


_sampler = one_of(*SAMPLERS)
_exporter = one_of("otlp", "none")
_count = whole(0)
_positive = whole(1)


def _number(value: object) -> str:
    float(str(value))
    return str(value)


def _limit(default: int | None, help: str, *names: str) -> Any:  # noqa: ANN401 - a dataclass field stands in for any type
    return setting(default, help, env=tuple(lenient(name, _count, default) for name in names), parse=_count)


@dataclass(frozen=True)
class TracingSettings:
    """What an application can say about its traces."""

    traces_exporter: str = setting(
        "otlp",
        "Where spans go: `otlp` or `none`.",
        env=(lenient("OTEL_TRACES_EXPORTER", _exporter, "otlp"),),
        parse=_exporter,
    )
    traces_endpoint: str | None = setting(
        None,
        "The whole URL that takes traces; the server's `/v1/traces` when not given.",
        env=("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",),
    )
    traces_headers: str = sent_headers("traces", "traces")
    traces_compression: str = sent_compression("traces")
    traces_timeout: float = setting(
        10.0,
        "Seconds that one delivery of spans may take.",
        env=(
            lenient("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", milliseconds, 10.0),
            lenient("OTEL_EXPORTER_OTLP_TIMEOUT", milliseconds, 10.0),
        ),
    )
    traces_interval: float = setting(
        5.0,
        "Seconds after which an incomplete batch of spans is sent.",
        env=(lenient("OTEL_BSP_SCHEDULE_DELAY", milliseconds, 5.0),),
    )
    traces_queue_size: int = setting(
        2048,
        "Spans that wait to be sent at most; further ones are dropped and counted.",
        env=(lenient("OTEL_BSP_MAX_QUEUE_SIZE", _positive, 2048),),
        parse=_positive,
    )
    traces_batch_size: int = setting(
        512,
        "Spans in one request at most.",
        env=(lenient("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", _positive, 512),),
        parse=_positive,
    )
    traces_spool: Path | None = setting(
        None, "Directory in which spans wait while the server is away; without it they wait in memory for a minute."
    )
    traces_spool_bytes: int = setting(
        256 << 20, "Bytes that waiting spans may take on disk; beyond it the oldest are dropped.", parse=_positive
    )
    traces_sampler: str = setting(
        "parentbased_always_on",
        f"Which traces are recorded: {', '.join(f'`{name}`' for name in SAMPLERS)}.",
        env=(lenient("OTEL_TRACES_SAMPLER", _sampler, "parentbased_always_on"),),
        parse=_sampler,
    )
    traces_sampler_arg: str = setting(
        "",
        "The sampler's number: a share from 0 to 1 (`traceidratio`, `tail`) or traces a second (`rate_limited`).",
        env=(lenient("OTEL_TRACES_SAMPLER_ARG", _number, ""),),
    )
    traces_slower_than: float = setting(1.0, "Seconds from which on the sampler `tail` keeps a trace in any case.")
    propagators: str = setting(
        "tracecontext,baggage",
        "Headers by which a trace goes on: `tracecontext`, `baggage`, `b3`, `b3multi` or `none`, separated by commas.",
        env=("OTEL_PROPAGATORS",),
    )
    span_attribute_count_limit: int = _limit(
        128, "Attributes of a span at most.", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"
    )
    span_attribute_value_length_limit: int | None = _limit(
        None,
        "Characters of a text attribute at most; unlimited when not given.",
        "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    )
    span_event_count_limit: int = _limit(128, "Events of a span at most.", "OTEL_SPAN_EVENT_COUNT_LIMIT")
    span_link_count_limit: int = _limit(128, "Links of a span at most.", "OTEL_SPAN_LINK_COUNT_LIMIT")
    event_attribute_count_limit: int = _limit(
        128, "Attributes of an event at most.", "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"
    )
    link_attribute_count_limit: int = _limit(
        128, "Attributes of a link at most.", "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"
    )


def sampler_number(settings: TracingSettings, default: float, valid: Callable[[float], bool]) -> float:
    """The sampler's number, or the default where none is written.

    Raises:
        ConfigError: what is written is no number, or not a valid one; names the setting.
    """
    written = settings.traces_sampler_arg.strip()
    if not written:
        return default
    try:
        number = float(written)
    except ValueError:
        number = float("nan")
    if not valid(number):
        raise ConfigError(
            f"traces_sampler_arg = {written!r} cannot be used with the sampler {settings.traces_sampler}: expected "
            f"{'traces a second, more than 0' if 'rate' in settings.traces_sampler else 'a share from 0 to 1'}",
            key="traces_sampler_arg",
        )
    return number
