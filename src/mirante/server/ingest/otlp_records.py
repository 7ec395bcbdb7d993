"""Takes spans and log records into the log: as they came, unless something in them must be changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from google.protobuf.message import Message

from mirante.server.ingest.exchange import Bounds
from mirante.server.ingest.values import flatten
from mirante.server.store.api import BodyLog, Stream
from mirante.server.store.protos import Parsed, message_class
from mirante.server.store.tables import Signal


class Taken(NamedTuple):
    """What became of a request.

    Attributes:
        accepted: items stored.
        rejected: items refused.
        reason: why, when there are any.
    """

    accepted: int
    rejected: int = 0
    reason: str = ""


class Shape(NamedTuple):
    """Where the records of a signal are, and how late is too late.

    Attributes:
        signal: what they are.
        stream: where bodies go.
        noun: what a record is called.
        groups: the messages that have a list of records, with the list's name.
        time: a record's time in nanoseconds, 0 when it needs none, below 0 when it lacks one.
        values: all attribute values of a whole request, with the depth that the store's views reach.
    """

    signal: Signal
    stream: Stream
    noun: str
    groups: Callable[[Parsed], Iterable[tuple[Parsed, str]]]
    time: Callable[[Parsed], int]
    values: Callable[[Parsed], Iterator[tuple[Parsed, int]]]


class Records:
    """Takes the bodies of one signal."""

    def __init__(self, shape: Shape, request: type[Message], log: BodyLog, bounds: Bounds) -> None:
        self._shape = shape
        self._request = request
        self._log = log
        self._bounds = bounds
        self._parse: Callable[[bytes], Parsed] = message_class(shape.stream).FromString

    def take(self, body: bytes) -> Taken:
        """Store a body.

        Raises:
            DecodeError: it is none.
            StoreFullError: there is no room.
        """
        message = self._parse(body)
        first, last = self._bounds.times(self._shape.signal)
        total = rejected = 0
        for owner, name in self._shape.groups(message):
            records = getattr(owner, name)
            total += len(records)
            times = [time for time in map(self._shape.time, records) if time]
            if times and (max(times) > last or min(times) < first):
                rejected += self._drop(owner, name, first, last)
        if rejected:
            body = message.SerializeToString()
        if not message.IsInitialized():
            body = self._flattened(body)
        if total > rejected:
            self._log.append(self._shape.stream, [body])
        reason = f"{rejected} {self._shape.noun} have times outside of {first} to {last}" if rejected else ""
        return Taken(total - rejected, rejected, reason)

    def _drop(self, owner: Parsed, name: str, first: int, last: int) -> int:
        """Drop the records that are out of bounds. A log record without any time gets one when it is loaded."""
        records = getattr(owner, name)
        good = [record for record in records if first <= (self._shape.time(record) or first) <= last]
        dropped = len(records) - len(good)
        kept = type(owner)(**{name: good})
        owner.ClearField(name)
        getattr(owner, name).extend(getattr(kept, name))
        return dropped

    def _flattened(self, body: bytes) -> bytes:
        """The exact way for values that lie deeper than the store's views reach."""
        message: Parsed = self._request()
        message.ParseFromString(body)
        for value, deepest in self._shape.values(message):
            flatten(value, deepest)
        serialized: bytes = message.SerializeToString()
        return serialized


def _span_groups(message: Parsed) -> Iterator[tuple[Parsed, str]]:
    return ((scope, "spans") for resource in message.resource_spans for scope in resource.scope_spans)


def _log_groups(message: Parsed) -> Iterator[tuple[Parsed, str]]:
    return ((scope, "log_records") for resource in message.resource_logs for scope in resource.scope_logs)


def _span_time(span: Parsed) -> int:
    time: int = span.start_time_unix_nano
    return time or -1


def _log_time(record: Parsed) -> int:
    time: int = record.time_unix_nano or record.observed_time_unix_nano
    return time


def _span_values(message: Parsed) -> Iterator[tuple[Parsed, int]]:
    for resource in message.resource_spans:
        yield from _pairs(resource.resource.attributes)
        for scope in resource.scope_spans:
            yield from _pairs(scope.scope.attributes)
            for span in scope.spans:
                for owner in (span, *span.events, *span.links):
                    yield from _pairs(owner.attributes)


def _log_values(message: Parsed) -> Iterator[tuple[Parsed, int]]:
    for resource in message.resource_logs:
        yield from _pairs(resource.resource.attributes)
        for scope in resource.scope_logs:
            yield from _pairs(scope.scope.attributes)
            for record in scope.log_records:
                yield from _pairs(record.attributes)
                yield record.body, 2


def _pairs(attributes: Parsed) -> Iterator[tuple[Parsed, int]]:
    return ((pair.value, 1) for pair in attributes)


SHAPES = {
    "traces": Shape("traces", "otlp_traces", "spans", _span_groups, _span_time, _span_values),
    "logs": Shape("logs", "otlp_logs", "log records", _log_groups, _log_time, _log_values),
}
"""By signal."""
