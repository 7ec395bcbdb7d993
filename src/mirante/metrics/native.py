"""Native histograms: sparse buckets whose bounds grow by a constant factor, so that nobody has to choose them.

Bounds at the finest resolution contain those of every coarser one, so a histogram that needs too many buckets halves
its resolution, and histograms of several processes or times can be added.

Source: Prometheus documentation, "Native Histograms".
"""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from mirante._core.done import DONE, Done
from mirante.errors import DeclarationError
from mirante.metrics.cells import HistogramCell, Observe

FINEST = 8
COARSEST = -4
ZERO_THRESHOLD = 2.0**-128
"""Values nearer to zero count as zero, as in Prometheus's own clients."""

_PER_OCTAVE = 1 << FINEST
_FRACTIONS = [0.5 * 2 ** (i / _PER_OCTAVE) for i in range(_PER_OCTAVE)]
_BEYOND = 1024 * _PER_OCTAVE + 1
"""Index of the bucket of infinity: the one after that of the greatest float64."""


def schema_of(metric: str, factor: float) -> int:
    """The coarsest resolution whose bounds grow by at most ``factor``.

    Raises:
        DeclarationError: the factor is not above 1.

    Example:
        >>> schema_of("latency_seconds", 1.1)
        3
    """
    if not factor > 1:
        raise DeclarationError(f"{metric}: native_factor must be above 1, such as 1.1, and is {factor}")
    for schema in range(COARSEST, FINEST):
        if 2.0 ** (2.0**-schema) <= factor:
            return schema
    return FINEST


def finest_index(magnitude: float) -> int:
    """The bucket of a positive number at the finest resolution; ``index >> shift`` of the negated one coarsens it."""
    if magnitude == math.inf:
        return _BEYOND
    fraction, exponent = math.frexp(magnitude)
    return bisect_left(_FRACTIONS, fraction) + (exponent - 1) * _PER_OCTAVE


class NativeState(NamedTuple):
    """What a native histogram holds at one moment; see NativePoint."""

    schema: int
    zero_count: int
    sum: float
    positive: dict[int, int]
    negative: dict[int, int]


class NativeBuckets:
    """The sparse buckets of one series.

    Args:
        schema: resolution to begin with.
        most: buckets above which the resolution is halved.
    """

    __slots__ = ("_lock", "_most", "_negative", "_positive", "_shift", "_sum", "_zero")

    def __init__(self, schema: int, most: int) -> None:
        # Indexes are kept negated, because >> rounds down and bounds are inclusive above.
        self._positive: defaultdict[int, int] = defaultdict(int)
        self._negative: defaultdict[int, int] = defaultdict(int)
        self._zero = 0
        self._sum = 0.0
        self._shift = FINEST - schema
        self._most = most
        self._lock = threading.Lock()

    def add(self, value: float) -> None:
        """Count a value that is not NaN. Under the GIL nothing comes between reading and writing (see cells)."""
        if -ZERO_THRESHOLD <= value <= ZERO_THRESHOLD:
            self._zero += 1
        elif value > 0:
            index = -finest_index(value)
            self._positive[index >> self._shift] += 1
        else:
            index = -finest_index(-value)
            self._negative[index >> self._shift] += 1
        self._sum += value
        if len(self._positive) + len(self._negative) > self._most:
            with self._lock:
                self._coarsen()

    def merge(self, other: NativeState) -> None:
        """Add what another histogram counted."""
        with self._lock:
            while FINEST - self._shift > other.schema:
                self._halve()
            by = FINEST - self._shift
            for index, count in other.positive.items():
                self._positive[-index >> (other.schema - by)] += count
            for index, count in other.negative.items():
                self._negative[-index >> (other.schema - by)] += count
            self._zero += other.zero_count
            self._sum += other.sum
            self._coarsen()

    def state(self) -> NativeState:
        """What is counted at this moment."""
        with self._lock:  # no halving in between
            positive, negative, zero, total = {**self._positive}, {**self._negative}, self._zero, self._sum
            schema = FINEST - self._shift
        return NativeState(
            schema, zero, total, {-i: n for i, n in positive.items()}, {-i: n for i, n in negative.items()}
        )

    def clear(self) -> None:
        """Start again from zero; in a forked child too, where the lock may be held by a thread that is not there."""
        self._lock = threading.Lock()
        with self._lock:
            self._positive, self._negative = defaultdict(int), defaultdict(int)
            self._zero, self._sum = 0, 0.0

    def _coarsen(self) -> None:
        while len(self._positive) + len(self._negative) > self._most and self._shift < FINEST - COARSEST:
            self._halve()

    def _halve(self) -> None:
        positive: defaultdict[int, int] = defaultdict(int)
        negative: defaultdict[int, int] = defaultdict(int)
        before = self._positive, self._negative
        # Three stores without a call between them; threads that count meanwhile do so in the new buckets.
        self._positive, self._negative, self._shift = positive, negative, self._shift + 1
        for old, new in zip(before, (positive, negative), strict=True):
            for index, count in old.items():
                new[index >> 1] += count


def plain_observe(classic: HistogramCell, native: NativeBuckets) -> Observe:
    """Records in both histograms, for builds with the GIL."""
    first, second = classic.observe, native.add

    def observe(value: float, exemplar: Mapping[str, str] | None = None) -> Done:
        first(value, exemplar)
        second(value)
        return DONE

    return observe


def locked_observe(classic: HistogramCell, native: NativeBuckets) -> Observe:
    """Records in both histograms, for builds on which threads run at the same time."""
    lock = threading.Lock()
    unlocked = plain_observe(classic, native)

    def observe(value: float, exemplar: Mapping[str, str] | None = None) -> Done:
        with lock:
            return unlocked(value, exemplar)

    return observe
