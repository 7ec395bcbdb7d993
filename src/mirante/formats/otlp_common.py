"""What all three OTLP signals share on the wire: values, attributes, resource and instrumentation scope.

Source: opentelemetry-proto 1.x, ``common/v1/common.proto`` and ``resource/v1/resource.proto``. Attributes repeat from
one span or log line to the next, so what short texts, integers and booleans become is remembered, within a bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mirante.formats.protobuf import blob, delimited, double, int64, string, varint

_INT64 = range(-(1 << 63), 1 << 63)
_REMEMBERED = 4096
"""Entries a table may have before it starts anew: a megabyte or so at the most."""
_SHORT = 128
"""Characters of the longest text that is worth remembering."""


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """The library that made a piece of telemetry; two with equal contents are still two.

    Attributes:
        name: the library's name, such as ``opentelemetry.instrumentation.redis``.
        version: its version, or the empty string.
        schema_url: where the meaning of its attribute names is written down, or the empty string.
        attributes: anything else about it.
    """

    name: str = ""
    version: str = ""
    schema_url: str = ""
    attributes: Mapping[str, object] = field(default_factory=dict)


def any_value(value: object) -> bytes:  # noqa: PLR0911 - one for each kind of value
    """An ``AnyValue`` message; an integer beyond 64 bits and a value of an unknown type are sent as text.

    Example:
        >>> any_value("a").hex(), any_value(None)
        ('0a0161', b'')
    """
    match value:
        case None:
            return b""
        case str():
            return string(1, value)
        case bool():
            return int64(2, value)
        case int():
            return int64(3, value) if value in _INT64 else string(1, str(value))
        case float():
            return double(4, value)
        case bytes():
            return blob(7, value)
        case Mapping():
            return blob(6, b"".join(blob(1, key_value(str(key), item)) for key, item in value.items()))
        case list() | tuple():
            return blob(5, b"".join(blob(1, any_value(item)) for item in value))
        case _:
            return string(1, str(value))


def key_value(key: str, value: object) -> bytes:
    """A ``KeyValue`` message."""
    return string(1, key) + blob(2, any_value(value))


_keys: dict[str, bytes] = {}
_remembered: dict[type, dict[tuple[str, object], bytes]] = {str: {}, int: {}, bool: {}}


def put_attributes(out: list[bytes], tag: bytes, attributes: Mapping[str, object]) -> None:
    r"""Append repeated ``KeyValue`` fields.

    Args:
        out: takes the pieces.
        tag: the field's tag as it stands on the wire.
        attributes: names to values; a list, because another thread may add a last one while this reads.

    Example:
        >>> out = []
        >>> put_attributes(out, b"\x0a", {"k": True})
        >>> b"".join(out).hex()
        '0a070a016b12021001'
    """
    for pair in list(attributes.items()):
        known = _remembered.get(type(pair[1]))
        if known is None:
            out += (tag, delimited(key_value(*pair)))
        else:
            out += (tag, known.get(pair) or _remember(known, pair))


def _remember(known: dict[tuple[str, object], bytes], pair: tuple[str, object]) -> bytes:
    key, value = pair
    if not isinstance(value, str):
        encoded = delimited(key_value(key, value))
    else:
        encoded = _text(key, value)
        if len(value) > _SHORT:
            return encoded
    if len(known) >= _REMEMBERED:
        known.clear()
    known[pair] = encoded
    return encoded


def _text(key: str, value: str) -> bytes:
    """``delimited(key_value(key, value))`` for the commonest of values, in half the time."""
    head = _keys.get(key)
    if head is None:
        if len(_keys) >= _REMEMBERED:
            _keys.clear()
        head = _keys[key] = string(1, key) + b"\x12"
    payload = string(1, value)
    size = varint(len(payload))
    return varint(len(head) + len(size) + len(payload)) + head + size + payload


def resource(attributes: Mapping[str, object]) -> bytes:
    """A ``Resource`` message."""
    out: list[bytes] = []
    put_attributes(out, b"\x0a", attributes)
    return b"".join(out)


def scope(value: Scope) -> bytes:
    """An ``InstrumentationScope`` message."""
    out: list[bytes] = []
    if value.name:
        out.append(string(1, value.name))
    if value.version:
        out.append(string(2, value.version))
    put_attributes(out, b"\x1a", value.attributes)
    return b"".join(out)


def partial_success(body: bytes) -> tuple[int, str]:
    """How many items a server refused, and why, from its ``Export*ServiceResponse``; (0, "") where it is not one.

    Example:
        >>> partial_success(bytes.fromhex("0a06" "0803" "12026e6f"))
        (3, 'no')
    """
    try:
        message = _fields(body).get(1, b"")
        details = _fields(message) if isinstance(message, bytes) else {}
    except (IndexError, ValueError):
        return 0, ""
    rejected, reason = details.get(1, 0), details.get(2, b"")
    return (
        rejected if isinstance(rejected, int) else 0,
        reason.decode("utf-8", "replace") if isinstance(reason, bytes) else "",
    )


def _fields(message: bytes) -> dict[int, int | bytes]:
    """Field numbers to the last value of each; only the wire types that a response has."""
    found: dict[int, int | bytes] = {}
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        value, at = _varint(message, at)
        if tag & 7 == 0:
            found[tag >> 3] = value
        elif tag & 7 == 2 and at + value <= len(message):
            found[tag >> 3] = message[at : at + value]
            at += value
        else:
            raise ValueError("not a response")
    return found


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
