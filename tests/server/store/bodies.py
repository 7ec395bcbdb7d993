"""OTLP bodies for tests of the store, made with the protocol's own classes."""

from __future__ import annotations

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span


def _pairs(attributes: dict[str, str]) -> list[KeyValue]:
    return [KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in attributes.items()]


def log_body(text: str, at: int, service: str = "shop", **attributes: str) -> bytes:
    """A request with one log record, of that millisecond."""
    record = LogRecord(time_unix_nano=at * 1_000_000, body=AnyValue(string_value=text), attributes=_pairs(attributes))
    of_resource = ResourceLogs(
        resource=Resource(attributes=_pairs({"service.name": service})), scope_logs=[ScopeLogs(log_records=[record])]
    )
    return ExportLogsServiceRequest(resource_logs=[of_resource]).SerializeToString()


def span_body(name: str, at: int, service: str = "shop", trace: int = 1, **attributes: str) -> bytes:
    """A request with one span, of that millisecond."""
    span = Span(
        trace_id=trace.to_bytes(16, "big"),
        span_id=trace.to_bytes(8, "big"),
        name=name,
        start_time_unix_nano=at * 1_000_000,
        end_time_unix_nano=(at + 5) * 1_000_000,
        attributes=_pairs(attributes),
    )
    of_resource = ResourceSpans(
        resource=Resource(attributes=_pairs({"service.name": service})), scope_spans=[ScopeSpans(spans=[span])]
    )
    return ExportTraceServiceRequest(resource_spans=[of_resource]).SerializeToString()
