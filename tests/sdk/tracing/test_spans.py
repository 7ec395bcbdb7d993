"""Spans and the provider's tracers, as the OpenTelemetry API and specification say."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace as api
from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceState

from mirante._core.guard import REPORTER
from mirante._core.spans import SpanIds
from mirante.tracing import AlwaysOff, Pipeline, Sampling, Span, SpanLimits, Tracer, TracerProvider
from mirante.tracing.context import operations
from mirante.tracing.current import current_ids
from mirante.tracing.provider import ProviderTracer
from mirante.tracing.spans import UnsampledSpan

OTHER = SpanContext(0xA, 0xB, is_remote=True)


class Recorder:
    """A provider whose ended spans are kept."""

    def __init__(self, **pipeline: Any) -> None:
        self.ended: list[Span] = []
        self.provider = TracerProvider(Pipeline(sink=self.ended.append, **pipeline))
        self.tracer: ProviderTracer = self.provider.get_tracer("test")

    def start(self, name: str = "s", **arguments: Any) -> Span:
        """A recorded span."""
        span = self.tracer.start_span(name, **arguments)
        assert isinstance(span, Span)
        return span


@pytest.fixture
def spans() -> Recorder:
    """Records everything."""
    return Recorder()


def test_start_span_never_makes_current_and_start_as_current_span_does(spans: Recorder) -> None:
    """The API's distinction, and that children find their parent in the context."""
    before = api.get_current_span()
    span = spans.start()
    assert api.get_current_span() is before
    with spans.tracer.start_as_current_span("outer") as outer:
        assert api.get_current_span() is outer
        with spans.tracer.start_as_current_span("inner") as inner:
            assert isinstance(inner, Span)
            assert inner.parent_id == outer.get_span_context().span_id
            assert inner.get_span_context().trace_id == outer.get_span_context().trace_id
    assert api.get_current_span() is before
    span.end()
    assert [span.name for span in spans.ended] == ["inner", "outer", "s"]
    assert spans.ended[2].trace_id != spans.ended[1].trace_id


def test_a_given_context_holds_the_parent_of_a_current_span_too(spans: Recorder) -> None:
    """Instead of the current one, which stays around the block."""
    parent = spans.start("parent")
    with spans.tracer.start_as_current_span("outer"):
        with spans.tracer.start_as_current_span("s", context=api.set_span_in_context(parent)) as span:
            assert isinstance(span, Span)
            assert span.parent_id == parent.span_id
        assert spans.ended[-1].name == "s"


def test_what_else_is_in_the_context_stays_there(spans: Recorder) -> None:
    """Making a span current keeps the other entries, such as baggage."""
    token = otel_context.attach(otel_context.set_value("key", "value"))
    with spans.tracer.start_as_current_span("s"):
        assert otel_context.get_value("key") == "value"
    otel_context.detach(token)


def test_an_explicit_context_names_the_parent(spans: Recorder) -> None:
    """A context given wins over the current one; an empty one makes a root, and so does anything that is no span."""
    remote = api.set_span_in_context(
        NonRecordingSpan(SpanContext(1, 2, True, api.TraceFlags(1), TraceState([("a", "b")])))
    )
    with spans.tracer.start_as_current_span("current"):
        child = spans.start(context=remote)
        assert (child.trace_id, child.parent_id, child.parent_is_remote) == (1, 2, True)
        assert child.get_span_context().trace_state == {"a": "b"}
        assert spans.start(context=Context()).parent_id == 0
        (key,) = api.set_span_in_context(child, Context())
        assert spans.start(context=Context({key: "no span"})).parent_id == 0
        assert spans.start(context=api.set_span_in_context(api.INVALID_SPAN)).parent_id == 0


def test_the_random_flag_is_set_at_the_root_and_inherited(spans: Recorder) -> None:
    """W3C level 2: our trace ids are random; what a parent said about its own stays true for its children."""
    root = spans.start()
    assert root.get_span_context().trace_flags == 3
    unsampled = api.set_span_in_context(
        NonRecordingSpan(SpanContext(1, 2, is_remote=True, trace_flags=api.TraceFlags(1)))
    )
    assert spans.start(context=unsampled).get_span_context().trace_flags == 1


def test_ids_are_valid_and_different(spans: Recorder) -> None:
    """Every span has its own id, every root its own trace."""
    found = [spans.start().get_span_context() for _ in range(100)]
    assert all(context.is_valid and not context.is_remote for context in found)
    assert len({context.trace_id for context in found}) == len({context.span_id for context in found}) == 100


def test_attributes_are_kept_cleaned_and_replaced(spans: Recorder) -> None:
    """Known types stay, sequences and mappings are copied, the rest becomes text; a second value replaces the first."""

    class Odd:
        def __str__(self) -> str:
            raise RuntimeError("no")

    numbers = [1, 2]
    span = spans.start(attributes={"list": numbers, "a": 1})
    numbers.append(3)
    span.set_attribute("a", 2)
    span.set_attributes({"none": None, "set": {1}, "odd": Odd(), "deep": {"x": [b"y", {"z": 1.5}]}})  # type: ignore[dict-item]
    span.set_attribute("bytes", bytearray(b"ab"))
    span.set_attribute(5, "five")  # type: ignore[arg-type]
    assert span.attributes == {
        "list": (1, 2), "a": 2, "none": None, "set": "{1}", "odd": "<Odd that cannot be printed>",
        "deep": {"x": (b"y", {"z": 1.5})}, "bytes": b"ab", "5": "five",
    }  # fmt: skip


def test_a_value_that_contains_itself_ends_somewhere(spans: Recorder) -> None:
    """Depth is bounded, so that a cycle cannot hang the host."""
    cycle: list[Any] = []
    cycle.append(cycle)
    span = spans.start(attributes={"cycle": cycle})
    assert isinstance(span.attributes["cycle"], tuple)


@pytest.mark.parametrize("way", ["start", "one", "many"])
def test_new_attributes_beyond_the_limit_are_left_out_and_counted(way: str) -> None:
    """The specification: the first ones stay, existing names may change, an empty name is none."""
    spans = Recorder(limits=SpanLimits(attributes=2))
    given: dict[str, Any] = {"a": 1, "": 0, "b": 2, "c": 3, "a2": 4}
    span = spans.start(attributes=given if way == "start" else None)
    if way == "many":
        span.set_attributes(given)
    for key, value in given.items() if way == "one" else ():
        span.set_attribute(key, value)
    assert (span.attributes, span.dropped_attributes) == ({"a": 1, "b": 2}, 3)
    span.set_attribute("a", 9)
    span.set_attributes({"b": 8})
    assert (span.attributes, span.dropped_attributes) == ({"a": 9, "b": 8}, 3)


def test_texts_are_cut_to_the_limit() -> None:
    """Texts and bytes, alone and inside lists, at span, event and link."""
    spans = Recorder(limits=SpanLimits(value_length=3))
    span = spans.start(attributes={"a": "abcdef", "n": 123456}, links=[Link(OTHER, {"l": "abcdef"})])
    span.set_attribute("b", ["abcdef", b"abcdef"])
    span.add_event("e", {"c": "abcdef"})
    assert span.attributes == {"a": "abc", "n": 123456, "b": ("abc", b"abc")}
    assert (span.events[0].attributes, span.links[0].attributes) == ({"c": "abc"}, {"l": "abc"})


def test_unlimited_means_unlimited() -> None:
    """None takes every limit away."""
    spans = Recorder(limits=SpanLimits(None, None, None, None, None))
    span = spans.start(attributes={str(n): n for n in range(1000)})
    span.set_attribute("more", 1)
    for _ in range(1000):
        span.add_event("e")
        span.add_link(OTHER)
    assert (len(span.attributes), len(span.events), len(span.links)) == (1001, 1000, 1000)


def test_links_without_identity_need_something_else_to_say(spans: Recorder) -> None:
    """An invalid context is taken only with attributes or a trace state."""
    nobody = api.INVALID_SPAN_CONTEXT
    span = spans.start(links=[Link(nobody), Link(nobody, {"a": 1}), Link(OTHER)])
    span.add_link(nobody)
    span.add_link(SpanContext(0, 0, is_remote=False, trace_state=TraceState([("a", "1")])))
    assert [link.context.is_valid for link in span.links] == [False, True, False]


@pytest.mark.parametrize(
    ("calls", "code", "message"),
    [
        ([(StatusCode.ERROR, "bad")], 2, "bad"),
        ([(Status(StatusCode.ERROR, "bad"), None)], 2, "bad"),
        ([(StatusCode.OK, "ignored")], 1, ""),
        ([(StatusCode.ERROR, "bad"), (StatusCode.OK, None)], 1, ""),
        ([(StatusCode.OK, None), (StatusCode.ERROR, "late")], 1, ""),
        ([(StatusCode.ERROR, "bad"), (StatusCode.UNSET, None)], 2, "bad"),
        ([(StatusCode.ERROR, "one"), (StatusCode.ERROR, "two")], 2, "two"),
    ],
)
def test_status(spans: Recorder, calls: list[tuple[Any, str | None]], code: int, message: str) -> None:
    """OK is final, UNSET changes nothing, a description belongs to errors."""
    span = spans.start()
    for call in calls:
        span.set_status(*call)
    assert (span.status_code, span.status_message) == (code, message)


def test_after_its_end_a_span_does_not_change(spans: Recorder) -> None:
    """Whatever is called is ignored and told; the first end counts."""
    span = spans.start("s", start_time=1)
    span.end(5)
    late: Sequence[Callable[[], None]] = [
        lambda: span.set_attribute("a", 1), lambda: span.set_attributes({"a": 1}), lambda: span.add_event("e"),
        lambda: span.add_link(OTHER), lambda: span.update_name("n"), lambda: span.set_status(StatusCode.ERROR),
        lambda: span.end(9), lambda: span.record_exception(ValueError()),
    ]  # fmt: skip
    told = sum(REPORTER.counts.values())
    for call in late:
        call()
    assert sum(REPORTER.counts.values()) == told + len(late)
    assert (span.name, span.attributes, span.events, span.links) == ("s", {}, (), ())
    assert (span.status_code, span.end_time, span.is_recording()) == (0, 5, False)
    assert spans.ended == [span]


def test_a_clock_that_was_set_back_makes_no_negative_duration(spans: Recorder) -> None:
    """The end is never before the start."""
    span = spans.start(start_time=2**62)
    span.end()
    assert span.end_time == 2**62


def test_of_two_threads_that_end_a_span_one_does(spans: Recorder) -> None:
    """It is handed on once, however many ends meet."""
    for _ in range(50):
        span = spans.start()
        barrier = threading.Barrier(4, timeout=60)

        def end(span: Span = span, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            span.end()

        threads = [threading.Thread(target=end) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(spans.ended) == len(set(map(id, spans.ended))) == 50


def test_exceptions_are_recorded_by_the_conventions(spans: Recorder) -> None:
    """Type, message, stack trace; attributes given win, and an exception that cannot be printed is none of ours."""

    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    span = spans.start()
    try:
        dict[str, int]()["k"]
    except KeyError as error:
        span.record_exception(error, {"exception.message": "mine", "more": 1}, timestamp=7)
    span.record_exception(Odd())
    first, second = span.events
    assert (first.name, first.timestamp) == ("exception", 7)
    assert first.attributes["exception.type"] == "KeyError"
    assert (first.attributes["exception.message"], first.attributes["more"]) == ("mine", 1)
    assert "in test_exceptions_are_recorded" in str(first.attributes["exception.stacktrace"])
    assert str(second.attributes["exception.type"]).endswith(
        "test_exceptions_are_recorded_by_the_conventions.<locals>.Odd"
    )
    assert second.attributes["exception.message"] == "<Odd that cannot be printed>"


def test_an_exception_whose_traceback_cannot_be_formatted_is_recorded_all_the_same(
    spans: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Formatting runs the host's own code, which may raise anything."""

    def broken(*_: object) -> NoReturn:
        raise RuntimeError("no")

    monkeypatch.setattr("traceback.format_exception", broken)
    span = spans.start()
    span.record_exception(ValueError("v"))
    assert "could not be formatted: no" in str(span.events[0].attributes["exception.stacktrace"])


@pytest.mark.parametrize("current", [True, False])
@pytest.mark.parametrize("tell", [(True, True), (False, True), (True, False), (False, False)])
def test_leaving_a_block_by_an_exception(spans: Recorder, current: bool, tell: tuple[bool, bool]) -> None:
    """It becomes an event and an error status as far as it was asked for, and goes on."""
    as_event, as_status = tell
    start: Any = spans.tracer.start_as_current_span if current else spans.tracer.start_span
    with (
        pytest.raises(ValueError, match="no"),
        start("s", record_exception=as_event, set_status_on_exception=as_status),
    ):
        raise ValueError("no")
    (span,) = spans.ended
    assert len(span.events) == as_event
    assert (span.status_code, span.status_message) == ((2, "ValueError: no") if as_status else (0, ""))


@pytest.mark.parametrize("current", [True, False])
def test_control_flow_is_no_error(spans: Recorder, current: bool) -> None:
    """KeyboardInterrupt, SystemExit and cancellation end the span without an error."""
    start: Any = spans.tracer.start_as_current_span if current else spans.tracer.start_span
    with pytest.raises(KeyboardInterrupt), start("s"):
        raise KeyboardInterrupt
    with start("t") as span:
        pass
    assert [(span.name, span.status_code, len(span.events)) for span in spans.ended] == [("s", 0, 0), ("t", 0, 0)]
    assert not span.is_recording()


def test_a_span_that_was_ended_inside_its_block_takes_no_exception(spans: Recorder) -> None:
    """What has ended does not change."""

    def fail() -> NoReturn:
        api.get_current_span().end()
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        spans.tracer.start_as_current_span("s")(fail)()
    assert spans.ended[0].events == ()


def test_a_block_may_leave_its_span_open(spans: Recorder) -> None:
    """end_on_exit=False hands the end over to the host."""
    with spans.tracer.start_as_current_span("s", end_on_exit=False) as span:
        pass
    assert span.is_recording()
    assert not spans.ended


def test_a_block_left_in_another_context_ends_its_span(spans: Recorder) -> None:
    """An asynchronous generator may be closed by another task: that is told, and nothing is raised."""
    block = spans.tracer.start_as_current_span("s")
    contextvars.copy_context().run(block.__enter__)
    told = REPORTER.counts.get("tracing", 0)
    block.__exit__(None, None, None)
    assert REPORTER.counts["tracing"] == told + 1
    assert [span.name for span in spans.ended] == ["s"]


def test_an_unsampled_span_is_a_parent_and_nothing_else() -> None:
    """It has an id of its own, stays the same, records nothing, and its children are in its trace."""
    spans = Recorder(sampler=AlwaysOff())
    with spans.tracer.start_as_current_span("s", attributes={"a": 1}) as span:
        span.set_attribute("b", 2)
        span.add_event("e")
        context = span.get_span_context()
        assert context == span.get_span_context()
        assert context.is_valid
        assert not context.trace_flags.sampled
        assert not span.is_recording()
        child = spans.tracer.start_span("child").get_span_context()
        assert (child.trace_id, child.span_id != context.span_id) == (context.trace_id, True)
        with pytest.raises(ValueError, match="no"), spans.tracer.start_as_current_span("t"):
            raise ValueError("no")
    assert spans.ended == []
    assert f"{context.span_id:016x}" in repr(span)
    assert isinstance(span, NonRecordingSpan)


def test_a_sampler_adds_attributes_and_trace_state_and_may_record_without_exporting() -> None:
    """The three answers of the specification, and what may come with them."""

    class Custom:
        description = "Custom"

        def decide(self, _parent: object, _trace: int, name: str, *_: object) -> Sampling:
            if name == "plain":
                return Sampling(record=False, sample=False)
            state = TraceState([("s", "1")])
            return Sampling(record=name != "dropped", sample=name == "full", attributes={"a": 1}, trace_state=state)

    spans = Recorder(sampler=Custom())
    full, quiet = spans.start("full"), spans.start("quiet")
    dropped = spans.tracer.start_span("dropped")
    for span in (full, quiet, dropped):
        assert span.get_span_context().trace_state == {"s": "1"}
        span.end()
    assert full.attributes == quiet.attributes == {"a": 1}
    assert [span.get_span_context().trace_flags & 1 for span in (full, quiet, dropped)] == [1, 0, 0]
    assert spans.ended == [full]
    plain = spans.tracer.start_span("plain").get_span_context()
    assert (plain.trace_flags & 1, len(plain.trace_state)) == (0, 0)


def test_a_provider_without_pipeline_does_nothing_but_pass_the_parent_on() -> None:
    """Turned off: children have their parent's identity, roots none."""
    tracer = TracerProvider().get_tracer("off")
    assert tracer.start_span("s") is api.INVALID_SPAN
    parent = api.set_span_in_context(NonRecordingSpan(OTHER))
    assert tracer.start_span("s", parent).get_span_context() == OTHER


def test_the_same_library_has_the_same_tracer() -> None:
    """Asking for every request makes no new scopes; other versions and attributes do. No name is told."""
    provider = TracerProvider(Pipeline())
    assert provider.get_tracer("a", "1", None, {"x": [1]}) is provider.get_tracer("a", "1", None, {"x": [1]})
    assert provider.get_tracer("a", "1") is not provider.get_tracer("a", "2")
    told = REPORTER.counts.get("tracing", 0)
    provider.get_tracer("")
    assert REPORTER.counts["tracing"] == told + 1


def test_names_of_any_type_are_text(spans: Recorder) -> None:
    """Telemetry does not raise over a wrong type."""
    span = spans.start(5)  # type: ignore[arg-type]
    span.update_name(7)  # type: ignore[arg-type]
    span.add_event(8)  # type: ignore[arg-type]
    assert (span.name, span.events[0].name) == ("7", "8")
    assert repr(span).startswith("Span('7', ")


def test_on_start_sees_sampled_spans() -> None:
    """What stands at both ends of a span's life sees both."""
    begun: list[Span] = []
    spans = Recorder(on_start=begun.append)
    span = spans.start(kind=SpanKind.SERVER)
    assert begun == [span]


def test_the_facade_makes_current_and_records_before_configure() -> None:
    """mirante.tracing.Tracer without any setup."""
    tracer = Tracer()
    with tracer.start_span("outer", kind=SpanKind.SERVER, attributes={"a": 1}, links=[Link(OTHER)]) as span:
        assert isinstance(span, Span)
        assert (span.is_recording(), api.get_current_span() is span, span.kind) == (True, True, SpanKind.SERVER)
        tracer.add_event(span, "checkpoint", {"n": 1})
        assert span.events[0].attributes == {"n": 1}
    assert not span.is_recording()


def test_the_ids_for_exemplars() -> None:
    """Those of the current span, ours or not, and only when it is sampled."""
    spans = Recorder()
    assert current_ids() is None
    with spans.tracer.start_as_current_span("s") as span:
        context = span.get_span_context()
        assert current_ids() == SpanIds(f"{context.trace_id:032x}", f"{context.span_id:016x}")
    with api.use_span(NonRecordingSpan(SpanContext(1, 2, is_remote=True, trace_flags=api.TraceFlags(1)))):
        assert current_ids() == SpanIds(f"{1:032x}", f"{2:016x}")
    with api.use_span(NonRecordingSpan(OTHER)):
        assert current_ids() is None
    quiet = Recorder(sampler=AlwaysOff())
    with quiet.tracer.start_as_current_span("s") as unsampled:
        assert type(unsampled) is UnsampledSpan
        assert current_ids() is None


def test_recorded_without_exporting_is_no_exemplar() -> None:
    """Nobody would ever see the trace that it points at."""

    class RecordOnly:
        description = "RecordOnly"

        def decide(self, *_: object) -> Sampling:
            return Sampling(record=True, sample=False)

    with Recorder(sampler=RecordOnly()).tracer.start_as_current_span("s"):
        assert current_ids() is None


def test_another_runtime_context_is_used_by_the_apis_functions() -> None:
    """OTEL_PYTHON_CONTEXT can replace the usual one; then there is no shorter way."""
    assert operations(object()) == (otel_context.get_current, otel_context.attach, otel_context.detach)
