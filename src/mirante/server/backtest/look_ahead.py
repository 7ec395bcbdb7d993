"""For queries that go through history time by time: what the next of them will read is read with the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mirante.server.store.api import Grid, Matcher, MetricReader, QueryBudget, SampleBlock, SeriesSet

AHEAD = 3_600_000
"""How far ahead is read, in milliseconds."""

MOST = 100
"""Selectors of which something is kept; templates may ask for ever others."""


@dataclass(frozen=True, slots=True)
class _Wide(SeriesSet):
    """Series of a selector in a longer time than was asked for, and what they hold, once that was read."""

    start: int
    end: int
    blocks: list[SampleBlock] = field(default_factory=list)


class LookAhead:
    """A MetricReader for instant queries at ascending times. Belongs to one thread.

    Args:
        base: the store.
    """

    def __init__(self, base: MetricReader) -> None:
        self._base = base
        self._kept: dict[tuple[Matcher, ...], _Wide] = {}
        self.label_names, self.label_values, self.metadata = base.label_names, base.label_values, base.metadata

    def series(self, matchers: Sequence[Matcher], start: int, end: int, budget: QueryBudget) -> SeriesSet:
        """See MetricReader."""
        key = tuple(matchers)
        kept = self._kept.get(key)
        if kept is None or start < kept.start or end > kept.end:
            found = self._base.series(matchers, start, end + AHEAD, budget)
            self._kept.pop(key, None)
            kept = self._kept[key] = _Wide(found.ids, found.labels, start, end + AHEAD)
            if len(self._kept) > MOST:
                del self._kept[next(iter(self._kept))]
        return kept

    def samples(self, found: SeriesSet, after: int, until: int, budget: QueryBudget) -> SampleBlock:
        """See MetricReader."""
        if not isinstance(found, _Wide) or after < found.start - 1 or until > found.end:
            return self._base.samples(found, after, until, budget)
        if not found.blocks:
            found.blocks.append(self._base.samples(found, found.start - 1, found.end, budget))
        return _between(found.blocks[0], after, until)

    def grid(
        self, function: str, found: SeriesSet, grid: Grid, budget: QueryBudget, args: Sequence[float] = ()
    ) -> npt.NDArray[np.float64] | None:
        """See MetricReader; everything is computed from samples."""
        return None


def _between(block: SampleBlock, after: int, until: int) -> SampleBlock:
    keep = (block.timestamps > after) & (block.timestamps <= until)
    offsets = np.concatenate([[0], np.cumsum(keep)])[block.offsets].astype(np.int64)
    return SampleBlock(offsets, block.timestamps[keep], block.values[keep])
