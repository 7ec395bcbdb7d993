"""Reads native histograms."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from mirante.errors import QueryLimitError
from mirante.formats.native_histogram import NativeHistogram, from_spans
from mirante.server.store.api import STALE_NAN_BITS, HistogramBlock, QueryBudget, SeriesSet
from mirante.server.store.samples import BETWEEN, CHOSEN, FIRST_TIME, LAST_TIME, encode_ids

if TYPE_CHECKING:
    from mirante.server.store.client import Engine

# Floats travel as bits: what Arrow's conversion to Python makes of a NaN is nobody's promise.
_SQL = f"""SELECT series_id, toUnixTimestamp64Milli(timestamp) AS time, * EXCEPT (series_id, timestamp, sum),
       reinterpretAsUInt64(sum) AS sum_bits
FROM histogram_samples
WHERE {CHOSEN} AND {BETWEEN}
ORDER BY series_id, timestamp
LIMIT {{most:UInt64}}"""  # noqa: S608 # only constants


class HistogramTable:
    """The native histograms of a store.

    Args:
        engine: where they are.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._any = False

    def read(self, found: SeriesSet, after: int, until: int, budget: QueryBudget) -> HistogramBlock:
        """All histograms of the series with ``after < t <= until``; see ``HistogramReader.histograms``.

        Raises:
            QueryError: one of the budget's limits was met.
            StoreError: the engine failed.
        """
        if not len(found) or not self._has_any(budget):
            return HistogramBlock(np.zeros(len(found) + 1, np.int64), np.empty(0, np.int64), [])
        after, until = (min(max(time, FIRST_TIME), LAST_TIME) for time in (after, until))
        parameters = {"ids": encode_ids(found.ids), "after": after, "until": until, "most": budget.max_samples + 1}
        rows = self._engine.arrow(_SQL, parameters, budget).to_pylist()
        if len(rows) > budget.max_samples:
            raise QueryLimitError(
                f"a selector finds more than {budget.max_samples} native histograms; ask for fewer series or less time"
            )
        kept = {(row["series_id"], row["time"]): row for row in sorted(rows, key=_rank)}
        ordered = [kept[key] for key in sorted(kept)]
        positions = np.searchsorted(found.ids, np.array([row["series_id"] for row in ordered], np.uint64))
        counts = np.bincount(positions, minlength=len(found))
        return HistogramBlock(
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            np.array([row["time"] for row in ordered], np.int64),
            [_histogram(row) for row in ordered],
        )

    def _has_any(self, budget: QueryBudget) -> bool:
        """Whether there is one at all: most stores have none, and then a selector costs no read of this table."""
        if not self._any:
            # Answered from the parts' own counts, without reading a row.
            self._any = bool(self._engine.arrow("SELECT count() AS n FROM histogram_samples", {}, budget)[0][0].as_py())
        return self._any


def _rank(row: Mapping[str, Any]) -> tuple[bool, float, float]:
    """Of several at one time the one of the highest rank counts."""
    total = _float(row["sum_bits"])
    return (
        row["sum_bits"] != STALE_NAN_BITS,
        row["count_float"] if row["is_float"] else row["count"],
        total if total == total else -np.inf,  # noqa: PLR0124 - NaN alone differs from itself
    )


def _histogram(row: Mapping[str, Any]) -> NativeHistogram:
    floats = row["is_float"]
    return NativeHistogram(
        count=row["count_float"] if floats else row["count"],
        sum=_float(row["sum_bits"]),
        schema=row["schema"],
        zero_threshold=row["zero_threshold"],
        zero_count=row["zero_count_float"] if floats else row["zero_count"],
        positive=_buckets(row, "positive"),
        negative=_buckets(row, "negative"),
        custom_bounds=tuple(row["custom_bounds"]),
        is_float=floats,
        reset_hint=row["reset_hint"],
    )


def _buckets(row: Mapping[str, Any], side: str) -> dict[int, float]:
    spans = ((span["offset"], span["length"]) for span in row[f"{side}_spans"])
    counts: Iterator[float] = iter(row[f"{side}_counts"]) if row["is_float"] else accumulate(row[f"{side}_deltas"])
    return from_spans(spans, counts)


def _float(bits: int) -> float:
    value: float = struct.unpack("<d", struct.pack("<Q", bits))[0]
    return value
