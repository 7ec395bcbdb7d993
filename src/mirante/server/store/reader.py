"""The store's ``MetricReader``: series from the index, samples and grids from the engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mirante.server.store.api import ExemplarPoint, Grid, HistogramBlock, QueryBudget, SampleBlock, SeriesSet
from mirante.server.store.changes import Changes
from mirante.server.store.exemplars import read_exemplars
from mirante.server.store.grid import read_grid
from mirante.server.store.grids import GridCache
from mirante.server.store.histograms import HistogramTable
from mirante.server.store.samples import read_samples
from mirante.server.store.series import SeriesIndex

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from mirante.server.store.client import Engine


SMALL = 64 * 600_000
"""Ten minutes of 64 series: an instant query of a rule or a panel of single numbers."""


class StoreReader(SeriesIndex):
    """Reads the metrics of an engine whose schema is up to date. Every method may be called from any thread.

    Args:
        engine: where they are.
        cached: see SeriesIndex.
        grid_bytes: what the grids that are kept for later queries may take; 0 keeps none.
        small: milliseconds of all windows of all series together below which their samples are read sooner than the
            engine has computed a grid.
    """

    def __init__(self, engine: Engine, cached: int = 200_000, grid_bytes: int = 0, small: int = SMALL) -> None:
        changes = Changes(engine)
        super().__init__(engine, cached, changes)
        self._grids = GridCache(changes, grid_bytes)
        self._small = small
        self._reads_from = engine
        self._histograms = HistogramTable(engine)

    def samples(self, found: SeriesSet, after: int, until: int, budget: QueryBudget) -> SampleBlock:
        """All samples of those series with ``after < t <= until``."""
        return read_samples(self._reads_from, found, after, until, budget)

    def histograms(self, found: SeriesSet, after: int, until: int, budget: QueryBudget) -> HistogramBlock:
        """All native histograms of those series with ``after < t <= until``."""
        return self._histograms.read(found, after, until, budget)

    def exemplars(
        self, found: SeriesSet, start: int, end: int, budget: QueryBudget
    ) -> Sequence[Sequence[ExemplarPoint]]:
        """The exemplars of each of those series with ``start <= t <= end``."""
        return read_exemplars(self._reads_from, found, start, end, budget)

    def grid(
        self, function: str, found: SeriesSet, grid: Grid, budget: QueryBudget, args: Sequence[float] = ()
    ) -> npt.NDArray[np.float64] | None:
        """One value a series and step, computed in the engine; None where samples serve better, see MetricReader."""
        if len(found) * max(grid.steps * grid.window, grid.end - grid.start) < self._small:
            return None

        def compute(part: Grid) -> npt.NDArray[np.float64] | None:
            return read_grid(self._reads_from, function, found, part, budget, args)

        return self._grids.read(compute, function, found, grid, budget, args)
