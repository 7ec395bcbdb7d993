"""The tracer for people: ``start_span`` makes the span current for its block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind

from mirante.tracing.current import CurrentSpan
from mirante.tracing.process import PROVIDER
from mirante.tracing.provider import TracerProvider


class Tracer:
    """Makes spans for ``with`` blocks; before ``mirante.configure()`` they are recorded and thrown away.

    Args:
        name: of the library or the part of the application.
        version: its version.
        provider: the process's one when not given.

    Example:
        >>> tracer = Tracer("shop")
        >>> with tracer.start_span("sell", attributes={"items": 3}) as span:
        ...     tracer.add_event(span, "paid", {"amount": 12.5})
        >>> span.is_recording()
        False
    """

    __slots__ = ("_tracer",)

    def __init__(self, name: str = "mirante", version: str = "", *, provider: TracerProvider = PROVIDER) -> None:
        self._tracer = provider.get_tracer(name, version)

    def start_span(
        self,
        name: str,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, Any] | None = None,
        links: Sequence[Link] | None = None,
        context: Context | None = None,
        start_time: int | None = None,
    ) -> CurrentSpan:
        """A span for a ``with`` block: started and made current at its beginning, ended at its end.

        An exception that leaves the block is recorded as an event, makes the status an error and goes on. What is
        returned is a decorator too.

        Args:
            name: what the operation is, in few different words: ``charge card``, not ``charge card 4711``.
            kind: its role towards the spans around it.
            attributes: known from the start.
            links: other spans that it has to do with.
            context: holds the parent; the current context when not given.
            start_time: nanoseconds since the Unix epoch; now when not given.
        """
        return self._tracer.start_as_current_span(name, context, kind, attributes, links, start_time)

    @staticmethod
    def add_event(span: Span, name: str, attributes: Mapping[str, Any] | None = None) -> None:
        """Record that something happened during a span.

        Args:
            span: an open one; on one that has ended nothing happens.
            name: what happened.
            attributes: more about it.
        """
        span.add_event(name, attributes)
