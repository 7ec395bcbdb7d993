"""Takes log records as lines of JSON, one object a line: ``/insert/jsonline``.

Path and parameters are those of VictoriaLogs (docs.victoriametrics.com, "JSON stream API" and "HTTP parameters").
Objects within objects are flattened, their keys joined by dots.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation

import orjson

from mirante.server.ingest import severity
from mirante.server.ingest.counts import IngestCounts
from mirante.server.ingest.exchange import Bounds, Request
from mirante.server.ingest.lines import Outcome, out_of_bounds
from mirante.server.ingest.log_batch import LogBatch, LogRecord, resource_of, trace_ids
from mirante.server.store.api import BodyLog

MESSAGE_FIELDS = ("_msg", "message", "msg", "event", "body")
"""Where the message is looked for, unless ``_msg_field`` says; the first one counts that is there."""
TIME_FIELDS = ("_time", "@timestamp", "timestamp", "time", "ts")
"""The same for the time and ``_time_field``."""
SERVICE_FIELDS = ("service.name", "service_name", "service")
"""Fields that always tell the resource; ``_stream_fields`` adds to them."""

_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9})\d*)?(?:([Zz])|([+-]\d\d):?(\d\d))?", re.ASCII
)
_MAX_DEPTH = 32
_MAX_RESOURCES = 4096  # remembered


class JsonLines:
    """The lines of one request.

    Args:
        request: its parameters say which field is what.
        log: where bodies go.
        bounds: times that are acceptable.
        counts: the receivers' own metrics.

    Attributes:
        outcome: what became of the lines so far.
    """

    def __init__(self, request: Request, log: BodyLog, bounds: Bounds, counts: IngestCounts) -> None:
        self.outcome = Outcome()
        self._messages = _names(request, "_msg_field") or MESSAGE_FIELDS
        self._times = _names(request, "_time_field") or TIME_FIELDS
        self._streams = (*SERVICE_FIELDS, *_names(request, "_stream_fields"))
        self._log, self._bounds, self._counts = log, bounds, counts
        self._resources: dict[tuple[tuple[str, str], ...], bytes] = {}

    def take(self, first: int, lines: Sequence[bytes | None]) -> None:
        """Store the records of these lines; blank lines are none."""
        earliest, latest = self._bounds.times("logs")
        batch, accepted, rejected = LogBatch(), 0, self.outcome.rejected
        for number, line in enumerate(lines, first):
            if line is not None and not line.strip():
                continue
            try:
                batch.add(*self._read(line, earliest, latest))
                accepted += 1
            except ValueError as error:
                self.outcome.refuse(number, str(error))
        if accepted:
            self._log.append("otlp_logs", [batch.body()])
        self.outcome.accepted += accepted
        self._counts.items("logs", accepted=accepted, rejected=self.outcome.rejected - rejected)

    def _read(self, line: bytes | None, earliest: int, latest: int) -> tuple[bytes, LogRecord]:
        fields = read_object(line)
        time = self._time(fields)
        if not earliest <= time <= latest:
            raise ValueError(out_of_bounds(time, earliest, "logs"))
        return self._resource(fields), self._record(time, fields)

    def _time(self, fields: dict[str, object]) -> int:
        """The record's time, taken out of its fields; that of its arrival where it has none."""
        name = next((name for name in self._times if name in fields), "")
        return nanoseconds(fields.pop(name, None)) or self._bounds.clock.time_ns()

    def _resource(self, fields: dict[str, object]) -> bytes:
        found = tuple((name, text(fields.pop(name))) for name in self._streams if name in fields)
        known = self._resources.get(found)
        if known is None:
            if len(self._resources) >= _MAX_RESOURCES:
                self._resources.clear()
            known = self._resources[found] = resource_of(dict(found))
        return known

    def _record(self, time: int, fields: dict[str, object]) -> LogRecord:
        name = next((name for name in self._messages if name in fields), "")
        message = text(fields.pop(name, ""))
        trace, span = trace_ids(fields)
        return LogRecord(time, message, severity.of_fields(fields), fields, trace, span)


def _names(request: Request, parameter: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in request.query.get(parameter, "").split(",") if name.strip())


def read_object(line: bytes | None) -> dict[str, object]:
    """The fields of one line, flat; those that are null are left out.

    Raises:
        ValueError: it is no JSON object, or an empty one.

    Example:
        >>> read_object(b'{"a":{"b":1,"c":null},"d":["x",[2]]}')
        {'a.b': 1, 'd': '["x",[2]]'}
    """
    if line is None:
        raise ValueError("the line is too long")
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error.msg} at character {error.pos + 1}") from None
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")
    fields = dict(_flat(value, "", _MAX_DEPTH))
    if not fields:
        raise ValueError("the object has no field with a value")
    return fields


def _flat(value: Mapping[str, object], prefix: str, depth: int) -> Iterator[tuple[str, object]]:
    for name, item in value.items():
        match item:
            case dict() if depth:
                yield from _flat(item, f"{prefix}{name}.", depth - 1)
            case dict() | list():
                # The attributes of the store are texts: a list is its JSON.
                yield prefix + name, orjson.dumps(item).decode()
            case None:
                pass
            case _:
                yield prefix + name, item


def text(value: object) -> str:
    """A flat field as text.

    Example:
        >>> text("a"), text(1.5), text(True)
        ('a', '1.5', 'true')
    """
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def nanoseconds(value: object) -> int:
    """A time in nanoseconds since the Unix epoch; 0 where it says nothing.

    Numbers are seconds, milliseconds, microseconds or nanoseconds, by their size; texts may also be ISO 8601, in UTC
    unless they name another offset.

    Raises:
        ValueError: it is not a time.

    Example:
        >>> nanoseconds(1700000000), nanoseconds("1700000000123"), nanoseconds("2023-11-14T22:13:20.5+00:00")
        (1700000000000000000, 1700000000123000000, 1700000000500000000)
    """
    if value is None or value == "":
        return 0
    if isinstance(value, str) and (match := _ISO.fullmatch(value.strip())) is not None:
        day, clock, fraction, _, hours, minutes = match.groups()
        offset = f"{hours}:{minutes}" if hours else "+00:00"
        return int(datetime.fromisoformat(f"{day}T{clock}{offset}").timestamp()) * 10**9 + int(
            (fraction or "0").ljust(9, "0")
        )
    try:
        number = Decimal(str(value)) if not isinstance(value, bool) else Decimal("NaN")
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or abs(number) >= 10**20:
        raise ValueError(f"{text(value)[:60]!r} is not a time")
    size = abs(number)
    scale = 9 if size < 10**11 else 6 if size < 10**14 else 3 if size < 10**17 else 0
    return int(number.scaleb(scale))
