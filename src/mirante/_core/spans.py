"""The ids of the span in which the caller is, for whatever wants to point at it: exemplars, log lines.

Tracing sets its own source. Until then OpenTelemetry's current span serves, if the host itself has imported
``opentelemetry.trace``; this module never imports it first.
"""

from __future__ import annotations

import sys
from typing import NamedTuple, Protocol


class SpanIds(NamedTuple):
    """Which span: 32 and 16 hexadecimal digits."""

    trace_id: str
    span_id: str


class SpanSource(Protocol):
    """Tells the current span; called on hot paths, so it must be quick and never raise."""

    def __call__(self) -> SpanIds | None:
        """The ids of the current span, or None where there is none or nobody will ever see it (not sampled)."""
        ...


_source: SpanSource | None = None


def set_span_source(source: SpanSource | None) -> None:
    """Replace the source; None goes back to OpenTelemetry's."""
    global _source  # noqa: PLW0603 - one process, one notion of the current span
    _source = source


def spans_possible() -> bool:
    """Whether a span can be current at all: a source is set, or the host has imported OpenTelemetry's tracing."""
    return _source is not None or "opentelemetry.trace" in sys.modules


def current_span() -> SpanIds | None:
    """The current span's ids, if there is a sampled one.

    Example:
        >>> set_span_source(lambda: SpanIds("0" * 31 + "1", "0" * 15 + "2"))
        >>> current_span().span_id
        '0000000000000002'
        >>> set_span_source(None)
    """
    if _source is not None:
        return _source()
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    context = trace.get_current_span().get_span_context()
    if not context.is_valid or not context.trace_flags.sampled:
        return None
    return SpanIds(f"{context.trace_id:032x}", f"{context.span_id:016x}")
