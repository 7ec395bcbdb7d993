"""Prometheus's names for what OpenTelemetry names.

Source: OpenTelemetry specification, "Prometheus and OpenMetrics Compatibility"; Prometheus's translator.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from mirante.formats.names import METRIC_NAME

_UNITS = {
    "d": "days", "h": "hours", "min": "minutes", "s": "seconds", "ms": "milliseconds", "us": "microseconds",
    "ns": "nanoseconds", "By": "bytes", "KiBy": "kibibytes", "MiBy": "mebibytes", "GiBy": "gibibytes",
    "TiBy": "tibibytes", "KBy": "kilobytes", "MBy": "megabytes", "GBy": "gigabytes", "TBy": "terabytes", "m": "meters",
    "V": "volts", "A": "amperes", "J": "joules", "W": "watts", "g": "grams", "Cel": "celsius", "Hz": "hertz", "1": "",
    "%": "percent",
}  # fmt: skip
_PER = {"s": "second", "min": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}
_WORDS = re.compile(r"[a-zA-Z0-9:]+")
_NOT_IN_LABEL = re.compile(r"[^a-zA-Z0-9_]+")
_NOT_IN_UNIT = re.compile(r"[^a-zA-Z0-9]+")


@lru_cache(10_000)
def metric_name(name: str, unit: str, kind: str) -> str:
    """Prometheus's name for an OTLP metric: words joined by underscores, then the unit, then ``total`` or ``ratio``.

    A name that has all it needs stays as it is, to the letter.

    Args:
        name: OTLP's name.
        unit: its unit, in UCUM's letters.
        kind: ``counter`` (a monotonic sum), ``sum`` (one that is not monotonic), ``gauge``, ``histogram``, ``summary``.

    Example:
        >>> metric_name("http.server.request.duration", "s", "histogram")
        'http_server_request_duration_seconds'
        >>> metric_name("system.network.io", "By", "counter")
        'system_network_io_bytes_total'
        >>> metric_name("system_cpu_time_seconds_total", "s", "counter")
        'system_cpu_time_seconds_total'
    """
    words = _WORDS.findall(name)
    needed = list(words)
    main, _, per = unit.partition("/")
    main, per = _unit_word(main, _UNITS), _unit_word(per, _PER)
    if main and main not in words:
        needed.append(main)
    if per and per not in words:
        needed += ["per", per]
    last = "total" if kind == "counter" else "ratio" if kind == "gauge" and unit == "1" else ""
    if last:
        needed = [word for word in needed if word != last] + [last]
    if needed == words and METRIC_NAME.fullmatch(name):
        return name
    joined = "_".join(needed)
    return f"_{joined}" if joined[:1].isdigit() else joined


def _unit_word(unit: str, words: Mapping[str, str]) -> str:
    unit = unit.strip()
    if "{" in unit or "}" in unit:
        return ""
    return _NOT_IN_UNIT.sub("_", words.get(unit, unit)).strip("_")


@lru_cache(10_000)
def label_name(key: str) -> str:
    """Prometheus's name for an attribute.

    Example:
        >>> label_name("http.request.method"), label_name("2nd"), label_name("already_fine")
        ('http_request_method', 'key_2nd', 'already_fine')
    """
    name = _NOT_IN_LABEL.sub("_", key)
    return f"key_{name}" if name[:1].isdigit() else name
