"""Drops what is past its time, and the oldest when the store is larger than it may be.

Whole days (UTC) are dropped as partitions, which costs nothing; metrics that are kept for another time than the rest
are removed from a day's parts. What is asked of the rules can change at any time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante._core.model import MetricFamily, Sample
from mirante.errors import MiranteError, StoreFullError
from mirante.formats.duration import format_duration
from mirante.formats.size import format_size
from mirante.server.settings import RetentionSettings
from mirante.server.store.client import Engine, quoted
from mirante.server.store.mutations import remove
from mirante.server.store.space import Ballast
from mirante.server.store.tables import OF_SERIES, SIGNAL_OF, SIGNALS, TABLES, Signal
from mirante.server.store.writer import LogWriter, free_bytes

_log = logging.getLogger(__name__)

_DAY = 86_400
_MUTATION_SECONDS = 600.0
_RETRY_SECONDS = 5.0

_PARTS = """SELECT table, partition_id AS day, sum(bytes_on_disk) AS bytes
FROM system.parts
WHERE active AND database = currentDatabase()
GROUP BY table, day"""


_OLDER_PARTS = f"""SELECT table, name, bytes_on_disk AS bytes FROM system.parts
WHERE active AND database = currentDatabase()
  AND table IN ({", ".join(quoted(table.name) for table in TABLES if table.name != "series")})
QUALIFY row_number() OVER (PARTITION BY table ORDER BY max_time DESC, max_block_number DESC) > 1
ORDER BY max_time, max_block_number"""  # noqa: S608 # only constants


class Partition(NamedTuple):
    """One day of one table.

    Attributes:
        day: number of the day since 1970 (UTC).
        table: the table's name.
        bytes: on disk.
    """

    day: int
    table: str
    bytes: int

    @property
    def signal(self) -> Signal:
        """What it holds."""
        return SIGNAL_OF[self.table]

    @property
    def id(self) -> str:
        """The engine's name for it."""
        return day_id(self.day)


def day_id(day: int) -> str:
    """The engine's name for a day.

    Example:
        >>> day_id(0)
        '19700101'
    """
    return datetime.fromtimestamp(day * _DAY, UTC).strftime("%Y%m%d")


def longest(rules: RetentionSettings, signal: Signal) -> float | None:
    """Seconds after which nothing of the signal is kept, or None where something is kept for ever.

    Example:
        >>> longest(RetentionSettings(logs=60.0), "logs"), longest(RetentionSettings(metrics=0.0), "metrics")
        (60.0, None)
    """
    times = {"metrics": rules.metrics, "logs": rules.logs, "traces": rules.traces}
    kept = [times[signal], *(one.seconds for one in rules.metric_patterns if signal == "metrics")]
    return None if 0 in kept else max(kept)


class Keeper:
    """Applies the rules again and again, in a thread of its own once started.

    Args:
        engine: the store.
        log: pauses while registrations of series are removed.
        rules: how long what is kept.
        directory: the data directory.
        ballast: given up when the disk is full.
        clock: what day it is.
        interval: seconds between two rounds.
    """

    def __init__(
        self,
        engine: Engine,
        log: LogWriter,
        rules: RetentionSettings,
        directory: Path,
        ballast: Ballast,
        *,
        clock: Clock = SYSTEM_CLOCK,
        interval: float = 60.0,
    ) -> None:
        self._connection = engine.connect()
        self._log = log
        self._rules = rules
        self._directory = directory
        self._ballast = ballast
        self._clock = clock
        self._interval = interval
        self._working = threading.RLock()
        self._wake = threading.Condition()
        self._stopped = False
        self._thread: threading.Thread | None = None
        self._patterns_applied: tuple[int, RetentionSettings] | None = None
        self._dropped: Counter[tuple[str, str]] = Counter()
        self._bytes: Counter[str] = Counter()
        self._failures = 0

    @property
    def rules(self) -> RetentionSettings:
        """The rules in force."""
        return self._rules

    def past(self, signal: Signal) -> float | None:
        """Seconds that something may lie back and still be kept; None for any time."""
        return longest(self._rules, signal)

    def change(self, rules: RetentionSettings) -> None:
        """Put other rules in force; they are applied at once where the thread runs."""
        if rules != self._rules:
            _log.info("the retention is now %s", describe(rules))
        with self._wake:
            self._rules = rules
            self._wake.notify_all()

    def start(self) -> None:
        """Begin to apply the rules, now and every interval."""
        self._thread = threading.Thread(target=self._run, name="mirante-keep", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop, after the round that runs."""
        with self._wake:
            self._stopped = True
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Keeps rounds from running while the block does: for whoever else changes what is stored."""
        with self._working:
            yield

    def _run(self) -> None:
        while not self._stopped:
            rules, pause = self._rules, self._interval
            try:
                self.sweep()
            except MiranteError as error:
                self._failures += 1
                pause = min(_RETRY_SECONDS, self._interval)
                _log.warning("dropping old data failed, and is tried again in %g s: %s", pause, error)
            with self._wake:
                self._wake.wait_for(partial(self._is_wanted, rules), pause)

    def _is_wanted(self, applied: RetentionSettings) -> bool:
        return self._stopped or self._rules is not applied

    def sweep(self) -> None:
        """One round.

        Raises:
            StoreError: the engine failed; what was not dropped is dropped by the next round.
        """
        with self._working:
            try:
                self._round()
            except StoreFullError:
                self._ballast.release()  # only now: somebody else may take the room
                self._round()
            self._ballast.ensure()

    def _round(self) -> None:
        self._drop_expired()
        self._apply_patterns()
        self._hold_size()

    def _partitions(self) -> list[Partition]:
        rows = self._connection.arrow(_PARTS).to_pylist()
        self._bytes = Counter()
        for row in rows:
            self._bytes[SIGNAL_OF.get(row["table"], "other")] += row["bytes"]
        order = {table.name: place for place, table in enumerate(TABLES)}
        found = [Partition(_day_of(row["day"]), row["table"], row["bytes"]) for row in rows if row["table"] in order]
        return sorted(found, key=lambda one: (one.day, SIGNALS.index(one.signal), order[one.table]))

    def _drop_expired(self) -> None:
        for (day, signal), group in groupby(self._partitions(), lambda one: (one.day, one.signal)):
            kept = self.past(signal)
            if kept is not None and (day + 1) * _DAY <= self._clock.time_ns() / 1e9 - kept:
                self._drop(list(group), "retention")

    def _hold_size(self) -> None:
        limit = self._rules.size
        if not limit:
            return
        partitions = self._partitions()
        total = sum(self._bytes.values())
        today = self._clock.time_ns() // 10**9 // _DAY
        for (day, _), days in groupby(partitions, lambda one: (one.day, one.signal)):
            group = list(days)
            if total <= limit:
                return
            if day < today:
                total -= sum(one.bytes for one in group)
                self._drop(group, "size")
        if total > limit:
            self._drop_parts(total - limit)

    def _drop(self, group: list[Partition], reason: str) -> None:
        """Drop one day of one signal."""
        signal, size = group[0].signal, sum(one.bytes for one in group)
        with self._log.paused() as known:
            for one in group:
                self._connection.command(f"ALTER TABLE {one.table} DROP PARTITION ID {quoted(one.id)}")
            if signal == "metrics":
                known.reset()
        self._count(signal, reason, size)
        _log.info("dropped the %s of %s, %s: %s", signal, group[0].id, format_size(size), _WHY[reason])

    def _drop_parts(self, excess: int) -> None:
        """Drop the oldest parts of the running day, but never the newest of a table."""
        for part in self._connection.arrow(_OLDER_PARTS).to_pylist():
            if excess <= 0:
                return
            self._connection.command(f"ALTER TABLE {part['table']} DROP PART {quoted(part['name'])}")
            excess -= part["bytes"]
            signal = SIGNAL_OF[part["table"]]
            self._count(signal, "size", part["bytes"])
            _log.warning("dropped %s of today, %s: %s", signal, format_size(part["bytes"]), _WHY["size"])
        if excess > 0:
            _log.warning("the store is %s larger than retention.size and has nothing left to drop", format_size(excess))

    def _apply_patterns(self) -> None:
        """Remove the metrics whose own time is past from days that are kept for others."""
        rules = self._rules
        today = self._clock.time_ns() // 10**9 // _DAY
        if not rules.metric_patterns or self._patterns_applied == (today, rules):
            return
        for one in self._partitions():
            condition = self._past_patterns(one.day)
            if one.table == "series" and condition:
                self._remove_series(one, condition)
        self._patterns_applied = (today, rules)

    def _past_patterns(self, day: int) -> str:
        """Of which series, as SQL over the table of series, that day is past; the empty string when of none."""
        age = self._clock.time_ns() / 1e9 - (day + 1) * _DAY
        past = [bool(one.seconds) and age >= one.seconds for one in self._rules.metric_patterns]
        rest = bool(self._rules.metrics) and age >= self._rules.metrics
        if not rest and not any(past):
            return ""
        cases = "".join(
            f"match(name, {quoted(f'^(?:{one.pattern})$')}), {int(is_past)}, "
            for one, is_past in zip(self._rules.metric_patterns, past, strict=True)
        )
        return f"multiIf({cases}{int(rest)})"

    def _remove_series(self, series: Partition, condition: str) -> None:
        of_day = f"SELECT series_id FROM series WHERE toYYYYMMDD(day) = {series.id} AND {condition}"  # noqa: S608
        counting = f"SELECT count() AS n FROM ({of_day})"  # noqa: S608
        found = self._connection.arrow(counting).column("n").to_pylist()[0]
        if not found:
            return
        deadline = time.monotonic() + _MUTATION_SECONDS
        before = self._size_of(series.id)
        for table in OF_SERIES:
            where = f"IN PARTITION ID {quoted(series.id)} WHERE series_id IN ({of_day})"
            remove(self._connection, table, where, deadline=deadline)
        with self._log.paused() as known:
            where = f"IN PARTITION ID {quoted(series.id)} WHERE {condition}"
            remove(self._connection, "series", where, deadline=deadline)
            known.reset()
        freed = max(0, before - self._size_of(series.id))
        self._count("metrics", "pattern", freed)
        _log.info("dropped %d series of %s, %s: %s", found, series.id, format_size(freed), _WHY["pattern"])

    def _size_of(self, day: str) -> int:
        return sum(one.bytes for one in self._partitions() if one.id == day and one.signal == "metrics")

    def _count(self, signal: str, reason: str, size: int) -> None:
        self._dropped[signal, reason] += size

    def collect(self) -> Iterable[MetricFamily]:
        """What the store takes, what was dropped and why, and the room on the disk."""
        bytes_ = [
            Sample("mirante_store_bytes", {"signal": signal}, self._bytes[signal]) for signal in (*SIGNALS, "other")
        ]
        yield MetricFamily(
            "mirante_store_bytes", "gauge", "Size of the stored data on disk.", "bytes", samples=tuple(bytes_)
        )
        name = "mirante_store_dropped_bytes"
        dropped = (
            Sample(f"{name}_total", {"signal": signal, "reason": reason}, size)
            for (signal, reason), size in sorted(self._dropped.items())
        )
        text = (
            "Size of the data dropped because of its age, of a pattern's own time, or of the cap on the store's size."
        )
        yield MetricFamily(name, "counter", text, "bytes", samples=tuple(dropped))
        for name, text, value in (
            ("mirante_store_size_limit_bytes", "What the store may take on disk, 0 for any.", self._rules.size),
            ("mirante_store_disk_free_bytes", "Free space on the store's disk.", free_bytes(self._directory)),
        ):
            yield MetricFamily(name, "gauge", text, "bytes", samples=(Sample(name, {}, value),))
        name, text = "mirante_store_retention_failures", "Rounds of dropping old data that failed."
        yield MetricFamily(name, "counter", text, samples=(Sample(f"{name}_total", {}, self._failures),))


_WHY = {
    "retention": "past the retention",
    "pattern": "past the retention of their pattern",
    "size": "the store is larger than retention.size",
}


def describe(rules: RetentionSettings) -> str:
    """The rules in one line.

    Example:
        >>> describe(RetentionSettings(size=1 << 30))
        'metrics 30d, logs 2w, traces 1w, at most 1.0 GiB'
    """
    parts = [
        f"{name} {_duration(kept)}"
        for name, kept in zip(SIGNALS, (rules.metrics, rules.logs, rules.traces), strict=True)
    ]
    parts += [f"{one.pattern} {_duration(one.seconds)}" for one in rules.metric_patterns]
    return ", ".join([*parts, *([f"at most {format_size(rules.size)}"] if rules.size else [])])


def _duration(kept: float) -> str:
    return format_duration(round(kept * 1000)) if kept else "for ever"


def _day_of(partition: str) -> int:
    if not partition.isdecimal():
        return 0
    return int(datetime.strptime(partition, "%Y%m%d").replace(tzinfo=UTC).timestamp()) // _DAY
