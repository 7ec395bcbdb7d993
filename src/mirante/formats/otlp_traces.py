"""Spans as OTLP protobuf bytes.

Source: opentelemetry-proto 1.x, ``trace/v1/trace.proto``. The tags of the fixed part are written out as constants,
because this runs once for every span of the process.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Any, Protocol

from mirante.formats import otlp_common
from mirante.formats.otlp_common import Scope, put_attributes
from mirante.formats.protobuf import blob, fixed64, int64, string, varint

_IDS = Struct(">HQQHQ").pack  # 0a 10 trace_id, 12 08 span_id
_PARENT = Struct(">HQ").pack  # 22 08 parent_span_id
_TIMES = Struct("<BQBQHI").pack  # 39 start, 41 end, 85 01 flags
_LOW = (1 << 64) - 1
_HAS_IS_REMOTE = 0x100
_IS_REMOTE = 0x200


class SpanRecord(Protocol):
    """What the encoder needs to know of a finished span; times are nanoseconds since the Unix epoch.

    ``kind`` and ``trace_state`` are opentelemetry-api's, which this tier does not import. An event has a name, a
    timestamp, attributes and dropped_attributes; a link has a context instead of the first two.
    """

    name: str
    kind: Any
    trace_id: int
    span_id: int
    parent_id: int
    parent_is_remote: bool
    flags: int
    trace_state: Any
    start_time: int
    end_time: int | None
    attributes: Any
    events: Any
    links: Any
    status_code: int
    status_message: str
    dropped_attributes: int
    dropped_events: int
    dropped_links: int
    scope: Scope


_heads: dict[tuple[str, int], bytes] = {}  # name and kind repeat; bounded below


def _head(name: str, kind: int) -> bytes:
    if len(_heads) >= 1024:
        _heads.clear()
    head = _heads[name, kind] = string(5, name) + int64(6, kind + 1)
    return head


def encode_span(span: SpanRecord) -> bytes:
    """A ``Span`` message.

    Raises:
        struct.error: an id or a time does not fit its field.
    """
    trace_id = span.trace_id
    kind = span.kind._value_  # the plain attribute: `value` is a slow descriptor
    flags = span.flags | _HAS_IS_REMOTE | (_IS_REMOTE if span.parent_is_remote else 0)
    out = [_IDS(0x0A10, trace_id >> 64, trace_id & _LOW, 0x1208, span.span_id)]
    if span.parent_id:
        out.append(_PARENT(0x2208, span.parent_id))
    out += (
        _heads.get((span.name, kind)) or _head(span.name, kind),
        _TIMES(0x39, span.start_time, 0x41, span.end_time, 0x0185, flags),
    )
    put_attributes(out, b"\x4a", span.attributes)
    if span.trace_state:
        out.append(string(3, span.trace_state.to_header()))
    if span.dropped_attributes:
        out.append(int64(10, span.dropped_attributes))
    if span.events or span.dropped_events:
        _put_events(out, span)
    if span.links or span.dropped_links:
        _put_links(out, span)
    if span.status_code:
        out.append(blob(15, _status(span)))
    return b"".join(out)


def _put_events(out: list[bytes], span: SpanRecord) -> None:
    for event in list(span.events):
        parts = [fixed64(1, event.timestamp), string(2, event.name)]
        put_attributes(parts, b"\x1a", event.attributes)
        if event.dropped_attributes:
            parts.append(int64(4, event.dropped_attributes))
        out.append(blob(11, b"".join(parts)))
    if span.dropped_events:
        out.append(int64(12, span.dropped_events))


def _put_links(out: list[bytes], span: SpanRecord) -> None:
    for link in list(span.links):
        context = link.context
        flags = context.trace_flags | _HAS_IS_REMOTE | (_IS_REMOTE if context.is_remote else 0)
        parts = [_IDS(0x0A10, context.trace_id >> 64, context.trace_id & _LOW, 0x1208, context.span_id)]
        if context.trace_state:
            parts.append(string(3, context.trace_state.to_header()))
        put_attributes(parts, b"\x22", link.attributes)
        if link.dropped_attributes:
            parts.append(int64(5, link.dropped_attributes))
        parts.append(b"\x35" + flags.to_bytes(4, "little"))
        out.append(blob(13, b"".join(parts)))
    if span.dropped_links:
        out.append(int64(14, span.dropped_links))


def _status(span: SpanRecord) -> bytes:
    message = string(2, span.status_message) if span.status_message else b""
    return message + int64(3, span.status_code)


def encode_request(resource: bytes, spans: Iterable[tuple[Scope, bytes]]) -> bytes:
    """An ``ExportTraceServiceRequest``: one resource, its spans grouped by scope.

    Args:
        resource: the message that ``otlp_common.resource`` made.
        spans: each span's scope and what ``encode_span`` made of it.

    Example:
        >>> encode_request(b"", []).hex()
        '0a020a00'
    """
    groups: dict[Scope, list[bytes]] = {}
    for scope, span in spans:
        group = groups.get(scope)
        if group is None:
            group = groups[scope] = [blob(1, otlp_common.scope(scope))]
        group += (b"\x12", varint(len(span)), span)
    parts = [blob(1, resource)]
    for scope, group in groups.items():
        if scope.schema_url:
            group.append(string(3, scope.schema_url))
        parts.append(blob(2, b"".join(group)))
    return blob(1, b"".join(parts))
