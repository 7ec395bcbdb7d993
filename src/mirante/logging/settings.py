"""What can be said about logging, and the variables of the OpenTelemetry specification that say it too."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from mirante.config import lenient, milliseconds, one_of, sent_compression, sent_headers, setting, whole
from mirante.logging.levels import parse_levels
from mirante.logging.line import level_name, level_number


def _level(value: object) -> str:
    return level_name(level_number(str(value)))


def _regex(value: object) -> str:
    try:
        re.compile(str(value))
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return str(value)


_exporter = one_of("otlp", "none")
_positive = whole(1)
_any_count = whole(0)


@dataclass(frozen=True)
class LoggingSettings:
    """What an application can say about its logs."""

    log_level: str = setting("info", "Level from which on lines get through.", parse=_level)
    log_levels: str = setting("", "Levels of single loggers, as `logger=level,logger=level`.", parse=parse_levels)
    log_format: str = setting(
        "auto",
        "How lines are shown: `json`, `console` or `auto`, which is `console` on a terminal.",
        parse=one_of("auto", "json", "console"),
    )
    log_stream: str = setting(
        "stderr", "Where lines are shown: `stderr`, `stdout` or `none`.", parse=one_of("stderr", "stdout", "none")
    )
    log_capture: bool = setting(True, "Whether the standard library's loggers write to the same places.")
    log_warnings: bool = setting(True, "Whether Python's warnings are logged.")
    log_file: Path | None = setting(None, "File to which lines are written as JSON as well.")
    log_file_bytes: int = setting(64 << 20, "Size in bytes at which the file is rotated.", parse=_positive)
    log_file_age: float = setting(86_400.0, "Seconds after which the file is rotated, counted from midnight in UTC.")
    log_file_total_bytes: int = setting(
        1 << 30, "Bytes that the file and its rotated elders may take; the oldest are deleted.", parse=_positive
    )
    log_file_compress: bool = setting(True, "Whether rotated files are compressed.")
    log_redact_keys: str = setting("", "Further names of fields whose values are hidden, separated by commas.")
    log_redact_pattern: str = setting("", "A further regular expression for texts that are hidden.", parse=_regex)
    log_repeat_first: int = setting(
        0,
        "Lines with the same message that get through in an interval before they are sampled; 0 keeps all.",
        parse=_any_count,
    )
    log_repeat_every: int = setting(100, "Of the further ones each such gets through; 0 for none.", parse=_any_count)
    log_repeat_interval: float = setting(1.0, "Seconds of such an interval.")
    logs_exporter: str = setting(
        "otlp",
        "Where lines go besides: `otlp` or `none`.",
        env=(lenient("OTEL_LOGS_EXPORTER", _exporter, "otlp"),),
        parse=_exporter,
    )
    logs_endpoint: str | None = setting(
        None,
        "The whole URL that takes logs; the server's `/v1/logs` when not given.",
        env=("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",),
    )
    logs_headers: str = sent_headers("logs", "log lines")
    logs_compression: str = sent_compression("logs")
    logs_timeout: float = setting(
        10.0,
        "Seconds that one delivery of log lines may take.",
        env=(
            lenient("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", milliseconds, 10.0),
            lenient("OTEL_EXPORTER_OTLP_TIMEOUT", milliseconds, 10.0),
        ),
    )
    logs_interval: float = setting(
        1.0,
        "Seconds after which an incomplete batch of log lines is sent.",
        env=(lenient("OTEL_BLRP_SCHEDULE_DELAY", milliseconds, 1.0),),
    )
    logs_queue_size: int = setting(
        2048,
        "Log lines that wait to be sent at most; further ones are dropped and counted.",
        env=(lenient("OTEL_BLRP_MAX_QUEUE_SIZE", _positive, 2048),),
        parse=_positive,
    )
    logs_batch_size: int = setting(
        512,
        "Log lines in one request at most.",
        env=(lenient("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", _positive, 512),),
        parse=_positive,
    )
    logs_spool: Path | None = setting(
        None, "Directory in which log lines wait while the server is away; without it they wait in memory for a minute."
    )
    logs_spool_bytes: int = setting(
        256 << 20, "Bytes that waiting log lines may take on disk; beyond it the oldest are dropped.", parse=_positive
    )
