"""Computes range functions where the samples are: one value a series and step comes back instead of all samples.

ClickHouse's ``timeSeries*ToGrid`` aggregates have PromQL's left-open windows. Only functions whose answers agree with
the evaluator's own, NaN, infinities and resets included, are here; a property test compares the two.

One difference concerns single series: the aggregates of counters slide, adding the correction of a reset when it enters
the window and subtracting it when it leaves. That is exact for whole numbers; of fractions it leaves rounding behind (a
rate of -1e-14 where it is 0), of an infinity NaN for ever. Such series come back marked by UNSURE in their first cell,
to be computed from their samples.

Many series are computed in parts, some of them at the same time: a sample takes some 40 bytes of the aggregate's state,
and a state that is small stays in the processor's caches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from mirante.server.store.api import STALE_NAN_BITS, Grid, QueryBudget, SeriesSet
from mirante.server.store.samples import BETWEEN, CHOSEN, FIRST_TIME, LAST_TIME, chosen, encode_ids

if TYPE_CHECKING:
    import pyarrow as pa

    from mirante.server.store.client import Engine, Setting

NO_SAMPLE = np.uint64(0x7FF8000000000000)
UNSURE = np.uint64(STALE_NAN_BITS)
REAL_NAN = np.uint64(0x7FF8000000000001)
"""Prometheus's own NaN, which stands in for a real one whose bits say "no sample"."""

SERIES_TIME_AT_ONCE = 1_250 * 6 * 3_600_000
"""How many milliseconds of all series together one statement computes: 1.8 M samples at one every 15 s, some 80 MB."""


class _Aggregate(NamedTuple):
    """How a PromQL function is computed.

    Attributes:
        name: of the aggregate between ``timeSeries`` and ``ToGrid``.
        keeps_stale: whether staleness markers stay in the windows.
        value: the samples' values as the aggregate must see them.
        doubt: which samples make it give another answer than PromQL: none, those that are not finite, or, because
            corrections of resets slide with the window, also fractions in a series that was reset.
    """

    name: str
    keeps_stale: bool = False
    value: str = "value"
    doubt: Literal["none", "infinite", "resets"] = "none"


_AGGREGATES: Mapping[str, _Aggregate] = {
    # It compares bits: of the two zeros and of all NaN one each is let in.
    "changes": _Aggregate("Changes", value="if(isNaN(value), nan, value + 0.)"),
    "count_over_time": _Aggregate("Count"),
    "delta": _Aggregate("Delta"),
    "idelta": _Aggregate("InstantDelta"),
    "increase": _Aggregate("Increase", doubt="resets"),
    "irate": _Aggregate("InstantRate"),
    "last": _Aggregate("Last", keeps_stale=True),
    "last_over_time": _Aggregate("Last"),
    "max_over_time": _Aggregate("Max"),
    "min_over_time": _Aggregate("Min"),
    "rate": _Aggregate("Rate", doubt="resets"),
    "resets": _Aggregate("Resets"),
    "sum_over_time": _Aggregate("Sum"),
    "avg_over_time": _Aggregate("Avg"),
    "deriv": _Aggregate("Deriv", doubt="infinite"),
    "predict_linear": _Aggregate("PredictLinear", doubt="infinite"),
}


def read_grid(
    engine: Engine, function: str, found: SeriesSet, grid: Grid, budget: QueryBudget, args: Sequence[float] = ()
) -> npt.NDArray[np.float64] | None:
    """One value per series and step, or None where the engine has no such function; see ``MetricReader.grid``.

    Raises:
        QueryError: one of the budget's limits was met.
        StoreError: the engine failed.
    """
    aggregate = _AGGREGATES.get(function)
    last = grid.start + (grid.steps - 1) * grid.step
    # The aggregates count time as the column does, which ends at both ends of its calendar.
    in_calendar = grid.start - grid.window > FIRST_TIME and last < LAST_TIME
    if aggregate is None or not in_calendar or not np.isfinite(args).all():
        return None
    result = np.full((len(found), grid.steps), NO_SAMPLE, dtype=np.uint64)
    if not len(found):
        return result.view(np.float64)
    after = grid.start - grid.window

    def fill(rows: slice, **settings: Setting) -> None:
        ids = found.ids[rows]
        parameters: dict[str, object] = {"after": after, "until": last}
        sql = _sql(aggregate, grid, args, chosen(ids, parameters))
        table = engine.arrow(sql, parameters, budget, {**_SETTINGS, **settings})
        _fill(engine, table, aggregate, ids, result[rows], parameters, budget)

    parts = -(-len(found) * (last - after) // SERIES_TIME_AT_ONCE)
    if parts == 1:
        fill(slice(None))
    else:
        workers = engine.limits.parallel
        threads = max(1, engine.limits.threads // workers)
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(lambda rows: fill(rows, max_threads=threads), _split(len(found), parts)))
    return result.view(np.float64)


def _split(count: int, parts: int) -> list[slice]:
    """Consecutive slices of about the same length, none empty."""
    size = -(-count // min(parts, count))
    return [slice(low, low + size) for low in range(0, count, size)]


def _fill(
    engine: Engine,
    table: pa.Table,
    aggregate: _Aggregate,
    asked: npt.NDArray[np.uint64],
    result: npt.NDArray[np.uint64],
    parameters: Mapping[str, object],
    budget: QueryBudget,
) -> None:
    """Put the engine's answer into the rows of the series that were asked for."""
    if not table.num_rows:
        return
    ids = table.column("series_id").to_numpy()
    cells = _cells(table.column("cells").combine_chunks().flatten(), result.shape[1])
    if aggregate.keeps_stale:
        cells[cells == STALE_NAN_BITS] = NO_SAMPLE
    if aggregate.doubt != "none":
        cells[_unsure(engine, ids, table.column("oddity").to_numpy(), parameters, budget), 0] = UNSURE
    result[np.searchsorted(asked, ids)] = cells


_INFINITE, _FRACTION = 2, 1
_RESETS = f"""SELECT series_id
FROM samples
WHERE {CHOSEN} AND {BETWEEN} AND reinterpretAsUInt64(value) != {STALE_NAN_BITS}
GROUP BY series_id
HAVING timeSeriesResetsToGrid(
    fromUnixTimestamp64Milli({{until:Int64}}, 'UTC'), fromUnixTimestamp64Milli({{until:Int64}}, 'UTC'),
    toDecimal64(1, 3), toDecimal64({{span:Int64}}, 3) / 1000)(timestamp, value)[1] > 0"""  # noqa: S608 # only constants


def _unsure(
    engine: Engine,
    ids: npt.NDArray[np.uint64],
    oddity: npt.NDArray[np.uint8],
    parameters: Mapping[str, object],
    budget: QueryBudget,
) -> npt.NDArray[np.bool_]:
    """Series with an infinite or NaN sample, and those of fractions that have been reset."""
    unsure = oddity == _INFINITE
    fractions = ids[oddity == _FRACTION]
    if len(fractions):
        span = int(str(parameters["until"])) - int(str(parameters["after"]))
        bound = {**parameters, "ids": encode_ids(fractions), "span": span}
        reset = engine.arrow(_RESETS, bound, budget, _SETTINGS)
        if reset.num_rows:
            unsure |= np.isin(ids, reset.column("series_id").to_numpy())
    return np.asarray(unsure)


_SETTINGS: Mapping[str, Setting] = {"enable_time_series_aggregate_functions": 1}


def _sql(aggregate: _Aggregate, grid: Grid, args: Sequence[float], where: str) -> str:
    fresh = "" if aggregate.keeps_stale else f" AND reinterpretAsUInt64(value) != {STALE_NAN_BITS}"
    last = grid.start + (grid.steps - 1) * grid.step
    bounds = [
        *(f"fromUnixTimestamp64Milli(toInt64({moment}), 'UTC')" for moment in (grid.start, last)),
        *(f"toDecimal64('{milliseconds / 1000:.3f}', 3)" for milliseconds in (grid.step, grid.window)),
        *(repr(float(arg)) for arg in args),
    ]
    oddity = {
        "none": "",
        "infinite": f", max(isFinite(value) ? 0 : {_INFINITE}) AS oddity",
        "resets": f", max(isFinite(value) ? value != trunc(value) : {_INFINITE}) AS oddity",
    }[aggregate.doubt]
    return f"""SELECT series_id,
       timeSeries{aggregate.name}ToGrid({", ".join(bounds)})(timestamp, {aggregate.value}) AS cells{oddity}
FROM samples
WHERE {where} AND {BETWEEN}{fresh}
GROUP BY series_id
ORDER BY series_id"""  # noqa: S608 # only numbers and constants


def _cells(cells: object, steps: int) -> npt.NDArray[np.uint64]:
    """Cells of all series as bits, an empty one as NO_SAMPLE."""
    values = np.asarray(cells.fill_null(0.0).to_numpy(zero_copy_only=False)).view(np.uint64)  # type: ignore[attr-defined]
    bits = np.where(values == NO_SAMPLE, REAL_NAN, values)
    if cells.null_count:  # type: ignore[attr-defined]
        bits[~cells.is_valid().to_numpy(zero_copy_only=False)] = NO_SAMPLE  # type: ignore[attr-defined]
    return bits.reshape(-1, steps)
