"""Lines of a chart as text: braille dots, one character for two columns and four rows of them."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import NamedTuple

_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""The bit of a dot, by column and row inside a character."""
_BLANK = 0x2800

Points = Sequence[tuple[float, float]]
"""Times in seconds and values."""


class Cell(NamedTuple):
    """A character of the chart.

    Attributes:
        text: itself.
        line: which of the lines it belongs to, or -1 for none.
    """

    text: str
    line: int


def chart(lines: Sequence[Points], width: int, height: int) -> list[list[Cell]]:
    """The lines on a field of so many characters; where two meet, the later one is on top.

    Args:
        lines: points of each; what is not finite is left out.
        width: characters.
        height: characters.

    Returns:
        Rows from top to bottom.

    Example:
        >>> "".join(cell.text for cell in chart([[(0, 0.0), (1, 1.0)]], 2, 1)[0])
        '⡀⠈'
    """
    bounds = _bounds(lines)
    bits = [[0] * width for _ in range(height)]
    owner = [[-1] * width for _ in range(height)]
    for number, points in enumerate(lines):
        for x, y in _dots(points, bounds, width * 2, height * 4):
            bits[y // 4][x // 2] |= _DOTS[x % 2][y % 4]
            owner[y // 4][x // 2] = number
    return [
        [Cell(chr(_BLANK + bit), who) for bit, who in zip(row, whose, strict=True)]
        for row, whose in zip(bits, owner, strict=True)
    ]


class Bounds(NamedTuple):
    """First and last time, least and greatest value."""

    start: float
    end: float
    low: float
    high: float


def _bounds(lines: Sequence[Points]) -> Bounds:
    times = [at for points in lines for at, _ in points]
    values = [value for points in lines for _, value in points if math.isfinite(value)]
    low, high = min(values, default=0.0), max(values, default=0.0)
    return Bounds(min(times, default=0.0), max(times, default=0.0), low, high)


def _dots(points: Points, bounds: Bounds, columns: int, rows: int) -> list[tuple[int, int]]:
    """The dots of a line, the gaps between neighbouring columns filled."""
    across = (columns - 1) / ((bounds.end - bounds.start) or 1)
    up = (rows - 1) / ((bounds.high - bounds.low) or 1)
    found: list[tuple[int, int]] = []
    for at, value in points:
        if not math.isfinite(value):
            continue
        x = round((at - bounds.start) * across)
        y = round((bounds.high - value) * up) if bounds.high > bounds.low else rows // 2
        if found and x - found[-1][0] == 1:
            before = found[-1][1]
            found += [(x, middle) for middle in range(min(before, y) + 1, max(before, y))]
        found.append((x, y))
    return found


def scale(lines: Sequence[Points], height: int) -> list[str]:
    """A label for each row, of equal width: the greatest value at the top, the least at the bottom, half-way between.

    Example:
        >>> scale([[(0, 0.0), (1, 1500.0)]], 3)
        ['1.5k', ' 750', '   0']
    """
    bounds = _bounds(lines)
    middle = height // 2
    between = bounds.high - (bounds.high - bounds.low) * middle / max(height - 1, 1)
    marks = {middle: between, height - 1: bounds.low, 0: bounds.high}
    texts = [short(marks[row]) if row in marks else "" for row in range(height)]
    room = max(map(len, texts))
    return [text.rjust(room) for text in texts]


def span(lines: Sequence[Points], width: int) -> str:
    """The times below a chart: the first on the left, the last on the right, with their dates where they differ."""
    bounds = _bounds(lines)
    first, last = (time.localtime(at) for at in (bounds.start, bounds.end))
    same = first[:3] == last[:3]
    left, right = (time.strftime("%H:%M:%S" if same else "%Y-%m-%d %H:%M", at) for at in (first, last))
    return left + right.rjust(max(width - len(left), len(right) + 1))


def short(value: float) -> str:
    """A number in at most six characters or so, with the letter of its thousand.

    Example:
        >>> short(1234.0), short(0.00012), short(2.5e9), short(float("nan"))
        ('1.23k', '0.00012', '2.5G', 'NaN')
    """
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    for letter, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if size <= abs(value) < size * 1000:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"
