"""What replayed rules write, over the store: within the replay it stands in the place of what is stored.

Times are milliseconds. Belongs to one thread.
"""

from __future__ import annotations

import hashlib
import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mirante.server.backtest.reads import written
from mirante.server.promql.matchers import matches, metric_of
from mirante.server.rules.evaluation import NAME, LabelKey, RuleSample, key_of
from mirante.server.store.api import (
    STALE_NAN_BITS,
    Grid,
    Labels,
    Matcher,
    MetricReader,
    QueryBudget,
    SampleBlock,
    SeriesSet,
)


@dataclass(slots=True)
class _Held:
    """One series' samples, oldest first; ``number`` stands for its id, which only the store can compute."""

    labels: Labels
    number: int
    times: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))

    def add(self, time: int, value: float) -> int:
        """Add a sample; gives by how many there are more."""
        at = bisect_left(self.times, time)
        if at < len(self.times) and self.times[at] == time:
            before = self.values[at]
            if value > before or (math.isnan(before) and not _is_marker(value)):  # as in the store
                self.values[at] = value
            return 0
        self.times.insert(at, time)
        self.values.insert(at, value)
        return 1

    def forget(self, before: int) -> int:
        """Forget older samples; gives how many."""
        count = bisect_left(self.times, before)
        del self.times[:count], self.values[:count]
        return count

    def within(self, start: int, end: int) -> bool:
        """Whether there is a sample from start to end, both included."""
        at = bisect_left(self.times, start)
        return at < len(self.times) and self.times[at] <= end

    def between(self, after: int, until: int) -> tuple[array[int], array[float]]:
        """Times and values with ``after < t <= until``."""
        span = slice(bisect_right(self.times, after), bisect_right(self.times, until))
        return self.times[span], self.values[span]


class Overlay:
    """A RuleLog of a replay.

    Attributes:
        held: number of samples.
    """

    def __init__(self) -> None:
        self.held = 0
        self._names: dict[str, dict[LabelKey, _Held]] = {}

    def write(self, samples: Sequence[RuleSample]) -> None:
        """See RuleLog."""
        for labels, time, value in samples:
            series, key = self._names.setdefault(labels[NAME], {}), key_of(labels)
            if key not in series:
                series[key] = _Held(labels, _number(key))
            self.held += series[key].add(time, value)

    def forget(self, before: int) -> None:
        """Forget samples before that time."""
        for name, series in list(self._names.items()):
            for key, held in list(series.items()):
                self.held -= held.forget(before)
                if not held.times:
                    del series[key]
            if not series:
                del self._names[name]

    def matching(self, matchers: Sequence[Matcher], start: int, end: int) -> list[_Held]:
        """Series that match and have a sample in [start, end]."""
        found = (held for held in self._candidates(matchers) if held.within(start, end))
        return [held for held in found if matches(held.labels, matchers)]

    def _candidates(self, matchers: Sequence[Matcher]) -> Iterator[_Held]:
        name = metric_of(matchers)
        for series in self._names.values() if name is None else (self._names.get(name, {}),):
            yield from series.values()


@dataclass(frozen=True, slots=True)
class _Row:
    """Where a series' samples are.

    Attributes:
        number: its id.
        base: its row in the store's set; -1 for none.
        ends: whether the store's samples count only before the replay.
        held: what the replay wrote.
    """

    number: int
    labels: Labels
    base: int
    ends: bool
    held: _Held | None


@dataclass(frozen=True, slots=True)
class _Overlaid(SeriesSet):
    """Series of which some are written by the replay."""

    base: SeriesSet
    rows: Sequence[_Row]


class OverlayReader:
    """A MetricReader that shows what a replay writes over another reader.

    Args:
        base: the store.
        overlay: what the replay writes.
        replaced: what is known of the labels of the series that it writes, by name.
        start: from when on what is stored of those does not count.
    """

    def __init__(
        self, base: MetricReader, overlay: Overlay, replaced: Mapping[str, Sequence[Labels]], start: int
    ) -> None:
        self._base, self._overlay, self._replaced, self._start = base, overlay, replaced, start
        self.label_names, self.label_values, self.metadata = base.label_names, base.label_values, base.metadata

    def series(self, matchers: Sequence[Matcher], start: int, end: int, budget: QueryBudget) -> SeriesSet:
        """See MetricReader."""
        found = self._base.series(matchers, start, end, budget)
        held = {key_of(one.labels): one for one in self._overlay.matching(matchers, start, end)}
        ends = [self._ends(labels) for labels in found.labels]
        if not held and not any(ends):
            return found
        rows = [
            _Row(number, labels, row, ends[row], held.pop(key_of(labels), None))
            for row, (number, labels) in enumerate(zip(found.ids.tolist(), found.labels, strict=True))
        ]
        rows += [_Row(one.number, one.labels, -1, ends=True, held=one) for one in held.values()]
        rows.sort(key=lambda row: row.number)
        ids = np.array([row.number for row in rows], dtype=np.uint64)
        return _Overlaid(ids, [row.labels for row in rows], found, rows)

    def _ends(self, labels: Labels) -> bool:
        return any(written(labels, known) for known in self._replaced.get(labels.get(NAME, ""), ()))

    def samples(self, found: SeriesSet, after: int, until: int, budget: QueryBudget) -> SampleBlock:
        """See MetricReader."""
        if not isinstance(found, _Overlaid):
            return self._base.samples(found, after, until, budget)
        block = self._base.samples(found.base, after, until, budget)
        parts = [self._part(row, block, after, until) for row in found.rows]
        times, values = (np.concatenate(column) for column in zip(*parts, strict=True))
        counts = [len(part[0]) for part in parts]
        return SampleBlock(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), times, values)

    def _part(
        self, row: _Row, block: SampleBlock, after: int, until: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        span = slice(int(block.offsets[row.base]), int(block.offsets[row.base + 1])) if row.base >= 0 else slice(0, 0)
        times, values = block.timestamps[span], block.values[span]
        if row.ends:
            count = int(np.searchsorted(times, self._start))
            times, values = times[:count], values[:count]
        if row.held is not None:
            more_times, more_values = row.held.between(after, until)
            times = np.concatenate([times, np.array(more_times, dtype=np.int64)])
            values = np.concatenate([values, np.array(more_values, dtype=np.float64)])
        return times, values

    def grid(
        self, function: str, found: SeriesSet, grid: Grid, budget: QueryBudget, args: Sequence[float] = ()
    ) -> npt.NDArray[np.float64] | None:
        """See MetricReader; what the replay writes is computed from its samples."""
        return None if isinstance(found, _Overlaid) else self._base.grid(function, found, grid, budget, args)


def _is_marker(value: float) -> bool:
    return int(np.float64(value).view(np.uint64)) == STALE_NAN_BITS


def _number(key: LabelKey) -> int:
    return int.from_bytes(hashlib.blake2b(repr(sorted(key)).encode(), digest_size=8).digest(), "little")
