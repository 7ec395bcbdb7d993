"""Which traces are kept: at their start and at their end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags, set_span_in_context

from mirante.errors import DeclarationError
from mirante.tracing import (
    AlwaysOff,
    AlwaysOn,
    ParentBased,
    Pipeline,
    RateLimited,
    Sampler,
    Span,
    TailSampling,
    TraceIdRatio,
    TracerProvider,
)
from mirante.tracing.spans import RemoteParent, UnsampledSpan


class FakeClock:
    """Time that moves when told."""

    now = 1000.0

    def time_ns(self) -> int:
        """Wall clock."""
        return int(self.now * 1e9)

    def monotonic(self) -> float:
        """Steady clock."""
        return self.now


def ask(sampler: Sampler, trace_id: int = 1) -> bool:
    """Its decision about a root."""
    return sampler.decide(None, trace_id, "s", SpanKind.INTERNAL, None, None).sample


def test_always_and_never() -> None:
    """They do what their names say, and describe themselves as the specification has it."""
    assert (ask(AlwaysOn()), ask(AlwaysOff())) == (True, False)
    assert (AlwaysOn().description, AlwaysOff().description) == ("AlwaysOnSampler", "AlwaysOffSampler")


@given(st.floats(0, 1), st.integers(1, 2**128 - 1))
def test_the_ratio_decides_as_opentelemetry_does(ratio: float, trace_id: int) -> None:
    """Two services with the same share agree on every trace, whichever implementation they use."""
    theirs = TraceIdRatioBased(ratio).should_sample(None, trace_id, "s").decision is Decision.RECORD_AND_SAMPLE
    assert ask(TraceIdRatio(ratio), trace_id) is theirs


def test_the_ratio_keeps_its_share() -> None:
    """About a quarter of random traces; all of them at 1 and none at 0; more than 1 is refused where it is written."""
    ended: list[Span] = []
    tracer = TracerProvider(Pipeline(sink=ended.append, sampler=TraceIdRatio(0.25))).get_tracer("t")
    for _ in range(2000):
        tracer.start_span("s").end()
    assert 400 < len(ended) < 600
    assert (ask(TraceIdRatio(1), 2**64 - 1), ask(TraceIdRatio(0), 2**64)) == (True, False)
    assert TraceIdRatio(0.25).description == "TraceIdRatioBased{0.250000}"
    with pytest.raises(DeclarationError, match="between 0 and 1"):
        TraceIdRatio(1.1)


def test_the_rate_is_limited() -> None:
    """A second's worth at once, then so many a second; a rate below one fills up slowly."""
    clock = FakeClock()
    sampler, slow = RateLimited(10, clock), RateLimited(0.5, clock)
    assert sum(ask(sampler) for _ in range(100)) == 10
    clock.now += 0.5
    assert sum(ask(sampler) for _ in range(100)) == 5
    clock.now += 100
    assert sum(ask(sampler) for _ in range(100)) == 10
    assert [ask(slow), ask(slow)] == [True, False]
    clock.now += 2.5
    assert [ask(slow), ask(slow)] == [True, False]
    assert sampler.description == "RateLimitedSampler{10}"
    for wrong in (0, -1, float("nan")):
        with pytest.raises(DeclarationError, match="more than 0"):
            RateLimited(wrong)


@pytest.mark.parametrize("sampled", [True, False])
@pytest.mark.parametrize("remote", [True, False])
def test_children_do_as_their_parent_did(sampled: bool, remote: bool) -> None:
    """Whatever the root sampler would say; and another sampler can be named for each kind of parent."""
    parent = set_span_in_context(NonRecordingSpan(SpanContext(1, 2, remote, TraceFlags(sampled))))

    def decision(sampler: Sampler) -> bool:
        decided = TracerProvider(Pipeline(sampler=sampler)).get_tracer("t").start_span("s", parent).is_recording()
        asked = RemoteParent(SpanContext(1, 2, remote, TraceFlags(sampled)))
        assert sampler.decide(asked, 1, "s", SpanKind.INTERNAL, None, None).record is decided
        return decided

    assert decision(ParentBased(AlwaysOff() if sampled else AlwaysOn())) is sampled
    other = AlwaysOff() if sampled else AlwaysOn()
    named: dict[str, Any] = {f"{'remote' if remote else 'local'}_{'' if sampled else 'not_'}sampled": other}
    assert decision(ParentBased(AlwaysOn(), **named)) is not sampled
    must_be_asked = {name: TraceIdRatio(0.0 if sampled else 1.0) for name in named}
    assert decision(ParentBased(AlwaysOn(), **must_be_asked)) is not sampled


def test_a_root_is_the_root_samplers_business() -> None:
    """Without a parent it is asked; the description names all five."""
    sampler = ParentBased(TraceIdRatio(0.5), local_sampled=AlwaysOff())
    assert (ask(sampler, 1), ask(sampler, 2**64 - 1)) == (True, False)
    assert sampler.description == (
        "ParentBased{root:TraceIdRatioBased{0.500000},remoteParentSampled:AlwaysOnSampler,"
        "remoteParentNotSampled:AlwaysOffSampler,localParentSampled:AlwaysOffSampler,"
        "localParentNotSampled:AlwaysOffSampler}"
    )


class Tail:
    """A tail sampler on a provider of its own."""

    def __init__(self, **settings: Any) -> None:
        self.clock = FakeClock()
        self.kept: list[Span] = []
        self.sampling = TailSampling(self.kept.append, clock=self.clock, **{"ratio": 0, **settings})
        pipeline = Pipeline(self.sampling, ParentBased(AlwaysOn()), on_start=self.sampling.on_start)
        self.tracer = TracerProvider(pipeline).get_tracer("t")

    def names(self) -> list[str]:
        """Of the spans that were kept."""
        return [span.name for span in self.kept]

    def start(self, name: str, parent: Span | None = None, **arguments: Any) -> Span:
        """An open span."""
        span = self.tracer.start_span(name, set_span_in_context(parent) if parent else None, **arguments)
        assert isinstance(span, Span)
        return span


def failing(tail: Tail) -> None:
    """A child that fails below a root that does not."""
    root = tail.start("root")
    child = tail.start("child", root)
    child.set_status(StatusCode.ERROR)
    child.end()
    assert tail.kept == []
    root.end()


def slow(tail: Tail) -> None:
    """A child that takes two seconds below a fast root."""
    root = tail.start("root")
    tail.start("child", root, start_time=0).end(2 * 10**9)
    root.end()


@pytest.mark.parametrize("trace", [failing, slow])
def test_a_failed_or_slow_trace_is_kept_whole(trace: Callable[[Tail], None]) -> None:
    """One remarkable span is enough for all of them, and nothing is handed on before the trace is over."""
    tail = Tail(slower_than=2.0)
    trace(tail)
    assert sorted(tail.names()) == ["child", "root"]
    assert (tail.sampling.stats.kept, tail.sampling.stats.left_out) == (1, 0)


def test_of_the_rest_a_share_is_kept() -> None:
    """The share is decided by the trace id, so that all services agree."""
    tail, none, everything = Tail(ratio=0.3), Tail(ratio=0), Tail(ratio=1)
    for _ in range(1000):
        for each in (tail, none, everything):
            each.start("s").end()
    assert 200 < len(tail.kept) < 400
    assert all(ask(TraceIdRatio(0.3), span.trace_id) for span in tail.kept)
    assert (len(none.kept), len(everything.kept)) == (0, 1000)


def test_a_late_span_follows_the_decision_and_an_error_overrules_it() -> None:
    """What ends after its trace was decided is not lost when it matters."""
    tail = Tail(ratio=0)
    root = tail.start("root")
    late, failed, after = (tail.start(name, root) for name in ("late", "failed", "after"))
    root.end()
    tail.sampling.flush()
    new = tail.start("new", root)
    late.end()
    assert tail.kept == []
    failed.set_status(StatusCode.ERROR)
    failed.end()
    after.end()
    new.end()
    assert tail.names() == ["failed", "after", "new"]


@pytest.mark.parametrize("ratio", [0, 1])
def test_a_span_of_an_unknown_trace_is_decided_by_itself(ratio: float) -> None:
    """It began before the process was forked, or its trace was forgotten."""
    tail = Tail(ratio=ratio)
    span = tail.start("s")
    tail.sampling.after_fork()
    span.end()
    assert len(tail.kept) == ratio


def test_memory_is_bounded_by_deciding_the_oldest_trace() -> None:
    """Neither many spans of one trace, nor many open traces, nor many decided ones are held for long."""
    tail = Tail(max_spans=10, ratio=1)
    root = tail.start("root")
    for _ in range(50):
        tail.start("child", root).end()
    assert len(tail.kept) > 30
    open_spans = [tail.start("open") for _ in range(50)]
    for _ in range(50):
        tail.start("quick").end()
    assert tail.sampling.stats.early > 30
    sizes = (len(tail.sampling._traces), tail.sampling._held, len(tail.sampling._decided))
    assert all(size <= 11 for size in sizes)
    for span in [root, *open_spans]:
        span.end()
    assert len(tail.kept) == 151


def test_a_trace_that_stays_open_for_too_long_is_decided() -> None:
    """A forgotten span does not hold its trace back for ever."""
    tail = Tail(max_wait=30, ratio=1)
    forgotten = tail.start("forgotten")
    tail.start("child", forgotten).end()
    tail.clock.now += 31
    tail.start("other").end()
    assert sorted(tail.names()) == ["child", "other"]


def test_wrong_bounds_are_refused() -> None:
    """Where they are written."""
    for wrong in ({"slower_than": -1}, {"max_spans": 0}, {"max_wait": 0}, {"ratio": 2}):
        with pytest.raises(DeclarationError):
            Tail(**wrong)


def test_an_unsampled_parent_keeps_its_children_out_of_the_tail() -> None:
    """What the caller decided against is not held back here either."""
    tail = Tail(ratio=1)
    context = set_span_in_context(NonRecordingSpan(SpanContext(1, 2, is_remote=True)))
    assert type(tail.tracer.start_span("s", context)) is UnsampledSpan
