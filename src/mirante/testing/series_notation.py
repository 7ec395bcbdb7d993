r"""Reads series as PromQL's test scripts and rule unit tests write them: ``name{label="value"} 1 2+3x4 _ stale``.

Source of the notation: prometheus.io, "Unit testing for rules"; Prometheus, ``promql/promqltest/README.md``.
"""

from __future__ import annotations

import re

import numpy as np

from mirante.errors import FormatError
from mirante.server.promql.matrix import NAME
from mirante.server.promql.parse import unquote
from mirante.server.store.api import STALE_NAN_BITS, Labels

STALE = float(np.array([STALE_NAN_BITS], dtype=np.uint64).view(np.float64)[0])
UNSUPPORTED = "native histogram"
Point = float | str | None
"""A value, UNSUPPORTED (a native histogram, a start timestamp), or no sample."""

_STRING = r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|`[^`]*`"
_METRIC = re.compile(r"\s*([a-zA-Z_:][\w:]*)?(\{)?", re.ASCII)
_LABEL = re.compile(rf"\s*(?:(?:([a-zA-Z_]\w*)|({_STRING}))\s*(=)\s*({_STRING})|({_STRING}))\s*(,|(?=\}}))", re.ASCII)
_CLOSED = re.compile(r"\s*\}")
_HISTOGRAM = re.compile(r"\{\{.*?\}\}(?:[+-]\{\{.*?\}\})?(?:x(\d+))?")
_NUMBER = r"(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
_EXPANDED = re.compile(rf"(?P<first>[+-]?{_NUMBER})(?:(?P<by>[+-]{_NUMBER})?x(?P<times>\d+))?", re.ASCII)
_SPECIAL = re.compile(r"[+-]?(?:inf|nan)", re.IGNORECASE)
_BLANK = re.compile(r"_(?:x(\d+))?", re.ASCII)
_MOST_POINTS = 10_000_000


def read_series(text: str) -> tuple[Labels, list[Point]]:
    """A series and its points.

    Raises:
        FormatError: it is not written in the notation.

    Example:
        >>> read_series('up{job="shop"} 1x2')
        ({'__name__': 'up', 'job': 'shop'}, [1.0, 1.0, 1.0])
    """
    labels, end = _metric(text)
    points = text[end:]
    if points[:1].strip():
        raise FormatError(f'expected a space behind the series, got "{points[:20]}"')
    return labels, read_points(points)


def read_metric(text: str) -> Labels:
    """The labels of a metric that stands alone, ``__name__`` among them where it has one.

    Raises:
        FormatError: it is not written in the notation.

    Example:
        >>> read_metric("{job='shop'}")
        {'job': 'shop'}
    """
    labels, end = _metric(text)
    if text[end:].strip():
        raise FormatError(f'expected nothing behind the metric, got "{text[end:].strip()}"')
    return labels


def _metric(text: str) -> tuple[Labels, int]:
    """The labels, and where they end."""
    start = _METRIC.match(text)
    if start is None or not (start[1] or start[2]):
        raise FormatError(f'expected a metric such as up{{job="shop"}}, got "{text}"')
    labels: dict[str, str] = {}
    end = start.end()
    while start[2]:
        closed = _CLOSED.match(text, end)
        if closed:
            end = closed.end()
            break
        label = _LABEL.match(text, end)
        if label is None:
            raise FormatError(f'expected a label such as job="shop" or a closing brace at "{text[end:]}"')
        name, value = _label(label)
        if name in labels:
            raise FormatError(f'label "{name}" is given twice in "{text}"')
        labels[name] = value
        end = label.end()
    if start[1]:
        labels = {NAME: start[1], **{name: value for name, value in labels.items() if name != NAME}}
    return {name: value for name, value in labels.items() if value}, end


def _label(match: re.Match[str]) -> tuple[str, str]:
    name, quoted_name, _, value, quoted_metric, _ = match.groups()
    if quoted_metric:
        return NAME, _unquoted(quoted_metric)
    return name or _unquoted(quoted_name), _unquoted(value)


def _unquoted(literal: str) -> str:
    try:
        text = unquote(literal)
        text.encode()  # bytes that are no UTF-8 can be written, but are no label
    except (ValueError, OverflowError) as error:
        raise FormatError(f"{literal} cannot be used: {error}") from None
    return text


def read_points(text: str) -> list[Point]:
    """The points of the expanding notation.

    Raises:
        FormatError: it is not written in the notation; names the word.

    Example:
        >>> read_points("1 2+3x2 _x2 NaN")
        [1.0, 2.0, 5.0, 8.0, None, None, nan]
    """
    points: list[Point] = []
    while text := text.lstrip():
        histogram = _HISTOGRAM.match(text)
        word = histogram[0] if histogram else text.split(maxsplit=1)[0]
        points += [UNSUPPORTED] * (int(histogram[1] or 0) + 1) if histogram else _expanded(word)
        text = text[len(word) :]
    return points


def _expanded(word: str) -> list[Point]:
    if word == "stale":
        return [STALE]
    if _SPECIAL.fullmatch(word):
        return [float(word)]
    if blank := _BLANK.fullmatch(word):
        return [None] * _times(word, blank[1] or "1")
    match = _EXPANDED.fullmatch(word)
    if match is None:
        raise FormatError(f'"{word}" is no point: write a number, 1+2x3, _, stale, or one of them with x and a count')
    value, by = float(match["first"]), float(match["by"] or 0)
    points: list[Point] = [value]
    for _ in range(_times(word, match["times"] or "0")):
        value += by  # one after the other, as Prometheus adds them
        points.append(value)
    return points


def _times(word: str, digits: str) -> int:
    times = int(digits) if len(digits) < 10 else _MOST_POINTS + 1
    if times > _MOST_POINTS:
        raise FormatError(f'"{word}" is more than {_MOST_POINTS} points')
    return times
