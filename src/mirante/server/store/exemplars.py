"""Reads exemplars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mirante.errors import QueryLimitError
from mirante.server.store.api import ExemplarPoint, QueryBudget, SeriesSet
from mirante.server.store.samples import BETWEEN, CHOSEN, FIRST_TIME, LAST_TIME, encode_ids

if TYPE_CHECKING:
    from mirante.server.store.client import Engine

# Distinct: a sender repeats an exemplar with every scrape until a newer one takes its place.
_SQL = f"""SELECT DISTINCT series_id, toUnixTimestamp64Milli(timestamp) AS time, value,
       mapKeys(labels) AS names, mapValues(labels) AS texts
FROM exemplars
WHERE {CHOSEN} AND {BETWEEN}
ORDER BY series_id, time, value, names, texts
LIMIT {{most:UInt64}}"""  # noqa: S608 # only constants


def read_exemplars(
    engine: Engine, found: SeriesSet, start: int, end: int, budget: QueryBudget
) -> list[list[ExemplarPoint]]:
    """The exemplars of each series with ``start <= t <= end``; see ``ExemplarReader.exemplars``.

    Raises:
        QueryError: one of the budget's limits was met.
        StoreError: the engine failed.
    """
    if not len(found):
        return []
    after, until = (min(max(time, FIRST_TIME), LAST_TIME) for time in (start - 1, end))
    parameters = {"ids": encode_ids(found.ids), "after": after, "until": until, "most": budget.max_samples + 1}
    rows = engine.arrow(_SQL, parameters, budget).to_pylist()
    if len(rows) > budget.max_samples:
        raise QueryLimitError(
            f"the query finds more than {budget.max_samples} exemplars; ask for fewer series or less time"
        )
    by_series: dict[int, list[ExemplarPoint]] = {number: [] for number in found.ids.tolist()}
    for row in rows:
        labels = dict(zip(row["names"], row["texts"], strict=True))
        by_series[row["series_id"]].append(ExemplarPoint(labels, row["value"], row["time"]))
    return list(by_series.values())
