"""Warnings and infos that travel beside a query's value. The texts are Prometheus's, which tools match on.

Source: Prometheus 3, ``util/annotations``.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from mirante.server.promql.gofloat import go_float


class Annotations:
    """Collects the annotations of one query, each once, in the order of their first appearance."""

    def __init__(self, place: Callable[[int], tuple[int, int]]) -> None:
        """``place`` turns an offset in the expression into line and column."""
        self._place = place
        self._warnings: dict[str, None] = {}
        self._infos: dict[str, None] = {}

    @property
    def warnings(self) -> list[str]:
        """The answer may be wrong."""
        return list(self._warnings)

    @property
    def infos(self) -> list[str]:
        """The question may be wrong."""
        return list(self._infos)

    def warn(self, text: str, position: int) -> None:
        """Add a warning about the expression at an offset."""
        line, column = self._place(position)
        self._warnings[f"PromQL warning: {text} ({line}:{column})"] = None

    def info(self, text: str, position: int) -> None:
        """Add an info about the expression at an offset."""
        line, column = self._place(position)
        self._infos[f"PromQL info: {text} ({line}:{column})"] = None


def quoted(text: str) -> str:
    """Text in double quotes as Go's ``%q`` writes it, control characters apart."""
    return json.dumps(text, ensure_ascii=False)


def invalid_quantile(value: float) -> str:
    """A quantile outside [0, 1]."""
    return f"quantile value should be between 0 and 1, got {go_float(value)}"


def invalid_ratio(value: float, capped: float) -> str:
    """A ratio outside [-1, 1]."""
    return f"ratio value should be between -1 and 1, got {go_float(value)}, capping to {go_float(capped)}"


def bad_bucket_label(metric: str, value: str) -> str:
    """A bucket whose ``le`` is no number."""
    return f'bucket label "le" is missing or has a malformed value of {quoted(value)} for metric name {quoted(metric)}'


def possible_non_counter(metric: str) -> str:
    """``rate`` of something that is not named as a counter."""
    return f"metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {quoted(metric)}"


def forced_monotonicity(metric: str) -> str:
    """Buckets that shrink."""
    return (
        "input to histogram_quantile needed to be fixed for monotonicity"
        " (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)"
        f" for metric name {quoted(metric)}"
    )


SORT_IN_RANGE = "sort is ineffective for range queries since results are always ordered by labels"
