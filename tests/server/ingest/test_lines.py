"""Cutting bodies into lines, piece by piece."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from mirante.errors import StoreFullError
from mirante.server.ingest.exchange import Bounds, InFlight, Request
from mirante.server.ingest.lines import PIECE_BYTES, LineCutter, LineReader, Outcome
from mirante.server.store.api import Stream
from tests.server.asgi import call
from tests.server.ingest.conftest import Door


def cut(pieces: Sequence[bytes], piece_bytes: int, max_line: int) -> list[bytes | None]:
    """All lines; checks their numbers on the way."""
    cutter = LineCutter(piece_bytes, max_line)
    found: list[bytes | None] = []
    for chunk in [*(list(cutter.feed(piece)) for piece in pieces), list(cutter.finish())]:
        for first, lines in chunk:
            assert first == len(found) + 1
            found += lines
    return found


@given(st.lists(st.text(alphabet="ab\n", max_size=12).map(str.encode)), st.integers(1, 20), st.integers(0, 6))
def test_however_a_body_comes_its_lines_are_the_same(pieces: list[bytes], piece_bytes: int, max_line: int) -> None:
    """Lines are those of the whole body, whatever pieces it comes in; longer ones than allowed are marked."""
    expected = b"".join(pieces).split(b"\n")
    if not expected[-1]:
        expected.pop()
    marked = [line if len(line) <= max_line else None for line in expected]
    assert cut(pieces, piece_bytes, max_line) == marked


class Counting:
    """Counts lines and forgets them."""

    def __init__(self) -> None:
        self.outcome = Outcome()

    def take(self, first: int, lines: Sequence[bytes | None]) -> None:
        """Count them."""
        assert first == self.outcome.accepted + 1
        self.outcome.accepted += len(lines)


def test_a_large_body_takes_little_memory() -> None:
    """A packed body that unpacks to 50 MB is read in pieces."""
    text = (b"x" * 99 + b"\n") * 10_000
    body = b"".join(gzip.compress(text) for _ in range(50))
    sink = Counting()
    reader = LineReader(Request(b"", content_encoding="gzip"), sink, 1000)
    tracemalloc.start()
    reader.feed(body)
    reader.finish()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sink.outcome.accepted == 500_000
    assert peak < 8 * PIECE_BYTES


def test_a_line_without_end_takes_little_memory() -> None:
    """A body that is one endless line is not gathered."""
    sink = Counting()
    reader = LineReader(Request(b""), sink, 1000)
    tracemalloc.start()
    for _ in range(100):
        reader.feed(bytes(1 << 20))
    reader.finish()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sink.outcome.accepted == 1
    assert peak < 8 * PIECE_BYTES


def test_what_is_held_is_bounded() -> None:
    """A body that is cut as it comes counts up to the piece that is held; too many at once are asked to wait."""
    sink = Counting()
    assert LineReader(Request(b""), sink, 1000).holds == LineReader(Request(b"", "", "gzip"), sink, 1000).holds
    assert LineReader(Request(b"", "", "zstd"), sink, 1000).holds == 1000
    held = InFlight(15)
    door = Door(bounds=Bounds(in_flight=held))
    for body, status in ((b'{"msg":"a"}\n', 200), (b'{"msg":"abcdef"}\n', 429), (b'{"msg":"b"}\n', 200)):
        reply = asyncio.run(call(door.app, "POST", "/insert/jsonline", body))
        assert reply.status == status
        assert reply.headers.get("retry-after") == ("1" if status == 429 else None)
    held.take(15)


def test_a_store_that_fills_up_on_the_way() -> None:
    """The answer says how many lines are safe, so that the sender can go on behind them."""
    door = Door(bounds=Bounds())
    append = door.log.append

    def scarce(stream: Stream, bodies: Sequence[bytes]) -> None:
        append(stream, bodies)
        door.log.error = StoreFullError("full")

    door.log.append = scarce  # type: ignore[method-assign] # it fills up after the first body
    body = gzip.compress(b'{"msg":"%s"}\n' % (b"x" * 1000) * 10_000)
    reply = asyncio.run(call(door.app, "POST", "/insert/jsonline", body, {"content-encoding": "gzip"}))
    answer = reply.json()
    assert reply.status == 503
    assert 0 < answer["lines"] == answer["accepted"] < 10_000


def test_a_sender_that_leaves(door: Door) -> None:
    """A connection that ends in mid-body is answered with what was taken by then, and counted."""
    sent: list[int] = []

    async def run() -> None:
        messages: list[dict[str, object]] = [
            {"type": "http.request", "body": b'{"msg":"a"}\n' * 100_000, "more_body": True},
            {"type": "http.disconnect"},
        ]

        async def receive() -> dict[str, object]:
            return messages.pop(0)

        async def send(message: dict[str, object]) -> None:
            sent.append(int(str(message.get("status", 0))))

        scope = {"type": "http", "method": "POST", "path": "/insert/jsonline", "headers": [], "query_string": b""}
        await door.app(scope, receive, send)  # type: ignore[arg-type] # plain dictionaries are messages

    asyncio.run(run())
    assert sent[0] == 400
    assert door.counted()["json_lines/400"] == 1
