"""A span that is current for the length of a block or of a function's call."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, ParamSpec, Protocol, TypeVar

from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN_CONTEXT
from opentelemetry.trace import Span as ApiSpan

from mirante._core.spans import SpanIds
from mirante.tracing.context import SPAN_KEY, attach, foreign_block, get_context, reset
from mirante.tracing.functions import traced
from mirante.tracing.spans import Span

P = ParamSpec("P")
R = TypeVar("R")

_fill = dict.setdefault  # a context cannot be changed, except by whoever makes it; half the price of one from a dict


class SpanMaker(Protocol):
    """Starts spans: a tracer."""

    def start_span(self, *arguments: Any) -> ApiSpan: ...  # noqa: ANN401, D102 - the arguments of the API's start_span


class CurrentSpan:
    """Starts a span, makes it the current one for a ``with`` block and ends it; also a decorator.

    Attributes:
        tracer: starts the span.
        arguments: for its ``start_span``, all of them.
        end_on_exit: whether leaving the block ends the span.
    """

    __slots__ = ("_span", "_token", "arguments", "end_on_exit", "tracer")
    tracer: SpanMaker  # set by whoever makes it; an __init__ would be a tenth of what an unsampled span costs
    arguments: tuple[Any, ...]
    end_on_exit: bool

    def __enter__(self) -> ApiSpan:
        name, context, kind, attributes, links, start_time, as_event, as_status = self.arguments
        around = get_context()
        if context is None:
            context = around
        span = self.tracer.start_span(name, context, kind, attributes, links, start_time, as_event, as_status)
        self._span = span
        if around and len(around) > (SPAN_KEY in around):
            inside = Context(around | {SPAN_KEY: span})  # one copy less than the API's set_value makes
        else:
            inside = Context()
            _fill(inside, SPAN_KEY, span)
        self._token = attach(inside)
        return span

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        try:
            reset(self._token)
        except ValueError:
            foreign_block()
        span = self._span
        if type(span) is Span:  # on any other that a tracer of ours starts, these do nothing
            if exc_val is not None:
                span.fail(exc_val)
            if self.end_on_exit:
                span.end()

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Give every call of the function a span of its own."""
        tracer, arguments = self.tracer, self.arguments
        return traced(
            function,
            block=lambda: current_span(tracer, arguments, end_on_exit=self.end_on_exit),
            start=lambda: tracer.start_span(*arguments),
        )


def current_span(tracer: SpanMaker, arguments: tuple[Any, ...], *, end_on_exit: bool = True) -> CurrentSpan:
    """Make one."""
    block = CurrentSpan()
    block.tracer = tracer
    block.arguments = arguments
    block.end_on_exit = end_on_exit
    return block


def current_ids() -> SpanIds | None:
    """The current span's ids if it is sampled, for exemplars: without making a SpanContext for our own spans."""
    span = get_context().get(SPAN_KEY)
    if type(span) is Span:
        return SpanIds(f"{span.trace_id:032x}", f"{span.span_id:016x}") if span.flags & 1 else None
    context = span.get_span_context() if isinstance(span, ApiSpan) else INVALID_SPAN_CONTEXT
    if not (context.is_valid and context.trace_flags.sampled):
        return None
    return SpanIds(f"{context.trace_id:032x}", f"{context.span_id:016x}")
