"""The protobuf library reads our WriteRequests and finds what was put in."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirante._core.model import Exemplar, MetricFamily, Sample
from mirante.formats import remote_write as rw
from tests.write_request import bits, read

LABELS = st.dictionaries(st.text(min_size=1, max_size=8), st.text(min_size=1, max_size=300), max_size=6)
VALUES = st.floats(allow_nan=False)
NOW = 1_700_000_000_123


@given(LABELS, VALUES, st.integers(-(2**63), 2**63 - 1))
def test_any_series_reads_back(labels: dict[str, str], value: float, timestamp: int) -> None:
    """Labels come sorted; value and time are what was written, whatever they are."""
    written = read([rw.series(rw.labels(labels), rw.sample(value, timestamp))])
    assert written.samples == {tuple(sorted(labels.items())): [(timestamp, value)]}


@given(LABELS, VALUES, st.integers(rw.TIMES.start, rw.TIMES.stop - 1))
def test_the_short_way_writes_the_same_bytes(labels: dict[str, str], value: float, timestamp: int) -> None:
    """Head, value and tail of a known series are its ordinary encoding, and the head still knows the labels."""
    encoded = rw.labels(labels)
    head = rw.series_head(encoded)
    assert head + struct.pack("<d", value) + rw.sample_tail(timestamp) == rw.series(
        encoded, rw.sample(value, timestamp)
    )
    assert rw.head_labels(head) == encoded


@pytest.mark.parametrize("timestamp", [0, -1, rw.TIMES.start - 1, rw.TIMES.stop])
def test_the_short_way_refuses_times_of_another_length(timestamp: int) -> None:
    """A time whose encoding has another length than the head claims is an error and no corrupt message."""
    with pytest.raises(ValueError, match=f"timestamp {timestamp} is not between February 1971 and May 2109"):
        rw.sample_tail(timestamp)


def test_an_empty_label_value_is_no_label() -> None:
    """As in Prometheus, a label with an empty value is the same as none."""
    assert rw.labels({"a": "", "b": "1"}) == rw.labels({"b": "1"})


@pytest.mark.parametrize(
    ("value", "pattern"), [(rw.STALE_NAN, 0x7FF0000000000002), (rw.NORMAL_NAN, 0x7FF8000000000001)]
)
def test_nans_keep_their_bits(value: float, pattern: int) -> None:
    """The staleness marker and the NaN that is a value differ in their bits only, and keep them."""
    (samples,) = read([rw.series(b"", rw.sample(value, NOW))]).samples.values()
    assert bits(samples[0][1]) == pattern


def test_a_request_of_families_has_metadata_samples_and_exemplars() -> None:
    """Counters are described by the name that their samples have; own times win over the request's."""
    family = MetricFamily(
        "requests",
        "counter",
        "Requests.",
        "",
        (
            Sample("requests_total", {"code": "200"}, 5.0, None, Exemplar({"trace_id": "ab"}, 0.5, 1_600_000_000.25)),
            Sample("requests_total", {"code": "500"}, 1.0, 1_650_000_000.5, Exemplar({"trace_id": "cd"}, 0.7)),
        ),
    )
    gauge = MetricFamily("up", "gauge", samples=(Sample("up", {}, 1.0),))
    written = read([rw.write_request([family, gauge], NOW)])
    assert written.metadata == [(1, "requests_total", "Requests.", ""), (2, "up", "", "")]
    ok, failed = (("__name__", "requests_total"), ("code", "200")), (("__name__", "requests_total"), ("code", "500"))
    assert written.samples == {
        ok: [(NOW, 5.0)],
        failed: [(1_650_000_000_500, 1.0)],
        (("__name__", "up"),): [(NOW, 1.0)],
    }
    assert written.exemplars == {
        ok: [({"trace_id": "ab"}, 0.5, 1_600_000_000_250)],
        failed: [({"trace_id": "cd"}, 0.7, 1_650_000_000_500)],
    }


def test_a_type_that_nobody_knows_is_unknown() -> None:
    """The field is an enumeration: other words become 0."""
    assert read([rw.metadata("x", "frobnicator", "h", "seconds")]).metadata == [(0, "x", "h", "seconds")]
