"""Keeps computed grids: whoever asks a little later gets what is still true, and only the rest is computed.

A dashboard asks for the same hour again and again. A sample can only change the steps from its own time on, so that all
steps of a grid before the oldest sample that has come since are as they would be computed now.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mirante.server.store.api import STALE_NAN_BITS, Grid, QueryBudget, SeriesSet
from mirante.server.store.changes import Changes, Moment
from mirante.server.store.client import remaining
from mirante.server.store.lru import Lru

Floats = npt.NDArray[np.float64]
Compute = Callable[[Grid], Floats | None]

_FEW = 4  # steps that are not worth the care

_UNSURE = np.uint64(STALE_NAN_BITS)


@dataclass(frozen=True, slots=True)
class _Kept:
    """A grid as it was computed.

    Attributes:
        start: time of the first step.
        values: of shape (series, steps); nobody writes to it.
        unsure: rows that were marked, see ``MetricReader.grid``.
        moment: since when it is true.
    """

    start: int
    values: Floats
    unsure: npt.NDArray[np.int64]
    moment: Moment


class GridCache:
    """Stands before the computing of grids. Any thread may ask; of those that ask for the same at once one computes.

    Args:
        changes: tells what has been written since.
        limit: bytes of all grids together; nothing is kept when it is 0.
    """

    def __init__(self, changes: Changes, limit: int) -> None:
        self._changes = changes
        self._limit = limit
        self._kept: Lru[tuple[Any, ...], _Kept] = Lru(limit)
        self._lock = threading.Lock()
        self._computing: dict[tuple[Any, ...], threading.Lock] = {}

    def read(
        self,
        compute: Compute,
        function: str,
        found: SeriesSet,
        grid: Grid,
        budget: QueryBudget,
        args: Sequence[float] = (),
    ) -> Floats | None:
        """What ``compute(grid)`` gives for that function and those series; see ``MetricReader.grid``.

        Raises:
            QueryError: one of the budget's limits was met.
            StoreError: the engine failed.
        """
        size = len(found) * grid.steps * 8
        if grid.steps < _FEW or size * 4 > self._limit:
            return compute(grid)
        ids = hashlib.blake2b(found.ids.tobytes(), digest_size=16).digest()
        key = function, tuple(args), grid.step, grid.window, grid.start % grid.step, ids
        with self._alone(key, budget):
            moment = self._changes.now(budget)
            if moment is None:
                return compute(grid)
            kept = self._kept.get(key)
            fresh = self._brought_up(kept, compute, grid, moment, budget)
            if fresh is None:
                return None
            if fresh is not kept:
                self._kept.keep(key, fresh, fresh.values.nbytes)
        return _part(fresh, grid)

    def _brought_up(
        self, kept: _Kept | None, compute: Compute, grid: Grid, moment: Moment, budget: QueryBudget
    ) -> _Kept | None:
        """A grid that covers the one asked for, as much of it as is still true taken from the one that is kept."""
        known = 0 if kept is None else self._known(kept, grid)
        if kept is None or known * 2 < grid.steps:
            values = compute(grid)
            return None if values is None else _Kept(grid.start, values, _unsure(values), moment)
        if budget.trace is not None:
            budget.trace.kept(known * len(kept.values))
        if known == grid.steps:
            return kept
        tail = compute(replace(grid, start=grid.start + known * grid.step))
        if tail is None:
            return None
        first = (grid.start - kept.start) // grid.step
        values = np.concatenate([kept.values[:, first : first + known], tail], axis=1)
        return _Kept(grid.start, values, np.union1d(kept.unsure, _unsure(tail)), moment)

    def _known(self, kept: _Kept, grid: Grid) -> int:
        """How many of the first steps are in the kept grid and still true."""
        first = (grid.start - kept.start) // grid.step
        if first < 0:
            return 0
        known: int = min(kept.values.shape[1] - first, grid.steps)
        oldest = self._changes.oldest_since(kept.moment)
        if oldest is not None:
            known = max(0, min(known, -((grid.start - oldest) // grid.step)))
        return known

    @contextmanager
    def _alone(self, key: tuple[Any, ...], budget: QueryBudget) -> Iterator[None]:
        """Wait for another that computes the same."""
        with self._lock:
            lock = self._computing.setdefault(key, threading.Lock())
        while not lock.acquire(timeout=min(0.1, remaining(budget))):
            pass
        try:
            yield
        finally:
            lock.release()
            with self._lock:
                if not lock.locked():
                    self._computing.pop(key, None)


def _unsure(values: Floats) -> npt.NDArray[np.int64]:
    return np.flatnonzero(np.ascontiguousarray(values[:, 0]).view(np.uint64) == _UNSURE)


def _part(kept: _Kept, grid: Grid) -> Floats:
    """The steps of a grid, marked rows marked in the first of them."""
    first = (grid.start - kept.start) // grid.step
    values = kept.values[:, first : first + grid.steps]
    if len(kept.unsure):
        values = values.copy()
        values.view(np.uint64)[kept.unsure, 0] = _UNSURE
    values.flags.writeable = False
    return values
