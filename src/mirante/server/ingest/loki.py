"""Takes what Loki's clients push: ``/loki/api/v1/push``, in JSON or as snappy-packed protobuf.

Source: grafana.com, "Loki HTTP API", section "Ingest logs"; logproto.PushRequest of its ``push.proto``.

A stream's labels become attributes of the resource, structured metadata attributes of the record. Loki writes the names
of OpenTelemetry with underscores; those that it makes labels of get their dots back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, lru_cache
from typing import NamedTuple, TypeGuard

import orjson
from google.protobuf.message import DecodeError

from mirante.errors import BadQueryError
from mirante.formats.names import LABEL_NAME
from mirante.server.ingest import severity
from mirante.server.ingest.counts import IngestCounts
from mirante.server.ingest.exchange import Bounds, Refusal, Reply, Request, unpack
from mirante.server.ingest.log_batch import LogBatch, LogRecord, resource_of, trace_ids
from mirante.server.promql.parse import unquote
from mirante.server.promql.tokens import Token, tokenize
from mirante.server.store.api import BodyLog
from mirante.server.store.protos import Parsed, Proto

_PUSH = """
message PushRequest { repeated StreamAdapter streams = 1; }
message StreamAdapter { string labels = 1; repeated EntryAdapter entries = 2; }
message EntryAdapter { Timestamp timestamp = 1; string line = 2; repeated LabelPairAdapter structuredMetadata = 3; }
message Timestamp { int64 seconds = 1; int32 nanos = 2; }
message LabelPairAdapter { string name = 1; string value = 2; }
"""
_TIME = re.compile(r"-?[0-9]{1,19}", re.ASCII)
# Resource attributes that Loki makes labels of by default.
_DOTTED = {
    name.replace(".", "_"): name
    for name in (
        *("service.name", "service.namespace", "service.instance.id", "deployment.environment"),
        *("deployment.environment.name", "cloud.region", "cloud.availability_zone", "container.name"),
        *("k8s.cluster.name", "k8s.namespace.name", "k8s.pod.name", "k8s.container.name", "k8s.replicaset.name"),
        *("k8s.deployment.name", "k8s.statefulset.name", "k8s.daemonset.name", "k8s.cronjob.name", "k8s.job.name"),
    )
}


class _Entry(NamedTuple):
    time: int
    line: str
    metadata: Mapping[str, str]


_Streams = Iterable[tuple[Mapping[str, str], Iterable[_Entry]]]


class LokiReceiver:
    """Takes pushes.

    Args:
        log: where bodies go.
        bounds: sizes and times that are acceptable.
        counts: the receivers' own metrics.
    """

    def __init__(self, log: BodyLog, bounds: Bounds, counts: IngestCounts) -> None:
        self._log = log
        self._bounds = bounds
        self._counts = counts

    def receive(self, request: Request) -> Reply:
        """Take a push: 204 when all of it is stored.

        Raises:
            Refusal: 400 when something is wrong with the body (of entries whose times are out of bounds the others are
                stored), 413 or 415.
            StoreFullError: there is no room.
        """
        streams = _streams(request, self._bounds.max_body)
        first, last = self._bounds.times("logs")
        batch, accepted, rejected = LogBatch(), 0, 0
        for labels, entries in streams:
            resource, level = _resource(tuple(labels.items())), severity.of_fields(labels)
            for entry in entries:
                if first <= entry.time <= last:
                    batch.add(resource, _record(entry, level))
                    accepted += 1
                else:
                    rejected += 1
        if accepted:
            self._log.append("otlp_logs", [batch.body()])
        self._counts.items("logs", accepted=accepted, rejected=rejected)
        if rejected:
            raise Refusal(
                400, f"Not everything was stored: {rejected} entries have timestamps outside of {first} to {last}."
            )
        return Reply(204)


def _record(entry: _Entry, level: severity.Severity) -> LogRecord:
    attributes: dict[str, object] = dict(entry.metadata)
    trace, span = trace_ids(attributes)
    told = severity.of_fields(attributes) if attributes else severity.UNKNOWN
    return LogRecord(
        entry.time,
        entry.line,
        next((one for one in (told, level) if one.text), None) or severity.of_line(entry.line),
        attributes,
        trace,
        span,
    )


@lru_cache(4096)
def _resource(labels: tuple[tuple[str, str], ...]) -> bytes:
    return resource_of({_DOTTED.get(name, name): value for name, value in labels})


def _streams(request: Request, limit: int) -> _Streams:
    """The streams of a body; all of it is checked before the first is given."""
    if request.media_type == "application/json":
        return _from_json(unpack(request, limit))
    if request.media_type not in {"", "application/x-protobuf"}:
        raise Refusal(415, "The content type must be application/json or application/x-protobuf.")
    if request.content_encoding.strip().lower() not in {"", "snappy"}:  # packed once more around it
        request = Request(unpack(request, limit))
    return _from_protobuf(unpack(request._replace(content_encoding="snappy"), limit))


@cache
def _parser() -> Callable[[bytes], Parsed]:
    return Proto(_PUSH).message_class().FromString


def _from_protobuf(body: bytes) -> _Streams:
    try:
        message = _parser()(body)
    except DecodeError:
        raise Refusal(400, "The body is not a logproto.PushRequest.") from None
    return [(parse_labels(stream.labels), map(_entry, stream.entries)) for stream in message.streams]


def _entry(entry: Parsed) -> _Entry:
    time = entry.timestamp.seconds * 1_000_000_000 + entry.timestamp.nanos
    return _Entry(time, entry.line, {pair.name: pair.value for pair in entry.structuredMetadata})


@lru_cache(4096)
def parse_labels(text: str) -> Mapping[str, str]:
    r"""The labels of a stream.

    Raises:
        Refusal: 400, they are not such labels, or there are none.

    Example:
        >>> parse_labels('{job="backup", path="C:\\\\tmp"}')
        {'job': 'backup', 'path': 'C:\\tmp'}
    """
    try:
        return _checked(dict(_pairs(tokenize(text))))
    except (ValueError, OverflowError) as error:  # BadQueryError is one; an escape may name no character
        raise Refusal(400, f"{text[:200]!r} are not the labels of a stream: {error}.") from None


def _pairs(tokens: list[Token]) -> Iterator[tuple[str, str]]:
    words = iter(tokens)

    def expect(what: str, *kinds: str) -> Token:
        token = next(words)
        if token.kind not in kinds and token.text not in kinds:
            raise BadQueryError(f"expected {what}, got {token.text or 'the end'!r}")
        return token

    expect("an opening brace", "{")
    token = expect("a label name or a closing brace", "name", "}")
    while token.text != "}":
        expect(f"= after {token.text}", "=")
        yield token.text, unquote(expect(f"a string after {token.text}=", "string").text)
        if expect("a comma or a closing brace", ",", "}").text == "}":
            break
        token = expect("a label name or a closing brace", "name", "}")
    expect("nothing more", "end")


def _checked(labels: Mapping[str, str]) -> Mapping[str, str]:
    for name in labels:
        if not LABEL_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a label")
    if not labels:
        raise ValueError("a stream needs at least one label")
    return labels


def _from_json(body: bytes) -> _Streams:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refusal(400, f"The body is not JSON: {error}.") from None
    streams = document.get("streams") if isinstance(document, dict) else None
    if not isinstance(streams, list):
        raise Refusal(400, 'The body must be an object with the list "streams".')
    return [_json_stream(stream, f"streams[{number}]") for number, stream in enumerate(streams)]


def _json_stream(stream: object, where: str) -> tuple[Mapping[str, str], list[_Entry]]:
    labels = stream.get("stream") if isinstance(stream, dict) else None
    values = stream.get("values") if isinstance(stream, dict) else None
    if not _is_text(labels) or not isinstance(values, list):
        raise Refusal(400, f'{where} must have the object "stream", texts to texts, and the list "values".')
    try:
        return _checked(labels), [_json_entry(value, number) for number, value in enumerate(values)]
    except ValueError as error:
        raise Refusal(400, f"{where}: {error}.") from None


def _is_text(value: object) -> TypeGuard[dict[str, str]]:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _json_entry(value: object, number: int) -> _Entry:
    match value:
        case [str(time), str(line)] if _TIME.fullmatch(time):
            return _Entry(int(time), line, {})
        case [str(time), str(line), dict(metadata)] if _TIME.fullmatch(time) and _is_text(metadata):
            return _Entry(int(time), line, metadata)
    raise ValueError(
        f'values[{number}] must be ["nanoseconds since the epoch", "line"], and may have an object of texts as a third'
    )
