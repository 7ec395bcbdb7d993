"""Unpacking within bounds."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirante.server.ingest.exchange import Bounds, Refusal, Request, unpack

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "identity": bytes,
    "GZIP": gzip.compress,
    "gzip": lambda body: gzip.compress(body[:3]) + gzip.compress(body[3:]),
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


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "snappy"])
@given(body=st.binary(min_size=1, max_size=40))
def test_junk_is_refused(encoding: str, body: bytes) -> None:
    """What is not packed that way is refused with a sentence, or happens to be packed after all."""
    refusals: list[Refusal] = []
    try:
        unpack(Request(body, content_encoding=encoding), 1000)
    except Refusal as error:
        refusals.append(error)
    assert all(one.status in {400, 413} and one.sentence.endswith(".") for one in refusals)


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "snappy"])
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
