"""Reads raw samples: the engine finds them, NumPy groups its columns by series."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mirante.server.store.api import STALE_NAN_BITS, QueryBudget, SampleBlock, SeriesSet

if TYPE_CHECKING:
    from mirante.server.store.client import Engine, Setting

# The ids travel as one parameter: a list of literals would be parsed one by one and soon be too long a query.
CHOSEN = "series_id IN (SELECT arrayJoin(reinterpret(base64Decode({ids:String}), 'Array(UInt64)')))"
BETWEEN = (
    "timestamp > fromUnixTimestamp64Milli({after:Int64}, 'UTC')"
    " AND timestamp <= fromUnixTimestamp64Milli({until:Int64}, 'UTC')"
)
FIRST_TIME, LAST_TIME = -2_208_988_800_000, 10_413_791_999_999
"""The first and the last millisecond that a DateTime64(3) holds: the years 1900 to 2299."""

FEW = 64
"""So many ids stand in the text: reading a parameter of ids takes the engine half a millisecond."""

# One thread hands its answer over faster than two. Large blocks: of those of the usual size few rows are left each.
_SETTINGS: Mapping[str, Setting] = {
    "max_threads": 1,
    "max_block_size": 300_000,
    "preferred_block_size_bytes": 10_000_000,
}


def chosen(ids: npt.NDArray[np.uint64], parameters: dict[str, object]) -> str:
    """The condition that a row belongs to one of those series; what it needs goes into ``parameters``.

    Example:
        >>> chosen(np.array([3, 5], dtype=np.uint64), {})
        'series_id IN (3,5)'
    """
    if 0 < len(ids) <= FEW:
        return f"series_id IN ({','.join(map(str, ids.tolist()))})"
    parameters["ids"] = encode_ids(ids)
    return CHOSEN


def read_samples(engine: Engine, found: SeriesSet, after: int, until: int, budget: QueryBudget) -> SampleBlock:
    """All samples of the series with ``after < t <= until``; see ``MetricReader.samples``.

    Raises:
        QueryError: one of the budget's limits was met.
        StoreError: the engine failed.
    """
    if not len(found):
        return _NOTHING
    after, until = (min(max(time, FIRST_TIME), LAST_TIME) for time in (after, until))
    parameters: dict[str, object] = {"after": after, "until": until}
    where = f"{chosen(found.ids, parameters)} AND {BETWEEN}"
    sql = f"SELECT series_id, timestamp, value FROM samples WHERE {where}"  # noqa: S608 # constants and numbers
    table = engine.arrow(sql, parameters, budget, _SETTINGS).combine_chunks()
    times = table.column("timestamp").cast(pa.int64()).to_numpy()
    return in_order(_grouped(found, table.column("series_id").to_numpy(), times, table.column("value").to_numpy()))


_NOTHING = SampleBlock(np.zeros(1, np.int64), np.empty(0, np.int64), np.empty(0))


def _grouped(
    found: SeriesSet, ids: npt.NDArray[np.uint64], times: npt.NDArray[np.int64], values: npt.NDArray[np.float64]
) -> SampleBlock:
    """The samples series by series; they come in runs of one series and one part."""
    if not len(ids):
        return SampleBlock(np.zeros(len(found) + 1, np.int64), times, values)
    starts = np.concatenate([[0], np.flatnonzero(ids[1:] != ids[:-1]) + 1])
    lengths = np.diff(np.append(starts, len(ids)))
    owners = np.searchsorted(found.ids, ids[starts])
    counts = np.bincount(owners, lengths, len(found)).astype(np.int64)
    if (np.diff(owners) < 0).any():
        order = np.argsort(owners, kind="stable")
        starts, lengths = starts[order], lengths[order]
        rows = np.repeat(starts - np.cumsum(lengths) + lengths, lengths) + np.arange(len(ids))
        times, values = times[rows], values[rows]
    return SampleBlock(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), times, values)


def encode_ids(ids: npt.NDArray[np.uint64]) -> str:
    """Series ids as the parameter that CHOSEN takes."""
    return base64.b64encode(np.ascontiguousarray(ids, dtype="<u8").tobytes()).decode("ascii")


def in_order(block: SampleBlock) -> SampleBlock:
    """The block with ascending times inside each series, one sample a time: of several the greatest value.

    Parts that have not been merged yet overlap when samples came late or twice; a block that is in order is returned as
    it is.
    """
    times = block.timestamps
    ascending = np.diff(times) > 0
    ends = block.offsets[1:-1] - 1
    ascending[ends[(ends >= 0) & (ends < len(ascending))]] = True  # from one series to the next times may fall
    if ascending.all():
        return block
    owner = np.repeat(np.arange(len(block.offsets) - 1), np.diff(block.offsets))
    # NaN, and with it a staleness marker, is less than any number; a marker is less than a NaN.
    rank = np.where(np.isnan(block.values), -np.inf, block.values)
    marker = block.values.view(np.uint64) == STALE_NAN_BITS
    order = np.lexsort((~marker, ~np.isnan(block.values), rank, times, owner))
    owner, times, values = owner[order], times[order], block.values[order]
    last = np.append((np.diff(owner) != 0) | (np.diff(times) != 0), True)
    counts = np.bincount(owner[last], minlength=len(block.offsets) - 1)
    return SampleBlock(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), times[last], values[last])
