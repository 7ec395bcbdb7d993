"""What is counted, as PromQL."""

from __future__ import annotations

import re

from mirante.errors import BadQueryError
from mirante.server.promql.parse import parse
from mirante.server.promql.plan import Selector, type_of
from mirante.server.slo.model import WINDOW, Events, Share

_PLACEHOLDER = re.compile(r"\$window\b|\{\{-?\s*\.window\s*-?\}\}")
"""Ours, and that of Sloth."""

BAD = {"lt": ">=", "lte": ">", "gt": "<=", "gte": "<"}
"""By the comparison that is good: the one that is bad."""


def counted(text: str) -> str:
    """Events a second over ``$window``.

    Args:
        text: a counter's selector, or an expression with ``[$window]``.

    Raises:
        BadQueryError: it cannot be used.

    Example:
        >>> counted('requests_total{code="500"}')
        'sum(rate(requests_total{code="500"}[$window]))'
        >>> counted("sum by (job) (rate(requests_total[{{.window}}]))")
        'sum by (job) (rate(requests_total[$window]))'
        >>> counted("sum(requests_total)")
        Traceback (most recent call last):
        mirante.errors.BadQueryError: expected a counter's selector, or an expression with the range [$window]
    """
    text = _PLACEHOLDER.sub(WINDOW, text.strip())
    if WINDOW not in text:
        if not isinstance(parse(text), Selector):
            raise BadQueryError("expected a counter's selector, or an expression with the range [$window]")
        text = f"sum(rate({text}[{WINDOW}]))"
    vector(over(text, "5m"))
    return text


def vector(text: str) -> str:
    """An expression that yields a vector.

    Raises:
        BadQueryError: it does not.
    """
    kind = type_of(parse(text))
    if kind != "vector":
        raise BadQueryError(f"expected an instant vector, got a {kind}")
    return text.strip()


def over(text: str, window: str) -> str:
    """An expression with its window put in."""
    return text.replace(WINDOW, window)


def events(*, errors: str = "", good: str = "", total: str = "") -> Events:
    """An indicator of two of the three; a counter that has not counted yet counts as 0.

    Raises:
        BadQueryError: one cannot be used.

    Example:
        >>> events(errors="e_total", total="t_total").errors
        '(sum(rate(e_total[$window]))) or (sum(rate(t_total[$window]))) * 0'
    """
    errors, good, total = (counted(text) if text else "" for text in (errors, good, total))
    if not total:
        bad = f"(({errors}) or ({good}) * 0)"
        return Events(bad, f"(({good}) or ({errors}) * 0) + {bad}")
    if errors:
        return Events(f"({errors}) or ({total}) * 0", total)
    return Events(f"clamp_min(({total}) - (({good}) or ({total}) * 0), 0)", total)


def latency(histogram: str, threshold: float, selector: str = "") -> Events:
    """An indicator of a histogram: how much took longer than a threshold that is a bound of its buckets.

    Raises:
        BadQueryError: metric or selector cannot be used.

    Example:
        >>> latency("request_seconds", 1.0).total
        'sum(rate(request_seconds_count[$window]))'
    """
    bound = f"{threshold:g}".replace(".", r"\\.")
    whole = r"(\\.0)?" if threshold == int(threshold) else ""
    labels = selector.strip().removeprefix("{").removesuffix("}").strip().rstrip(",")
    below = ",".join(filter(None, [labels, f'le=~"{bound}{whole}"']))
    total = counted(f"{histogram}_count{{{labels}}}" if labels else f"{histogram}_count")
    return Events(f"clamp_min({total} - {counted(f'{histogram}_bucket{{{below}}}')}, 0)", total)


def threshold(query: str, good: str, limit: float) -> Share:
    """An indicator of time: when any value is not what it should be.

    Args:
        query: what is compared.
        good: ``lt``, ``lte``, ``gt`` or ``gte``.
        limit: with what.

    Raises:
        BadQueryError: the query cannot be used.

    Example:
        >>> threshold("queue_length", "lt", 100).bad
        'max((queue_length) >= bool 100)'
    """
    return Share(f"max(({vector(query)}) {BAD[good]} bool {limit:.15g})")


def raw(query: str, *, success: bool) -> Share:
    """An indicator that is a ratio already.

    Args:
        query: yields the ratio.
        success: whether it is the ratio of what is good.

    Raises:
        BadQueryError: the query cannot be used.

    Example:
        >>> raw("ok_ratio", success=True).bad
        '1 - (ok_ratio)'
    """
    return Share(f"1 - ({vector(query)})" if success else vector(query))
