"""What every receiver has in common: the request, the answer, and unpacking a body within bounds."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

import cramjam

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante.server.store.tables import Signal


class Request(NamedTuple):
    """A request as the transport got it.

    Attributes:
        body: as it came, packed.
        content_type: the header's value, or the empty string.
        content_encoding: the header's value, or the empty string.
        method: the HTTP method.
        path: the path, without percent signs.
        query: the parameters; of one that is given twice the last.
    """

    body: bytes
    content_type: str = ""
    content_encoding: str = ""
    method: str = "POST"
    path: str = ""
    query: Mapping[str, str] = MappingProxyType({})

    @property
    def media_type(self) -> str:
        """The content type without its parameters, in lower case."""
        return self.content_type.partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to it."""

    status: int
    body: bytes = b""
    content_type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """The request cannot be taken.

    Attributes:
        status: the HTTP status that says so.
        sentence: what is wrong, for the sender.
        retry_after: seconds after which the same request may succeed, or None.
    """

    def __init__(self, status: int, sentence: str, *, retry_after: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.retry_after = retry_after


class InFlight:
    """What all requests that are being read or stored hold at once.

    Args:
        most: bytes, as they came; no less than the largest body.
    """

    def __init__(self, most: int = 512 << 20) -> None:
        self._most = most
        self._held = 0
        self._lock = threading.Lock()

    def take(self, size: int) -> None:
        """Hold so many bytes more.

        Raises:
            Refusal: 429, there are too many of others.
        """
        with self._lock:
            if self._held + size > self._most:
                raise Refusal(429, "More is coming in than can be stored; send it again later.", retry_after=1)
            self._held += size

    def release(self, size: int) -> None:
        """They are stored, or refused."""
        with self._lock:
            self._held -= size


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is taken in.

    Attributes:
        max_body: bytes of a body, unpacked.
        in_flight: what all receivers with these bounds hold at once.
        past: seconds that a timestamp may lie back (the time that data is kept), or None for any since 1970; a function
            tells it by signal, each time anew.
        future: seconds that a timestamp may lie ahead, for clocks that go fast.
        clock: what time it is.
    """

    max_body: int = 64 << 20
    in_flight: InFlight = field(default_factory=InFlight)
    past: float | Callable[[Signal], float | None] | None = None
    future: float = 3600.0
    clock: Clock = SYSTEM_CLOCK

    def times(self, signal: Signal = "metrics") -> tuple[int, int]:
        """First and last acceptable time of that signal, in nanoseconds since the Unix epoch."""
        now = self.clock.time_ns()
        past = self.past(signal) if callable(self.past) else self.past
        first = 0 if past is None else max(0, now - int(past * 1e9))
        return first, now + int(self.future * 1e9)


def unpack(request: Request, max_body: int) -> bytes:
    """The body without its content encoding: gzip, deflate, zstd, snappy (the block format) or none.

    Raises:
        Refusal: 415 for another encoding, 413 when it is too large, 400 when it is not what the header says.
    """
    encoding = request.content_encoding.strip().lower()
    unpacker = _UNPACKERS.get(encoding)
    if unpacker is None:
        raise Refusal(415, f"The content encoding {encoding!r} is not one of gzip, deflate, zstd, snappy and identity.")
    try:
        body = unpacker(request.body, max_body)
    except (cramjam.DecompressionError, zlib.error, EOFError) as error:
        raise Refusal(400, f"The body is not valid {encoding}: {error}.") from None
    if body is None or len(body) > max_body:
        raise Refusal(413, f"The body has more than {max_body} bytes; send smaller requests.")
    return body


def _inflate(packed: bytes, limit: int, *, wbits: int) -> bytes | None:
    parts: list[bytes] = []
    left = limit
    while packed:  # a gzip body may have several members
        member = zlib.decompressobj(wbits=wbits)
        parts.append(member.decompress(packed, left + 1))
        left -= len(parts[-1])
        if left < 0:
            return None
        if not member.eof:
            raise EOFError("it ends too early")
        packed = member.unused_data
    return b"".join(parts)


def _unzstd(packed: bytes, limit: int) -> bytes | None:
    size = min(limit, max(1 << 16, 8 * len(packed)))  # most bodies fit; room for the largest would be cleared each time
    while True:
        room = bytearray(size + 1)
        try:
            used = cramjam.zstd.decompress_into(packed, room)
        except cramjam.DecompressionError as error:
            if "write whole buffer" not in str(error):
                raise
            used = size + 1
        if used <= size:
            return bytes(memoryview(room)[:used])
        if size >= limit:
            return None
        size = min(limit, 8 * size)


def _unsnappy(packed: bytes, limit: int) -> bytes | None:
    if cramjam.snappy.decompress_raw_len(packed) > limit:
        return None
    return bytes(cramjam.snappy.decompress_raw(packed))


_UNPACKERS: dict[str, Callable[[bytes, int], bytes | None]] = {
    "": lambda body, _: body,
    "identity": lambda body, _: body,
    "gzip": partial(_inflate, wbits=31),
    "deflate": partial(_inflate, wbits=15),
    "zstd": _unzstd,
    "snappy": _unsnappy,
}
