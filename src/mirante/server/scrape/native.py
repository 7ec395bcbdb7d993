"""Keeps native histograms small, as ``native_histogram_bucket_limit`` and ``native_histogram_min_bucket_factor`` ask.

Source: prometheus.io, "Configuration", section ``scrape_config``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from mirante.errors import FormatError
from mirante.formats.native_histogram import SCHEMAS, NativeHistogram
from mirante.server.scrape.model import Limits


def bounded(value: NativeHistogram, limits: Limits) -> NativeHistogram:
    """The histogram, in wider buckets where there would be too many, or where they would be too narrow.

    Raises:
        FormatError: even in the widest buckets there are too many.

    Example:
        >>> bounded(NativeHistogram(6, 1.0, schema=0, positive={1: 1, 2: 2, 3: 3}), Limits(native_buckets=2)).positive
        {1: 3, 2: 3}
    """
    highest = _schema_of(limits.native_factor)
    while value.schema > highest:
        value = _coarser(value)
    while 0 < limits.native_buckets < len(value.positive) + len(value.negative):
        if value.schema == SCHEMAS[0]:
            raise FormatError(f"native_histogram_bucket_limit exceeded (limit: {limits.native_buckets})")
        value = _coarser(value)
    return value


def _schema_of(factor: float) -> int:
    """The finest schema whose buckets grow by at least that factor."""
    if factor <= 1:
        return SCHEMAS[-1]
    return max(SCHEMAS[0], min(SCHEMAS[-1], math.floor(-math.log2(math.log2(factor)))))


def _coarser(value: NativeHistogram) -> NativeHistogram:
    """The same with half as many buckets: each two are one."""
    return replace(value, schema=value.schema - 1, positive=_merged(value.positive), negative=_merged(value.negative))


def _merged(buckets: Mapping[int, float]) -> dict[int, float]:
    merged: dict[int, float] = {}
    for index, count in buckets.items():
        wider = (index + 1) >> 1
        merged[wider] = merged.get(wider, 0) + count
    return merged
