"""Takes OTLP over HTTP: traces, logs and metrics, as protobuf or JSON.

Source: opentelemetry.io, "OTLP Specification", and opentelemetry-proto.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection

import orjson
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from mirante.formats.protobuf import int64, string
from mirante.server.ingest.counts import IngestCounts
from mirante.server.ingest.delta import DeltaSession, DeltaState
from mirante.server.ingest.exchange import Bounds, Refusal, Reply, Request, unpack
from mirante.server.ingest.otlp_metrics import Converter
from mirante.server.ingest.otlp_records import SHAPES, Records, Taken
from mirante.server.store.api import BodyLog
from mirante.server.store.protos import Parsed

PROTOBUF, JSON = "application/x-protobuf", "application/json"

# google.rpc.Code, as far as it is needed.
_CODES = {400: 3, 413: 8, 415: 3, 429: 8, 503: 14}

_MOST_GROWTH = 4
"""How many times the largest body what is made of one may be: a series says again what it has in common with others."""


class OtlpReceiver:
    """Takes one signal.

    Args:
        signal: ``traces``, ``logs`` or ``metrics``.
        log: where bodies go.
        bounds: sizes and times that are acceptable.
        counts: the receivers' own metrics.
        promoted: resource attributes that become labels of every series.
    """

    def __init__(
        self, signal: str, log: BodyLog, bounds: Bounds, counts: IngestCounts, promoted: Collection[str] = ()
    ) -> None:
        self.signal = signal
        self._bounds = bounds
        self._counts = counts
        self._request, self._response, self._rejected_field = _SIGNALS[signal]
        self._take: Callable[[bytes], Taken] = (
            _Metrics(log, bounds, promoted).take
            if signal == "metrics"
            else Records(SHAPES[signal], self._request, log, bounds).take
        )

    def receive(self, request: Request) -> Reply:
        """Take a request: 200 with the protocol's response, which tells what was refused and why.

        Raises:
            Refusal: 400, 413 or 415; see ``refuse`` for its body.
            StoreFullError: there is no room.
        """
        if request.media_type not in {PROTOBUF, JSON}:
            raise Refusal(415, f"The content type must be {PROTOBUF} or {JSON}.")
        body = unpack(request, self._bounds.max_body)
        if request.media_type == JSON:
            body = self._from_json(body)
        try:
            taken = self._take(body)
        except DecodeError as error:
            reason = str(error).rpartition("': ")[2].strip(" .")
            raise Refusal(400, f"The body is not an {self._request.DESCRIPTOR.name}: {reason}.") from None
        self._counts.items(self.signal, accepted=taken.accepted, rejected=taken.rejected)
        response: Parsed = self._response()
        if taken.rejected:
            setattr(response.partial_success, self._rejected_field, taken.rejected)
            response.partial_success.error_message = taken.reason
        if request.media_type == JSON:
            return Reply(200, orjson.dumps(json_format.MessageToDict(response)), JSON)
        return Reply(200, response.SerializeToString(), PROTOBUF)

    def _from_json(self, body: bytes) -> bytes:
        try:
            document = _object(body)
            _ids_to_base64(document)
            return json_format.ParseDict(document, self._request(), ignore_unknown_fields=True).SerializeToString()
        except (orjson.JSONDecodeError, json_format.ParseError, RecursionError) as error:
            name = self._request.DESCRIPTOR.name
            sentence = str(error).partition("\n")[0].strip(" .")
            raise Refusal(400, f"The body is not an {name} in JSON: {sentence}.") from None


def refuse(request: Request, status: int, sentence: str) -> Reply:
    """An error as the protocol wants it: google.rpc.Status in the request's own encoding."""
    code = _CODES.get(status, 2)
    if request.media_type == JSON:
        return Reply(status, orjson.dumps({"code": code, "message": sentence}), JSON)
    return Reply(status, int64(1, code) + string(2, sentence), PROTOBUF)


def _object(body: bytes) -> dict[str, object]:
    document = orjson.loads(body)
    if not isinstance(document, dict):
        raise json_format.ParseError("it is no object")
    return document


def _ids_to_base64(node: object) -> None:
    """OTLP's JSON has ids in hexadecimal, where protobuf's own JSON has bytes in base64."""
    if isinstance(node, list):
        for item in node:
            _ids_to_base64(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in _ID_KEYS and isinstance(value, str):
                try:
                    node[key] = base64.b64encode(bytes.fromhex(value)).decode("ascii")
                except ValueError:
                    raise json_format.ParseError(f"{key} is not hexadecimal: {value[:40]!r}") from None
            else:
                _ids_to_base64(value)


_ID_KEYS = {"traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"}


class _Metrics:
    """Takes metrics: they become remote write bodies."""

    def __init__(self, log: BodyLog, bounds: Bounds, promoted: Collection[str]) -> None:
        self._log = log
        self._bounds = bounds
        self._promoted = promoted
        self._deltas = DeltaState(bounds.clock)

    def take(self, body: bytes) -> Taken:
        message = metrics_service_pb2.ExportMetricsServiceRequest.FromString(body)
        with DeltaSession(self._deltas) as deltas:
            most = _MOST_GROWTH * self._bounds.max_body
            converter = Converter(*self._bounds.times(), deltas, self._promoted, most)
            converted = converter.convert(message)
            if converted:
                self._log.append("remote_write", [converted])
            deltas.commit()
        return Taken(converter.accepted, converter.rejected, "; ".join(sorted(converter.reasons)))


_SIGNALS: dict[str, tuple[type[Message], type[Message], str]] = {
    "traces": (
        trace_service_pb2.ExportTraceServiceRequest,
        trace_service_pb2.ExportTraceServiceResponse,
        "rejected_spans",
    ),
    "logs": (
        logs_service_pb2.ExportLogsServiceRequest,
        logs_service_pb2.ExportLogsServiceResponse,
        "rejected_log_records",
    ),
    "metrics": (
        metrics_service_pb2.ExportMetricsServiceRequest,
        metrics_service_pb2.ExportMetricsServiceResponse,
        "rejected_data_points",
    ),
}
SIGNALS = tuple(_SIGNALS)
