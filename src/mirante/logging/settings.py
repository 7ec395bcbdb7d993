"""What can be said about logging, and the variables of the OpenTelemetry specification that say it too.

A variable of OpenTelemetry's whose value nobody can use is told once and ignored, as its specification asks; the same
value in code, in the file or in one of our own variables is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mirante._core.guard import REPORTER
from mirante.config import EnvName, milliseconds, setting
from mirante.logging.levels import parse_levels
from mirante.logging.line import level_name, level_number

T = TypeVar("T")


def _one_of(*known: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        name = str(value).strip().lower()
        if name not in known:
            raise ValueError(f"expected {' or '.join(known)}")
        return name

    return parse


def _count(least: int) -> Callable[[object], int]:
    def parse(value: object) -> int:
        try:
            number = int(str(value))
        except ValueError:
            number = -1
        if isinstance(value, bool) or number < least:
            raise ValueError(f"expected a whole number, {least} or more")
        return number

    return parse


def _level(value: object) -> str:
    return level_name(level_number(str(value)))


def _regex(value: object) -> str:
    try:
        re.compile(str(value))
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return str(value)


def _lenient(name: str, parse: Callable[[Any], T], default: T) -> EnvName:
    """A variable of OpenTelemetry's: what cannot be used is told and counts as not said."""

    def read(value: object) -> T:
        try:
            return parse(value)
        except ValueError as error:
            REPORTER.warn(name, f"{name}={value!r} cannot be used and is ignored: {error}")
            return default

    return EnvName(name, read)


_exporter = _one_of("otlp", "none")
_positive = _count(1)
_any_count = _count(0)


@dataclass(frozen=True, slots=True)
class LoggingSettings:
    """What an application can say about its logs."""

    log_level: str = setting("info", "Level from which on lines get through.", parse=_level)
    log_levels: str = setting("", "Levels of single loggers, as `logger=level,logger=level`.", parse=parse_levels)
    log_format: str = setting(
        "auto",
        "How lines are shown: `json`, `console` or `auto`, which is `console` on a terminal.",
        parse=_one_of("auto", "json", "console"),
    )
    log_stream: str = setting(
        "stderr", "Where lines are shown: `stderr`, `stdout` or `none`.", parse=_one_of("stderr", "stdout", "none")
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
        env=(_lenient("OTEL_LOGS_EXPORTER", _exporter, "otlp"),),
        parse=_exporter,
    )
    logs_endpoint: str | None = setting(
        None,
        "The whole URL that takes logs; the server's `/v1/logs` when not given.",
        env=("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",),
    )
    logs_timeout: float = setting(
        10.0,
        "Seconds that one delivery of log lines may take.",
        env=(
            _lenient("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", milliseconds, 10.0),
            _lenient("OTEL_EXPORTER_OTLP_TIMEOUT", milliseconds, 10.0),
        ),
    )
    logs_interval: float = setting(
        1.0,
        "Seconds after which an incomplete batch of log lines is sent.",
        env=(_lenient("OTEL_BLRP_SCHEDULE_DELAY", milliseconds, 1.0),),
    )
    logs_queue_size: int = setting(
        2048,
        "Log lines that wait to be sent at most; further ones are dropped and counted.",
        env=(_lenient("OTEL_BLRP_MAX_QUEUE_SIZE", _positive, 2048),),
        parse=_positive,
    )
    logs_batch_size: int = setting(
        512,
        "Log lines in one request at most.",
        env=(_lenient("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", _positive, 512),),
        parse=_positive,
    )
