"""Durations as Prometheus writes them: ``15s``, ``1h30m``, ``1d``."""

from __future__ import annotations

import re

_UNITS_MS = {"y": 31_536_000_000, "w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_DURATION = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII)


def parse_duration(text: str) -> int:
    """Milliseconds of a Prometheus duration: units from large to small, each once; ``0`` needs no unit.

    Raises:
        ValueError: it is not a duration.

    Source: Prometheus, ``model.ParseDuration``.

    Example:
        >>> parse_duration("1h30m")
        5400000
    """
    if text == "0":
        return 0
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise ValueError(f'not a valid duration string: "{text}" (write it like 15s, 5m or 1h30m)')
    return sum(int(n) * unit for n, unit in zip(match.groups(), _UNITS_MS.values(), strict=True) if n)


def format_duration(milliseconds: int) -> str:
    """Shortest exact spelling of a duration, as Prometheus prints it.

    Example:
        >>> format_duration(5_400_000), format_duration(0)
        ('1h30m', '0s')
    """
    if milliseconds == 0:
        return "0s"
    out, rest = [], milliseconds
    for unit, size in _UNITS_MS.items():
        # Years, weeks and days only when nothing is left over: "1w1d" reads worse than "8d".
        if unit in {"y", "w", "d"} and rest % size:
            continue
        count, rest = divmod(rest, size)
        if count:
            out.append(f"{count}{unit}")
    return "".join(out)
