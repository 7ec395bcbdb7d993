"""Pages in protobuf: the same series that text has, native histograms, and what is wrong said by family."""

from __future__ import annotations

import asyncio
import math
import struct
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from mirante._core.model import Exemplar, MetricFamily, NativePoint, Sample
from mirante.errors import FormatError
from mirante.formats.exposition_parser import parse, read_series
from mirante.formats.metric_family import CONTENT_TYPE, metric_family
from mirante.formats.native_histogram import GAUGE, NativeHistogram
from mirante.formats.protobuf import blob, delimited, double, int64, sint64, string
from mirante.server.protobuf_exposition import read_protobuf, series_text
from mirante.server.scrape.config import read_config
from mirante.server.scrape.manager import ScrapeManager
from mirante.server.scrape.model import Limits, ScrapeJob
from mirante.server.scrape.native import bounded
from mirante.server.scrape.page import Reading, SeriesCache
from mirante.server.store.protos import Proto
from tests.peers import free_port, program, running, wait_for
from tests.server.scrape.parts import NOW_MS, MemoryLog, serving
from tests.waiting import eventually
from tests.write_request import Written, bits, read

WRITE_REQUEST = Proto("""
message WriteRequest { repeated TimeSeries timeseries = 1; }
message TimeSeries { repeated Label labels = 1; repeated Histogram histograms = 4; }
message Label { string name = 1; string value = 2; }
message Histogram {
  uint64 count_int = 1; double sum = 3; sint32 schema = 4; uint64 zero_count_int = 6;
  repeated sint64 negative_deltas = 9; repeated sint64 positive_deltas = 12; int64 timestamp = 15;
}
""").message_class()
STALE = 0x7FF0000000000002
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
EXAMPLE = Exemplar({"trace_id": "abc"}, 0.5, 1_700_000_000.25)


class Scraper:
    """A cache that reads page after page, each stored and a second after the last."""

    def __init__(self, **job: Any) -> None:
        self.cache = SeriesCache(ScrapeJob("shop", **job), {"job": "shop"})
        self.now = NOW_MS
        self.reading = Reading()
        self.body = b""

    def read(self, *families: MetricFamily | bytes) -> Written:
        """Read, store, and give what was written, staleness markers included."""
        page = b"".join(one if isinstance(one, bytes) else metric_family(one) for one in families)
        self.reading = self.cache.read_protobuf(page, now=self.now)
        self.body = b"".join([*self.reading.fields, *self.cache.stale(self.reading, self.now)])
        self.cache.commit(self.reading)
        self.now += 1000
        return read([self.body])

    def natives(self) -> list[tuple[dict[str, str], Any]]:
        """Labels and message of the native histograms that were written last."""
        request: Any = WRITE_REQUEST.FromString(self.body)
        return [
            ({label.name: label.value for label in series.labels}, histogram)
            for series in request.timeseries
            for histogram in series.histograms
        ]


def native(labels: Mapping[str, str] | None = None, **buckets: int) -> NativePoint:
    """A native histogram with buckets such as ``p3=5``: five observations in the third positive one."""
    positive = {int(name[1:]): count for name, count in buckets.items() if name[0] == "p"}
    negative = {int(name[1:]): count for name, count in buckets.items() if name[0] == "n"}
    return NativePoint(labels or {}, 2, 0.001, buckets.get("zero", 0), 7.5, positive, negative)


@given(TEXTS, st.dictionaries(TEXTS, TEXTS, max_size=3), st.floats())
def test_every_name_and_label_survives(name: str, labels: dict[str, str], value: float) -> None:
    """Whatever characters it has: the text that stands for a series is read back as the same series."""
    labels.pop("__name__", None)
    assert read_series(series_text(name, labels.items())) == {"__name__": name, **labels}
    ((series, measure),) = read_protobuf(
        metric_family(MetricFamily(name, "gauge", samples=(Sample(name, labels, value),)))
    ).samples
    assert read_series(series) == {"__name__": name, **labels}
    assert measure.value == value or math.isnan(value)


def test_the_same_series_as_in_text() -> None:
    """Counter, gauge, untyped, summary and classic histogram, with metadata, timestamps and exemplars."""
    families = [
        MetricFamily("requests", "counter", "Of all.", samples=(
            Sample("requests_total", {"a": "b"}, 5.0, None, EXAMPLE),)),
        MetricFamily("heat", "gauge", samples=(Sample("heat", {}, -1.5, 1_700_000_000.5),)),
        MetricFamily("thing", "unknown", samples=(Sample("thing", {}, 2.0),)),
        MetricFamily("size", "summary", unit="bytes", samples=(
            Sample("size", {"quantile": "0.5"}, 3.0), Sample("size", {"quantile": "1.0"}, 4.0),
            Sample("size_sum", {}, 7.0), Sample("size_count", {}, 2.0))),
        MetricFamily("took", "histogram", samples=(
            Sample("took_bucket", {"x": "y", "le": "0.1"}, 1.0),
            Sample("took_bucket", {"x": "y", "le": "1.0"}, 2.0, None, EXAMPLE),
            Sample("took_bucket", {"x": "y", "le": "+Inf"}, 3.0),
            Sample("took_sum", {"x": "y"}, 9.0), Sample("took_count", {"x": "y"}, 3.0))),
    ]  # fmt: skip
    page = read_protobuf(b"".join(map(metric_family, families)))
    text = (
        b'requests_total{a="b"} 5\nheat -1.5 1700000000500\nthing 2\nsize{quantile="0.5"} 3\nsize{quantile="1.0"} 4\n'
        b'size_sum 7\nsize_count 2\ntook_bucket{x="y",le="0.1"} 1\ntook_bucket{x="y",le="1.0"} 2\n'
        b'took_bucket{x="y",le="+Inf"} 3\ntook_sum{x="y"} 9\ntook_count{x="y"} 3\n'
    )
    expected = {
        (sample.name, *sorted(sample.labels.items())): (sample.value, sample.timestamp)
        for sample in parse(text).samples
    }
    found = {}
    for series, measure in page.samples:
        labels = read_series(series)
        found[(labels.pop("__name__"), *sorted(labels.items()))] = (measure.value, measure.timestamp)
    assert found == expected
    assert [series for series, measure in page.samples if measure.exemplar == EXAMPLE] == [
        b'requests_total{a="b"}',
        b'took_bucket{x="y",le="1.0"}',
    ]
    assert {name: said.type for name, said in page.metadata.items()} == {
        "requests_total": "counter", "heat": "gauge", "thing": "unknown", "size": "summary", "took": "histogram",
    }  # fmt: skip
    assert (page.metadata["requests_total"].help, page.metadata["size"].unit) == ("Of all.", "bytes")


def test_a_histogram_always_has_its_last_bucket() -> None:
    """Some clients leave it out."""
    histogram = blob(7, int64(1, 3) + double(2, 9.0) + blob(3, int64(1, 1) + double(2, 0.5)))
    page = read_protobuf(delimited(string(1, "took") + int64(3, 4) + blob(4, histogram)))
    assert [(series, measure.value) for series, measure in page.samples] == [
        (b'took_bucket{le="0.5"}', 1.0),
        (b'took_bucket{le="+Inf"}', 3.0),
        (b"took_sum", 9.0),
        (b"took_count", 3.0),
    ]


def test_float_histograms_and_gauge_histograms() -> None:
    """Counts in floats; a gauge histogram is marked as one."""
    buckets = blob(12, sint64(1, 3) + int64(2, 2)) + blob(14, struct.pack("<2d", 0.5, 1.5))
    classic = blob(3, double(4, 1.5) + double(2, math.inf))
    histogram = blob(7, double(4, 2.5) + double(2, 9.0) + sint64(5, 1) + double(8, 0.5) + buckets + classic)
    page = read_protobuf(delimited(string(1, "took") + int64(3, 5) + blob(4, histogram)), classic=True)
    (sample,) = page.natives
    assert sample.value == NativeHistogram(
        2.5, 9.0, 1, zero_count=0.5, positive={3: 0.5, 4: 1.5}, is_float=True, reset_hint=GAUGE
    )
    assert page.samples[0] == (b'took_bucket{le="+Inf"}', (1.5, None, None))
    assert page.metadata["took"].type == "gaugehistogram"


def test_native_histograms_are_stored_as_such() -> None:
    """With target labels and exemplars; one that goes ends as a native histogram, not as a number."""
    scraper = Scraper()
    point = native({"path": "/"}, p3=5, p4=2, n1=1, zero=4)._replace(exemplars=(EXAMPLE,))
    written = scraper.read(MetricFamily("took", "histogram", native=(point,)))
    ((labels, histogram),) = scraper.natives()
    assert labels == {"__name__": "took", "job": "shop", "path": "/"}
    assert (histogram.count_int, histogram.sum, histogram.schema, histogram.timestamp) == (12, 7.5, 2, NOW_MS)
    assert (list(histogram.positive_deltas), list(histogram.negative_deltas), histogram.zero_count_int) == (
        [5, -3],
        [1],
        4,
    )
    assert written.exemplars == {
        (("__name__", "took"), ("job", "shop"), ("path", "/")): [({"trace_id": "abc"}, 0.5, 1_700_000_000_250)]
    }
    assert (scraper.reading.scraped, scraper.reading.kept) == (1, 1)
    scraper.read(MetricFamily("took", "histogram", native=(point,)))
    assert read([scraper.body]).exemplars == {}
    scraper.read(MetricFamily("other", "gauge", samples=(Sample("other", {}, 1.0),)))
    ((ended, marker),) = scraper.natives()
    assert (ended, bits(marker.sum)) == (labels, STALE)
    assert bits(scraper.read().of("other")[0][1]) == STALE


def test_classic_buckets_beside_native_ones_are_a_setting() -> None:
    """``always_scrape_classic_histograms``; without it the native one counts alone."""
    samples = (Sample("took_bucket", {"le": "+Inf"}, 5.0), Sample("took_sum", {}, 7.5), Sample("took_count", {}, 5.0))
    family = MetricFamily("took", "histogram", samples=samples, native=(native(p1=5),))
    assert Scraper().read(family).names() == set()
    scraper = Scraper(classic_histograms=True)
    assert scraper.read(family).names() == {"took_bucket", "took_sum", "took_count"}
    assert len(scraper.natives()) == 1


def test_rules_and_limits_hold_for_native_histograms() -> None:
    """Relabeling drops, the same series twice counts once, a time too far ahead is left out, labels are checked."""
    scraper = Scraper()
    family = MetricFamily("took", "histogram", native=(native(p1=1),))
    scraper.read(family, family)
    assert (len(scraper.natives()), scraper.reading.refused) == (1, {"duplicate": 1})
    late = blob(7, int64(1, 0) + double(6, 0.1)) + int64(6, NOW_MS + 3_600_000)
    scraper.read(delimited(string(1, "took") + int64(3, 4) + blob(4, late)))
    assert scraper.reading.refused == {"out_of_bounds": 1}
    with pytest.raises(FormatError, match="label_limit exceeded"):
        Scraper(limits=Limits(labels=1)).read(family)
    legacy = Scraper(name_validation="legacy")
    with pytest.raises(FormatError, match=r'invalid metric name or label names: \{"my.took"\}'):
        legacy.read(MetricFamily("my.took", "gauge", samples=(Sample("my.took", {}, 1.0),)))
    assert legacy.read(MetricFamily("my_took", "gauge", samples=(Sample("my_took", {}, 1.0),))).names() == {"my_took"}


def test_buckets_are_widened_to_the_limits() -> None:
    """No observation is lost; a factor bounds the resolution; what cannot be widened any more fails."""
    value = NativeHistogram(10, 1.0, 8, positive=dict.fromkeys(range(1, 9), 1), negative={-3: 2})
    few = bounded(value, Limits(native_buckets=3))
    assert (few.schema, few.positive, few.negative) == (6, {1: 4, 2: 4}, {0: 2})
    assert bounded(value, Limits(native_factor=1.1)).schema == 2
    assert bounded(value, Limits(native_factor=100_000_000)).schema == -4
    assert bounded(value, Limits(native_factor=1.0)) == value
    with pytest.raises(FormatError, match=r"native_histogram_bucket_limit exceeded \(limit: 1\)"):
        bounded(value, Limits(native_buckets=1))
    scraper = Scraper(limits=Limits(native_buckets=1))
    scraper.read(MetricFamily("took", "histogram", native=(native(p1=1, p2=1),)))
    assert scraper.natives()[0][1].schema == 1


HISTOGRAM = 'metric family "took" has a native histogram '


def histogram(*fields: bytes) -> bytes:
    """A page with one histogram."""
    return delimited(string(1, "took") + int64(3, 4) + blob(4, blob(7, b"".join(fields))))


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (b"\x05abc", "the page ends in the middle of a metric family"),
        (b"\xff\xff\xff\xff\xff\xff", "there is no length of a metric family at byte 0"),
        (b"\x80", "there is no length of a metric family at byte 0"),
        (b"\x02\xff\xff", "there is no metric family at byte 1"),
        (delimited(string(1, "a") + int64(3, 9)), 'metric family "a" has the unknown type 9'),
        (histogram(double(6, 1.0), sint64(5, 9)), HISTOGRAM + "of the unknown schema 9"),
        (histogram(blob(12, int64(2, 2)), sint64(13, 1)), HISTOGRAM + "whose spans and buckets do not agree"),
        (histogram(blob(12, int64(2, 1)), sint64(13, -1)), HISTOGRAM + "whose spans and buckets do not agree"),
        (
            histogram(blob(12, int64(2, 1)), blob(12, sint64(1, -5) + int64(2, 1)), sint64(13, 1), sint64(13, 0)),
            HISTOGRAM + "whose spans and buckets do not agree",
        ),
        (histogram(int64(1, 5), int64(7, 3)), HISTOGRAM + "whose count is not that of its buckets"),
        (histogram(int64(1, 2), int64(7, 3)), HISTOGRAM + "whose count is not that of its buckets"),
    ],
)  # fmt: skip
def test_what_is_no_page_is_told(page: bytes, message: str) -> None:
    """Where, and what."""
    with pytest.raises(FormatError) as caught:
        read_protobuf(page)
    assert str(caught.value).startswith(message)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(body: bytes) -> None:
    """They are a page, or an error of ours."""
    with suppress(FormatError):
        read_protobuf(body, classic=True)


def test_observations_that_are_not_a_number_stand_in_no_bucket() -> None:
    """The sum says so."""
    page = read_protobuf(histogram(int64(1, 5), double(2, math.nan), int64(7, 3)))
    assert page.natives[0].value.count == 5


CONFIG = """
global: {{scrape_interval: 1s}}
scrape_configs:
- job_name: shop
  static_configs: [{{targets: ['{address}']}}]
"""


@pytest.mark.slow
def test_prometheus_reads_the_same(tmp_path: Path) -> None:
    """A page of all types: names, labels and values of classic series, and the count and sum of the native one."""
    families = [
        MetricFamily("requests", "counter", "Of all.", samples=(Sample("requests_total", {"a": 'b"\n'}, 5.0),)),
        MetricFamily("size", "summary", samples=(Sample("size", {"quantile": "1.0"}, 3.0), Sample("size_sum", {}, 7.0),
                                                 Sample("size_count", {}, 2.0))),
        MetricFamily("took", "histogram", samples=(
            Sample("took_bucket", {"le": "2.0"}, 2.0), Sample("took_sum", {}, 9.0), Sample("took_count", {}, 3.0))),
        MetricFamily("fine", "histogram", native=(native(p3=5, zero=4, n1=1),)),
    ]  # fmt: skip
    accepted: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0)
        accepted.append(request.headers["Accept"])
        return web.Response(body=b"".join(map(metric_family, families)), headers={"Content-Type": CONTENT_TYPE})

    port, path = free_port(), tmp_path / "prometheus.yml"
    command = [program("prometheus"), f"--config.file={path}", f"--storage.tsdb.path={tmp_path / 'tsdb'}",
               f"--web.listen-address=127.0.0.1:{port}", "--enable-feature=native-histograms"]  # fmt: skip

    def of_prometheus() -> list[dict[str, Any]]:
        with running(command, f"http://127.0.0.1:{port}", "/-/ready", tmp_path / "prometheus.log") as peer:
            wait_for(lambda: peer.query("fine"), what="a scrape")
            return peer.query('{__name__!="",__name__!~"up|scrape_.*"}')

    async def main() -> tuple[list[dict[str, Any]], MemoryLog]:
        log = MemoryLog()
        async with serving(answer) as address:
            path.write_text(CONFIG.format(address=address) + "  scrape_native_histograms: true\n")
            manager = ScrapeManager(read_config(path), log)
            await manager.start()
            await eventually(lambda: "took_sum" in read(log.bodies).names())
            await manager.stop()
            path.write_text(CONFIG.format(address=address))
            return await asyncio.to_thread(of_prometheus), log

    theirs, log = asyncio.run(main())
    assert all(header.startswith("application/vnd.google.protobuf") for header in accepted)
    written = read(log.bodies)
    ours = {key: samples[-1][1] for key, samples in written.samples.items()}
    expected = {tuple(sorted(one["metric"].items())): float(one["value"][1]) for one in theirs if "value" in one}
    reports = {key for key in ours if dict(key)["__name__"].startswith(("up", "scrape_"))}
    assert {key: value for key, value in ours.items() if key not in reports} == expected
    (fine,) = (one for one in theirs if "histogram" in one)
    request: Any = WRITE_REQUEST.FromString(b"".join(log.bodies))
    labels, value = next(
        ({label.name: label.value for label in series.labels}, series.histograms[0])
        for series in request.timeseries
        if series.histograms
    )
    assert labels == fine["metric"]
    assert (float(fine["histogram"][1]["count"]), float(fine["histogram"][1]["sum"])) == (value.count_int, value.sum)
