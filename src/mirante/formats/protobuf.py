"""Protocol Buffers wire format, the writing side only: what the SDK needs to speak OTLP without the protobuf package.

Source: protobuf.dev, "Encoding". Every function returns bytes to be joined by the caller.
"""

from __future__ import annotations

import struct

_DOUBLE = struct.Struct("<d").pack
_FIXED64 = struct.Struct("<Q").pack
_SMALL = tuple(bytes([n]) for n in range(128))


def varint(n: int) -> bytes:
    """Encode 0 <= n < 2**64 in base 128, least significant group first.

    Example:
        >>> varint(300).hex()
        'ac02'
    """
    if n < 128:
        return _SMALL[n]
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def int64(field: int, n: int) -> bytes:
    """A varint field; a negative number takes ten bytes, as int64 and enums do.

    Example:
        >>> int64(2, 150).hex()
        '109601'
    """
    return varint(field << 3) + varint(n & 0xFFFFFFFFFFFFFFFF)


def sint64(field: int, n: int) -> bytes:
    """A zigzag varint field (``sint32``, ``sint64``)."""
    return varint(field << 3) + zigzag(n)


def zigzag(n: int) -> bytes:
    """A signed number as ``sint32`` and ``sint64`` write it: small in size when it is small in magnitude.

    Example:
        >>> [zigzag(n).hex() for n in (0, -1, 1, -64)]
        ['00', '01', '02', '7f']
    """
    return varint((n << 1 ^ n >> 63) & 0xFFFFFFFFFFFFFFFF)


def fixed64(field: int, n: int) -> bytes:
    """An eight-byte unsigned field (``fixed64``), as OTLP's times."""
    return varint(field << 3 | 1) + _FIXED64(n)


def sfixed64(field: int, n: int) -> bytes:
    """An eight-byte signed field (``sfixed64``)."""
    return varint(field << 3 | 1) + _FIXED64(n & 0xFFFFFFFFFFFFFFFF)


def double(field: int, x: float) -> bytes:
    """An eight-byte float field."""
    return varint(field << 3 | 1) + _DOUBLE(x)


def blob(field: int, payload: bytes) -> bytes:
    """A length-delimited field: bytes, an encoded message or packed numbers."""
    return varint(field << 3 | 2) + varint(len(payload)) + payload


def string(field: int, text: str) -> bytes:
    """A text field, UTF-8; lone surrogates become '?', so that no value of the host can make encoding fail."""
    return blob(field, text.encode("utf-8", "replace"))


def delimited(payload: bytes) -> bytes:
    """A message behind its varint length, as streams of messages are written."""
    return varint(len(payload)) + payload
