"""Remote write 2.0 at the door."""

from __future__ import annotations

import asyncio
from typing import Any

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirante._core.model import Exemplar, MetricFamily, Sample
from mirante.errors import StoreFullError
from mirante.formats import remote_write, remote_write2
from mirante.formats.native_histogram import NativeHistogram
from mirante.formats.protobuf import blob, double, int64, string, varint
from mirante.server.ingest.remote_write2 import Translator
from mirante.server.store.protos import Parsed, message_class
from tests.native_histograms import native_histograms
from tests.server.asgi import Reply, call
from tests.server.ingest.conftest import NOW, Door
from tests.write_request import Written, bits, read

MS = NOW // 1_000_000
HEADERS = {
    "content-type": "application/x-protobuf;proto=io.prometheus.write.v2.Request",
    "content-encoding": "snappy",
    "x-prometheus-remote-write-version": "2.0.0",
}
NAMES = ["Samples", "Histograms", "Exemplars"]


def post(door: Door, body: bytes, **headers: str) -> Reply:
    """Send it as Prometheus does."""
    packed = bytes(cramjam.snappy.compress_raw(body))
    return asyncio.run(call(door.app, "POST", "/api/v1/write", packed, HEADERS | headers))


def written(reply: Reply) -> list[int]:
    """Samples, histograms and exemplars that the reply says were stored."""
    return [int(reply.headers[f"x-prometheus-remote-write-{name.lower()}-written"]) for name in NAMES]


def stored(door: Door) -> Written:
    """What went to the log."""
    assert {stream for stream, _ in door.log.bodies} <= {"remote_write"}
    return read(body for _, body in door.log.bodies)


def symbols(*texts: str) -> bytes:
    """The table of a request."""
    return b"".join(string(4, text) for text in ("", *texts))


def series(refs: list[int], *fields: bytes) -> bytes:
    """A TimeSeries field."""
    return blob(5, blob(1, b"".join(map(varint, refs))) + b"".join(fields))


def native(histogram: NativeHistogram, at: int) -> bytes:
    """The ``histograms`` field, which is that of 1.0 under another number."""
    return b"\x1a" + remote_write.histogram(histogram, at)[1:]


def counter(value: float, at: int = MS, created: int = 0) -> bytes:
    """A request with one counter, as an SDK sends it."""
    samples = [Sample("c_total", {"a": "b"}, value, timestamp=at / 1000)]
    if created:
        samples.append(Sample("c_created", {"a": "b"}, created / 1000))
    return remote_write2.write_request([MetricFamily("c", "counter", "Help.", "", tuple(samples))], MS)


FAMILIES = st.lists(
    st.builds(
        MetricFamily,
        st.sampled_from(["a", "b_seconds"]),
        st.sampled_from(["counter", "gauge", "histogram", "summary", "info", "unknown"]),
        st.text(max_size=5),
        st.sampled_from(["", "seconds"]),
        st.lists(
            st.builds(
                Sample,
                st.sampled_from(["a", "b_seconds", "b_seconds_sum", "b_seconds_count", "b_seconds_bucket"]),
                st.dictionaries(st.sampled_from(["le", "x", "y"]), st.text(max_size=4), max_size=3),
                st.floats(allow_nan=False),
                st.none() | st.integers(MS - 1000, MS + 1000).map(lambda at: at / 1000),
                st.none() | st.builds(Exemplar, st.just({"trace_id": "t"}), st.floats(0, 1), st.just(MS / 1000)),
            ),
            max_size=3,
        ).map(tuple),
    ),
    max_size=3,
)


@given(families=FAMILIES)
def test_both_versions_say_the_same(families: list[MetricFamily]) -> None:
    """What our own encoders write of a registry is stored the same, whichever version they speak."""
    one, two = Door(), Door()
    assert post(one, remote_write.write_request(families, MS), **{"content-type": ""}).status == 204
    reply = post(two, remote_write2.write_request(families, MS))
    assert (reply.status, reply.body) == (204, b"")
    first, second = stored(one), stored(two)
    for found in ("samples", "exemplars"):
        one_side, other_side = (
            {key: sorted(values, key=repr) for key, values in getattr(side, found).items()} for side in (first, second)
        )
        assert one_side == other_side
    samples = sum(map(len, first.samples.values()))
    assert written(reply) == [samples, 0, sum(map(len, first.exemplars.values()))]


@given(st.lists(native_histograms(), min_size=1, max_size=3))
def test_native_histograms_pass_as_they_came(histograms: list[NativeHistogram]) -> None:
    """They are stored to the bit, and counted in the reply."""
    door = Door()
    fields = [(one, MS + place) for place, one in enumerate(histograms)]
    reply = post(door, symbols("__name__", "h") + series([1, 2], *(native(*field) for field in fields)))
    assert (reply.status, written(reply)) == (204, [0, len(histograms), 0])
    expected = remote_write.series(
        remote_write.labels({"__name__": "h"}), *(remote_write.histogram(*field) for field in fields)
    )
    parse: Any = message_class("remote_write").FromString
    assert parse(door.log.bodies[0][1]) == parse(expected)


def test_a_staleness_marker_keeps_its_bits(door: Door) -> None:
    """Of a sample, and of a histogram."""
    stale = remote_write.STALE_NAN
    sample = blob(2, double(1, stale) + int64(2, MS))
    histogram = native(NativeHistogram(0, stale), MS)
    assert post(door, symbols("__name__", "h") + series([1, 2], sample, histogram)).status == 204
    (one,) = parsed(door).timeseries
    assert bits(one.samples[0].value) == bits(one.histograms[0].sum) == bits(stale)


def parsed(door: Door, body: int = 0) -> Parsed:
    """A body as it went to the log."""
    message: Parsed = message_class("remote_write").FromString(door.log.bodies[body][1])
    return message


def test_metadata_is_stored_when_it_is_new(door: Door) -> None:
    """Every request repeats it; the store gets it once, under the family's name."""
    buckets = (Sample("h_bucket", {"le": "+Inf"}, 1.0), Sample("h_count", {}, 1.0), Sample("h_sum", {}, 1.0))
    body = remote_write2.write_request([MetricFamily("h", "histogram", "Help.", "seconds", buckets)], MS)
    post(door, body)
    post(door, body)
    assert [read([body]).metadata for _, body in door.log.bodies] == [[(3, "h", "Help.", "seconds")], []]
    post(door, counter(1.0))
    assert read([door.log.bodies[2][1]]).metadata == [(1, "c_total", "Help.", "")]


def test_a_created_timestamp_becomes_a_zero(door: Door) -> None:
    """Once for each beginning; the sender's own samples alone are counted."""
    hour = 3_600_000
    replies = [
        post(door, counter(5.0, MS - 2000, created=MS - hour)),
        post(door, counter(6.0, MS - 1000, created=MS - hour)),
        post(door, counter(1.0, MS, created=MS - 500)),
    ]
    assert [written(reply) for reply in replies] == [[1, 0, 0]] * 3
    assert sorted(stored(door).of("c_total")) == [
        (MS - hour, 0.0), (MS - 2000, 5.0), (MS - 1000, 6.0), (MS - 500, 0.0), (MS, 1.0),
    ]  # fmt: skip
    assert door.counted()["metrics/accepted"] == 3


def test_a_beginning_that_was_not_stored_is_said_again(door: Door) -> None:
    """What the log refused is not remembered."""
    door.log.error = StoreFullError("no room")
    assert post(door, counter(5.0, created=MS - 1000)).status == 503
    door.log.error = None
    assert post(door, counter(5.0, created=MS - 1000)).status == 204
    assert sorted(stored(door).of("c_total")) == [(MS - 1000, 0.0), (MS, 5.0)]
    assert stored(door).metadata == [(1, "c_total", "Help.", "")]


@pytest.mark.parametrize("created", [1, MS, MS + 5])
def test_a_beginning_that_cannot_be(door: Door, created: int) -> None:
    """One past retention, or not before the sample, has no zero."""
    assert post(door, counter(5.0, created=created)).status == 204
    assert stored(door).of("c_total") == [(MS, 5.0)]


def test_what_begins_at_zero(door: Door) -> None:
    """Counters, histograms of both kinds, and the count and sum of a summary; no gauge and no quantile."""
    kinds = {"c_total": 1, "g": 2, "s": 5, "s_count": 5, "h_bucket": 3, "n": 3, "f": 3}
    names = list(kinds)
    one = NativeHistogram(2, 1.0, schema=3, zero_threshold=0.5, positive={1: 2})
    body = symbols("__name__", *names)
    for number, (name, kind) in enumerate(kinds.items(), 2):
        point = (
            native(one, MS)
            if name == "n"
            else native(NativeHistogram(2.0, 1.0, positive={1: 2.0}, is_float=True), MS)
            if name == "f"
            else blob(2, double(1, 1.0) + int64(2, MS))
        )
        created = int64(6, MS - 10) if name != "c_total" else b""
        point = blob(2, double(1, 1.0) + int64(2, MS) + int64(3, MS - 10)) if name == "c_total" else point
        body += series([1, number], point, blob(5, int64(1, kind)), created)
    assert post(door, body).status == 204
    found = {one.labels[0].value: one for one in parsed(door).timeseries}
    zeros = {name: [s.value for s in one.samples if s.timestamp == MS - 10] for name, one in found.items()}
    assert zeros == {"c_total": [0.0], "g": [], "s": [], "s_count": [0.0], "h_bucket": [0.0], "n": [], "f": []}
    whole, zero = found["n"].histograms
    assert (whole.timestamp, zero.timestamp, zero.count_int) == (MS, MS - 10, 0)
    assert (zero.schema, zero.zero_threshold, zero.sum) == (3, 0.5, 0.0)
    assert found["f"].histograms[1].WhichOneof("count") == "count_float"


def test_memory_is_bounded() -> None:
    """Too many beginnings and families are forgotten, which costs no more than saying them again."""
    translator = Translator(most=2)
    for number in range(5):
        labels = {"n": str(number)}
        samples = (Sample("c_total", labels, 1.0), Sample("c_created", labels, 1.0))
        families = [MetricFamily("c", "counter", f"{number}", "", samples)]
        said = translator.translate(remote_write2.write_request(families, MS), 0)
        assert (said.zero_samples, len(said.described)) == (1, 1)
        translator.remember(said)
        again = translator.translate(remote_write2.write_request(families, MS), 0)
        assert (again.zero_samples, len(again.described)) == (0, 0)
        assert len(translator._began) <= 2
        assert len(translator._described) <= 2


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"junk", "The body is not a io.prometheus.write.v2.Request: "),
        (series([]), "The body is not a io.prometheus.write.v2.Request: the first symbol is not the empty text."),
        (string(4, "x") + series([0, 0]), "the first symbol is not the empty text."),
        (symbols("a") + series([0]), "a list of labels has a name without a value."),
        (symbols("a") + series([0, 2]), "there is no symbol 2, they end with 1."),
        (symbols("a") + series([], blob(4, blob(1, b"\x05\x05"))), "there is no symbol 5, they end with 1."),
        (symbols("a") + series([], blob(5, int64(1, 1) + int64(3, 9))), "there is no symbol 9, they end with 1."),
    ],
)
def test_a_body_that_is_none(door: Door, body: bytes, reason: str) -> None:
    """Nothing is stored, and the answer says what is wrong."""
    reply = post(door, body)
    assert reply.status == 400
    assert reason in reply.text
    assert door.log.bodies == []


def test_a_part_that_cannot_be_stored(door: Door) -> None:
    """The rest is stored; the reply says what is not, and counts what is."""
    good, bad = NativeHistogram(1, 1.0, positive={0: 1}), NativeHistogram(9, 1.0, positive={0: 1})
    samples = [blob(2, double(1, 1.0) + int64(2, at)) for at in (MS, 1)]
    unknown = blob(5, int64(1, 99))
    reply = post(door, symbols("__name__", "x") + series([1, 2], *samples, native(good, MS), native(bad, MS), unknown))
    assert (reply.status, written(reply)) == (400, [1, 1, 0])
    assert "1 samples have timestamps outside" in reply.text
    assert "1 native histograms contradict themselves" in reply.text
    assert read([door.log.bodies[0][1]]).metadata == [(0, "x", "", "")]


def test_a_series_without_points(door: Door) -> None:
    """What it says of its metric is kept."""
    body = symbols("__name__", "x_total", "Help.") + series([1, 2], blob(5, int64(1, 1) + int64(3, 3)), int64(6, MS))
    assert post(door, body).status == 204
    assert stored(door).metadata == [(1, "x_total", "Help.", "")]


def test_an_empty_request(door: Door) -> None:
    """Nothing is stored and nothing is wrong."""
    reply = post(door, b"")
    assert (reply.status, written(reply)) == (204, [0, 0, 0])
    assert door.log.bodies == []


@given(body=st.binary(max_size=80))
def test_no_bytes_do_harm(body: bytes) -> None:
    """Any bytes are answered with 204 or with one sentence."""
    for sent in (body, symbols("a", "b") + blob(5, body)):
        reply = post(Door(), sent)
        assert reply.status in {204, 400}
        assert reply.status == 204 or reply.text.endswith(".\n")
