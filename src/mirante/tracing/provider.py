"""The OpenTelemetry tracer provider and its tracers, to the letter of the API: ``start_span`` never makes current.

There is one provider a process. What it does with spans is its pipeline, which ``configure`` sets and ``disable`` takes
away again; tracers look at it for every span, so that those that libraries keep follow.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from opentelemetry import trace as api
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, INVALID_SPAN_CONTEXT, NonRecordingSpan, SpanKind

from mirante._core.guard import REPORTER
from mirante.formats.otlp_common import Scope
from mirante.tracing.attributes import SpanLimits, put, text
from mirante.tracing.context import SPAN_KEY, get_context
from mirante.tracing.current import CurrentSpan
from mirante.tracing.ids import IdSource, RandomIds
from mirante.tracing.sampling import DROP, SAMPLE, AlwaysOn, ParentBased, Sampler, Sampling, of_children, unconditional
from mirante.tracing.spans import NO_STATE, RemoteParent, Span, SpanSink, UnsampledSpan

if TYPE_CHECKING:
    from opentelemetry.util.types import Attributes

    from mirante.tracing.sampling import Parent


def discard(_span: Span) -> None:
    """The sink of spans that nobody wants."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What happens to spans.

    Attributes:
        sink: takes every sampled span when it ends, in the thread that ends it.
        sampler: decides which are recorded.
        limits: how much one may hold.
        ids: makes their ids.
        on_start: told of every sampled span when it starts, or None.
        decide, decide_root: the sampler's function, and the one for roots: derived, as all that follow, to save steps
            for each span.
        of_roots: what the sampler says of every root, where it always says the same.
        of_children: the same of spans whose parent was left out, or sampled; then the same two of remote parents.
        trace_id, span_id: the functions of ``ids``.
    """

    sink: SpanSink = discard
    sampler: Sampler = field(default_factory=lambda: ParentBased(AlwaysOn()))
    limits: SpanLimits = field(default_factory=SpanLimits)
    ids: IdSource = field(default_factory=RandomIds)
    on_start: SpanSink | None = None
    decide: Callable[..., Sampling] = field(init=False, repr=False)
    decide_root: Callable[..., Sampling] = field(init=False, repr=False)
    of_roots: Sampling | None = field(init=False, repr=False)
    of_children: tuple[Sampling | None, ...] = field(init=False, repr=False)
    trace_id: Callable[[], int] = field(init=False, repr=False)
    span_id: Callable[[], int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        derive = partial(object.__setattr__, self)
        root = self.sampler.root if isinstance(self.sampler, ParentBased) else self.sampler
        derive("decide", self.sampler.decide)
        derive("decide_root", root.decide)
        derive("of_roots", unconditional(root))
        derive("of_children", of_children(self.sampler))
        derive("trace_id", self.ids.trace_id)
        derive("span_id", self.ids.span_id)


class ProviderTracer(api.Tracer):
    """A tracer of one library.

    Args:
        provider: whose pipeline it uses.
        scope: the library.
    """

    __slots__ = ("_provider", "_scope")

    def __init__(self, provider: TracerProvider, scope: Scope) -> None:
        self._provider = provider
        self._scope = scope

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[api.Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> api.Span:
        """Start a span and leave the context as it is.

        Args:
            name: what the operation is.
            context: holds the parent; the current context when not given.
            kind: the span's role towards those around it.
            attributes: known from the start, so that a sampler may go by them.
            links: other spans that it has to do with.
            start_time: nanoseconds since the Unix epoch; now when not given.
            record_exception: whether leaving the span's own ``with`` block by an exception records it.
            set_status_on_exception: whether it makes the status an error.
        """
        pipeline = self._provider.pipeline
        found = (get_context() if context is None else context).get(SPAN_KEY)
        if pipeline is None:
            return _dormant(found)
        parent: Parent | None
        if found is None:
            parent = None
        elif type(found) is UnsampledSpan or type(found) is Span:
            parent = found  # type: ignore[assignment] # just checked, in the way that costs least
        else:
            parent = _foreign(found)
        if parent is None:
            trace_id = pipeline.trace_id()
            sampling = pipeline.of_roots or pipeline.decide_root(None, trace_id, name, kind, attributes, links)
        else:
            trace_id = parent.trace_id
            said = pipeline.of_children[parent.flags & 1 | parent.is_remote << 1]
            sampling = said or pipeline.decide(parent, trace_id, name, kind, attributes, links)
        if sampling is DROP or not sampling.record:
            left_out: UnsampledSpan = UnsampledSpan()
            left_out.trace_id = trace_id
            left_out.ids = pipeline.ids
            if sampling is not DROP or (
                parent is not None and (parent.flags != 2 or parent.trace_state is not NO_STATE)
            ):
                _inherit(left_out, parent, sampling)
            return left_out
        tell = (record_exception, set_status_on_exception)
        return self._recorded(pipeline, parent, trace_id, sampling, name, kind, attributes, links, start_time, tell)

    def _recorded(
        self,
        pipeline: Pipeline,
        parent: Parent | None,
        trace_id: int,
        sampling: Sampling,
        name: str,
        kind: SpanKind,
        attributes: Attributes,
        links: Sequence[api.Link] | None,
        start_time: int | None,
        tell: tuple[bool, bool],
    ) -> Span:
        """A span with all that it has from the start; ``tell`` is its ``tell_exceptions``."""
        span = Span(
            name if type(name) is str else text(name),
            kind,
            trace_id,
            pipeline.span_id(),
            0 if parent is None else parent.span_id,
            (2 if parent is None else parent.flags & 2) | sampling.sample,
            self._scope,
            pipeline.limits,
            pipeline.sink if sampling.sample else discard,
            time.time_ns() if start_time is None else start_time,
        )
        if attributes and (dropped := put(span.attributes, attributes, pipeline.limits.attributes, pipeline.limits)):
            span.dropped_attributes = dropped
        if parent is not None:
            if parent.trace_state is not NO_STATE:
                span.trace_state = parent.trace_state
            if parent.is_remote:
                span.parent_is_remote = True
        if links or sampling is not SAMPLE or tell != Span.tell_exceptions:
            _rare(span, links, sampling, tell)
        if pipeline.on_start is not None and sampling.sample:
            pipeline.on_start(span)
        return span

    def start_as_current_span(  # type: ignore[override] # the API says a contextlib class; ours does what that one does
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[api.Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
    ) -> CurrentSpan:
        """Start a span for a ``with`` block, or for each call of a decorated function, and make it current there.

        The arguments are those of ``start_span``; ``end_on_exit`` tells whether leaving the block ends the span.
        """
        block = CurrentSpan()
        block.tracer = self
        block.arguments = (
            name,
            context,
            kind,
            attributes,
            links,
            start_time,
            record_exception,
            set_status_on_exception,
        )
        block.end_on_exit = end_on_exit
        return block


def _dormant(found: object) -> api.Span:
    """What tracers start while there is no pipeline: the parent goes on through it."""
    parent = None if found is None else _foreign(found)
    return INVALID_SPAN if parent is None else NonRecordingSpan(parent.get_span_context())


def _foreign(found: object) -> Parent | None:
    """A parent that another implementation, or a propagator, put into the context; None where it is not valid."""
    context = found.get_span_context() if isinstance(found, api.Span) else INVALID_SPAN_CONTEXT
    return RemoteParent(context) if context.is_valid else None


def _inherit(span: UnsampledSpan, parent: Parent | None, sampling: Sampling) -> None:
    """What a span that is left out has from its parent or from the sampler, where that is not the usual."""
    if parent is not None:
        span.flags = parent.flags & 2
        span.trace_state = parent.trace_state
    if sampling.trace_state is not None:
        span.trace_state = sampling.trace_state


def _rare(span: Span, links: Sequence[api.Link] | None, sampling: Sampling, tell: tuple[bool, bool]) -> None:
    """What few spans have."""
    span.tell_exceptions = tell
    for link in links or ():
        span.add_link(link.context, link.attributes)
    if sampling.attributes:
        span.set_attributes(sampling.attributes)  # type: ignore[arg-type] # cleaned on the way in, whatever they are
    if sampling.trace_state is not None:
        span.trace_state = sampling.trace_state


class TracerProvider(api.TracerProvider):
    """Gives every library its tracer.

    Attributes:
        pipeline: what happens to spans; None makes every tracer do nothing.

    Example:
        >>> ended = []
        >>> provider = TracerProvider(Pipeline(sink=ended.append))
        >>> with provider.get_tracer("shop").start_as_current_span("sell"):
        ...     pass
        >>> [span.name for span in ended]
        ['sell']
    """

    def __init__(self, pipeline: Pipeline | None = None) -> None:
        self.pipeline = pipeline
        self._tracers: dict[object, ProviderTracer] = {}

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> ProviderTracer:
        """The tracer of a library; the same arguments give the same tracer.

        Args:
            instrumenting_module_name: the library's name.
            instrumenting_library_version: its version.
            schema_url: where the meaning of its attribute names is written down.
            attributes: anything else about it.
        """
        if not instrumenting_module_name:
            REPORTER.warn(
                "tracing", "get_tracer was called without a name; spans will not tell which library made them"
            )
        kept: dict[str, object] = {}
        put(kept, attributes or {}, None, SpanLimits())
        scope = Scope(instrumenting_module_name or "", instrumenting_library_version or "", schema_url or "", kept)
        key = (scope.name, scope.version, scope.schema_url, repr(kept))
        return self._tracers.setdefault(key, ProviderTracer(self, scope))
