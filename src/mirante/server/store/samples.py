"""Reads raw samples: the engine sorts and groups them, NumPy gets its columns without a copy."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mirante.server.store.api import STALE_NAN_BITS, QueryBudget, SampleBlock, SeriesSet

if TYPE_CHECKING:
    import pyarrow as pa

    from mirante.server.store.client import Engine

# The ids travel as one parameter: a list of literals would be parsed one by one and soon be too long a query.
CHOSEN = "series_id IN (SELECT arrayJoin(reinterpret(base64Decode({ids:String}), 'Array(UInt64)')))"
BETWEEN = (
    "timestamp > fromUnixTimestamp64Milli({after:Int64}, 'UTC')"
    " AND timestamp <= fromUnixTimestamp64Milli({until:Int64}, 'UTC')"
)
FIRST_TIME, LAST_TIME = -2_208_988_800_000, 10_413_791_999_999
"""The first and the last millisecond that a DateTime64(3) holds: the years 1900 to 2299."""

_SQL = f"""SELECT series_id,
       groupArray(toUnixTimestamp64Milli(timestamp)) AS times,
       groupArray(value) AS vals
FROM samples
WHERE {CHOSEN} AND {BETWEEN}
GROUP BY series_id
ORDER BY series_id"""  # noqa: S608 # only constants


def read_samples(engine: Engine, found: SeriesSet, after: int, until: int, budget: QueryBudget) -> SampleBlock:
    """All samples of the series with ``after < t <= until``; see ``MetricReader.samples``.

    Raises:
        QueryError: one of the budget's limits was met.
        StoreError: the engine failed.
    """
    if not len(found):
        return SampleBlock(np.zeros(1, np.int64), np.empty(0, np.int64), np.empty(0))
    after, until = (min(max(time, FIRST_TIME), LAST_TIME) for time in (after, until))
    parameters = {"ids": encode_ids(found.ids), "after": after, "until": until}
    # In the order of the key no hash table of arrays is held, and the samples of one part come sorted.
    table = engine.arrow(_SQL, parameters, budget, {"optimize_aggregation_in_order": 1})
    if not table.num_rows:
        return SampleBlock(np.zeros(len(found) + 1, np.int64), np.empty(0, np.int64), np.empty(0))
    rows = np.searchsorted(found.ids, table.column("series_id").to_numpy())
    times, lengths = flat_list(table, "times")
    values, _ = flat_list(table, "vals")
    counts = np.zeros(len(found), dtype=np.int64)
    counts[rows] = lengths
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return in_order(SampleBlock(offsets, times, values))


def encode_ids(ids: npt.NDArray[np.uint64]) -> str:
    """Series ids as the parameter that CHOSEN takes."""
    return base64.b64encode(np.ascontiguousarray(ids, dtype="<u8").tobytes()).decode("ascii")


def flat_list(table: pa.Table, column: str) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """The values of a list column one after the other, and the length of each list."""
    lists = table.column(column).combine_chunks()
    flat = lists.flatten().to_numpy(zero_copy_only=False)
    return flat, np.diff(lists.offsets.to_numpy()).astype(np.int64)


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
