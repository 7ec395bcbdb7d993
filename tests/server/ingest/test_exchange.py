"""Unpacking within bounds."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import Callable, MutableMapping

import cramjam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirante.server.ingest.exchange import Bounds, InFlight, Refusal, Request, unpack
from tests.server.asgi import Reply, call
from tests.server.ingest.conftest import Door

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "identity": bytes,
    "GZIP": gzip.compress,
    "gzip": lambda body: gzip.compress(body[:3]) + gzip.compress(body[3:]),
    "deflate": zlib.compress,
    "zstd": lambda body: bytes(cramjam.zstd.compress(body)),
    "snappy": lambda body: bytes(cramjam.snappy.compress_raw(body)),
}


@pytest.mark.parametrize("encoding", PACKERS)
@given(body=st.binary(max_size=100))
def test_round_trip(encoding: str, body: bytes) -> None:
    """Every encoding gives back what was packed, up to the limit and not beyond."""
    request = Request(PACKERS[encoding](body), content_encoding=encoding)
    assert unpack(request, len(body)) == body
    if body:
        with pytest.raises(Refusal, match="more than") as error:
            unpack(request, len(body) - 1)
        assert error.value.status == 413


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd", "snappy"])
@given(body=st.binary(min_size=1, max_size=40))
def test_junk_is_refused(encoding: str, body: bytes) -> None:
    """What is not packed that way is refused with a sentence, or happens to be packed after all."""
    refusals: list[Refusal] = []
    try:
        unpack(Request(body, content_encoding=encoding), 1000)
    except Refusal as error:
        refusals.append(error)
    assert all(one.status in {400, 413} and one.sentence.endswith(".") for one in refusals)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd", "snappy"])
def test_another_encoding_than_it_says(encoding: str) -> None:
    """A body that is not packed at all is refused with the unpacker's own words."""
    with pytest.raises(Refusal, match=f"The body is not valid {encoding}: ") as error:
        unpack(Request(b"not packed at all", content_encoding=encoding), 1000)
    assert error.value.status == 400


def test_cut_off() -> None:
    """A gzip body that ends too early is refused."""
    with pytest.raises(Refusal, match="ends too early"):
        unpack(Request(gzip.compress(bytes(1000))[:-9], content_encoding="gzip"), 2000)


@pytest.mark.parametrize("encoding", ["gzip", "snappy", "zstd"])
def test_a_bomb_takes_no_memory(encoding: str) -> None:
    """A small body that unpacks to 50 MB is refused without unpacking it whole."""
    bomb = PACKERS[encoding](bytes(50 << 20))
    tracemalloc.start()
    with pytest.raises(Refusal) as error:
        unpack(Request(bomb, content_encoding=encoding), 1 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert error.value.status == 413
    assert peak < 8 << 20


def test_unknown_encoding() -> None:
    """An encoding that nobody knows is named."""
    with pytest.raises(Refusal, match="'br' is not one of") as error:
        unpack(Request(b"", content_encoding="br"), 10)
    assert error.value.status == 415


def test_bounds_of_time() -> None:
    """Without a past all times since 1970 are good."""
    first, last = Bounds().times()
    assert first == 0 < last
    assert Bounds(past=1e12).times()[0] == 0


@settings(deadline=None)
@given(size=st.integers(0, 1 << 20), limit=st.integers(1, 1 << 20))
def test_zstd_of_any_size(size: int, limit: int) -> None:
    """However well a body is packed, it comes out up to the limit."""
    request = Request(bytes(cramjam.zstd.compress(bytes(size))), content_encoding="zstd")
    if size <= limit:
        assert unpack(request, limit) == bytes(size)
    else:
        with pytest.raises(Refusal, match="more than"):
            unpack(request, limit)


def test_what_is_in_flight_is_bounded() -> None:
    """What would be too much is to come again; what was released makes room."""
    held = InFlight(100)
    held.take(60)
    with pytest.raises(Refusal, match="More is coming in than can be stored") as error:
        held.take(41)
    assert (error.value.status, error.value.retry_after) == (429, 1)
    held.take(40)
    held.release(60)
    held.take(60)


def test_a_server_that_is_overloaded_asks_for_patience() -> None:
    """While others hold all there is, a request is answered 429 with Retry-After; when they are done it is taken."""
    door = Door(bounds=Bounds(max_body=100, in_flight=InFlight(150)))

    async def run() -> list[Reply]:
        begun, done = asyncio.Event(), asyncio.Event()
        messages = [{"type": "http.request", "body": bytes(100), "more_body": True}]
        answered: list[object] = []

        async def receive() -> MutableMapping[str, object]:
            if messages:
                return messages.pop()
            begun.set()
            await done.wait()
            return {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, object]) -> None:
            answered.append(message.get("status"))

        scope = {"type": "http", "method": "POST", "path": "/v1/logs", "headers": [], "query_string": b""}
        slow = asyncio.create_task(door.app(scope, receive, send))
        await begun.wait()
        headers = {"content-type": "application/x-protobuf"}
        replies = [await call(door.app, "POST", "/v1/logs", bytes(60), headers)]
        done.set()
        await slow
        replies.append(await call(door.app, "POST", "/v1/logs", b"", headers))
        assert answered[0] == 400
        return replies

    refused, taken = asyncio.run(run())
    assert (refused.status, refused.headers["retry-after"], refused.body[:2]) == (429, "1", b"\x08\x08")
    assert taken.status == 200
