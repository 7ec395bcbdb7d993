"""The groups of a Pushgateway: what was pushed last, kept until it is deleted and written again and again.

A real Pushgateway is scraped with ``honor_labels``. Here the server writes the samples of all groups itself, at each
push and at an interval, so that a query finds the last value at any time; a series that is gone is marked as stale.

Source: the Pushgateway's README, "About metric inconsistencies", "About the job and instance labels" and "API".
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante._core.guard import REPORTER
from mirante._core.model import MetricFamily, Sample
from mirante._core.periodic import Periodic
from mirante.errors import DeclarationError, StoreError
from mirante.formats import remote_write
from mirante.formats.native_histogram import NativeHistogram
from mirante.server.ingest.push_body import PARTS, Family, NativeSample
from mirante.server.ingest.push_files import GroupFiles
from mirante.server.ingest.push_group import FAILURE_TIME, PUSH_TIME, Group, Value, series_head
from mirante.server.store.api import BodyLog

INTERVAL = 15.0
"""Seconds between two samples of a series that nobody pushes."""
_HELP = {
    PUSH_TIME: "Last Unix time when changing this group succeeded.",
    FAILURE_TIME: "Last Unix time when changing this group failed.",
}
_FIELDS_PER_BODY = 20_000  # a body of some megabytes
_double = struct.Struct("<d").pack
_STALE = _double(remote_write.STALE_NAN)
_STALE_HISTOGRAM = NativeHistogram(0, remote_write.STALE_NAN)

One = TypeVar("One", Sample, NativeSample)


class PushGroups:
    """All groups. Its methods may be called from any thread.

    Args:
        directory: a file for each group, made when it is missing.
        log: takes what is pushed.
        again: takes the same samples again and again, and the ends of series; the log itself by default. Limits of
            senders have no place there.
        clock: what time it is.
        interval: seconds between two samples of a series that nobody pushes.

    Raises:
        StoreError: the directory cannot be used.
    """

    def __init__(
        self,
        directory: Path,
        log: BodyLog,
        again: BodyLog | None = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
        interval: float = INTERVAL,
    ) -> None:
        self._files = GroupFiles(directory)
        self._log, self._again = log, again or log
        self._clock = clock
        self._lock = threading.Lock()
        self._last_ms = 0
        self._failed_writes = 0
        self._groups = {group.key: group for group in self._files.read()}
        self._owners = {head: key for key, group in self._groups.items() for head in group.values}
        self._writing = Periodic("mirante-pushgateway", self.write, interval)
        self._writing.start()

    def close(self) -> None:
        """Stop writing; the groups stay, and no series is ended, as a restart may follow."""
        self._writing.stop(10, final=False)

    def groups(self) -> list[Group]:
        """The groups as they are now."""
        with self._lock:
            return list(self._groups.values())

    def push(self, labels: Mapping[str, str], families: Sequence[Family], *, replace: bool) -> None:
        """Change a group.

        Args:
            labels: of the group.
            families: what was pushed; it takes the place of families of the same names.
            replace: other families of the group go.

        Raises:
            DeclarationError: it does not fit together, or not to what is there; nothing was changed but the time
                of the group's last failure.
            StoreError: nothing was changed.
        """
        with self._lock:
            before, now = self._groups.get(tuple(sorted(labels.items()))), self._clock.time_ns()
            try:
                pushed = {one.name: one for one in _joined(families, labels, now)}
                kept = {} if before is None or replace else before.families
                moments = _moments(labels, now, before)
                group = Group(labels, {**kept, **pushed, **moments})
                self._check(group, pushed)
            except DeclarationError:
                moments = _moments(labels, now, before, failed=True)
                self._change(Group(labels, {**(before.families if before else {}), **moments}), moments.values())
                raise
            self._change(group, [*pushed.values(), *moments.values()])

    def delete(self, labels: Mapping[str, str]) -> None:
        """Delete a group, if there is one, and end its series.

        Raises:
            StoreError: it is still there.
        """
        with self._lock:
            key = tuple(sorted(labels.items()))
            group = self._groups.get(key)
            if group is not None:
                self._append(self._again, _ended(group.values, {}), self._now_ms())
                self._files.remove(key)
                del self._groups[key]
                self._disown(group)

    def write(self) -> None:
        """Write all series with their last values, as a scrape would."""
        with self._lock:
            values = [item for group in self._groups.values() for item in group.values.items()]
            try:
                self._append(self._again, values, self._now_ms())
            except StoreError as error:
                self._failed_writes += 1
                REPORTER.warn("pushgateway", f"the samples of pushed groups cannot be written: {error}")

    def collect(self) -> Iterator[MetricFamily]:
        """``mirante_pushgateway_*``."""
        rows = (
            ("groups", "gauge", "Groups of pushed metrics.", len(self._groups)),
            ("series", "gauge", "Series of those groups.", len(self._owners)),
            ("write_failures", "counter", "Times when their samples could not be written.", self._failed_writes),
        )
        for name, kind, text, value in rows:
            full = f"mirante_pushgateway_{name}"
            line = f"{full}_total" if kind == "counter" else full
            yield MetricFamily(full, kind, text, samples=(Sample(line, {}, value),))

    def _change(self, group: Group, pushed: Iterable[Family]) -> None:
        """Write what is new and what is gone, then keep the group: what fails on the way changes nothing."""
        key, now = group.key, self._now_ms()
        before = self._groups.get(key)
        gone = _ended(before.values, group.values) if before else ()
        fields = [remote_write.metadata(one.name, one.type, one.help) for one in pushed]
        fields += [field for one in pushed for field in _exemplars(one, now)]
        self._append(self._log, [*group.values.items(), *gone], now, fields)
        self._files.write(group)
        if before is not None:
            self._disown(before)
        self._groups[key] = group
        self._owners.update(dict.fromkeys(group.values, key))

    def _disown(self, group: Group) -> None:
        for head in group.values:
            self._owners.pop(head, None)

    def _now_ms(self) -> int:
        """The time, later than the last: of two samples at one time a marker would lose."""
        self._last_ms = max(self._clock.time_ns() // 1_000_000, self._last_ms + 1)
        return self._last_ms

    @staticmethod
    def _append(log: BodyLog, values: Iterable[tuple[bytes, Value]], now: int, more: Sequence[bytes] = ()) -> None:
        tail = remote_write.sample_tail(now)
        fields = [
            *more,
            *(
                head + value + tail
                if isinstance(value, bytes)
                else remote_write.series(remote_write.head_labels(head), remote_write.histogram(value, now))
                for head, value in values
            ),
        ]
        parts = range(0, len(fields), _FIELDS_PER_BODY)
        if fields:
            log.append("remote_write", [b"".join(fields[i : i + _FIELDS_PER_BODY]) for i in parts])

    def _check(self, group: Group, pushed: Mapping[str, Family]) -> None:
        """Refuse what could not be exposed in one piece together with all that is there."""
        others = [one for key, one in self._groups.items() if key != group.key]
        for family in pushed.values():
            for other in others:
                known = other.families.get(family.name)
                if known is not None and known.type != family.type:
                    raise DeclarationError(
                        f'"{family.name}" is a {family.type} here and a {known.type} in the group {dict(other.key)}'
                    )
        _check_suffixes([group, *others], pushed)
        for head in group.values:
            owner = self._owners.get(head, group.key)
            if owner != group.key:
                raise DeclarationError(f"a series with the same name and labels is in the group {dict(owner)} already")


def _ended(before: Mapping[bytes, Value], after: Mapping[bytes, Value]) -> list[tuple[bytes, Value]]:
    """Staleness markers of the series that are gone, each of its own kind."""
    return [
        (head, _STALE if isinstance(value, bytes) else _STALE_HISTOGRAM)
        for head, value in before.items()
        if head not in after
    ]


def _exemplars(family: Family, now: int) -> Iterator[bytes]:
    """The exemplars of a family, as fields of their own."""
    found = [(series_head(one.name, one.labels), one.exemplar) for one in family.samples if one.exemplar is not None]
    found += [(series_head(family.name, one.labels), example) for one in family.natives for example in one.exemplars]
    for head, example in found:
        yield remote_write.series(remote_write.head_labels(head), remote_write.exemplar(example, now))


def _joined(families: Iterable[Family], labels: Mapping[str, str], now: int) -> Iterator[Family]:
    """The families with the group's labels, which win over their own."""
    for family in families:
        samples: dict[object, Sample] = {}
        natives: dict[object, NativeSample] = {}
        for sample in family.samples:
            joined = _labels(sample.labels, labels, sample.timestamp)
            _add_once(samples, sample.name, sample._replace(labels=joined))
        for native in family.natives:
            joined = _labels(native.labels, labels, native.timestamp)
            _add_once(natives, family.name, native._replace(labels=joined))
        if family.name not in _HELP:
            yield family._replace(samples=tuple(samples.values()), natives=tuple(natives.values()), time=now)


def _labels(own: Mapping[str, str], group: Mapping[str, str], time: float | None) -> dict[str, str]:
    if time is not None:
        raise DeclarationError("pushed metrics must not have timestamps")
    if "" in own:
        raise DeclarationError(f"a label of {dict(own)} has no name")
    return dict(sorted({"instance": "", **own, **group}.items()))


def _add_once(found: dict[object, One], name: str, one: One) -> None:
    series = name, tuple(one.labels.items())
    if series in found:
        raise DeclarationError(f'"{name}" has two samples with the same labels {dict(one.labels)}')
    found[series] = one


def _moments(labels: Mapping[str, str], now: int, before: Group | None, *, failed: bool = False) -> dict[str, Family]:
    """The two families that tell when the group was changed."""
    times = {name: before.moment(name) if before else 0.0 for name in (PUSH_TIME, FAILURE_TIME)}
    times[FAILURE_TIME if failed else PUSH_TIME] = now / 1e9
    shown = dict(sorted({"instance": "", **labels}.items()))
    return {
        name: Family(name, "gauge", _HELP[name], (Sample(name, shown, value),), now) for name, value in times.items()
    }


def _check_suffixes(groups: Iterable[Group], pushed: Mapping[str, Family]) -> None:
    """No family may be called like a part of a histogram or summary."""
    kinds = {name: family.type for group in groups for name, family in group.families.items()}
    for name, kind in kinds.items():
        for suffix in PARTS.get(kind, ()):
            taken = name + suffix
            if taken in kinds and {name, taken} & pushed.keys():
                raise DeclarationError(f'"{taken}" is a metric and a part of the {kind} "{name}"')
