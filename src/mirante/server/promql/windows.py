"""The samples that each step of a range function looks back on, for all series at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mirante.server.promql.matrix import Bools, Floats, Ints
from mirante.server.store.api import STALE_NAN_BITS, Labels, SampleBlock


class Points(NamedTuple):
    """What a range function gives: values and where they are."""

    values: Floats
    present: Bools


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows (start, end] over the samples of N series at T steps; staleness markers are gone.

    Attributes:
        times: int64 milliseconds of all samples, series after series.
        values: float64 of all samples.
        low: first sample of each window, shape (N, T).
        high: the one behind its last.
        ends: time of the windows' ends, shape (T,): the step less the offset.
        range: length of the windows in milliseconds.
        steps: the times at which the query is evaluated, shape (T,).
    """

    times: Ints
    values: Floats
    low: Ints
    high: Ints
    ends: Ints
    range: int
    steps: Ints

    @property
    def counts(self) -> Ints:
        """Samples in each window."""
        return self.high - self.low

    @property
    def filled(self) -> Bools:
        """Windows with a sample."""
        return self.high > self.low

    def at(self, index: Ints) -> Floats:
        """Values at sample numbers; what lies outside is any value."""
        return _take(self.values, index)

    def time_at(self, index: Ints) -> Ints:
        """Times at sample numbers."""
        return _take(self.times, index)

    def columns(self) -> Iterator[tuple[Ints, Ints]]:
        """For j = 0, 1, ...: the flat numbers of the windows that have a j-th sample, and that sample's number."""
        low, counts = self.low.ravel(), self.counts.ravel()
        for j in range(int(counts.max(initial=0))):
            windows = np.flatnonzero(counts > j)
            yield windows, low[windows] + j

    def reduce(self, ufunc: np.ufunc, samples: Floats, skip: int = 0) -> Floats:
        """``ufunc`` over the samples of each window, its first ``skip`` left out; empty windows give any value."""
        bounds = np.empty((self.low.size, 2), dtype=np.int64)
        bounds[:, 0] = np.minimum(self.low.ravel() + skip, self.high.ravel())
        bounds[:, 1] = self.high.ravel()
        padded = np.append(samples, 0.0)
        return np.asarray(ufunc.reduceat(padded, bounds.ravel())[::2], dtype=np.float64).reshape(self.low.shape)

    def padded(self) -> tuple[Floats, Bools]:
        """All windows as rows of one rectangle, and which of its cells are samples."""
        width = max(1, int(self.counts.max(initial=0)))
        index = self.low.reshape(-1, 1) + np.arange(width)
        inside = index < self.high.reshape(-1, 1)
        return np.where(inside, self.at(np.where(inside, index, 0)), 0.0), inside


class Ranges(NamedTuple):
    """The value of a node of type matrix: the series, their windows, and whose names go later (see Matrix)."""

    labels: Sequence[Labels]
    windows: Windows
    unnamed: Bools | None = None


def _take(samples: npt.NDArray[Any], index: Ints) -> npt.NDArray[Any]:
    if not samples.size:
        return np.zeros(index.shape, dtype=samples.dtype)
    return samples[np.clip(index, 0, samples.size - 1)]


def is_stale(values: Floats) -> Bools:
    """Which values are staleness markers."""
    return np.asarray(values.view(np.uint64) == STALE_NAN_BITS)


def without_stale(block: SampleBlock) -> SampleBlock:
    """The block without its staleness markers."""
    keep = ~is_stale(block.values)
    if keep.all():
        return block
    kept_before = np.concatenate([[0], np.cumsum(keep)])
    return SampleBlock(kept_before[block.offsets], block.timestamps[keep], block.values[keep])


def make_windows(block: SampleBlock, ends: Ints, span: int, steps: Ints) -> Windows:
    """Windows (end - span, end] over a block that has no staleness markers."""
    low = positions(block, ends - span)
    high = positions(block, ends)
    return Windows(block.timestamps, block.values, low, high, ends, span, steps)


def positions(block: SampleBlock, times: Ints) -> Ints:
    """For each series and time the number of the first sample behind that time, shape (N, T).

    One search for all series: series number and time make one ascending key.
    """
    series = len(block.offsets) - 1
    if not block.timestamps.size:
        return np.zeros((series, times.size), dtype=np.int64)
    base = int(block.timestamps.min())
    span = int(block.timestamps.max()) - base + 2
    owner = np.repeat(np.arange(series, dtype=np.int64), np.diff(block.offsets))
    keys = owner * span + (block.timestamps - base)
    wanted = np.clip(times - base, -1, span - 2)
    asked = (np.arange(series, dtype=np.int64) * span)[:, None] + wanted[None, :]
    return np.searchsorted(keys, asked.ravel(), side="right").astype(np.int64).reshape(series, times.size)
