"""Native histograms of every kind, for property tests."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st

from mirante.formats.native_histogram import CUSTOM_BUCKETS, NativeHistogram

_INDEXES = st.integers(-40, 40)
_SUMS = st.floats(allow_nan=False)


@st.composite
def native_histograms(draw: st.DrawFn, most: int = 2**40) -> NativeHistogram:
    """A valid one: integers or floats, exponential or with bounds of its own."""
    is_float = draw(st.booleans())
    counts: Any = st.floats(0.5, most) if is_float else st.integers(1, most)
    fields: dict[str, Any] = {"is_float": is_float, "sum": draw(_SUMS), "reset_hint": draw(st.integers(0, 3))}
    if draw(st.booleans()):
        bounds = sorted(draw(st.sets(st.floats(-1e6, 1e6), max_size=6)))
        fields |= {
            "schema": CUSTOM_BUCKETS,
            "custom_bounds": tuple(bounds),
            "positive": draw(st.dictionaries(st.integers(0, len(bounds)), counts, max_size=5)),
        }
    else:
        fields |= {
            "schema": draw(st.integers(-4, 8)),
            "zero_threshold": draw(st.floats(0, 1)),
            "zero_count": draw(st.just(0) | counts),
            "positive": draw(st.dictionaries(_INDEXES, counts, max_size=5)),
            "negative": draw(st.dictionaries(_INDEXES, counts, max_size=5)),
        }
    return NativeHistogram(count=total(fields), **fields)


def total(fields: dict[str, Any]) -> float:
    """Observations in all buckets."""
    zero = fields.get("zero_count", 0)
    parts = [zero, *fields.get("positive", {}).values(), *fields.get("negative", {}).values()]
    return math.fsum(parts) if fields["is_float"] else sum(parts)
