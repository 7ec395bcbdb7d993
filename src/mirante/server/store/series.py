"""Finds series by their labels, and answers what labels and metrics there are.

The engine finds ids; the labels of a series are fetched once and then kept: most queries ask for the same ones again.
What a selector found is kept as well, until the table of series changes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mirante.errors import QueryLimitError
from mirante.server.store.api import Labels, Matcher, QueryBudget, SeriesSet
from mirante.server.store.changes import Changes
from mirante.server.store.client import remaining
from mirante.server.store.lru import Lru
from mirante.server.store.samples import CHOSEN, encode_ids

if TYPE_CHECKING:
    from mirante.server.store.client import Engine

_DAY = 86_400_000
_LAST_DAY = 65_535  # of the engine's Date
_LABELS = "SELECT series_id, mapKeys(labels) AS names, mapValues(labels) AS texts FROM series WHERE"


def conditions(matchers: Sequence[Matcher], parameters: dict[str, object]) -> str:
    """The matchers as SQL over the table of series; their values go into ``parameters``.

    Example:
        >>> found = {}
        >>> conditions([Matcher("__name__", "=", "up"), Matcher("job", "!~", "a.*")], found)
        'name = {p0:String} AND NOT match(labels[{p1:String}], {p2:String})'
        >>> found
        {'p0': 'up', 'p1': 'job', 'p2': '^(?s:a.*)$'}
    """

    def bind(value: str) -> str:
        name = f"p{len(parameters)}"
        parameters[name] = value
        return f"{{{name}:String}}"

    def one(matcher: Matcher) -> str:
        column = "name" if matcher.name == "__name__" else f"labels[{bind(matcher.name)}]"
        if matcher.op in {"=", "!="}:
            return f"{column} {matcher.op} {bind(matcher.value)}"
        test = f"match({column}, {bind(f'^(?s:{matcher.value})$')})"
        return test if matcher.op == "=~" else f"NOT {test}"

    return " AND ".join(map(one, matchers)) or "1"


_DAYS = "day BETWEEN toDate({first:UInt16}) AND toDate({last:UInt16})"


def _days(start: int, end: int) -> tuple[int, int]:
    """The first and the last day, as _DAYS takes them."""
    return min(max(start // _DAY, 0), _LAST_DAY), min(max(end // _DAY, 0), _LAST_DAY)


class _Selection(NamedTuple):
    """What a selector found when the table of series was that one."""

    table: int
    found: SeriesSet


class SeriesIndex:
    """Finds series, label names, label values and metadata; see ``MetricReader`` for the contracts.

    Args:
        engine: where the series are.
        cached: series whose labels are kept in memory, and places of series in what selectors have found.
        changes: tells whether the table of series has changed.
    """

    def __init__(self, engine: Engine, cached: int = 200_000, changes: Changes | None = None) -> None:
        self._engine = engine
        self._limit = cached
        self._changes = changes or Changes(engine)
        self._selections: Lru[tuple[tuple[Matcher, ...], int, int], _Selection] = Lru(cached)
        self._cache: dict[int, Labels] = {}
        self._lock = threading.Lock()

    def series(self, matchers: Sequence[Matcher], start: int, end: int, budget: QueryBudget) -> SeriesSet:
        """Series that match and have samples on one of the days of [start, end].

        As long as they are the same series it is the same object, whoever asks; so nobody changes it.

        Raises:
            QueryLimitError: there are more than ``budget.max_series``.
            QueryError: another limit was met, or a regular expression is wrong.
            StoreError: the engine failed.
        """
        remaining(budget)
        first, last = _days(start, end)
        key = tuple(matchers), first, last
        moment = self._changes.now(budget)
        known = self._selections.get(key)
        if known is None or moment is None or known.table != moment.series:
            found = self._found(matchers, first, last, budget)
            if known is not None and np.array_equal(found.ids, known.found.ids):
                found = known.found
            known = _Selection(0 if moment is None else moment.series, found)
            self._selections.keep(key, known, len(found) + 100)
        _check_count(len(known.found), budget)
        return known.found

    def _found(self, matchers: Sequence[Matcher], first: int, last: int, budget: QueryBudget) -> SeriesSet:
        parameters: dict[str, object] = {"first": first, "last": last}
        where = f"{_DAYS} AND {conditions(matchers, parameters)}"
        sql = f"SELECT DISTINCT series_id FROM series WHERE {where} LIMIT {budget.max_series + 1}"  # noqa: S608
        ids = np.sort(self._engine.arrow(sql, parameters, budget).column("series_id").to_numpy())
        _check_count(len(ids), budget)
        known = self._cache  # replaced as a whole, never changed in place by another thread while we read
        missing = [position for position, number in enumerate(ids.tolist()) if number not in known]
        fetched: Mapping[int, Labels] = {}
        if missing:
            # Few are asked for by id; most or all by the same conditions, which the engine answers faster.
            if len(missing) * 4 < len(ids):
                where, parameters = CHOSEN, {"ids": encode_ids(ids[missing])}
            fetched = _labels_by_id(self._engine.arrow(f"{_LABELS} {where} LIMIT 1 BY series_id", parameters, budget))
            self._remember(fetched)
        found = [known.get(number) or fetched.get(number) for number in ids.tolist()]
        return _without_gaps(ids, found)

    def _remember(self, fetched: Mapping[int, Labels]) -> None:
        with self._lock:
            merged = {**self._cache, **fetched}
            self._cache = merged if len(merged) <= self._limit else dict(list(fetched.items())[: self._limit])

    def label_names(
        self, matcher_sets: Sequence[Sequence[Matcher]], start: int, end: int, budget: QueryBudget
    ) -> list[str]:
        """Sorted names of the labels of all series that match any of the sets."""
        return self._distinct("arrayJoin(mapKeys(labels))", matcher_sets, start, end, budget)

    def label_values(
        self, name: str, matcher_sets: Sequence[Sequence[Matcher]], start: int, end: int, budget: QueryBudget
    ) -> list[str]:
        """Sorted values of that label."""
        column = "name" if name == "__name__" else "labels[{label:String}]"
        return self._distinct(column, matcher_sets, start, end, budget, {"label": name})

    def _distinct(
        self,
        column: str,
        matcher_sets: Sequence[Sequence[Matcher]],
        start: int,
        end: int,
        budget: QueryBudget,
        parameters: Mapping[str, object] | None = None,
    ) -> list[str]:
        first, last = _days(start, end)
        bound = {**(parameters or {}), "first": first, "last": last}
        any_set = " OR ".join(f"({conditions(matchers, bound)})" for matchers in matcher_sets) or "1"
        sql = f"SELECT DISTINCT {column} AS value FROM series WHERE {_DAYS} AND ({any_set})"  # noqa: S608
        values = self._engine.arrow(sql, bound, budget).column("value").to_pylist()
        return sorted(value for value in values if value)

    def metadata(self, metric: str | None, limit: int | None) -> dict[str, list[dict[str, str]]]:
        """Type, help and unit by metric family, newest first; of ``limit`` families at most."""
        only = "" if metric is None else "WHERE name = {metric:String}"
        sql = f"SELECT name, type, help, unit FROM metric_metadata FINAL {only} ORDER BY name, seen DESC, type"  # noqa: S608
        found: dict[str, list[dict[str, str]]] = {}
        for row in self._engine.arrow(sql, {"metric": metric or ""}).to_pylist():
            name = row.pop("name")
            if name not in found and limit is not None and len(found) >= limit:
                break
            found.setdefault(name, []).append(row)
        return found


def _check_count(count: int, budget: QueryBudget) -> None:
    if count > budget.max_series:
        raise QueryLimitError(
            f"a selector matches more than {budget.max_series} series; add matchers, or raise the limit of series"
        )


def _labels_by_id(table: pa.Table) -> dict[int, Labels]:
    """The rows as one dictionary each; equal strings are one object."""
    names, lengths = _strings(table.column("names"))
    texts, _ = _strings(table.column("texts"))
    ends = np.cumsum(lengths).tolist()
    starts = [0, *ends]
    return {
        number: dict(zip(names[start:end], texts[start:end], strict=True))
        for number, start, end in zip(table.column("series_id").to_pylist(), starts, ends, strict=False)
    }


def _strings(column: pa.ChunkedArray) -> tuple[list[str], npt.NDArray[np.int64]]:
    """A column of lists of strings, flattened, and the length of each list."""
    lists = column.combine_chunks()
    lengths = lists.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
    flat = lists.flatten().dictionary_encode()
    dictionary = flat.dictionary.to_pylist()
    return [dictionary[index] for index in flat.indices.to_pylist()], lengths


def _without_gaps(ids: npt.NDArray[np.uint64], found: Iterable[Labels | None]) -> SeriesSet:
    """The series whose labels are known: one that was dropped between two reads has none."""
    labels = list(found)
    if None in labels:
        keep = [position for position, one in enumerate(labels) if one is not None]
        ids = ids[keep]
    return SeriesSet(ids, [one for one in labels if one is not None])
