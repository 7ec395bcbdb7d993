"""One .proto text gives the engine's columns and the parser at the door."""

from __future__ import annotations

import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from mirante.server.store.api import Stream
from mirante.server.store.protos import STREAMS, Parsed, Proto, message_class, proto

TEXT = """
// A comment.
syntax = "proto3";
message Root { repeated Item items = 1; optional double maybe = 2; }
message Item {
  oneof value { string text = 1; bytes raw = 2; }  // one of them
  uint32 small = 3;
  Unsupported later = 4;
}
message Unsupported {}
"""


def test_columns() -> None:
    """Messages become tuples, what may be absent is nullable, and what is not supported has no column."""
    columns = "Array(Tuple(text Nullable(String), raw Nullable(String), small UInt32))"
    assert Proto(TEXT).columns() == f"(items {columns}, maybe Nullable(Float64))"
    assert Proto(TEXT).root == "Root"


def test_parser() -> None:
    """The class parses what the text describes, tells absent from empty, and finds what is not supported."""
    made: Parsed = Proto(TEXT).message_class()
    message: Parsed = made(items=[{"text": ""}, {"raw": b"\xff"}], maybe=0.0)
    again = made.FromString(message.SerializeToString())
    assert [item.WhichOneof("value") for item in again.items] == ["text", "raw"]
    assert again.HasField("maybe")
    assert not made().HasField("maybe")
    assert again.IsInitialized()
    assert not made.FromString(b"\x0a\x02\x22\x00").IsInitialized()


def test_text_must_be_unicode() -> None:
    """A string that is no UTF-8 is refused at the door."""
    with pytest.raises(DecodeError, match="UTF-8"):
        Proto(TEXT).message_class().FromString(b"\x0a\x03\x0a\x01\xff")


@pytest.mark.parametrize("stream", STREAMS)
def test_every_stream_has_a_text(stream: Stream) -> None:
    """Each stream's text can be parsed, and an empty body is one."""
    assert proto(stream).columns().startswith("(")
    assert message_class(stream).FromString(b"").IsInitialized()


def test_numbers_are_those_of_the_protocol() -> None:
    """What OpenTelemetry's own classes write, ours read."""
    traces = ExportTraceServiceRequest()
    span = traces.resource_spans.add(schema_url="u").scope_spans.add(schema_url="v").spans.add(
        trace_id=b"t" * 16, span_id=b"s" * 8, parent_span_id=b"p" * 8, trace_state="x=1", name="n", kind=2,
        start_time_unix_nano=1, end_time_unix_nano=2,
    )  # fmt: skip
    span.attributes.add(key="k").value.array_value.values.add().double_value = 1.5
    span.events.add(name="e", time_unix_nano=3).attributes.add(key="k").value.bool_value = True
    span.links.add(trace_id=b"l" * 16, span_id=b"m" * 8, trace_state="y=2")
    span.status.CopyFrom(Status(code=Status.STATUS_CODE_ERROR, message="bad"))
    logs = ExportLogsServiceRequest()
    record = logs.resource_logs.add().scope_logs.add().log_records.add(
        time_unix_nano=1, observed_time_unix_nano=2, severity_number=9, severity_text="INFO", flags=1,
        trace_id=b"t" * 16, span_id=b"s" * 8, event_name="e",
    )  # fmt: skip
    record.body.kvlist_value.values.add(key="a").value.array_value.values.add().int_value = 7
    bodies: dict[Stream, Message] = {"otlp_traces": traces, "otlp_logs": logs}
    for stream, message in bodies.items():
        ours: Parsed = message_class(stream).FromString(message.SerializeToString())
        assert MessageToDict(ours) == MessageToDict(message, use_integers_for_enums=True)
        assert ours.IsInitialized()
