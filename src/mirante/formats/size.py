"""Sizes as people write them: ``512MB``, ``10GiB``."""

from __future__ import annotations

import re

_UNITS = ("B", "KB", "MB", "GB", "TB", "PB", "EB")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGTPE]?I?B?)", re.ASCII | re.IGNORECASE)


def parse_size(text: str) -> int:
    """Bytes of a size; units are powers of 1024 with and without the ``i``, as in Prometheus, and may be left out.

    Raises:
        ValueError: it is no size.

    Example:
        >>> parse_size("10GB") == parse_size("10GiB") == 10 * 1024**3
        True
        >>> parse_size("1.5k"), parse_size("100")
        (1536, 100)
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None or match[2].upper() in {"I", "IB"}:
        raise ValueError(f'not a valid size: "{text}" (write it like 512MB or 10GB)')
    unit = match[2].upper().replace("I", "").removesuffix("B") + "B"
    return int(float(match[1]) * 1024 ** _UNITS.index(unit))


def format_size(count: float) -> str:
    """The size with the unit that leaves it above one, for people.

    Example:
        >>> format_size(0), format_size(1536), format_size(10 * 1024**3)
        ('0 B', '1.5 KiB', '10.0 GiB')
    """
    units = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
    place = 0
    while count >= 1024 and place < len(units) - 1:
        count /= 1024
        place += 1
    return f"{count:.0f} B" if place == 0 else f"{count:.1f} {units[place]}"
