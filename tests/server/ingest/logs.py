"""Reads log bodies as a collector would."""

from __future__ import annotations

from typing import Any, NamedTuple

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from mirante.server.ingest.values import text
from tests.server.ingest.conftest import MemoryLog


class Stored(NamedTuple):
    """One record of the log."""

    resource: dict[str, str]
    time: int
    body: str
    level: tuple[int, str]
    attributes: dict[str, str]
    ids: tuple[str, str]


def stored(log: MemoryLog) -> list[Stored]:
    """All log records, in the order of the log."""
    assert {stream for stream, _ in log.bodies} <= {"otlp_logs"}
    return [
        Stored(
            _texts(resource.resource.attributes),
            one.time_unix_nano,
            one.body.string_value,
            (one.severity_number, one.severity_text),
            _texts(one.attributes),
            (one.trace_id.hex(), one.span_id.hex()),
        )
        for _, body in log.bodies
        for resource in ExportLogsServiceRequest.FromString(body).resource_logs
        for scope in resource.scope_logs
        for one in scope.log_records
    ]


def _texts(pairs: Any) -> dict[str, str]:
    return {pair.key: text(pair.value) for pair in pairs}
