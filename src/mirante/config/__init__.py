"""Settings: typed tables, one precedence (code > environment > file > default), and what is said in code."""

from __future__ import annotations

from mirante.config.declared import (
    configure_alerts,
    configure_exporter,
    current,
    reset,
    set_metrics_retention,
)
from mirante.config.parsers import header_map, headers, milliseconds, one_of, seconds, whole
from mirante.config.sdk import SdkSettings, email, sent_compression, sent_headers, webhook
from mirante.config.table import SECRET, Entry, EnvName, entries, lenient, resolve, setting, unknown_key

__all__ = [
    "SECRET", "Entry", "EnvName", "SdkSettings", "configure_alerts", "configure_exporter", "current", "email",
    "entries", "header_map", "headers", "lenient", "milliseconds", "one_of", "reset", "resolve", "seconds",
    "sent_compression", "sent_headers", "set_metrics_retention", "setting", "unknown_key", "webhook", "whole",
]  # fmt: skip
