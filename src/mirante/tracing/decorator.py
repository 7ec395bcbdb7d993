"""``@tracing.span``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar, overload

from opentelemetry.trace import SpanKind

from mirante.tracing.tracer import Tracer

P = ParamSpec("P")
R = TypeVar("R")


@overload
def span(name: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def span(
    name: str | None = None, *, kind: SpanKind = ..., attributes: Mapping[str, Any] | None = ...
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def span(
    name: Callable[P, R] | str | None = None,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: Mapping[str, Any] | None = None,
) -> Callable[P, R] | Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function so that every call is a span, which is current while the function runs.

    Works on plain functions, coroutine functions, generators and asynchronous generators; a generator's span lasts from
    its first step to its end and is not current in the code that consumes it.

    Args:
        name: the span's; the function's qualified name when not given.
        kind: its role towards the spans around it.
        attributes: set on every such span.

    Example:
        >>> @span("double")
        ... def double(x):
        ...     return 2 * x
        >>> double(4)
        8
    """
    tracer = Tracer()

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        title = name if isinstance(name, str) else function.__qualname__
        return tracer.start_span(title, kind=kind, attributes=attributes)(function)

    return decorate(name) if callable(name) else decorate
