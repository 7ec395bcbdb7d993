"""One call to another system: its span, its duration, its failure. All client and worker integrations stand on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Self, TypeVar

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import Span as ApiSpan
from opentelemetry.trace import SpanKind, StatusCode

from mirante._core.guard import REPORTER
from mirante._core.version import version
from mirante.tracing.attributes import text
from mirante.tracing.context import SPAN_KEY, attach, detach, get_context
from mirante.tracing.process import PROVIDER
from mirante.tracing.spans import Span

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.util.types import AttributeValue

    from mirante.tracing.provider import ProviderTracer

T = TypeVar("T")

# Private in name only: every instrumentation looks at them.
SUPPRESS = otel_context._SUPPRESS_INSTRUMENTATION_KEY  # noqa: SLF001
SUPPRESS_HTTP = otel_context._SUPPRESS_HTTP_INSTRUMENTATION_KEY  # noqa: SLF001


def tracer(library: str) -> ProviderTracer:
    """The tracer of the integration with that library."""
    return PROVIDER.get_tracer(f"mirante.integrations.{library}", version())


def suppressed() -> bool:
    """Whether nothing is to be recorded here: telemetry is being delivered, or somebody has asked for silence."""
    return bool(get_context().get(SUPPRESS))


def http_suppressed() -> bool:
    """Whether requests are not to be recorded here: somebody above records this one already."""
    context = get_context()
    return bool(context.get(SUPPRESS) or context.get(SUPPRESS_HTTP))


def error_type(error: BaseException) -> str:
    """An exception's class, as ``error.type`` has it.

    Example:
        >>> import json
        >>> error_type(TimeoutError()), error_type(json.JSONDecodeError("no", "", 0))
        ('TimeoutError', 'json.decoder.JSONDecodeError')
    """
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


class Operation:
    """A block that is a span, current while it runs.

    Subclasses say what the span and the metrics tell. Their methods run guarded: a fault of telemetry is reported and
    reaches neither the caller nor the called. Without a recorded span only ``measure`` runs.

    Args:
        tracer: starts the span.
        name: the span's.
        context: holds the parent; the current context when not given.

    Attributes:
        span: of any kind that a tracer starts.
        error_type: why it failed; empty while it has not.
    """

    __slots__ = ("_context", "_name", "_start", "_token", "_tracer", "error_type", "span")
    kind: ClassVar[SpanKind] = SpanKind.CLIENT
    within: ClassVar[Mapping[str, object]] = {}  # further context keys, for the length of the block

    def __init__(self, tracer: ProviderTracer, name: str, context: Context | None = None) -> None:
        self._tracer = tracer
        self._name = name
        self._context = context
        self.error_type = ""

    def describe(self, span: Span) -> None:
        """Set what is known from the start."""

    def conclude(self, span: Span) -> None:
        """Set what is known at the end."""

    def measure(self, seconds: float) -> None:
        """Record metrics; the span is still current, for exemplars."""

    def hide(self, error: BaseException) -> Mapping[str, AttributeValue]:
        """Attributes of the exception's event to write otherwise, because they may hold secrets."""
        return {}

    def begin(self) -> ApiSpan:
        """Start the span, without making it current."""
        span = self.span = self._tracer.start_span(self._name, self._context, self.kind)
        self._start = perf_counter()
        if type(span) is Span:
            self._guard(self.describe, span)
        return span

    def end(self, error: BaseException | None = None) -> None:
        """Record how it went, and end the span."""
        seconds = perf_counter() - self._start
        span = self.span
        if error is not None:
            self.error_type = error_type(error)
        self._guard(self.measure, seconds)
        if type(span) is Span:
            if error is not None:
                self._guard(self._fail, error)
            if self.error_type:
                span.set_attribute("error.type", self.error_type)
            self._guard(self.conclude, span)
            span.end()

    def _fail(self, error: BaseException) -> None:
        hidden = self.hide(error)
        message = hidden.get("exception.message", text(error))
        self.span.set_status(StatusCode.ERROR, f"{type(error).__name__}: {message}")
        if isinstance(error, Exception):  # what is not one is control flow, such as a cancellation
            self.span.record_exception(error, hidden, escaped=True)

    def _guard(self, step: Callable[[T], None], value: T) -> None:
        try:
            step(value)
        except Exception as fault:  # noqa: BLE001 - telemetry never raises into the host
            REPORTER.fault(f"integrations.{type(self).__name__}.{step.__name__}", fault)

    def __enter__(self) -> Self:
        span = self.begin()
        around = get_context() if self._context is None else self._context
        self._token: Token[Context] = attach(Context({**around, SPAN_KEY: span, **self.within}))
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        try:
            self.end(exc_val)
        finally:
            detach(self._token)
