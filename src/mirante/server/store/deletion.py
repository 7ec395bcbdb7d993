"""Removes what somebody asks to be removed: series, and log records or spans by their attributes.

Series are removed in two steps, as in Prometheus: no query sees them from now on, and ``clean_tombstones`` takes them
from the disk. Log records and spans leave the disk at once: whoever asks for that may have to prove it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from mirante.errors import BadRequestError, StoreBusyError, StoreFullError
from mirante.formats.size import format_size
from mirante.server.store.api import Matcher
from mirante.server.store.client import Engine
from mirante.server.store.mutations import clean, hide, remove
from mirante.server.store.retention import Keeper
from mirante.server.store.samples import FIRST_TIME, LAST_TIME
from mirante.server.store.series import conditions
from mirante.server.store.tables import OF_SERIES
from mirante.server.store.writer import LogWriter, free_bytes

_DAY = 86_400_000
_PATIENCE = 600.0

RecordSignal = Literal["logs", "traces"]


class Removal(NamedTuple):
    """What became of it.

    Attributes:
        matched: rows that match.
        state: ``gone`` from the disk, ``pending`` while the engine still works on it, ``counted`` when nothing was
            to be removed.
    """

    matched: int
    state: Literal["gone", "pending", "counted"]


class _Records(NamedTuple):
    table: str
    maps: tuple[str, ...]
    lists: tuple[str, ...]
    columns: Mapping[str, str]


_RECORDS: dict[RecordSignal, _Records] = {
    "logs": _Records(
        "otel_logs",
        ("LogAttributes", "ResourceAttributes", "ScopeAttributes"),
        (),
        {"trace_id": "TraceId", "span_id": "SpanId"},
    ),
    "traces": _Records(
        "otel_traces",
        ("SpanAttributes", "ResourceAttributes"),
        ("Events.Attributes", "Links.Attributes"),
        {"trace_id": "TraceId", "span_id": "SpanId"},
    ),
}


class Deleter:
    """Removes from an open store.

    Args:
        engine: the store.
        log: loaded first, so that what was acknowledged before the call is removed too.
        keeper: rests meanwhile.
        directory: the data directory.
        reserve: free bytes without which nothing is removed: the engine rewrites parts.
        patience: seconds to wait for the engine.
    """

    def __init__(
        self,
        engine: Engine,
        log: LogWriter,
        keeper: Keeper,
        directory: Path,
        reserve: int,
        patience: float = _PATIENCE,
    ) -> None:
        self._engine = engine
        self._connection = engine.connect()
        self._log = log
        self._keeper = keeper
        self._directory = directory
        self._reserve = reserve
        self._patience = patience

    def _prepare(self) -> float:
        """The deadline, after everything acknowledged has been loaded and room has been found."""
        free = free_bytes(self._directory)
        if free < self._reserve:
            raise StoreFullError(
                f"removing rows rewrites files, and only {format_size(free)} are free on the disk of {self._directory}"
            )
        deadline = time.monotonic() + self._patience
        if not self._log.wait_until_loaded(self._patience):
            raise StoreBusyError("what was taken in last is not loaded yet; ask again later")
        return deadline

    def series(self, matcher_sets: Sequence[Sequence[Matcher]], start: int, end: int) -> bool:
        """Hide the samples of all series that match any of the sets, from ``start`` to ``end`` (ms, inclusive).

        Returns false when the engine still works on it.

        Raises:
            StoreFullError: there is no room to work in.
            StoreError: the engine failed.
        """
        deadline = self._prepare()
        bound: dict[str, object] = {}
        wanted = " OR ".join(f"({conditions(matchers, bound)})" for matchers in matcher_sets)
        start, end = max(start, FIRST_TIME), min(end, LAST_TIME)
        bound |= {"start": start, "end": end, "first": -(-start // _DAY), "last": (end + 1) // _DAY - 1}
        chosen = f"SELECT series_id FROM series WHERE {wanted}"  # noqa: S608
        of_series = (
            f"series_id IN ({chosen}) AND timestamp >= fromUnixTimestamp64Milli({{start:Int64}}, 'UTC')"
            " AND timestamp <= fromUnixTimestamp64Milli({end:Int64}, 'UTC')"
        )
        with self._keeper.working():
            done = True
            for table in OF_SERIES:
                done &= hide(self._connection, table, of_series, bound, deadline=deadline)
            with self._log.paused() as known:
                whole_days = f"({wanted}) AND toInt32(day) BETWEEN {{first:Int64}} AND {{last:Int64}}"
                done &= hide(self._connection, "series", whole_days, bound, deadline=deadline)
                known.reset()
        return done

    def clean_tombstones(self) -> bool:
        """Take hidden samples from the disk; false when the engine still works on it.

        Raises:
            StoreFullError: there is no room to work in.
            StoreError: the engine failed.
        """
        deadline = self._prepare()
        with self._keeper.working():
            done = True
            for table in (*OF_SERIES, "series"):
                done &= clean(self._connection, table, deadline=deadline)
        return done

    def records(
        self,
        signal: RecordSignal,
        where: Mapping[str, str],
        start: int | None = None,
        end: int | None = None,
        *,
        dry_run: bool = False,
    ) -> Removal:
        """Remove the log records or spans that have all those attributes.

        Args:
            signal: which.
            where: values by name of an attribute (of the record, its resource or scope, or of a span's events and
                links), or ``trace_id`` and ``span_id``.
            start: first millisecond, or None for any.
            end: last millisecond, or None for any.
            dry_run: only count.

        Raises:
            BadRequestError: no condition is given.
            StoreFullError: there is no room to work in.
            StoreError: the engine failed.
        """
        if not where:
            raise BadRequestError("say at least one attribute that what is to be removed has")
        shape = _RECORDS[signal]
        bound: dict[str, object] = {}
        condition = _condition(shape, where, bound)
        for name, operator, limit in (("start", ">=", start), ("end", "<=", end)):
            if limit is not None:
                bound[name] = limit
                condition += f" AND toUnixTimestamp64Milli(Timestamp) {operator} {{{name}:Int64}}"
        deadline = self._prepare()
        matched = self._connection.arrow(
            f"SELECT count() AS n FROM {shape.table} WHERE {condition}",  # noqa: S608
            bound,
        )
        count: int = matched.column("n").to_pylist()[0]
        if dry_run:
            return Removal(count, "counted")
        with self._keeper.working():
            gone = remove(self._connection, shape.table, f"WHERE {condition}", bound, deadline=deadline)
        return Removal(count, "gone" if gone else "pending")


def _condition(shape: _Records, where: Mapping[str, str], bound: dict[str, object]) -> str:
    parts = []
    for number, (name, value) in enumerate(where.items()):
        bound |= {f"k{number}": name, f"v{number}": value}
        key, equals = f"{{k{number}:String}}", f"{{v{number}:String}}"
        if name in shape.columns:
            parts.append(f"{shape.columns[name]} = {equals}")
            continue
        # mapContains, because a missing attribute reads as the empty string.
        any_of = [f"(mapContains({one}, {key}) AND {one}[{key}] = {equals})" for one in shape.maps]
        any_of += [f"arrayExists(x -> mapContains(x, {key}) AND x[{key}] = {equals}, `{one}`)" for one in shape.lists]
        parts.append(f"({' OR '.join(any_of)})")
    return " AND ".join(parts)
