"""OpenTelemetry's current context, by the shortest way there; imported only where OpenTelemetry is."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, Token

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, set_span_in_context

Operations = tuple[Callable[[], Context], Callable[[Context], Token[Context]], Callable[[Token[Context]], None]]

SPAN_KEY = next(iter(set_span_in_context(INVALID_SPAN, Context())))
"""Under which the API keeps the current span; asked of it, because the name is private there."""


def operations(runtime: object) -> Operations:
    """Get, attach and detach of the runtime context: its variable's own methods where it has one, the API's otherwise.

    Args:
        runtime: what the API uses; ``OTEL_PYTHON_CONTEXT`` can make it another than the usual.
    """
    variable = getattr(runtime, "_current_context", None)
    if isinstance(variable, ContextVar):
        return variable.get, variable.set, variable.reset
    return otel_context.get_current, otel_context.attach, otel_context.detach


get_context, attach, reset = operations(getattr(otel_context, "_RUNTIME_CONTEXT", None))
