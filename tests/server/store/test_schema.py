"""What the views make of bodies."""

from __future__ import annotations

import itertools
import json
import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from mirante._core.model import Exemplar
from mirante.formats import remote_write
from mirante.server.ingest.values import text
from tests.server.store.conftest import NOW, Store

NANO = NOW * 1_000_000 + 123_456
COUNTER = itertools.count()
STRINGS = st.text(st.characters(codec="utf-8"), max_size=8)
PLAIN = st.one_of(
    st.builds(AnyValue, string_value=STRINGS),
    st.builds(AnyValue, bool_value=st.booleans()),
    st.builds(AnyValue, int_value=st.integers(-(2**63), 2**63 - 1)),
    st.builds(AnyValue, double_value=st.floats(allow_nan=False, allow_infinity=False)),
    st.builds(AnyValue, bytes_value=st.binary(max_size=5)),
)


def nested(inside: st.SearchStrategy[AnyValue]) -> st.SearchStrategy[AnyValue]:
    """Arrays and maps of those, none empty: an empty one is told from nothing only inside another."""
    pairs = st.builds(KeyValue, key=STRINGS, value=inside)
    return st.one_of(
        st.builds(lambda v: AnyValue(array_value=ArrayValue(values=v)), st.lists(inside, min_size=1, max_size=3)),
        st.builds(lambda v: AnyValue(kvlist_value=KeyValueList(values=v)), st.lists(pairs, min_size=1, max_size=3)),
    )


ONE_DEEP = st.one_of(PLAIN, st.just(AnyValue()), nested(st.one_of(PLAIN, st.just(AnyValue()))))
TWO_DEEP = st.one_of(ONE_DEEP, nested(ONE_DEEP))


def same(stored: str, wanted: str) -> bool:
    """Equal, but for how many digits a number is written with."""
    if stored == wanted:
        return True
    try:
        return bool(json.loads(stored, parse_int=float) == json.loads(wanted, parse_int=float))
    except ValueError:
        return False


def test_samples_keep_their_bits(store: Store) -> None:
    """Every value comes back bit by bit, the staleness marker and other NaN included."""
    patterns = [0x7FF0000000000002, 0x7FF8000000000001, 0x7FF0000000000000, 0x8000000000000000, 1, 0x3FF0000000000001]
    values: Sequence[float] = struct.unpack(f"<{len(patterns)}d", struct.pack(f"<{len(patterns)}Q", *patterns))
    samples = [remote_write.sample(value, NOW + i) for i, value in enumerate(values)]
    store.write("remote_write", remote_write.series(remote_write.labels({"__name__": "bits"}), *samples))
    rows = store.rows(
        "SELECT reinterpretAsUInt64(value) AS bits FROM samples"
        " WHERE series_id IN (SELECT series_id FROM series WHERE name = 'bits') ORDER BY timestamp"
    )
    assert [row["bits"] for row in rows] == patterns


def test_exemplars(store: Store) -> None:
    """An exemplar is kept with its series; one with an impossible time is left out."""
    good = Exemplar({"trace_id": "abc"}, 0.5, NOW / 1000)
    bad = Exemplar({"trace_id": "bad"}, 0.5, -5.0)
    labels = remote_write.labels({"__name__": "with_exemplar"})
    examples = [remote_write.exemplar(one, NOW) for one in (good, bad)]
    store.write("remote_write", remote_write.series(labels, remote_write.sample(1.0, NOW), *examples))
    rows = store.rows(
        "SELECT toUnixTimestamp64Milli(timestamp) AS at, value, labels['trace_id'] AS trace FROM exemplars"
        " WHERE series_id IN (SELECT series_id FROM series WHERE name = 'with_exemplar')"
    )
    assert rows == [{"at": NOW, "value": 0.5, "trace": "abc"}]


def test_metadata_types(store: Store) -> None:
    """Every type of Prometheus has its word, and an unknown one is said to be so."""
    kinds = ["unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset"]
    store.write("remote_write", b"".join(remote_write.metadata(f"type_{kind}", kind) for kind in kinds))
    rows = store.rows("SELECT name, type FROM metric_metadata WHERE startsWith(name, 'type_')")
    assert {row["name"]: row["type"] for row in rows} == {f"type_{kind}": kind for kind in kinds}


def test_a_whole_span(store: Store) -> None:
    """Every field of a span stands in the column that the Collector's exporter puts it in."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "shop"
    scope = resource.scope_spans.add()
    scope.scope.name, scope.scope.version = "lib", "1.2"
    span = scope.spans.add(
        trace_id=b"\x01" * 16, span_id=b"\x02" * 8, parent_span_id=b"\x03" * 8, trace_state="a=b", name="GET /cart",
        kind=Span.SPAN_KIND_SERVER, start_time_unix_nano=NANO, end_time_unix_nano=NANO + 5000,
        status=Status(code=Status.STATUS_CODE_ERROR, message="broken"),
    )  # fmt: skip
    span.attributes.add(key="http.status").value.int_value = 500
    event = span.events.add(name="exception", time_unix_nano=NANO + 1)
    event.attributes.add(key="type").value.string_value = "ValueError"
    span.events.add(name="far away", time_unix_nano=2**64 - 1)
    link = span.links.add(trace_id=b"\x04" * 16, span_id=b"\x05" * 8, trace_state="c=d")
    link.attributes.add(key="why").value.bool_value = True
    scope.spans.add(trace_id=b"\x01" * 16, span_id=b"\x06" * 8, start_time_unix_nano=NANO, end_time_unix_nano=NANO - 1)
    store.write("otlp_traces", request.SerializeToString())

    rows = store.rows(
        "SELECT *, toUnixTimestamp64Nano(Timestamp) AS nano,"
        " arrayMap(x -> toUnixTimestamp64Nano(x), `Events.Timestamp`) AS times"
        " FROM otel_traces WHERE TraceId = repeat('01', 16) ORDER BY SpanId"
    )
    row, backwards = rows
    assert row["nano"] == NANO
    assert row["times"][0] == NANO + 1
    expected = {
        "SpanId": "02" * 8, "ParentSpanId": "03" * 8, "TraceState": "a=b", "SpanName": "GET /cart",
        "SpanKind": "Server",
        "ServiceName": "shop", "ResourceAttributes": [("service.name", "shop")], "ScopeName": "lib",
        "ScopeVersion": "1.2", "SpanAttributes": [("http.status", "500")], "Duration": 5000, "StatusCode": "Error",
        "StatusMessage": "broken",
        "Events.Name": ["exception", "far away"], "Events.Attributes": [[("type", "ValueError")], []],
        "Links.TraceId": ["04" * 16], "Links.SpanId": ["05" * 8], "Links.TraceState": ["c=d"],
        "Links.Attributes": [[("why", "true")]],
    }  # fmt: skip
    assert {key: row[key] for key in expected} == expected
    assert (backwards["Duration"], backwards["SpanKind"], backwards["StatusCode"]) == (0, "Unspecified", "Unset")
    lookup = store.rows("SELECT Start, End FROM otel_traces_trace_id_ts WHERE TraceId = repeat('01', 16)")
    assert len(lookup) == 1


def test_a_whole_log_record(store: Store) -> None:
    """Every field of a log record stands in the column that the Collector's exporter puts it in."""
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add(schema_url="https://r")
    resource.resource.attributes.add(key="service.name").value.string_value = "shop"
    scope = resource.scope_logs.add(schema_url="https://s")
    scope.scope.name, scope.scope.version = "lib", "1.2"
    scope.scope.attributes.add(key="k").value.string_value = "v"
    record = scope.log_records.add(
        time_unix_nano=NANO, severity_number=17, severity_text="ERROR", trace_id=b"\x07" * 16, span_id=b"\x08" * 8,
        flags=0x101, event_name="happened",
    )  # fmt: skip
    record.body.string_value = "It's broken."
    record.attributes.add(key="code").value.double_value = 1.5
    scope.log_records.add(trace_id=b"\x07" * 16, observed_time_unix_nano=NANO + 1)
    scope.log_records.add(trace_id=b"\x07" * 16)
    store.write("otlp_logs", request.SerializeToString())

    row, observed, untimed = store.rows(
        "SELECT *, toUnixTimestamp64Nano(Timestamp) AS nano FROM otel_logs WHERE TraceId = repeat('07', 16)"
        " ORDER BY Timestamp"
    )
    expected = {
        "nano": NANO, "SpanId": "08" * 8, "TraceFlags": 1, "SeverityText": "ERROR", "SeverityNumber": 17,
        "ServiceName": "shop", "Body": "It's broken.", "ResourceSchemaUrl": "https://r",
        "ResourceAttributes": [("service.name", "shop")], "ScopeSchemaUrl": "https://s", "ScopeName": "lib",
        "ScopeVersion": "1.2", "ScopeAttributes": [("k", "v")], "LogAttributes": [("code", "1.5")],
        "EventName": "happened",
    }  # fmt: skip
    assert {key: row[key] for key in expected} == expected
    assert observed["nano"] == NANO + 1
    assert abs(untimed["Timestamp"].timestamp() - datetime.now(UTC).timestamp()) < 600


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(ONE_DEEP, min_size=1, max_size=4), bodies=st.lists(TWO_DEEP, min_size=1, max_size=3))
def test_values_are_written_as_text(store: Store, values: list[AnyValue], bodies: list[AnyValue]) -> None:
    """What the views write of a value is what the exact way at the door would have written."""
    name = f"values{next(COUNTER)}"
    attributes = [KeyValue(key=str(i), value=value) for i, value in enumerate(values)]
    traces = ExportTraceServiceRequest()
    span = traces.resource_spans.add().scope_spans.add().spans.add(name=name, start_time_unix_nano=NANO)
    span.attributes.extend(attributes)
    logs = ExportLogsServiceRequest()
    scope = logs.resource_logs.add().scope_logs.add()
    for i, value in enumerate(bodies):
        scope.log_records.add(
            event_name=name, severity_number=i + 1, body=value, attributes=attributes, time_unix_nano=NANO
        )
    store.write("otlp_traces", traces.SerializeToString())
    store.write("otlp_logs", logs.SerializeToString())

    found = store.rows(f"SELECT SpanAttributes FROM otel_traces WHERE SpanName = '{name}'")  # noqa: S608 # our own name
    records = store.rows(
        f"SELECT Body, LogAttributes FROM otel_logs WHERE EventName = '{name}' ORDER BY SeverityNumber"  # noqa: S608
    )
    wanted = [text(value) for value in values]
    for stored in (found[0]["SpanAttributes"], records[0]["LogAttributes"]):
        pairs: list[Any] = stored
        assert all(same(got, want) for (_, got), want in zip(pairs, wanted, strict=True)), (pairs, wanted)
    for row, body in zip(records, bodies, strict=True):
        assert same(row["Body"], text(body)), (row["Body"], text(body))
