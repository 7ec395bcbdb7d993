"""Remote write 1.0 at the door."""

from __future__ import annotations

import asyncio

import cramjam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirante.errors import StoreError, StoreFullError
from mirante.formats import remote_write
from mirante.formats.protobuf import blob
from mirante.server.store.protos import Parsed, message_class
from tests.server.asgi import Reply, call
from tests.server.ingest.conftest import NOW, Door

MS = NOW // 1_000_000
V2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
HEADERS = {
    "content-type": "application/x-protobuf",
    "content-encoding": "snappy",
    "x-prometheus-remote-write-version": "0.1.0",
}


def packed(body: bytes) -> bytes:
    """As senders pack it."""
    return bytes(cramjam.snappy.compress_raw(body))


def series(name: str, *samples: tuple[float, int]) -> bytes:
    """A TimeSeries field."""
    labels = remote_write.labels({"__name__": name})
    return remote_write.series(labels, *(remote_write.sample(value, at) for value, at in samples))


def post(door: Door, body: bytes, **headers: str) -> Reply:
    """Send it as Prometheus does, but for those headers."""
    changed = HEADERS | {name.replace("_", "-"): value for name, value in headers.items()}
    return asyncio.run(call(door.app, "POST", "/api/v1/write", body, changed))


def test_a_body_goes_to_the_log_as_it_came(door: Door) -> None:
    """A good request is answered with 204 and its body appended unpacked and otherwise unchanged."""
    body = (
        series("a", (1.0, MS), (2.0, MS + 1)) + series("b", (3.0, MS)) + remote_write.metadata("a", "counter", "Help.")
    )
    reply = post(door, packed(body))
    assert (reply.status, reply.body) == (204, b"")
    assert door.log.bodies == [("remote_write", body)]
    assert door.counted() == {"remote_write/204": 1, "metrics/accepted": 3, "metrics/rejected": 0}


def test_headers_may_be_missing(door: Door) -> None:
    """Without them the body is taken for what the protocol says it is."""
    assert post(door, packed(series("a", (1.0, MS))), content_type="", content_encoding="").status == 204


def test_an_empty_request_is_good(door: Door) -> None:
    """Nothing is stored and nothing is wrong."""
    assert post(door, packed(b"")).status == 204
    assert door.log.bodies == []


@pytest.mark.parametrize(
    ("body", "headers", "status", "sentence"),
    [
        (b"", {}, 400, "The body is not valid snappy: "),
        (b"\xff\xff\xff\xff\xff\xff", {}, 400, "The body is not valid snappy: "),
        (packed(b"junk"), {}, 400, "The body is not a prometheus.WriteRequest: "),
        (packed(b"\x0a\x05\x0a\x03\x0a\x01\xff"), {}, 400, "The body is not a prometheus.WriteRequest: String"),
        (packed(bytes(10_001)), {}, 413, "The body has more than 10000 bytes; send smaller requests."),
        (bytes(10_001), {}, 413, "The body has more than 10000 bytes; send smaller requests."),
        (b"x", {"content_encoding": "gzip"}, 415, "The content encoding of remote write must be snappy."),
        (b"x", {"content_type": "application/json"}, 415, "The content type must be application/x-protobuf"),
        (b"x", {"content_type": V2}, 415, "The content type must"),
    ],
)  # fmt: skip
def test_a_bad_request_is_told_in_one_sentence(
    door: Door, body: bytes, headers: dict[str, str], status: int, sentence: str
) -> None:
    """Nothing is stored, and the answer says what is wrong."""
    reply = post(door, body, **headers)
    assert reply.status == status
    assert reply.text.startswith(sentence)
    assert reply.text.endswith(".\n")
    assert reply.text.count("\n") == 1
    assert reply.headers["content-type"].startswith("text/plain")
    assert door.log.bodies == []


def test_times_out_of_bounds_are_refused_and_the_rest_is_stored(door: Door) -> None:
    """Samples past retention or far ahead are dropped and counted; the sender is told, and what was good is kept."""
    day, hour = 86_400_000, 3_600_000
    body = series("a", (1.0, MS - day - 1), (2.0, MS - day), (3.0, MS + hour), (4.0, MS + hour + 1))
    body += series("b", (5.0, 2**62)) + series("c", (6.0, MS))
    reply = post(door, packed(body))
    assert reply.status == 400
    assert reply.text == f"Not everything was stored: 3 samples have timestamps outside of {MS - day} to {MS + hour}.\n"
    stored: Parsed = message_class("remote_write").FromString(door.log.bodies[0][1])
    kept = [[sample.value for sample in one.samples] for one in stored.timeseries]
    assert kept == [[2.0, 3.0], [], [6.0]]
    assert door.counted() == {"remote_write/400": 1, "metrics/accepted": 3, "metrics/rejected": 3}


def test_native_histograms_are_refused_and_the_rest_is_stored(door: Door) -> None:
    """What cannot be stored yet is said, and not dropped in silence."""
    body = blob(1, remote_write.labels({"__name__": "h"}) + blob(4, b"\x08\x01")) + series("a", (1.0, MS))
    reply = post(door, packed(body))
    assert (reply.status, reply.text) == (400, "Not everything was stored: native histograms are not supported yet.\n")
    stored: Parsed = message_class("remote_write").FromString(door.log.bodies[0][1])
    assert stored.IsInitialized()
    assert [len(one.samples) for one in stored.timeseries] == [0, 1]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (StoreFullError("no room in /data"), "There is no room to store it: no room in /data."),
        (StoreError("gone"), "It cannot be stored now: gone."),
    ],
)
def test_a_store_without_room_asks_for_patience(door: Door, error: StoreError, sentence: str) -> None:
    """The sender is asked to come again, and nothing was acknowledged."""
    door.log.error = error
    reply = post(door, packed(series("a", (1.0, MS))))
    assert (reply.status, reply.text, reply.headers["retry-after"]) == (503, sentence + "\n", "5")


@settings(deadline=None)
@given(body=st.binary(max_size=60))
def test_no_bytes_do_harm(body: bytes) -> None:
    """Any bytes are answered with 204 or with one sentence."""
    door = Door()
    for sent in (body, packed(body)):
        reply = post(door, sent)
        assert reply.status == 204 or (reply.status in {400, 413} and reply.text.endswith(".\n"))


def test_a_sender_that_leaves(door: Door) -> None:
    """A connection that ends in mid-body stores nothing."""
    sent: list[int] = []

    async def run() -> None:
        messages: list[dict[str, object]] = [
            {"type": "http.request", "body": b"x", "more_body": True},
            {"type": "http.disconnect"},
        ]

        async def receive() -> dict[str, object]:
            return messages.pop(0)

        async def send(message: dict[str, object]) -> None:
            sent.append(int(str(message.get("status", 0))))

        scope = {"type": "http", "method": "POST", "path": "/api/v1/write", "headers": [], "query_string": b""}
        await door.app(scope, receive, send)  # type: ignore[arg-type] # plain dictionaries are messages

    asyncio.run(run())
    assert sent[0] == 400
    assert door.log.bodies == []
