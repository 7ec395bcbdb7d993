"""Making a span current, and what was current before again."""

from __future__ import annotations

from contextvars import Token

from opentelemetry.context import Context

from mirante._core.guard import REPORTER
from mirante._core.otel_context import SPAN_KEY, attach, get_context, operations, reset

__all__ = ["SPAN_KEY", "attach", "detach", "foreign_block", "get_context", "operations", "reset"]


def detach(token: Token[Context]) -> None:
    """Put the context back that was there before; a token of another task or thread changes nothing."""
    try:
        reset(token)
    except ValueError:
        foreign_block()


def foreign_block() -> None:
    """Tell that a context could not be put back: it belongs to another task or thread, and changes nothing here."""
    REPORTER.warn("tracing", "a span's block was left in another task or thread than it was entered in")
