"""Log records as OTLP protobuf bytes.

Source: opentelemetry-proto 1.x, ``logs/v1/logs.proto``; severity numbers as its logs data model maps them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from struct import Struct

from mirante.formats import otlp_common
from mirante.formats.otlp_common import any_value, put_attributes
from mirante.formats.protobuf import blob, int64, string, varint

_TIMES = Struct("<BQBQ").pack  # 09 time, 59 observed time
_MASK = (1 << 64) - 1

_heads: dict[tuple[int, str], bytes] = {}  # levels are few; bounded below


def severity_number(level: int) -> int:
    """OTLP's severity number of a level of the standard library's: 1 to 24, levels between two names in between.

    Example:
        >>> [severity_number(level) for level in (5, 10, 20, 25, 30, 40, 50)]
        [1, 5, 9, 11, 13, 17, 21]
    """
    return max(1, min(24, 1 + 4 * level // 10 if level >= 10 else 1))


def _head(level: int, text: str) -> bytes:
    if len(_heads) >= 256:
        _heads.clear()
    head = _heads[level, text] = int64(2, severity_number(level)) + string(3, text)
    return head


def encode_log(
    time: int,
    level: int,
    level_name: str,
    body: object,
    attributes: Mapping[str, object],
    *,
    trace_id: bytes = b"",
    span_id: bytes = b"",
) -> bytes:
    """A ``LogRecord`` message.

    Args:
        time: nanoseconds since the Unix epoch.
        level: as the standard library counts: 20 is INFO.
        level_name: such as ``info``.
        body: the message.
        attributes: names to values.
        trace_id: 16 bytes, or none.
        span_id: 8 bytes, or none.

    Example:
        >>> encode_log(1, 20, "info", "hi", {}).hex()
        '09010000000000000059010000000000000010091a04696e666f2a040a026869'
    """
    time &= _MASK
    out = [_TIMES(0x09, time, 0x59, time), _heads.get((level, level_name)) or _head(level, level_name)]
    out.append(blob(5, any_value(body)))
    put_attributes(out, b"\x32", attributes)
    if trace_id:
        out.append(blob(9, trace_id))
        if span_id:
            out.append(blob(10, span_id))
    return b"".join(out)


def encode_request(resource: bytes, records: Iterable[tuple[str, bytes]]) -> bytes:
    """An ``ExportLogsServiceRequest``: one resource, its records grouped by scope.

    Args:
        resource: the message that ``otlp_common.resource`` made.
        records: the logger's name, which is the scope's, and what ``encode_log`` made.

    Example:
        >>> encode_request(b"", []).hex()
        '0a020a00'
    """
    groups: dict[str, list[bytes]] = {}
    for name, record in records:
        group = groups.get(name)
        if group is None:
            group = groups[name] = [blob(1, otlp_common.scope(otlp_common.Scope(name)))]
        group += (b"\x12", varint(len(record)), record)
    return blob(1, blob(1, resource) + b"".join(blob(2, b"".join(group)) for group in groups.values()))
