"""What our encoder writes is what the reference implementation of OTLP reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags, TraceState
from opentelemetry.trace import set_span_in_context as with_span

from mirante.formats import otlp_common
from mirante.formats.otlp_common import Scope, any_value, key_value, partial_success, put_attributes
from mirante.formats.otlp_traces import encode_request, encode_span
from mirante.tracing import Pipeline, Span, SpanLimits, TracerProvider

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
SCALARS = st.none() | TEXT | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.binary(max_size=20)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT.filter(bool), inner, max_size=4),
    max_leaves=8,
)
ATTRIBUTES = st.dictionaries(TEXT.filter(bool), VALUES, max_size=6)
TIMES = st.integers(0, 2**64 - 1)
CONTEXTS = st.builds(
    SpanContext,
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.booleans(),
    st.integers(0, 3).map(TraceFlags),
    st.sampled_from([None, TraceState([("a", "1"), ("b", "2")])]),
)


def plain(value: AnyValue) -> Any:
    """The Python value behind a message."""
    match value.WhichOneof("value"):
        case None:
            return None
        case "array_value":
            return [plain(item) for item in value.array_value.values]
        case "kvlist_value":
            return {item.key: plain(item.value) for item in value.kvlist_value.values}
        case name:
            return getattr(value, str(name))


def pairs(fields: Any) -> dict[str, Any]:
    """Attributes as a dictionary."""
    return {field.key: plain(field.value) for field in fields}


def same(left: object, right: object) -> bool:
    """Equal in type and value, NaN included."""
    return repr(left) == repr(right)


@given(VALUES)
def test_every_value_reads_back(value: Any) -> None:
    """Scalars, lists and mappings of any depth keep type and value."""
    assert same(plain(AnyValue.FromString(any_value(value))), value)


@pytest.mark.parametrize(
    ("value", "text"), [(2**63, "9223372036854775808"), (-(2**63) - 1, "-9223372036854775809"), (3 + 4j, "(3+4j)")]
)
def test_what_otlp_cannot_say_is_sent_as_text(value: object, text: str) -> None:
    """Integers beyond 64 bits and foreign types are not lost."""
    assert plain(AnyValue.FromString(any_value(value))) == text


@given(ATTRIBUTES, st.integers(1, 3))
def test_attributes_read_back_remembered_or_not(attributes: dict[str, Any], times: int) -> None:
    """The table of known pairs changes nothing: neither 1 and True nor a second time makes a difference."""
    mixed = {**attributes, "one": 1, "true": True, "long": "x" * 500}
    for _ in range(times):
        out: list[bytes] = []
        put_attributes(out, b"\x0a", mixed)
        message = otlp_common.resource(mixed)
        assert b"".join(out) == message
    keys = [KeyValue.FromString(key_value(key, value)) for key, value in mixed.items()]
    assert same(pairs(keys), mixed)


def test_the_tables_of_known_pairs_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of different names and values starts them anew instead of growing them."""
    monkeypatch.setattr(otlp_common, "_REMEMBERED", 4)
    monkeypatch.setattr(otlp_common, "_remembered", {str: {}, int: {}, bool: {}})
    monkeypatch.setattr(otlp_common, "_keys", {})
    for number in range(50):
        otlp_common.resource({f"key{number}": f"value{number}", "n": number})
    assert all(len(known) <= 4 for known in otlp_common._remembered.values())
    assert len(otlp_common._keys) <= 4


def record(
    name: str,
    kind: SpanKind = SpanKind.INTERNAL,
    *,
    parent: SpanContext | None = None,
    attributes: Mapping[str, Any] | None = None,
    links: list[Link] | None = None,
    limits: SpanLimits | None = None,
    start: int = 1,
) -> Span:
    """An open span on a provider of its own."""
    pipeline = Pipeline(limits=limits or SpanLimits(attributes=None, events=None, links=None))
    context = with_span(NonRecordingSpan(parent)) if parent else None
    tracer = TracerProvider(pipeline).get_tracer("lib", "1.2", "https://schema", {"k": 1})
    span = tracer.start_span(name, context, kind, attributes, links, start)
    assert isinstance(span, Span)
    return span


def read(span: Span) -> Any:
    """The one span of a request, as the reference reads it."""
    request = ExportTraceServiceRequest.FromString(encode_request(b"", [(span.scope, encode_span(span))]))
    return request.resource_spans[0].scope_spans[0].spans[0]


@given(
    st.data(), TEXT.filter(bool), st.sampled_from(SpanKind), TIMES, TIMES, ATTRIBUTES,
    st.lists(st.tuples(TEXT, ATTRIBUTES, TIMES), max_size=3), st.lists(st.tuples(CONTEXTS, ATTRIBUTES), max_size=3),
    st.none() | CONTEXTS.filter(lambda context: bool(context.trace_flags & 1)),
)  # fmt: skip
def test_a_span_reads_back_equal(
    data: st.DataObject,
    name: str,
    kind: SpanKind,
    start: int,
    end: int,
    attributes: dict[str, Any],
    events: list[tuple[str, dict[str, Any], int]],
    links: list[tuple[SpanContext, dict[str, Any]]],
    parent: SpanContext | None,
) -> None:
    """Every field of any span comes out of the reference parser as it went into ours."""
    span = record(name, kind, parent=parent, attributes=attributes, links=[Link(*link) for link in links], start=start)
    for event in events:
        span.add_event(*event)
    code, message = data.draw(st.sampled_from([(StatusCode.UNSET, ""), (StatusCode.OK, ""), (StatusCode.ERROR, "bad")]))
    span.set_status(code, message)
    span.end(end)
    got = read(span)
    assert int.from_bytes(got.trace_id, "big") == span.trace_id
    assert int.from_bytes(got.span_id, "big") == span.span_id
    assert int.from_bytes(got.parent_span_id, "big") == (parent.span_id if parent else 0)
    assert got.trace_state == (parent.trace_state.to_header() if parent else "")
    remote = 0x200 if parent is not None and parent.is_remote else 0
    assert got.flags == span.get_span_context().trace_flags | 0x100 | remote
    assert (got.name, got.kind) == (name, kind.value + 1)
    assert (got.start_time_unix_nano, got.end_time_unix_nano) == (start, max(start, end))
    assert same(pairs(got.attributes), attributes)
    assert [(e.name, e.time_unix_nano) for e in got.events] == [(event[0], event[2]) for event in events]
    assert all(same(pairs(e.attributes), event[1]) for e, event in zip(got.events, events, strict=True))
    assert [(int.from_bytes(x.trace_id, "big"), int.from_bytes(x.span_id, "big")) for x in got.links] == [
        (context.trace_id, context.span_id) for context, _ in links
    ]
    for x, (context, extra) in zip(got.links, links, strict=True):
        assert same(pairs(x.attributes), extra)
        assert x.trace_state == context.trace_state.to_header()
        assert x.flags == context.trace_flags | 0x100 | (0x200 if context.is_remote else 0)
    assert (got.status.code, got.status.message) == (code.value, message)


def test_what_was_left_out_is_told() -> None:
    """The counts of dropped attributes, events and links are on the wire, at the span and below."""
    limits = SpanLimits(attributes=1, events=1, links=1, event_attributes=1, link_attributes=1)
    other = SpanContext(1, 2, is_remote=True)
    span = record("s", limits=limits, attributes={"a": 1, "b": 2})
    for _ in range(3):
        span.add_event("e", {"a": 1, "b": 2, "c": 3})
        span.add_link(other, {"a": 1, "b": 2})
    span.end()
    got = read(span)
    assert (got.dropped_attributes_count, got.dropped_events_count, got.dropped_links_count) == (1, 2, 2)
    assert (got.events[0].dropped_attributes_count, got.links[0].dropped_attributes_count) == (2, 1)


def test_nothing_but_the_counts_is_sent_where_the_limit_is_zero() -> None:
    """Events and links can be turned off, and are still counted."""
    span = record("s", limits=SpanLimits(events=0, links=0))
    span.add_event("e")
    span.add_link(SpanContext(1, 2, is_remote=True))
    span.end()
    got = read(span)
    assert (list(got.events), list(got.links)) == ([], [])
    assert (got.dropped_events_count, got.dropped_links_count) == (1, 1)


def test_spans_are_grouped_by_scope_below_one_resource() -> None:
    """The library's name, version, schema and attributes are said once for all its spans."""
    first, second = record("a"), record("b")
    for span in (first, second):
        span.end()
    spans = [(span.scope, encode_span(span)) for span in (first, second, first)]
    resource = otlp_common.resource({"service.name": "shop"})
    (got,) = ExportTraceServiceRequest.FromString(encode_request(resource, spans)).resource_spans
    assert pairs(got.resource.attributes) == {"service.name": "shop"}
    assert [[span.name for span in group.spans] for group in got.scope_spans] == [["a", "a"], ["b"]]
    scope = got.scope_spans[0].scope
    assert (scope.name, scope.version, pairs(scope.attributes)) == ("lib", "1.2", {"k": 1})
    assert got.scope_spans[0].schema_url == "https://schema"
    assert otlp_common.scope(Scope()) == b""


def test_many_names_do_not_fill_the_memory() -> None:
    """A host that makes a name for every request costs time, not memory."""
    from mirante.formats import otlp_traces

    span = record("s")
    span.end()
    for number in range(3000):
        span.name = f"name {number}"
        encode_span(span)
    assert len(otlp_traces._heads) <= 1024
    assert read(span).name == "name 2999"


@given(st.integers(0, 2**40), TEXT)
def test_a_partial_success_is_read(rejected: int, reason: str) -> None:
    """How many spans a server refused, and why."""
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = rejected
    response.partial_success.error_message = reason
    assert partial_success(response.SerializeToString()) == (rejected, reason)


@given(st.binary(max_size=40))
def test_any_other_response_is_harmless(body: bytes) -> None:
    """Whatever a proxy answers with a 200, reading it does not fail."""
    rejected, reason = partial_success(body)
    assert rejected >= 0
    assert isinstance(reason, str)


@pytest.mark.parametrize("body", ["0805", "0a04120208", "0a0208", "0d00000000", "0a0a01", "0a020a00", "0a021003", "ff"])
def test_responses_of_another_shape_refuse_nothing(body: str) -> None:
    """Wrong wire types, cut ends and unknown fields count as no refusal."""
    assert partial_success(bytes.fromhex(body)) == (0, "")
