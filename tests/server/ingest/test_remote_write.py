"""Remote write at the door: 1.0, and what both versions have in common."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace

import cramjam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirante._core.model import Exemplar
from mirante.errors import StoreError, StoreFullError
from mirante.formats import remote_write
from mirante.formats.native_histogram import CUSTOM_BUCKETS, NativeHistogram
from mirante.formats.protobuf import blob, double, int64
from mirante.server.store.protos import Parsed, message_class
from tests.native_histograms import native_histograms
from tests.server.asgi import Reply, call
from tests.server.ingest.conftest import NOW, Door

MS = NOW // 1_000_000
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
        (b"x", {"content_type": "application/x-protobuf;proto=x.y"}, 415, "The content type must"),
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


TIMES = st.sampled_from([None, 0, 1, -1, MS - 86_400_001, MS - 86_400_000, MS, MS + 3_600_000, MS + 3_600_001, 2**62])


@given(st.lists(st.lists(TIMES, max_size=4), max_size=5))
def test_what_is_in_time_is_told_sample_by_sample(times: list[list[int | None]]) -> None:
    """However samples are spread over series, exactly those in time are kept; one without a time is of 1970."""
    door, head = Door(), remote_write.labels({"__name__": "a"})
    written = [
        remote_write.series(head, *(blob(2, double(1, 1.0) + (b"" if at is None else int64(2, at))) for at in one))
        for one in times
    ]
    reply = post(door, packed(b"".join(written)))
    good = [[at for at in one if at is not None and MS - 86_400_000 <= at <= MS + 3_600_000] for one in times]
    stored: Parsed = message_class("remote_write").FromString(b"".join(body for _, body in door.log.bodies))
    assert [[sample.timestamp for sample in one.samples] for one in stored.timeseries] == good
    assert reply.status == (204 if good == times else 400)
    assert door.counted().get("metrics/accepted", 0) == sum(map(len, good))


def hist(name: str, *histograms: bytes) -> bytes:
    """A series of native histograms."""
    return remote_write.series(remote_write.labels({"__name__": name}), *histograms)


@given(st.lists(native_histograms(), min_size=1, max_size=3))
def test_native_histograms_are_stored_as_they_came(histograms: list[NativeHistogram]) -> None:
    """Every valid histogram is taken, to the bit."""
    door = Door()
    body = hist("h", *(remote_write.histogram(one, MS + place) for place, one in enumerate(histograms)))
    reply = post(door, packed(body))
    assert (reply.status, reply.text) == (204, "")
    assert door.log.bodies == [("remote_write", body)]
    assert door.counted()["metrics/accepted"] == len(histograms)


def test_histograms_and_exemplars_out_of_bounds(door: Door) -> None:
    """They are dropped as samples are; of exemplars the sender is told nothing."""
    one, day = NativeHistogram(1, 1.0, positive={0: 1}), 86_400_000
    exemplars = [remote_write.exemplar(Exemplar({}, 1.0, at / 1000), at) for at in (MS, 1, 2**52)]
    body = hist("h", remote_write.histogram(one, MS), remote_write.histogram(one, MS - day - 1), *exemplars)
    reply = post(door, packed(body))
    assert reply.text == (
        f"Not everything was stored: 1 native histograms have timestamps outside of {MS - day} to {MS + 3_600_000}.\n"
    )
    stored: Parsed = message_class("remote_write").FromString(door.log.bodies[0][1])
    (series,) = stored.timeseries
    assert [histogram.timestamp for histogram in series.histograms] == [MS]
    assert [exemplar.timestamp for exemplar in series.exemplars] == [MS]
    assert door.counted() == {
        "remote_write/400": 1, "metrics/accepted": 1, "metrics/rejected": 1, "exemplars/accepted": 1,
        "exemplars/rejected": 2,
    }  # fmt: skip


GOOD = NativeHistogram(6, 1.0, zero_threshold=0.5, zero_count=1, positive={0: 2}, negative={0: 3})
CUSTOM = NativeHistogram(3, 1.0, schema=CUSTOM_BUCKETS, positive={0: 1, 1: 2}, custom_bounds=(1.0,))


@pytest.mark.parametrize(
    ("histogram", "extra", "reason"),
    [
        (replace(GOOD, schema=9), b"", "the schema 9 is neither -53 nor from -4 to 8"),
        (replace(GOOD, count=7), b"", "the count is 7, but the buckets hold 6"),
        (replace(GOOD, sum=math.nan, count=5), b"", "the count is 5, but the buckets hold 6"),
        (replace(GOOD, is_float=True, count=5.0), b"", "the count is 5, but the buckets hold 6"),
        (replace(GOOD, is_float=True, zero_count=-1.0), b"", "the count is 6, but the buckets hold 4"),
        (replace(GOOD, positive={0: -2}), b"", "the count of a bucket is negative"),
        (replace(GOOD, positive={0: math.nan}, is_float=True), b"", "the count of a bucket is negative"),
        (replace(GOOD, custom_bounds=(1.0,)), b"", "exponential buckets have no bounds of their own"),
        (GOOD, blob(11, b"\x08\x02\x10\x01"), "there are not as many buckets as the spans say"),
        (GOOD, blob(11, b"\x08\x01"), "a span goes back"),
        (replace(CUSTOM, zero_count=1), b"", "buckets with bounds of their own have no zero bucket and no negative"),
        (replace(CUSTOM, negative={0: 1}), b"", "buckets with bounds of their own have no zero bucket and no negative"),
        (replace(CUSTOM, custom_bounds=(2.0, 1.0)), b"", "the bounds are not finite and ascending"),
        (replace(CUSTOM, custom_bounds=(math.inf,)), b"", "the bounds are not finite and ascending"),
        (replace(CUSTOM, positive={0: 1, 2: 2}), b"", "there are buckets outside of the bounds"),
        (replace(CUSTOM, positive={-1: 1, 0: 2}), b"", "there are buckets outside of the bounds"),
    ],
)  # fmt: skip
def test_a_histogram_that_contradicts_itself(door: Door, histogram: NativeHistogram, extra: bytes, reason: str) -> None:
    """It is refused with the reason, and what came with it is stored."""
    field = remote_write.histogram(histogram, MS)
    field = blob(4, field[2:] + extra)
    reply = post(door, packed(hist("h", field) + series("a", (1.0, MS))))
    assert reply.status == 400
    assert reply.text.startswith(f"Not everything was stored: 1 native histograms contradict themselves ({reason}")
    stored: Parsed = message_class("remote_write").FromString(door.log.bodies[0][1])
    assert [(len(one.histograms), len(one.samples)) for one in stored.timeseries] == [(0, 0), (0, 1)]


@pytest.mark.parametrize("value", [remote_write.STALE_NAN, remote_write.NORMAL_NAN])
def test_observations_that_are_no_numbers(door: Door, value: float) -> None:
    """A sum that is NaN says that some observations are in no bucket; the staleness marker is such a sum."""
    body = hist("h", remote_write.histogram(replace(GOOD, sum=value, count=8), MS))
    assert post(door, packed(body)).status == 204
    assert door.log.bodies == [("remote_write", body)]


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
