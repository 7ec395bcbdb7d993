"""Checks native histograms at the door: what contradicts itself could not be queried."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate

from mirante.formats.native_histogram import CUSTOM_BUCKETS, SCHEMAS
from mirante.server.store.protos import Parsed

_SLACK = 1e-9  # of float counts, which are sums of floats


def fault(histogram: Parsed) -> str:
    """What is wrong with a ``Histogram`` of remote write, or the empty string.

    Source: Prometheus ``model/histogram``, what ``Validate`` asks for.
    """
    schema = histogram.schema
    if schema != CUSTOM_BUCKETS and schema not in SCHEMAS:
        return f"the schema {schema} is neither {CUSTOM_BUCKETS} nor from {SCHEMAS[0]} to {SCHEMAS[-1]}"
    is_float = histogram.WhichOneof("count") == "count_float"
    counts: list[float] = []
    for side in ("positive", "negative"):
        spans = getattr(histogram, f"{side}_spans")
        of_side = getattr(histogram, f"{side}_counts") if is_float else _sums(getattr(histogram, f"{side}_deltas"))
        if any(span.offset < 0 for span in spans[1:]):
            return "a span goes back"
        if sum(span.length for span in spans) != len(of_side):
            return "there are not as many buckets as the spans say"
        counts += of_side
    if not all(count >= 0 for count in counts):
        return "the count of a bucket is negative"
    if schema == CUSTOM_BUCKETS:
        found = _custom_fault(histogram)
    else:
        found = "exponential buckets have no bounds of their own" if histogram.custom_values else ""
    return found or _count_fault(histogram, counts, is_float=is_float)


def _sums(deltas: Iterable[int]) -> Sequence[int]:
    return list(accumulate(deltas))


def _custom_fault(histogram: Parsed) -> str:
    bounds = list(histogram.custom_values)
    if not all(map(math.isfinite, bounds)) or sorted(set(bounds)) != bounds:
        return "the bounds are not finite and ascending"
    if histogram.zero_count_int or histogram.zero_count_float or histogram.zero_threshold or histogram.negative_spans:
        return "buckets with bounds of their own have no zero bucket and no negative ones"
    first = histogram.positive_spans[0].offset if histogram.positive_spans else 0
    if first < 0 or sum(span.offset + span.length for span in histogram.positive_spans) > len(bounds) + 1:
        return "there are buckets outside of the bounds"
    return ""


def _count_fault(histogram: Parsed, counts: Sequence[float], *, is_float: bool) -> str:
    """Observations that are NaN are counted but are in no bucket; then the sum is NaN too."""
    if is_float:
        total, zero = histogram.count_float, histogram.zero_count_float
        inside = math.fsum(counts) + zero
        wrong = not (zero >= 0 and total >= 0) or inside > total * (1 + _SLACK)
    else:
        total, inside = histogram.count_int, sum(map(int, counts)) + histogram.zero_count_int
        wrong = inside > total if math.isnan(histogram.sum) else inside != total
    return f"the count is {total:g}, but the buckets hold {inside:g}" if wrong else ""
