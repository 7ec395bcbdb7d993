"""Metrics endpoints: who may read, and protobuf for native histograms, read back by the reference messages."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2
from hypothesis import given
from hypothesis import strategies as st

from mirante import metrics
from mirante._core.model import Exemplar, MetricFamily, NativePoint, Sample
from mirante.errors import ConfigError
from mirante.exporters.prometheus import start_http_server
from mirante.formats.metric_family import metric_family
from mirante.integrations.wsgi import WsgiMetricsEndpoint
from mirante.metrics import Registry
from mirante.metrics.exposition import OPEN, Access, Format, negotiate, respond
from tests.peers import fetch

WORD = "t"
BASIC = "Basic " + base64.b64encode(b"ana:pass:word").decode()
PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
F = descriptor_pb2.FieldDescriptorProto

# name: number, type, message type, repeated. Written from metrics.proto of prometheus/client_model.
MESSAGES: dict[str, dict[str, tuple[int, int, str, bool]]] = {
    "LabelPair": {"name": (1, F.TYPE_STRING, "", False), "value": (2, F.TYPE_STRING, "", False)},
    "Exemplar": {
        "label": (1, F.TYPE_MESSAGE, "LabelPair", True),
        "value": (2, F.TYPE_DOUBLE, "", False),
        "timestamp": (3, F.TYPE_MESSAGE, "google.protobuf.Timestamp", False),
    },
    "Gauge": {"value": (1, F.TYPE_DOUBLE, "", False)},
    "Counter": {"value": (1, F.TYPE_DOUBLE, "", False), "exemplar": (2, F.TYPE_MESSAGE, "Exemplar", False)},
    "Quantile": {"quantile": (1, F.TYPE_DOUBLE, "", False), "value": (2, F.TYPE_DOUBLE, "", False)},
    "Summary": {
        "sample_count": (1, F.TYPE_UINT64, "", False),
        "sample_sum": (2, F.TYPE_DOUBLE, "", False),
        "quantile": (3, F.TYPE_MESSAGE, "Quantile", True),
    },
    "Bucket": {
        "cumulative_count": (1, F.TYPE_UINT64, "", False),
        "upper_bound": (2, F.TYPE_DOUBLE, "", False),
        "exemplar": (3, F.TYPE_MESSAGE, "Exemplar", False),
    },
    "BucketSpan": {"offset": (1, F.TYPE_SINT32, "", False), "length": (2, F.TYPE_UINT32, "", False)},
    "Histogram": {
        "sample_count": (1, F.TYPE_UINT64, "", False),
        "sample_sum": (2, F.TYPE_DOUBLE, "", False),
        "bucket": (3, F.TYPE_MESSAGE, "Bucket", True),
        "schema": (5, F.TYPE_SINT32, "", False),
        "zero_threshold": (6, F.TYPE_DOUBLE, "", False),
        "zero_count": (7, F.TYPE_UINT64, "", False),
        "negative_span": (9, F.TYPE_MESSAGE, "BucketSpan", True),
        "negative_delta": (10, F.TYPE_SINT64, "", True),
        "positive_span": (12, F.TYPE_MESSAGE, "BucketSpan", True),
        "positive_delta": (13, F.TYPE_SINT64, "", True),
        "created_timestamp": (15, F.TYPE_MESSAGE, "google.protobuf.Timestamp", False),
        "exemplars": (16, F.TYPE_MESSAGE, "Exemplar", True),
    },
    "Metric": {
        "label": (1, F.TYPE_MESSAGE, "LabelPair", True),
        "gauge": (2, F.TYPE_MESSAGE, "Gauge", False),
        "counter": (3, F.TYPE_MESSAGE, "Counter", False),
        "summary": (4, F.TYPE_MESSAGE, "Summary", False),
        "untyped": (5, F.TYPE_MESSAGE, "Gauge", False),
        "histogram": (7, F.TYPE_MESSAGE, "Histogram", False),
        "timestamp_ms": (6, F.TYPE_INT64, "", False),
    },
    "MetricFamily": {
        "name": (1, F.TYPE_STRING, "", False),
        "help": (2, F.TYPE_STRING, "", False),
        "type": (3, F.TYPE_INT32, "", False),
        "metric": (4, F.TYPE_MESSAGE, "Metric", True),
        "unit": (5, F.TYPE_STRING, "", False),
    },
}


def _family_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="metrics.proto", package="io.prometheus.client", syntax="proto2")
    file.dependency.append("google/protobuf/timestamp.proto")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind, of, repeated) in fields.items():
            label = F.LABEL_REPEATED if repeated else F.LABEL_OPTIONAL
            typed = f".{of}" if "." in of else f".io.prometheus.client.{of}" if of else None
            message.field.add(name=field, number=number, type=kind, type_name=typed, label=label)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("io.prometheus.client.MetricFamily"))


Family = _family_class()


def read(body: bytes) -> list[Any]:
    """The families of a delimited body."""
    found, at = [], 0
    while at < len(body):
        size = shift = 0
        while True:
            byte = body[at]
            at += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        found.append(Family.FromString(body[at : at + size]))
        at += size
    return found


def buckets(spans: Any, deltas: Any) -> dict[int, int]:
    """Sparse buckets as Prometheus reads them."""
    found, index, count, rest = {}, 0, 0, list(deltas)
    for span in spans:
        index += span.offset
        for _ in range(span.length):
            count += rest.pop(0)
            found[index] = count
            index += 1
    assert not rest
    return found


SPARSE = st.dictionaries(st.integers(-400, 400), st.integers(1, 2**40), max_size=30)


@given(SPARSE, SPARSE, st.integers(-4, 8), st.integers(0, 9))
def test_native_histograms_survive(positive: dict[int, int], negative: dict[int, int], schema: int, zero: int) -> None:
    """Print, then read with the reference messages: the same buckets."""
    point = NativePoint({"a": "b"}, schema, 2.0**-128, zero, 1.5, positive, negative, created=12.25)
    [family] = read(metric_family(MetricFamily("h", "histogram", native=(point,))))
    got = family.metric[0].histogram
    assert buckets([s for s in got.positive_span if s.length], got.positive_delta) == positive
    assert buckets(got.negative_span, got.negative_delta) == negative
    assert (got.schema, got.zero_count, got.sample_sum, got.sample_count) == (schema, zero, 1.5, point.observations)
    assert got.positive_span or got.negative_span or zero
    assert (got.created_timestamp.seconds, got.created_timestamp.nanos) == (12, 250_000_000)
    [family] = read(metric_family(MetricFamily("h", "histogram", native=(point._replace(created=None),))))
    assert not family.metric[0].histogram.HasField("created_timestamp")


def test_every_type_in_protobuf() -> None:
    """Names are those of the series; what the format does not know becomes a gauge."""
    registry = Registry()
    metrics.counter("c", "C.", ["a"], registry=registry).labels("é").inc(2, {"t": "1"})
    metrics.gauge("g", registry=registry, unit="bytes").set(math.inf)
    metrics.histogram("h", registry=registry, buckets=[1]).observe(0.5, {"t": "2"})
    both = metrics.histogram("n", registry=registry, buckets=[1], native_factor=2)
    both.observe(3, {"t": "3"})
    metrics.summary("s", registry=registry, quantiles=[0.5]).observe(4)
    metrics.info("i", registry=registry).info({"v": "1"})
    metrics.stateset("st", registry=registry, states=["x"])

    class Other:
        def collect(self) -> list[MetricFamily]:
            return [
                MetricFamily("u", "unknown", samples=(Sample("u", {}, 7.0, 1.5),)),
                MetricFamily(
                    "old",
                    "summary",
                    samples=(Sample("old_created", {}, 1.0), Sample("old_count", {}, 2.0)),
                ),
                MetricFamily(
                    "created",
                    "counter",
                    samples=(
                        Sample("created_total", {}, 1.0, None, Exemplar({}, 1.0)),
                        Sample("created_created", {}, 3.0),
                    ),
                ),
            ]

    registry.register(Other())
    found = {family.name: family for family in read(b"".join(Format(False, False, protobuf=True).body(registry)))}
    assert [(name, family.type) for name, family in found.items()] == [
        ("c_total", 0), ("g_bytes", 1), ("h", 4), ("n", 4), ("s", 2), ("i_info", 1), ("st", 1), ("u", 3), ("old", 2),
        ("created_total", 0),
    ]  # fmt: skip
    one = found["c_total"].metric[0]
    assert (one.label[0].value, one.counter.value, one.counter.exemplar.label[0].value) == ("é", 2.0, "1")
    assert (found["g_bytes"].unit, found["g_bytes"].metric[0].gauge.value) == ("bytes", math.inf)
    classic = found["h"].metric[0].histogram
    assert [(b.upper_bound, b.cumulative_count) for b in classic.bucket] == [(1.0, 1), (math.inf, 1)]
    assert classic.bucket[0].exemplar.value == 0.5
    assert not classic.positive_span
    native = found["n"].metric[0].histogram
    assert (native.sample_count, len(native.bucket), len(native.exemplars)) == (1, 2, 1)
    assert buckets(native.positive_span, native.positive_delta) == {2: 1}
    summary = found["s"].metric[0].summary
    assert (summary.sample_count, summary.sample_sum, summary.quantile[0].quantile) == (1, 4.0, 0.5)
    assert found["u"].metric[0].timestamp_ms == 1500
    assert not found["created_total"].metric[0].counter.exemplar.HasField("timestamp")


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (PROTOBUF, Format(False, False, protobuf=True)),
        (PROTOBUF + ",application/openmetrics-text;version=1.0.0;q=0.8,*/*;q=0.2", Format(False, False, protobuf=True)),
        (PROTOBUF + ";q=0.3,application/openmetrics-text;q=0.8", Format(True, False)),
        (PROTOBUF + ";escaping=allow-utf-8", Format(False, False, protobuf=True, utf8=True)),
        ("application/vnd.google.protobuf;proto=other;encoding=delimited", Format(False, False)),
        ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text", Format(False, False)),
        ("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8", Format(True, False, utf8=True)),
        ("text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;q=0.2", Format(False, False, utf8=True)),
    ],
)
def test_what_is_agreed(accept: str, chosen: Format) -> None:
    """Protobuf and UTF-8 names only for those who ask for exactly what we write; the header says so."""
    assert negotiate(accept, "") == chosen
    kind = chosen.headers()["Content-Type"]
    assert ("escaping=allow-utf-8" in kind) == chosen.utf8
    assert ("protobuf" in kind) == chosen.protobuf


@pytest.mark.parametrize(
    ("access", "authorization", "client", "status"),
    [
        (OPEN, "", None, 200),
        (Access(bearer_token=WORD), "Bearer t", None, 200),
        (Access(bearer_token=WORD), "bearer  t ", None, 200),
        (Access(bearer_token=WORD), "Bearer T", None, 401),
        (Access(bearer_token=WORD), "", None, 401),
        (Access(bearer_token=WORD), "Basic t", None, 401),
        (Access(basic_auth=("ana", "pass:word")), BASIC, None, 200),
        (Access(basic_auth=("ana", "pass")), BASIC, None, 401),
        (Access(bearer_token=WORD, basic_auth=("ana", "pass:word")), BASIC, None, 200),
        (Access(allowed_networks=["127.0.0.1", "10.0.0.0/8"]), "", "10.2.3.4", 200),
        (Access(allowed_networks=["127.0.0.1", "10.0.0.0/8"]), "", "11.2.3.4", 403),
        (Access(allowed_networks=["10.0.0.0/8"]), "", "::ffff:10.2.3.4", 200),
        (Access(allowed_networks=["fe80::/10"]), "", "fe80::1%eth0", 200),
        (Access(allowed_networks=["10.0.0.0/8"]), "", None, 403),
        (Access(allowed_networks=["10.0.0.0/8"], bearer_token=WORD), "", "10.0.0.1", 401),
    ],
)
def test_who_may_read(access: Access, authorization: str, client: str | None, status: int) -> None:
    """Token, password and network; the right one of each, and nothing less."""
    assert access.check(authorization, client) == status
    answer = respond(Registry(), "GET", {"authorization": authorization}, client, access)
    assert answer.status == status
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)


def test_mistakes_in_limits_show_at_once() -> None:
    """A limit that does not limit is an error."""
    for wrong in ({"bearer_token": ""}, {"basic_auth": ("", "")}, {"allowed_networks": ["10.0.0.300"]}):
        with pytest.raises(ConfigError):
            Access(**wrong)


def test_wsgi() -> None:
    """The same answers, with a length; HEAD has no body."""
    registry = Registry()
    metrics.counter("c", registry=registry).inc()
    app = WsgiMetricsEndpoint(registry, access=Access(bearer_token=WORD))

    def call(**environ: str) -> tuple[str, Mapping[str, str], bytes]:
        told: list[Any] = []
        body = b"".join(app({"REQUEST_METHOD": "GET", **environ}, lambda *a: told.append(a)))
        return told[0][0], dict(told[0][1]), body

    assert call()[0] == "401 Unauthorized"
    status, headers, body = call(HTTP_AUTHORIZATION="Bearer t", HTTP_ACCEPT="application/openmetrics-text")
    assert (status, headers["Content-Length"]) == ("200 OK", str(len(body)))
    assert body.endswith(b"c_total 1.0\n# EOF\n")
    status, headers, body = call(HTTP_AUTHORIZATION="Bearer t", REQUEST_METHOD="HEAD", REMOTE_ADDR="127.0.0.1")
    assert (status, body, "Content-Length" in headers) == ("200 OK", b"", False)


def test_the_small_server_limits_access_too(tmp_path: Path) -> None:
    """A scraper without the token learns nothing."""
    registry = Registry()
    metrics.counter("c", registry=registry).inc()
    server = start_http_server(0, registry=registry, access=Access(bearer_token=WORD))
    try:
        url = f"http://127.0.0.1:{server.port}/metrics"
        assert fetch(url)[0] == 401
        assert fetch(url, headers={"Authorization": "Bearer t"}) == (200, registry.expose())
    finally:
        server.close()
