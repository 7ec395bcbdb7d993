"""OTLP over HTTP at the door."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from mirante.errors import StoreFullError
from mirante.server.ingest.values import as_json, depth, text
from mirante.server.store.protos import Parsed, message_class
from tests.server.asgi import Reply, call
from tests.server.ingest.conftest import NOW, Door

PROTOBUF = "application/x-protobuf"
SIGNALS = ["traces", "logs", "metrics"]


def post(door: Door, signal: str, body: bytes, content_type: str = PROTOBUF, encoding: str = "") -> Reply:
    """Send it as an exporter does."""
    headers = {"content-type": content_type, "content-encoding": encoding}
    return asyncio.run(call(door.app, "POST", f"/v1/{signal}", body, headers))


def spans(*times: int) -> traces.ExportTraceServiceRequest:
    """One span for each start time, named by its number."""
    request = traces.ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for number, time in enumerate(times):
        scope.spans.add(trace_id=b"t" * 16, span_id=b"s" * 8, name=str(number), start_time_unix_nano=time)
    return request


def records(*times: tuple[int, int]) -> logs.ExportLogsServiceRequest:
    """One log record for each pair of own and observed time, named by its number."""
    request = logs.ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    for number, (time, observed) in enumerate(times):
        scope.log_records.add(event_name=str(number), time_unix_nano=time, observed_time_unix_nano=observed)
    return request


def gauge(*times: int) -> metrics.ExportMetricsServiceRequest:
    """One point of a gauge for each time."""
    request = metrics.ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="g")
    for time in times:
        metric.gauge.data_points.add(time_unix_nano=time, as_double=1.0)
    return request


GOOD: dict[str, Message] = {"traces": spans(NOW), "logs": records((NOW, 0)), "metrics": gauge(NOW)}


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_protobuf(door: Door, signal: str, encoding: str) -> None:
    """A good request is stored and answered with an empty response of its kind."""
    body = GOOD[signal].SerializeToString()
    reply = post(door, signal, gzip.compress(body) if encoding else body, encoding=encoding)
    assert (reply.status, reply.body, reply.headers["content-type"]) == (200, b"", PROTOBUF)
    stream, stored = door.log.bodies[0]
    assert stream == {"traces": "otlp_traces", "logs": "otlp_logs", "metrics": "remote_write"}[signal]
    assert signal == "metrics" or stored == body
    assert door.counted() == {f"otlp_{signal}/200": 1, f"{signal}/accepted": 1, f"{signal}/rejected": 0}


@pytest.mark.parametrize("signal", SIGNALS)
def test_json(door: Door, signal: str) -> None:
    """JSON is stored as the same bytes as protobuf, its ids in hexadecimal, and answered in JSON."""
    document = MessageToDict(GOOD[signal], use_integers_for_enums=True)
    if signal == "traces":
        span = document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
        span |= {"traceId": b"t".hex() * 16, "spanId": b"s".hex() * 8, "aNewField": 1}
    reply = post(door, signal, json.dumps(document).encode(), "application/json; charset=utf-8")
    assert (reply.status, reply.json(), reply.headers["content-type"]) == (200, {}, "application/json")
    from_json = door.log.bodies[0]
    post(door, signal, GOOD[signal].SerializeToString())
    assert from_json == door.log.bodies[1]


@pytest.mark.parametrize("signal", SIGNALS)
def test_an_empty_request_is_good(door: Door, signal: str) -> None:
    """Nothing is stored and nothing is wrong."""
    assert post(door, signal, b"").status == 200
    assert post(door, signal, b"{}", "application/json").json() == {}
    assert door.log.bodies == []


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize(
    ("content_type", "body", "status", "code", "sentence"),
    [
        (PROTOBUF, b"junk", 400, 3, "The body is not an Export"),
        (PROTOBUF, bytes(10_001), 413, 8, "The body has more than 10000 bytes"),
        ("application/json", b"{", 400, 3, "The body is not an Export"),
        ("application/json", b"[1]", 400, 3, "The body is not an Export"),
        ("application/json", b"0", 400, 3, "The body is not an Export"),
        ("application/json", b'"text"', 400, 3, "The body is not an Export"),
        ("application/json", b'{"resourceSpans":5,"resourceLogs":5,"resourceMetrics":5}', 400, 3, "The body is not an"),
        ("application/json", b"[" * 5000, 400, 3, "The body is not an Export"),
        ("application/json", b'{"x":' * 1010 + b"1" + b"}" * 1010, 400, 3, "The body is not an Export"),
        ("text/html", b"", 415, 3, "The content type must be application/x-protobuf or application/json."),
    ],
)  # fmt: skip
def test_a_bad_request_is_told_in_its_own_encoding(
    door: Door, signal: str, content_type: str, body: bytes, status: int, code: int, sentence: str
) -> None:
    """The answer is a google.rpc.Status with one sentence, in protobuf or JSON as the request was."""
    reply = post(door, signal, body, content_type)
    assert reply.status == status
    if content_type == "application/json":
        answer = reply.json()
        assert (answer["code"], reply.headers["content-type"]) == (code, "application/json")
        message = answer["message"]
    else:
        assert reply.body[:2] == bytes([8, code])
        message = reply.body[2:].partition(b"The ")[1].decode() + reply.body.partition(b"The ")[2].decode()
        assert reply.headers["content-type"] == PROTOBUF
    assert message.startswith(sentence)
    assert message.endswith(".")
    assert "\n" not in message
    assert door.log.bodies == []


def test_an_id_that_is_no_hexadecimal(door: Door) -> None:
    """JSON's ids are hexadecimal; the wrong one is named."""
    document = {"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "xyz"}]}]}]}
    reply = post(door, "traces", json.dumps(document).encode(), "application/json")
    assert reply.status == 400
    assert "traceId is not hexadecimal: 'xyz'" in reply.json()["message"]


def test_spans_out_of_bounds(door: Door) -> None:
    """Spans past retention, far ahead or without a time are refused, the others stored; the answer counts them."""
    hour, day = 3600 * 10**9, 86_400 * 10**9
    request = spans(NOW, NOW - day - 1, NOW + hour + 1, 2**63, 0, NOW - day)
    reply = post(door, "traces", request.SerializeToString())
    answer = traces.ExportTraceServiceResponse.FromString(reply.body)
    assert reply.status == 200
    assert answer.partial_success.rejected_spans == 4
    assert answer.partial_success.error_message == f"4 spans have times outside of {NOW - day} to {NOW + hour}"
    stored = traces.ExportTraceServiceRequest.FromString(door.log.bodies[0][1])
    assert [span.name for span in stored.resource_spans[0].scope_spans[0].spans] == ["0", "5"]
    assert door.counted()["traces/rejected"] == 4
    as_text = post(door, "traces", json.dumps(MessageToDict(spans(NOW + 2 * hour))).encode(), "application/json")
    assert as_text.status == 400  # this library's own JSON has ids in base64, which OTLP has not


def test_log_records_out_of_bounds(door: Door) -> None:
    """A record's time is its own, else the observed one; one without any is stored."""
    request = records((NOW, 0), (0, NOW), (0, 0), (1, NOW), (0, 2**63))
    answer = logs.ExportLogsServiceResponse.FromString(post(door, "logs", request.SerializeToString()).body)
    assert answer.partial_success.rejected_log_records == 2
    stored = logs.ExportLogsServiceRequest.FromString(door.log.bodies[0][1])
    assert [one.event_name for one in stored.resource_logs[0].scope_logs[0].log_records] == ["0", "1", "2"]
    body = json.dumps(MessageToDict(records((1, 0)))).encode()
    reply = post(door, "logs", body, "application/json").json()
    assert reply["partialSuccess"]["rejectedLogRecords"] == "1"
    assert len(door.log.bodies) == 1


def test_points_out_of_bounds(door: Door) -> None:
    """Refused points of metrics are counted in the answer too."""
    answer = metrics.ExportMetricsServiceResponse.FromString(
        post(door, "metrics", gauge(NOW, 1).SerializeToString()).body
    )
    assert answer.partial_success.rejected_data_points == 1
    assert "there are times outside of" in answer.partial_success.error_message


def test_no_room(door: Door) -> None:
    """A full store asks to come again, in the protocol's own words."""
    door.log.error = StoreFullError("no room")
    reply = post(
        door, "logs", b"{" + b'"resourceLogs":[{"scopeLogs":[{"logRecords":[{}]}]}]' + b"}", "application/json"
    )
    assert (reply.status, reply.headers["retry-after"]) == (503, "5")
    assert reply.json() == {"code": 14, "message": "There is no room to store it: no room."}


def values() -> st.SearchStrategy[AnyValue]:
    """Values that lie in one another to any depth."""

    def of(inside: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        pairs = st.builds(lambda k, v: {"key": k, "value": v}, st.text(max_size=3), inside)
        lists = st.lists(inside, max_size=3).map(lambda v: {"array_value": {"values": v}})
        maps = st.lists(pairs, max_size=3).map(lambda v: {"kvlist_value": {"values": v}})
        return lists | maps

    plain = st.one_of(
        st.builds(lambda v: {"string_value": v}, st.text(max_size=3)),
        st.builds(lambda v: {"int_value": v}, st.integers(-5, 5)),
        st.builds(lambda v: {"bytes_value": v}, st.binary(max_size=3)),
        st.just({}),
    )
    return st.recursive(plain, of, max_leaves=8).map(lambda v: AnyValue(**v))


@settings(deadline=None)
@given(value=values())
def test_deep_values_arrive_as_their_json(value: AnyValue) -> None:
    """A value that lies deeper than the store reaches is stored as the JSON of the whole value, wherever it stands."""
    door = Door()
    request = spans(NOW)
    resource = request.resource_spans[0]
    span = resource.scope_spans[0].spans[0]
    owners = (resource.resource, resource.scope_spans[0].scope, span, span.events.add(), span.links.add())
    for owner in owners:
        owner.attributes.add(key="k").value.CopyFrom(value)
    log = records((NOW, 0))
    log_resource = log.resource_logs[0]
    record = log_resource.scope_logs[0].log_records[0]
    record.body.CopyFrom(value)
    for log_owner in (log_resource.resource, log_resource.scope_logs[0].scope, record):
        log_owner.attributes.add(key="k").value.CopyFrom(value)
    assert post(door, "traces", request.SerializeToString()).status == 200
    assert post(door, "logs", log.SerializeToString()).status == 200

    if depth(value) <= 1:
        assert [body for _, body in door.log.bodies] == [request.SerializeToString(), log.SerializeToString()]
    else:
        for owner in owners:
            owner.attributes[0].value.string_value = text(value)
        record.attributes[0].value.string_value = text(value)
        for log_owner in (log_resource.resource, log_resource.scope_logs[0].scope):
            log_owner.attributes[0].value.string_value = text(value)
        if depth(value) > 2:
            record.body.string_value = text(value)
        assert traces.ExportTraceServiceRequest.FromString(door.log.bodies[0][1]) == request
        assert logs.ExportLogsServiceRequest.FromString(door.log.bodies[1][1]) == log
    for stream, body in door.log.bodies:
        stored: Parsed = message_class(stream).FromString(body)
        assert stored.IsInitialized()
    assert json.loads(as_json(value)) is not None or value.WhichOneof("value") is None
