"""Exemplars: given by hand, or taken from the current span by themselves.

A recording function takes ``exemplar=None``. Where spans can be current, that default is replaced by CURRENT on each
child's own function object: so what nobody uses costs one comparison with None.

Source: OpenMetrics 1.0, "Exemplars".
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from mirante._core.model import Exemplar
from mirante._core.spans import current_span
from mirante.errors import DeclarationError

CURRENT: Final[Mapping[str, str]] = {}
"""Stands for the labels of the span that is current when the value is recorded; compared by identity."""

KEEP = 1.0
"""Seconds in which an exemplar taken by itself is not replaced: a scrape sees one anyway."""

MAX_CHARACTERS = 128
"""Of all label names and values together, as OpenMetrics demands."""


def take(labels: Mapping[str, str], value: float, previous: Exemplar | None) -> Exemplar | None:
    """The exemplar to keep from now on.

    Args:
        labels: those given by hand, or CURRENT.
        value: what was recorded.
        previous: the one kept so far.

    Raises:
        DeclarationError: labels given by hand that are not text or too long.
    """
    now = time.time()
    if labels is not CURRENT:
        return Exemplar(_checked(labels), float(value), now)
    if previous is not None and previous.timestamp is not None and 0 <= now - previous.timestamp < KEEP:
        return previous
    span = current_span()
    if span is None:
        return previous
    return Exemplar({"trace_id": span.trace_id, "span_id": span.span_id}, float(value), now)


def keep_example(examples: dict[int, Exemplar], bucket: int, labels: Mapping[str, str], value: float) -> None:
    """Keep what take() says among a histogram's exemplars by bucket."""
    example = take(labels, value, examples.get(bucket))
    if example is not None:
        examples[bucket] = example


def _checked(labels: Mapping[str, str]) -> dict[str, str]:
    found = dict(labels)
    if not all(isinstance(text, str) for pair in found.items() for text in pair):
        raise DeclarationError(f"an exemplar's labels must be text, but are {found}")
    length = sum(len(name) + len(text) for name, text in found.items())
    if length > MAX_CHARACTERS:
        raise DeclarationError(f"an exemplar may have {MAX_CHARACTERS} characters of labels, not {length}: {found}")
    return found
