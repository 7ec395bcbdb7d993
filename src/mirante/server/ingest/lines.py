"""Bodies of lines, of any length: unpacked, cut and taken piece by piece, so that memory stays bounded.

What was wrong with single lines is told at the end, by number; the others are taken.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from mirante.errors import StoreError, StoreFullError
from mirante.server.ingest.counts import IngestCounts
from mirante.server.ingest.endpoint import RETRY_AFTER, head
from mirante.server.ingest.exchange import Bounds, Refusal, Reply, Request, unpack
from mirante.server.store.tables import Signal

PIECE_BYTES = 4 << 20
"""Text that is taken at once."""
MAX_LINE = 1 << 20
"""Bytes of the longest line."""

_RAW_BYTES = 1 << 20  # of the packed body, gathered before a thread is asked to work on it
_MAX_ERRORS = 20


@dataclass(slots=True)
class Outcome:
    """What became of the lines so far.

    Attributes:
        accepted: items stored.
        rejected: items refused.
        errors: line numbers and reasons, the first twenty.
        lines: how many lines are done with.
    """

    accepted: int = 0
    rejected: int = 0
    errors: list[tuple[int, str]] = field(default_factory=list)
    lines: int = 0

    def refuse(self, line: int, reason: str) -> None:
        """Count a line that is refused."""
        self.rejected += 1
        if len(self.errors) < _MAX_ERRORS:
            self.errors.append((line, reason))

    def document(self) -> dict[str, object]:
        """The same for the sender."""
        errors = [{"line": line, "reason": reason} for line, reason in self.errors]
        return {"accepted": self.accepted, "rejected": self.rejected, "errors": errors}


def out_of_bounds(time: int, first: int, signal: Signal) -> str:
    """Why something of that time (nanoseconds since the Unix epoch) is refused, when the first that is kept is that.

    Example:
        >>> out_of_bounds(0, 10**18, "logs")
        'its time, 1970-01-01T00:00:00Z, is before 2001-09-09T01:46:40Z: older logs are not kept (retention.logs)'
    """
    if time < first:
        return f"its time, {_shown(time)}, is before {_shown(first)}: older {signal} are not kept (retention.{signal})"
    return f"its time, {_shown(time)}, lies in the future"


def _shown(time: int) -> str:
    try:
        return f"{datetime.fromtimestamp(time // 10**9, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError, OSError):  # of a year that no calendar has
        return f"{time} ns"


class LineSink(Protocol):
    """Takes the lines of one body."""

    @property
    def outcome(self) -> Outcome:
        """What became of them so far."""
        ...

    def take(self, first: int, lines: Sequence[bytes | None]) -> None:
        """Store lines, without their line breaks, the first of which has that number; None was too long a line.

        Raises:
            StoreFullError: there is no room.
        """
        ...


class LineCutter:
    """Cuts text into lists of lines, each with the number of its first line.

    Args:
        piece_bytes: size of a list, roughly.
        max_line: a longer line becomes None.
    """

    def __init__(self, piece_bytes: int = PIECE_BYTES, max_line: int = MAX_LINE) -> None:
        self._piece_bytes = piece_bytes
        self._max_line = max_line
        self._rest = b""
        self._too_long = False
        self._pieces: list[bytes] = []
        self._size = 0
        self._number = 1

    def feed(self, text: bytes) -> Iterator[tuple[int, list[bytes | None]]]:
        """More text; gives the lines that are whole as soon as there are enough of them."""
        self._pieces.append(text)
        self._size += len(text)
        if self._size >= self._piece_bytes:
            yield from self._cut(last=False)

    def finish(self) -> Iterator[tuple[int, list[bytes | None]]]:
        """The end of the text, and with it of the last line."""
        yield from self._cut(last=True)

    def _cut(self, *, last: bool) -> Iterator[tuple[int, list[bytes | None]]]:
        lines: list[bytes | None] = [*b"".join([self._rest, *self._pieces]).split(b"\n")]
        self._pieces.clear()
        self._size = 0
        rest = lines[-1] or b""
        if not last or not rest:
            lines.pop()
        self._rest = b"" if last else rest
        lines = [line if line is None or len(line) <= self._max_line else None for line in lines]
        if self._too_long and (lines or last):
            lines[:1] = [None]
            self._too_long = False
        if len(self._rest) > self._max_line:
            self._rest, self._too_long = b"", True
        if lines:
            yield self._number, lines
            self._number += len(lines)


class LineReader:
    """Unpacks a body, cuts it and hands its lines over.

    Args:
        request: says how the body is packed.
        sink: takes the lines.
        limit: bytes that a body may have, unpacked, in an encoding that cannot be unpacked piece by piece.
    """

    def __init__(self, request: Request, sink: LineSink, limit: int) -> None:
        self._sink = sink
        self._cutter = LineCutter()
        self._request = request
        self._limit = limit
        encoding = request.content_encoding.strip().lower()
        self._whole: list[bytes] | None = None if encoding in {"", "identity", "gzip"} else []
        self._zip = zlib.decompressobj(wbits=31) if encoding == "gzip" else None

    @property
    def holds(self) -> int:
        """Bytes of the body that are held at once, at most."""
        return PIECE_BYTES + _RAW_BYTES if self._whole is None else self._limit

    def feed(self, raw: bytes) -> None:
        """More of the body, as it came.

        Raises:
            Refusal: 400, 413 or 415: it is not packed that way, too large, or nobody knows the encoding.
            StoreFullError: there is no room.
        """
        if self._whole is not None:
            self._whole.append(raw)
            if sum(map(len, self._whole)) > self._limit:
                raise Refusal(413, f"The body has more than {self._limit} bytes; send smaller requests.")
        elif self._zip is None:
            self._take(raw)
        else:
            self._unzip(raw)

    def finish(self) -> None:
        """The end of the body. Raises as ``feed``."""
        if self._whole is not None:
            self._take(unpack(self._request._replace(body=b"".join(self._whole)), self._limit))
        elif self._zip is not None and not self._zip.eof:
            raise Refusal(400, "The body is not valid gzip: it ends too early.")
        self._hand_over(self._cutter.finish())

    def _take(self, text: bytes) -> None:
        self._hand_over(self._cutter.feed(text))

    def _hand_over(self, cut: Iterator[tuple[int, list[bytes | None]]]) -> None:
        for first, lines in cut:
            self._sink.take(first, lines)
            self._sink.outcome.lines = first + len(lines) - 1

    def _unzip(self, raw: bytes) -> None:
        member = self._zip
        while raw and member is not None:
            if member.eof:  # a gzip body may have several members
                member = self._zip = zlib.decompressobj(wbits=31)
            try:
                text = member.decompress(raw, PIECE_BYTES)
            except zlib.error as error:
                raise Refusal(400, f"The body is not valid gzip: {error}.") from None
            self._take(text)
            raw = member.unused_data if member.eof else member.unconsumed_tail


class LineEndpoint:
    """One path that takes lines: 200 when all or some of them were taken, 400 when none was.

    Args:
        name: the receiver's, in its metrics.
        start: makes the sink of a request, or raises Refusal.
        bounds: sizes that are acceptable.
        counts: the receivers' own metrics.
    """

    def __init__(self, name: str, start: Callable[[Request], LineSink], bounds: Bounds, counts: IngestCounts) -> None:
        self._name = name
        self._start = start
        self._limit = bounds.max_body
        self._in_flight = bounds.in_flight
        self._counts = counts

    async def handle(self, http: HttpRequest) -> Response:
        """Answer one request."""
        request, outcome = head(http), Outcome()
        wait: int | None = None
        held = 0
        try:
            sink = self._start(request)
            outcome = sink.outcome
            reader = LineReader(request, sink, self._limit)
            async for raw in _pieces(http):
                more = min(len(raw), reader.holds - held)
                self._in_flight.take(more)
                held += more
                await run_in_threadpool(partial(reader.feed, raw))
            await run_in_threadpool(reader.finish)
            reply = _answer(outcome)
        except Refusal as error:
            wait = error.retry_after
            reply = _problem(error.status, error.sentence, outcome)
        except StoreFullError as error:
            reply = _problem(503, f"There is no room to store it: {error}.", outcome)
        except StoreError as error:
            reply = _problem(503, f"It cannot be stored now: {error}.", outcome)
        finally:
            self._in_flight.release(held)
        self._counts.request(self._name, reply.status)
        extra = {"Retry-After": str(wait or RETRY_AFTER)} if reply.status == 503 or wait is not None else None
        return Response(reply.body, reply.status, media_type=reply.content_type, headers=extra)


async def _pieces(http: HttpRequest) -> AsyncIterator[bytes]:
    parts: list[bytes] = []
    size = 0
    try:
        async for part in http.stream():
            parts.append(part)
            size += len(part)
            if size >= _RAW_BYTES:
                yield b"".join(parts)
                parts, size = [], 0
    except ClientDisconnect:
        raise Refusal(400, "The connection was closed before the body was complete.") from None
    yield b"".join(parts)


def _answer(outcome: Outcome) -> Reply:
    if outcome.rejected and not outcome.accepted:
        line, reason = outcome.errors[0]
        return _problem(400, f"No line could be taken; line {line}: {reason}.", outcome)
    return Reply(200, orjson.dumps(outcome.document()), "application/json")


def _problem(status: int, sentence: str, outcome: Outcome) -> Reply:
    told = {"title": "Not everything was taken", "status": status, "detail": sentence}
    document = {**told, **outcome.document(), "lines": outcome.lines}
    return Reply(status, orjson.dumps(document), "application/problem+json")
