"""What every instrument can be told about its label sets, by keyword."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias, TypedDict

from mirante._core.clock import Clock

MAX_LABEL_SETS = 10_000
"""Label sets of one metric, unless it is declared with another number."""

Rule = Callable[[str], str]
"""Turns a label's value into the one that is kept; see ``mirante.metrics.sanitize``."""


Mode: TypeAlias = Literal["sum", "livesum", "max", "livemax", "min", "livemin", "last", "livelast", "all"]
"""How the gauges of several processes become one: of all that ever were, or of those that live; ``all`` keeps them
apart by the label ``pid``."""


class Options(TypedDict, total=False):
    """Keyword arguments of every instrument.

    Attributes:
        unit: base unit, appended to the name where it is missing.
        ttl: seconds without a recording after which a label set is no longer exposed; by default it stays.
        max_label_sets: how many there may be (10,000); further ones share one overflow series.
        rules: by label name, what its values go through: allow lists, hashing, redaction.
        utf8: names may be any text, as Prometheus 3 and OpenTelemetry have them.
        exemplars: take exemplars from the current span (counters and histograms; true by default).
        clock: the source of time for ``ttl``.
    """

    unit: str
    ttl: float | None
    max_label_sets: int
    rules: Mapping[str, Rule]
    utf8: bool
    exemplars: bool
    clock: Clock
