"""Structured logs that carry their trace: written through structlog, the standard library or both."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mirante.logging.aggregator import LogAggregator
    from mirante.logging.files import FileOutput
    from mirante.logging.formatter import ConsoleFormatter, JsonFormatter
    from mirante.logging.levels import get_levels, set_level
    from mirante.logging.line import LogLine, Sink
    from mirante.logging.logger import Logger, get_logger
    from mirante.logging.pipeline import add_sink, remove_sink
    from mirante.logging.redaction import Redactor
    from mirante.logging.settings import LoggingSettings
    from mirante.logging.streams import StreamOutput

_HOMES = {
    "ConsoleFormatter": "formatter",
    "FileOutput": "files",
    "JsonFormatter": "formatter",
    "LogAggregator": "aggregator",
    "LogLine": "line",
    "Logger": "logger",
    "LoggingSettings": "settings",
    "Redactor": "redaction",
    "Sink": "line",
    "StreamOutput": "streams",
    "add_sink": "pipeline",
    "get_logger": "logger",
    "get_levels": "levels",
    "remove_sink": "pipeline",
    "set_level": "levels",
}

__all__ = [
    "ConsoleFormatter", "FileOutput", "JsonFormatter", "LogAggregator", "LogLine", "Logger", "LoggingSettings",
    "Redactor", "Sink", "StreamOutput", "add_sink", "get_levels", "get_logger", "remove_sink", "set_level",
]  # fmt: skip


def __getattr__(name: str) -> object:
    """Import a part when it is first used: structlog takes 80 ms, and who only counts lines needs none of it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'mirante.logging' has no attribute {name!r}")
    found: object = getattr(import_module(f"mirante.logging.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
