"""Headers in, context out, and back."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.b3 import B3MultiFormat, B3SingleFormat
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    TraceState,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from mirante._core.guard import REPORTER
from mirante.correlation.propagator import B3Propagator, BaggagePropagator, TraceContextPropagator, propagator

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01"
Headers = dict[str, Any]

SPAN_CONTEXTS = st.builds(
    SpanContext,
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.just(True),
    st.integers(0, 3).map(TraceFlags),
    st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9_*/-]{0,20}(@[a-z][a-z0-9]{0,10})?", fullmatch=True),
        st.from_regex(r"[!-+\--<>-~]{1,30}", fullmatch=True),
        max_size=32,
    ).map(lambda entries: TraceState(list(entries.items()))),
)


def parsed(headers: Headers, by: TextMapPropagator | None = None) -> SpanContext:
    """The parent that the headers name."""
    return get_current_span((by or TraceContextPropagator()).extract(headers)).get_span_context()


def written(context: SpanContext, by: TextMapPropagator) -> dict[str, str]:
    """The headers for a parent."""
    headers: dict[str, str] = {}
    by.inject(headers, set_span_in_context(NonRecordingSpan(context), Context()))
    return headers


@pytest.mark.parametrize(
    ("value", "flags"),
    [
        (GOOD, 1),
        (f"00-{TRACE}-{SPAN}-00", 0),
        (f" \t{GOOD}\t ", 1),
        (f"00-{TRACE}-{SPAN}-ff", 0xFF),
        (f"cc-{TRACE}-{SPAN}-01", 1),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like", 1),
        (f"cc-{TRACE}-{SPAN}-01-", 1),
    ],
)
def test_a_valid_traceparent_is_the_parent(value: str, flags: int) -> None:
    """Ids and flags of versions known and unknown are taken; a future version may go on after the flags."""
    found = parsed({"traceparent": value})
    assert (f"{found.trace_id:032x}", f"{found.span_id:016x}") == (TRACE, SPAN)
    assert (found.trace_flags, found.is_remote) == (flags, True)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "foo",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01.",
        f"00-{TRACE}-{SPAN}-01-what-the-future-will-be-like",
        f"00-{TRACE}-{SPAN}-01-",
        f"cc-{TRACE}-{SPAN}-01.what-the-future-will-be-like",
        f"0-{TRACE}-{SPAN}-01",
        f"000-{TRACE}-{SPAN}-01",
        f".0-{TRACE}-{SPAN}-01",
        f"0.-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN.upper()}-01",
        f"00-.{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE[:-1]}.-{SPAN}-01",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}0-{SPAN}-01",
        f"00-{TRACE}-{SPAN[1:]}-01",
        f"00-{TRACE}-{SPAN}0-01",
        f"00-{TRACE}-.{SPAN[1:]}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-.0",
        f"00-{TRACE}-{SPAN}-0.",
        f"00-{TRACE}-{SPAN}-0A",
        f"00-{TRACE}-{SPAN}",
        f"00_{TRACE}_{SPAN}_01",
        f"{GOOD}\n",
        f"{GOOD},{GOOD}",
        [GOOD, GOOD],
        [],
    ],
)
def test_a_malformed_traceparent_is_no_parent_and_its_tracestate_is_ignored(value: object) -> None:
    """The W3C's own level-1 validation cases: version, length, alphabet, zero ids, more than one header."""
    assert not parsed({"traceparent": value, "tracestate": "foo=1"}).is_valid


def test_without_a_valid_parent_the_context_stays_as_it_was() -> None:
    """A missing or malformed header neither replaces nor removes the parent that is there."""
    before = set_span_in_context(NonRecordingSpan(SpanContext(1, 2, is_remote=False)), Context())
    for headers in ({}, {"traceparent": "foo"}, {"traceparent": f"00-{'0' * 32}-{SPAN}-01"}):
        assert TraceContextPropagator().extract(headers, before) is before


@pytest.mark.parametrize(
    ("value", "state"),
    [
        ("foo=1,bar=2", "foo=1,bar=2"),
        ("foo=1 \t , \t bar=2,\t baz=3", "foo=1,bar=2,baz=3"),
        (["foo=1", "", "bar=2"], "foo=1,bar=2"),
        ("foo=1,,,bar=2,", "foo=1,bar=2"),
        ("foo=1,foo=2", "foo=1"),
        ("foo-_*/bar=baz!", "foo-_*/bar=baz!"),
        ("tenant@vendor=1", "tenant@vendor=1"),
        ("0tenant@vendor=1", "0tenant@vendor=1"),
        ("foo= 1", "foo= 1"),
        (f"{'z' * 256}=1", f"{'z' * 256}=1"),
        (f"a={'v' * 256}", f"a={'v' * 256}"),
        (",".join(f"k{n}=1" for n in range(32)), ",".join(f"k{n}=1" for n in range(32))),
    ],
)
def test_a_valid_tracestate_is_kept_in_order(value: object, state: str) -> None:
    """Several headers make one list, white space and empty members do not count, of two alike the first stays."""
    assert parsed({"traceparent": GOOD, "tracestate": value}).trace_state.to_header() == state


@pytest.mark.parametrize(
    "value",
    [
        "foo",
        "foo=",
        "=1",
        "Foo=1",
        "foo =1",
        "foo@=1",
        "@foo=1",
        "foo@@bar=1",
        "foo@bar@baz=1",
        "foo@Bar=1",
        "1foo=1",
        "foo=bar=baz",
        "foo=\x00",
        "foo=é",
        f"{'z' * 257}=1",
        f"{'t' * 242}@v=1",
        f"t@{'v' * 15}=1",
        f"a={'v' * 257}",
        ",".join(f"k{n}=1" for n in range(33)),
        "",
    ],
)
def test_a_malformed_tracestate_is_dropped_whole_and_the_parent_stays(value: str) -> None:
    """One bad member, or more than 32, voids the list; trace and span ids are not affected."""
    found = parsed({"traceparent": GOOD, "tracestate": f"{value},good=1" if 0 < len(value) < 20 else value})
    assert found.is_valid
    assert not found.trace_state


@given(SPAN_CONTEXTS)
def test_what_is_written_is_read_back_by_us_and_by_opentelemetry(context: SpanContext) -> None:
    """Trace parent and tracestate survive the way through another process, in either implementation."""
    headers = written(context, TraceContextPropagator())
    assert parsed(headers) == context
    assert parsed(headers, TraceContextTextMapPropagator()) == context


def test_unknown_flags_are_not_passed_on() -> None:
    """Only the bits that have a meaning here are written."""
    found = parsed({"traceparent": f"00-{TRACE}-{SPAN}-ff"})
    assert written(found, TraceContextPropagator())["traceparent"].endswith("-03")


def test_without_a_span_nothing_is_written() -> None:
    """No propagator invents a header."""
    headers: dict[str, str] = {}
    for by in (TraceContextPropagator(), B3Propagator(), B3Propagator(multi=True), BaggagePropagator()):
        by.inject(headers, Context())
    assert headers == {}


@given(st.dictionaries(st.text(min_size=1, max_size=20).map(str.strip).filter(bool), st.text(max_size=40), max_size=8))
def test_baggage_survives(entries: dict[str, str]) -> None:
    """Any name and value that is valid Unicode comes back, and OpenTelemetry's reader takes the values too."""
    try:
        context = Context()
        for key, value in entries.items():
            key.encode(), value.encode()
            context = baggage.set_baggage(key, value, context)
    except UnicodeEncodeError:
        return
    headers: dict[str, str] = {}
    BaggagePropagator().inject(headers, context)
    assert dict(baggage.get_all(BaggagePropagator().extract(headers))) == entries
    plain = {key: value for key, value in entries.items() if "+" not in key + value and value == value.strip()}
    theirs = baggage.get_all(W3CBaggagePropagator().extract(headers, Context()))
    assert plain.items() <= theirs.items()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("key1=value1,key2=value2", {"key1": "value1", "key2": "value2"}),
        ("k = v ;p=1;q , l=2", {"k": "v", "l": "2"}),
        ("k=v=w", {"k": "v=w"}),
        ("k=", {"k": ""}),
        ("k=a%2Cb%20c+d", {"k": "a,b c+d"}),
        ("k", {}),
        ("=v", {}),
        ('k="v",l=1', {"l": "1"}),
        ("k é=v,l=1", {"l": "1"}),
        (["a=1", "b=2"], {"a": "1", "b": "2"}),
        ("a=" + "v" * 9000, {}),
        (",".join(["a=1"] * 181), {}),
    ],
)
def test_baggage_headers(value: object, expected: dict[str, str]) -> None:
    """Members that are well formed are taken, others skipped; properties are left out; limits hold for the whole."""
    assert dict(baggage.get_all(BaggagePropagator().extract({"baggage": value}))) == expected


def test_baggage_beyond_the_limit_stays_here() -> None:
    """As many members are written as fit into 8192 bytes, and the rest is told."""
    context = Context()
    for number in range(10):
        context = baggage.set_baggage(f"k{number}", "v" * 1000, context)
    headers: dict[str, str] = {}
    told = REPORTER.counts.get("correlation baggage", 0)
    BaggagePropagator().inject(headers, context)
    assert len(headers["baggage"]) <= 8192
    assert headers["baggage"].count(",") == 7
    assert REPORTER.counts["correlation baggage"] == told + 1


@pytest.mark.parametrize("multi", [False, True])
@pytest.mark.parametrize("sampled", [0, 1])
def test_b3_is_understood_by_opentelemetry_and_the_other_way_round(multi: bool, sampled: int) -> None:
    """Both kinds of B3 header carry ids and decision to and from its propagators."""
    context = SpanContext(int(TRACE, 16), int(SPAN, 16), True, TraceFlags(sampled))
    ours: TextMapPropagator = B3Propagator(multi=multi)
    theirs: TextMapPropagator = B3MultiFormat() if multi else B3SingleFormat()
    assert parsed(written(context, ours), theirs) == context
    assert parsed(written(context, theirs), ours) == context
    assert written(context, ours).keys() <= ours.fields


@pytest.mark.parametrize(
    ("headers", "trace", "flags"),
    [
        ({"b3": f"{TRACE}-{SPAN}-1-00000000000000aa"}, TRACE, 1),
        ({"b3": f"{TRACE}-{SPAN}"}, TRACE, 0),
        ({"b3": f"{TRACE.upper()}-{SPAN}-0"}, TRACE, 0),
        ({"b3": f"{SPAN}-{SPAN}-d"}, SPAN.rjust(32, "0"), 1),
        ({"x-b3-traceid": TRACE, "x-b3-spanid": SPAN, "x-b3-sampled": "true"}, TRACE, 1),
        ({"x-b3-traceid": SPAN, "x-b3-spanid": SPAN}, SPAN.rjust(32, "0"), 0),
        ({"x-b3-traceid": TRACE, "x-b3-spanid": SPAN, "x-b3-flags": "1"}, TRACE, 1),
        ({"b3": "nonsense", "x-b3-traceid": TRACE, "x-b3-spanid": SPAN, "x-b3-sampled": "1"}, TRACE, 1),
    ],
)
def test_b3_headers(headers: Headers, trace: str, flags: int) -> None:
    """64-bit trace ids, missing decisions, the debug flag, and the single header before the several."""
    found = parsed(headers, B3Propagator())
    assert (f"{found.trace_id:032x}", found.trace_flags) == (trace, flags)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"b3": "0"},
        {"b3": f"{TRACE}-{SPAN}-2"},
        {"b3": f"{'0' * 32}-{SPAN}-1"},
        {"b3": f"{'0' * 32}-{SPAN}-d"},
        {"x-b3-traceid": TRACE},
        {"x-b3-traceid": TRACE, "x-b3-spanid": "xyz"},
        {"x-b3-traceid": TRACE[1:], "x-b3-spanid": SPAN},
    ],
)
def test_malformed_b3_is_no_parent(headers: Headers) -> None:
    """What is not well formed leaves the context as it was."""
    assert not parsed(headers, B3Propagator()).is_valid


@pytest.mark.parametrize(("multi", "header", "value"), [(False, "b3", f"{TRACE}-{SPAN}-d"), (True, "x-b3-flags", "1")])
def test_the_debug_flag_of_b3_is_passed_on(multi: bool, header: str, value: str) -> None:
    """It came as debug and goes on as debug."""
    context = B3Propagator().extract({"b3": f"{TRACE}-{SPAN}-d"})
    headers: dict[str, str] = {}
    B3Propagator(multi=multi).inject(headers, context)
    assert headers[header] == value


def test_propagators_by_name() -> None:
    """The list of OTEL_PROPAGATORS: order free, twice is once, none is none, unknown names are told and left out."""
    assert propagator("tracecontext, baggage,TRACECONTEXT").fields == {"traceparent", "tracestate", "baggage"}
    assert propagator("b3multi").fields == B3Propagator(multi=True).fields
    assert propagator("none").fields == set()
    assert propagator("").fields == set()
    told = REPORTER.counts.get("propagators", 0)
    assert propagator("carrier-pigeon,b3").fields == {"b3"}
    assert REPORTER.counts["propagators"] == told + 1


def test_an_installed_propagator_is_found_and_a_broken_one_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that are not ours come from the packages that declare them."""
    found = EntryPoints(
        [
            EntryPoint("theirs", "opentelemetry.propagators.b3:B3SingleFormat", "opentelemetry_propagator"),
            EntryPoint("broken", "no.such.module:Thing", "opentelemetry_propagator"),
        ]
    )
    monkeypatch.setattr("importlib.metadata.entry_points", found.select)
    assert propagator("theirs").fields == {"b3"}
    assert propagator("broken").fields == set()
