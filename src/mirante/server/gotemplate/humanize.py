"""Numbers and durations for people, as Prometheus and Alertmanager write them.

Source: prometheus.io, "Template reference".
"""

from __future__ import annotations

import math
import re

from mirante.server.gotemplate.gotime import Duration, Time
from mirante.server.gotemplate.values import type_name

_LARGE, _SMALL = ("", "k", "M", "G", "T", "P", "E", "Z", "Y"), ("", "m", "u", "n", "p", "f", "a", "z", "y")
_BINARY = ("", "ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi")
_NUMBER = re.compile(
    r"[+-]?(?:(?:[0-9](?:[0-9_]*[0-9])?\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|inf(?:inity)?)|nan", re.IGNORECASE
)


def to_float(value: object) -> float:
    """A number, a duration in seconds, or text that is a number.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(value, Duration):
        return value.seconds()
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        if _NUMBER.fullmatch(value):
            return float(value)
        raise ValueError(f'"{value}" is no number')
    raise ValueError(f"can't convert {type_name(value)} to float")


def _short(value: float) -> str:
    if math.isnan(value) or math.isinf(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    return f"{value:.4g}"


def _scaled(value: float, base: float, prefixes: tuple[str, ...], *, up: bool) -> str:
    """The number divided (or multiplied) by its base until it is below (not below) it, with the prefix for that."""
    prefix = ""
    for one in prefixes[1:]:
        if abs(value) < base if up else abs(value) >= 1:
            break
        prefix = one
        value = value / base if up else value * base
    return _short(value) + prefix


def humanize(value: object) -> str:
    """With metric prefixes.

    Raises:
        ValueError: it is no number.

    Example:
        >>> humanize(1234567.0), humanize(0.0021), humanize(0.0)
        ('1.235M', '2.1m', '0')
    """
    number = to_float(value)
    if number == 0 or math.isnan(number) or math.isinf(number):
        return _short(number)
    up = abs(number) >= 1
    return _scaled(number, 1000, _LARGE if up else _SMALL, up=up)


def humanize1024(value: object) -> str:
    """With binary prefixes.

    Raises:
        ValueError: it is no number.

    Example:
        >>> humanize1024(1536.0)
        '1.5ki'
    """
    number = to_float(value)
    if abs(number) <= 1 or math.isnan(number) or math.isinf(number):
        return _short(number)
    return _scaled(number, 1024, _BINARY, up=True)


def humanize_duration(value: object) -> str:
    """Seconds, in days, hours, minutes and seconds.

    Raises:
        ValueError: it is no number.

    Example:
        >>> humanize_duration(93784.5), humanize_duration(0.0125), humanize_duration(-59.5)
        ('1d 2h 3m 4s', '12.5ms', '-59.5s')
    """
    number = to_float(value)
    if math.isnan(number) or math.isinf(number):
        return _short(number)
    if number == 0:
        return _short(number) + "s"
    if abs(number) < 1:
        return _scaled(number, 1000, _SMALL, up=False) + "s"
    sign, number = ("-", -number) if number < 0 else ("", number)
    minutes, seconds = divmod(int(number), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{sign}{days}d {hours}h {minutes}m {seconds}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {seconds}s"
    return f"{sign}{minutes}m {seconds}s" if minutes else f"{sign}{_short(number)}s"


def humanize_percentage(value: object) -> str:
    """A ratio in percent.

    Raises:
        ValueError: it is no number.

    Example:
        >>> humanize_percentage(0.1234567)
        '12.35%'
    """
    return _short(to_float(value) * 100) + "%"


def to_time(value: object) -> Time:
    """Seconds since 1970 as a time, cut to milliseconds.

    Raises:
        ValueError: it is no finite number, or too large a one.
    """
    number = to_float(value)
    if math.isnan(number) or math.isinf(number):
        raise ValueError("value is NaN or Inf")
    if abs(number) > (1 << 63) / 1e9:
        raise ValueError(f"{number:g} cannot be represented as a time: it is too large")
    size = abs(int(number * 1e9)) // 1_000_000
    return Time.of_ms(-size if number < 0 else size)


def humanize_timestamp(value: object) -> str:
    """Seconds since 1970 as a time in UTC.

    Raises:
        ValueError: it is no number, or too large a one.

    Example:
        >>> humanize_timestamp(1435065584.128)
        '2015-06-23 13:19:44.128 +0000 UTC'
    """
    number = to_float(value)
    return _short(number) if math.isnan(number) or math.isinf(number) else to_time(value).text()
