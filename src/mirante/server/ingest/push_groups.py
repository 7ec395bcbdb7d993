"""The groups of a Pushgateway: what was pushed last, kept until it is deleted and written again and again.

A real Pushgateway is scraped with ``honor_labels``. Here the server writes the samples of all groups itself, at each
push and at an interval, so that a query finds the last value at any time; a series that is gone is marked as stale.

Source: the Pushgateway's README, "About metric inconsistencies", "About the job and instance labels" and "API".
"""

from __future__ import annotations

import hashlib
import logging
import os
import struct
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan
from pathlib import Path
from typing import Any

import orjson

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante._core.guard import REPORTER
from mirante._core.model import MetricFamily, Sample
from mirante._core.periodic import Periodic
from mirante.errors import DeclarationError, StoreError, StoreFullError
from mirante.formats import remote_write
from mirante.server.ingest.push_body import Family
from mirante.server.store.api import BodyLog

INTERVAL = 15.0
"""Seconds between two samples of a series that nobody pushes."""
PUSH_TIME, FAILURE_TIME = "push_time_seconds", "push_failure_time_seconds"

_HELP = {
    PUSH_TIME: "Last Unix time when changing this group succeeded.",
    FAILURE_TIME: "Last Unix time when changing this group failed.",
}
_FIELDS_PER_BODY = 20_000  # a body of some megabytes
_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}
_log = logging.getLogger(__name__)
_double = struct.Struct("<d").pack

GroupKey = tuple[tuple[str, str], ...]
"""The labels of a group, sorted."""


@dataclass(frozen=True, slots=True)
class Group:
    """One group.

    Attributes:
        labels: of the group, ``job`` among them.
        families: by name, the samples with the group's labels.
        values: by the encoded beginning of each series its encoded value.
    """

    labels: Mapping[str, str]
    families: Mapping[str, Family]
    values: Mapping[bytes, bytes] = field(init=False)

    def __post_init__(self) -> None:
        values = {
            _head(sample): _double(remote_write.NORMAL_NAN if isnan(sample.value) else sample.value)
            for family in self.families.values()
            for sample in family.samples
        }
        object.__setattr__(self, "values", values)

    @property
    def key(self) -> GroupKey:
        """Names the group."""
        return tuple(sorted(self.labels.items()))

    def moment(self, name: str) -> float:
        """The value of PUSH_TIME or FAILURE_TIME: seconds since the Unix epoch, 0 for never."""
        return self.families[name].samples[0].value


def _head(sample: Sample) -> bytes:
    return remote_write.series_head(remote_write.labels({**sample.labels, "__name__": sample.name}))


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
        self._files = _GroupFiles(directory)
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
                self._append(self._again, _ended(group.values), self._now_ms())
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
        gone = _ended(before.values.keys() - group.values.keys()) if before else ()
        fields = [remote_write.metadata(one.name, one.type, one.help) for one in pushed]
        for one in pushed:
            fields += [
                remote_write.series(
                    remote_write.head_labels(_head(sample)), remote_write.exemplar(sample.exemplar, now)
                )
                for sample in one.samples
                if sample.exemplar is not None
            ]
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
    def _append(log: BodyLog, values: Iterable[tuple[bytes, bytes]], now: int, more: Sequence[bytes] = ()) -> None:
        tail = remote_write.sample_tail(now)
        fields = [*more, *(head + value + tail for head, value in values)]
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


def _ended(heads: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
    marker = _double(remote_write.STALE_NAN)
    return [(head, marker) for head in heads]


def _joined(families: Iterable[Family], labels: Mapping[str, str], now: int) -> Iterator[Family]:
    """The families with the group's labels, which win over their own."""
    for family in families:
        samples: dict[object, Sample] = {}
        for sample in family.samples:
            if sample.timestamp is not None:
                raise DeclarationError("pushed metrics must not have timestamps")
            joined = dict(sorted({"instance": "", **sample.labels, **labels}.items()))
            series = sample.name, tuple(joined.items())
            if series in samples:
                raise DeclarationError(f'"{sample.name}" has two samples with the same labels {joined}')
            samples[series] = sample._replace(labels=joined)
        if family.name not in _HELP:
            yield family._replace(samples=tuple(samples.values()), time=now)


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
        for suffix in _SUFFIXES.get(kind, ()):
            taken = name + suffix
            if taken in kinds and {name, taken} & pushed.keys():
                raise DeclarationError(f'"{taken}" is a metric and a part of the {kind} "{name}"')


class _GroupFiles:
    """A file a group, replaced as a whole."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot use {directory}: {error.strerror or error}") from None

    def read(self) -> Iterator[Group]:
        """The groups that were kept; a file that cannot be read is told and left alone."""
        for path in sorted(self._directory.glob("*.json")):
            try:
                yield _decoded(orjson.loads(path.read_bytes()))
            except (OSError, ValueError, KeyError, TypeError) as error:
                _log.error("%s holds no group of pushed metrics and is left out: %r", path, error)

    def write(self, group: Group) -> None:
        path = self._path(group.key)
        draft = path.with_suffix(".new")
        try:
            with draft.open("wb") as file:
                file.write(orjson.dumps(_encoded(group)))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except OSError as error:
            raise StoreFullError(f"cannot write {path}: {error.strerror or error}") from None

    def remove(self, key: GroupKey) -> None:
        path = self._path(key)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"cannot remove {path}: {error.strerror or error}") from None

    def _path(self, key: GroupKey) -> Path:
        return self._directory / f"{hashlib.sha256(orjson.dumps(key)).hexdigest()}.json"


def _encoded(group: Group) -> dict[str, object]:
    """As JSON, which knows no NaN: values are texts. Exemplars were written when they came, and are not kept."""
    families = [
        [one.name, one.type, one.help, one.time, [[s.name, s.labels, repr(float(s.value))] for s in one.samples]]
        for one in group.families.values()
    ]
    return {"labels": group.labels, "families": families}


def _decoded(document: dict[str, Any]) -> Group:
    families = {
        name: Family(
            name, kind, text, tuple(Sample(line, labels, float(value)) for line, labels, value in samples), time
        )
        for name, kind, text, time, samples in document["families"]
    }
    if not families.keys() >= _HELP.keys():
        raise ValueError("the times of the last push are missing")
    return Group(dict(document["labels"]), families)
