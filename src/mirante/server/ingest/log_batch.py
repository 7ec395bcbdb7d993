"""Log records of other protocols as bodies of the stream of OTLP logs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from mirante.formats.otlp_common import any_value, put_attributes, resource
from mirante.formats.protobuf import blob, fixed64, int64, string, varint
from mirante.server.ingest.severity import UNKNOWN, Severity

UNKNOWN_SERVICE = "unknown_service"
"""The name of the service where nothing tells it, as Loki and OpenTelemetry have it."""

# Loki discovers the service of a stream by these labels, in this order.
_SERVICE_NAMES = (
    *("service.name", "service_name", "service", "app", "application", "app_name", "name"),
    *("app_kubernetes_io_name", "container", "container_name", "k8s_container_name", "component", "workload", "job"),
    "k8s_job_name",
)


_IDS = {
    **dict.fromkeys(("trace_id", "traceid", "traceID", "traceId"), (0, 16)),
    **dict.fromkeys(("span_id", "spanid", "spanID", "spanId"), (1, 8)),
}


class LogRecord(NamedTuple):
    """One record.

    Attributes:
        time: nanoseconds since the Unix epoch.
        body: the message.
        severity: how bad it is.
        attributes: names to values.
        trace_id: 16 bytes, or none.
        span_id: 8 bytes, or none.
    """

    time: int
    body: str
    severity: Severity = UNKNOWN
    attributes: Mapping[str, object] = {}
    trace_id: bytes = b""
    span_id: bytes = b""

    def encode(self) -> bytes:
        """The record as a ``LogRecord`` message."""
        out = [fixed64(1, self.time)]
        if self.severity.number:
            out.append(int64(2, self.severity.number))
        if self.severity.text:
            out.append(string(3, self.severity.text))
        out.append(blob(5, any_value(self.body)))
        put_attributes(out, b"\x32", self.attributes)
        if self.trace_id:
            out.append(blob(9, self.trace_id))
        if self.span_id:
            out.append(blob(10, self.span_id))
        return b"".join(out)


def resource_of(labels: Mapping[str, str]) -> bytes:
    """A ``Resource`` message with those labels as attributes, and the name of the service where a label tells it.

    Example:
        >>> resource_of({"app": "shop"}) == resource({"service.name": "shop", "app": "shop"})
        True
    """
    service = next((labels[name] for name in _SERVICE_NAMES if labels.get(name)), UNKNOWN_SERVICE)
    return resource({"service.name": service, **labels})


def trace_ids(fields: dict[str, object]) -> tuple[bytes, bytes]:
    """Take the ids of trace and span out of a record's fields, where they are such ids in hexadecimal.

    Example:
        >>> fields = {"trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "none"}
        >>> trace_ids(fields)[1], fields
        (b'', {'span_id': 'none'})
    """
    found = [b"", b""]
    for name, (place, size) in _IDS.items():
        if name in fields and not found[place] and (raw := _id(fields[name], size)):
            found[place] = raw
            del fields[name]
    return found[0], found[1]


def _id(value: object, size: int) -> bytes:
    try:
        raw = bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError:
        return b""
    return raw if len(raw) == size and any(raw) else b""


class LogBatch:
    """Records gathered by resource."""

    def __init__(self) -> None:
        self._records: dict[bytes, list[bytes]] = {}

    def add(self, resource: bytes, record: LogRecord) -> None:
        """Add a record of that resource (see ``resource_of``)."""
        encoded = record.encode()
        self._records.setdefault(resource, []).extend((b"\x12", varint(len(encoded)), encoded))

    def body(self) -> bytes:
        """An ``ExportLogsServiceRequest`` message; empty when there is no record."""
        return b"".join(
            blob(1, blob(1, resource) + blob(2, b"".join(records))) for resource, records in self._records.items()
        )
