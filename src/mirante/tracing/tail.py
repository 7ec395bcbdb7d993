"""Sampling when a trace is over: every failed or slow one is kept, and a share of the rest."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from itertools import islice

from opentelemetry.trace import SpanKind

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante._core.fork import watch
from mirante.errors import DeclarationError
from mirante.tracing.sampling import TraceIdRatio
from mirante.tracing.spans import Span, SpanSink

_ERROR = 2


class _Trace:
    """The spans of one trace in this process so far."""

    __slots__ = ("begun", "open", "spans")

    def __init__(self, begun: float) -> None:
        self.begun = begun
        self.open = 0
        self.spans: list[Span] = []


@dataclass(slots=True)
class TailStats:
    """Counts since the start.

    Attributes:
        kept: traces that were handed on.
        left_out: traces that were not: neither failed nor slow, and not in the share.
        early: traces that were decided before their end, because of a bound.
    """

    kept: int = 0
    left_out: int = 0
    early: int = 0


class TailSampling:
    """Holds the spans of a trace back until its last open span in this process ends, then decides.

    It is the ``sink`` and, by ``on_start``, the other end of a pipeline whose sampler takes every trace. A span that
    ends after its trace was decided follows the decision, and is kept in any case when it failed or was slow.

    Args:
        keep: takes the spans of the traces that are kept.
        slower_than: seconds; a trace with a span that took at least as long is kept.
        ratio: share of the rest that is kept, decided by the trace id.
        max_spans: spans held back at most; beyond it the oldest trace is decided as it is.
        max_wait: seconds after which a trace is decided as it is, whenever another span ends.

    Raises:
        DeclarationError: the ratio is not between 0 and 1, or a bound is not positive.

    Example:
        >>> from mirante.tracing import Pipeline, TracerProvider
        >>> kept = []
        >>> tail = TailSampling(kept.append, slower_than=60, ratio=0)
        >>> tracer = TracerProvider(Pipeline(sink=tail, on_start=tail.on_start)).get_tracer("shop")
        >>> with tracer.start_as_current_span("fine"):
        ...     pass
        >>> with tracer.start_as_current_span("wrong") as span:
        ...     span.record_exception(ValueError("no"))
        ...     span.set_status(__import__("opentelemetry").trace.StatusCode.ERROR)
        >>> [span.name for span in kept]
        ['wrong']
    """

    def __init__(
        self,
        keep: SpanSink,
        *,
        slower_than: float = 1.0,
        ratio: float = 0.1,
        max_spans: int = 20_000,
        max_wait: float = 60.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if slower_than < 0 or max_spans < 1 or max_wait <= 0:
            raise DeclarationError("tail sampling needs slower_than >= 0, max_spans >= 1 and max_wait > 0")
        self.stats = TailStats()
        self._keep = keep
        self._slow_ns = int(slower_than * 1e9)
        self._share = TraceIdRatio(ratio)
        self._max_spans = max_spans
        self._max_wait = max_wait
        self._clock = clock
        self.after_fork()
        watch(self)

    def after_fork(self) -> None:
        """Leave to the parent process what is the parent's."""
        self._lock = threading.RLock()  # a signal handler may end a span while this thread holds it
        self._traces: dict[int, _Trace] = {}  # the oldest first
        self._decided: dict[int, bool] = {}  # the oldest first
        self._held = 0

    def on_start(self, span: Span) -> None:
        """Count a span that is open."""
        with self._lock:
            if span.trace_id in self._decided:
                return
            trace = self._traces.get(span.trace_id)
            if trace is None:
                trace = self._traces[span.trace_id] = _Trace(self._clock.monotonic())
            trace.open += 1
            if len(self._traces) > self._max_spans:
                self._decide_oldest()

    def __call__(self, span: Span) -> None:
        """Take a span that has ended."""
        with self._lock:
            trace = self._traces.get(span.trace_id)
            if trace is None:
                self._late(span)
            else:
                trace.spans.append(span)
                trace.open -= 1
                self._held += 1
                if trace.open <= 0:
                    self._decide(span.trace_id)
            too_old = self._clock.monotonic() - self._max_wait
            while self._traces and (self._held > self._max_spans or self._oldest().begun < too_old):
                self._decide_oldest()

    def flush(self) -> None:
        """Decide every trace as it is now: before the process ends."""
        with self._lock:
            while self._traces:
                self._decide_oldest()

    def _oldest(self) -> _Trace:
        return next(iter(self._traces.values()))

    def _decide_oldest(self) -> None:
        self.stats.early += 1
        self._decide(next(iter(self._traces)))

    def _decide(self, trace_id: int) -> None:
        trace = self._traces.pop(trace_id)
        self._held -= len(trace.spans)
        kept = any(map(self._remarkable, trace.spans)) or self._in_share(trace_id)
        self._remember(trace_id, kept=kept)
        if kept:
            self.stats.kept += 1
            for span in trace.spans:
                self._keep(span)
        else:
            self.stats.left_out += 1

    def _late(self, span: Span) -> None:
        kept = self._decided.get(span.trace_id)
        if kept is None:  # forgotten by now, or begun before this process was forked
            kept = self._in_share(span.trace_id)
        if kept or self._remarkable(span):
            self._remember(span.trace_id, kept=True)
            self._keep(span)

    def _remember(self, trace_id: int, *, kept: bool) -> None:
        self._decided[trace_id] = kept
        if len(self._decided) > self._max_spans:
            for old in list(islice(self._decided, self._max_spans // 2 + 1)):
                del self._decided[old]

    def _remarkable(self, span: Span) -> bool:
        return span.status_code == _ERROR or (span.end_time or 0) - span.start_time >= self._slow_ns

    def _in_share(self, trace_id: int) -> bool:
        return self._share.decide(None, trace_id, "", SpanKind.INTERNAL, None, None).sample
