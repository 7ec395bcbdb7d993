"""Which trace, span, request and user the running code works for.

The ids of the trace are OpenTelemetry's current span, looked at only where something has imported OpenTelemetry; the
others are what ``bind`` was told. Both live in context variables, and so follow asyncio tasks by themselves.
"""

from __future__ import annotations

import contextvars
import functools
import os
import sys
from collections.abc import Callable, Mapping, MutableMapping
from concurrent.futures import Executor, Future
from contextlib import suppress
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import Any, ParamSpec, Self, TypeVar
from urllib.parse import quote, unquote

from mirante.correlation.errors import remember

P = ParamSpec("P")
R = TypeVar("R")

_NOTHING: Mapping[str, str] = {}
_bound: ContextVar[Mapping[str, str]] = ContextVar("mirante_bound", default=_NOTHING)

BOUND_VARIABLE = "MIRANTE_BOUND"
"""Environment variable by which bound ids reach a child process, written as a W3C baggage header is."""


@dataclass(frozen=True, slots=True)
class Correlation:
    """The ids of the moment.

    Attributes:
        trace_id: 32 hexadecimal digits, or None outside any span.
        span_id: 16 hexadecimal digits, or None.
        bound: what ``bind`` was told.
    """

    trace_id: str | None
    span_id: str | None
    bound: Mapping[str, str]

    @property
    def request_id(self) -> str | None:
        """The bound request id."""
        return self.bound.get("request_id")

    @property
    def user_id(self) -> str | None:
        """The bound user id."""
        return self.bound.get("user_id")


class bind:  # noqa: N801 - used as a verb: `with bind(request_id="r-1"):`
    """Bind ids for a ``with`` block, or for every call of a decorated plain function.

    Inner blocks add to outer ones and win over them; None takes an id away. Code of other requests, tasks and threads
    does not see them.

    Args:
        ids: names to values, which are kept as text.

    Example:
        >>> with bind(request_id="r-1", order=17):
        ...     current().request_id, current().bound["order"]
        ('r-1', '17')
        >>> current().request_id is None
        True
    """

    __slots__ = ("_ids", "_tokens")

    def __init__(self, **ids: object) -> None:
        self._ids = ids
        self._tokens: list[Token[Mapping[str, str]]] = []

    def __enter__(self) -> Self:
        merged = {**_bound.get(), **{name: str(value) for name, value in self._ids.items() if value is not None}}
        for name, value in self._ids.items():
            if value is None:
                merged.pop(name, None)
        self._tokens.append(_bound.set(merged))
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is not None:
            ids: dict[str, str] = {}
            stamp(ids)
            remember(error, ids)
        with suppress(ValueError):  # left in another task than it was entered in: that one's ids ended with it
            _bound.reset(self._tokens.pop())

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Bind during every call of a plain function."""

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            with bind(**self._ids):
                return function(*args, **kwargs)

        return call


def bind_request_id(request_id: str) -> Token[Mapping[str, str]]:
    """What ``bind(request_id=...)`` does, at a fifth of its price, for middlewares; ``unbind`` ends it.

    Example:
        >>> token = bind_request_id("r-1")
        >>> current().request_id
        'r-1'
        >>> unbind(token)
        >>> current().request_id is None
        True
    """
    around = _bound.get()
    return _bound.set({**around, "request_id": request_id} if around else {"request_id": request_id})


def unbind(token: Token[Mapping[str, str]]) -> None:
    """Put back what was bound before; in another task or thread than it was bound in, nothing happens."""
    try:  # a suppress() would cost as much as all the rest
        _bound.reset(token)
    except ValueError:
        return


_otel: Any = None  # our way to OpenTelemetry's context, once the application has imported OpenTelemetry


def _span_ids() -> tuple[int, int]:
    """Trace and span id of the current span, sampled or not; zeros where there is none."""
    global _otel  # noqa: PLW0603 - found once
    if _otel is None:
        if "opentelemetry.trace" not in sys.modules:
            return 0, 0
        from mirante._core import otel_context

        _otel = otel_context
    span = _otel.get_context().get(_otel.SPAN_KEY)
    if span is None:
        return 0, 0
    try:
        return span.trace_id, span.span_id  # our own spans: without making a SpanContext
    except AttributeError:
        context = sys.modules["opentelemetry.trace"].get_current_span().get_span_context()
        return (context.trace_id, context.span_id) if context.is_valid else (0, 0)


def current() -> Correlation:
    """The ids of the moment.

    Example:
        >>> current().trace_id is None
        True
    """
    trace_id, span_id = _span_ids()
    return Correlation(
        f"{trace_id:032x}" if trace_id else None, f"{span_id:016x}" if span_id else None, dict(_bound.get())
    )


def bound() -> Mapping[str, str]:
    """What is bound at the moment, without looking for the current span; not to be changed.

    Example:
        >>> with bind(request_id="r-1"):
        ...     dict(bound())
        {'request_id': 'r-1'}
    """
    return _bound.get()


def stamp(record: MutableMapping[str, Any]) -> None:
    """Add the ids of the moment to a log line's fields; what the line says itself stays.

    Example:
        >>> line = {"event": "paid", "user_id": "mine"}
        >>> with bind(request_id="r-1", user_id="u-1"):
        ...     stamp(line)
        >>> line
        {'event': 'paid', 'user_id': 'mine', 'request_id': 'r-1'}
    """
    stamp_bound(record)
    stamp_span(record)


def stamp_bound(record: MutableMapping[str, Any]) -> None:
    """Add what is bound; it may hold personal data."""
    if bound := _bound.get():
        for name, value in bound.items():
            record.setdefault(name, value)


def stamp_span(record: MutableMapping[str, Any]) -> None:
    """Add the ids of the current span."""
    trace_id, span_id = _span_ids()
    if trace_id:
        record.setdefault("trace_id", trace_id.to_bytes(16).hex())  # half the price of a format
        record.setdefault("span_id", span_id.to_bytes(8).hex())


def copy_context(function: Callable[P, R]) -> Callable[P, R]:
    """A function that runs as if it were called here and now: for threads, timers and callbacks.

    Trace, bound ids and every other context variable are those of this moment, in each call anew.

    Example:
        >>> import threading
        >>> with bind(request_id="r-1"):
        ...     thread = threading.Thread(target=copy_context(lambda: print(current().request_id)))
        >>> thread.start(); thread.join()
        r-1
    """
    context = contextvars.copy_context()

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return context.copy().run(function, *args, **kwargs)  # a copy: a context runs one call at a time

    return call


class ContextExecutor(Executor):
    """An executor of threads whose tasks run in the context of whoever submitted them.

    Args:
        executor: runs the tasks; shutting this one down shuts it down.

    Example:
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> with ContextExecutor(ThreadPoolExecutor(1)) as pool, bind(request_id="r-1"):
        ...     pool.submit(lambda: current().request_id).result()
        'r-1'
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Run a function later, in this moment's context."""
        return self._executor.submit(copy_context(fn), *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Shut the executor below down."""
        self._executor.shutdown(wait, cancel_futures=cancel_futures)


def environment(base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment variables for a child process, in which ``adopt_environment`` finds trace, baggage and bound ids.

    Args:
        base: the variables to start from; this process's when not given.

    Example:
        >>> with bind(request_id="r-1"):
        ...     environment({})
        {'MIRANTE_BOUND': 'request_id=r-1'}
    """
    variables = dict(os.environ if base is None else base)
    variables.pop(BOUND_VARIABLE, None)
    if "opentelemetry.trace" in sys.modules:
        from opentelemetry import propagate

        for field in propagate.get_global_textmap().fields:
            variables.pop(_variable(field), None)  # of the process that started us
        headers: dict[str, str] = {}
        propagate.inject(headers)
        variables.update({_variable(name): value for name, value in headers.items()})
    if bound := _bound.get():
        variables[BOUND_VARIABLE] = ",".join(f"{quote(name, '')}={quote(value, '')}" for name, value in bound.items())
    return variables


def adopt_environment(variables: Mapping[str, str] | None = None) -> None:
    """Go on with the trace and the bound ids of the process that started this one, from here to the context's end.

    Args:
        variables: where to look; this process's environment when not given.
    """
    found = os.environ if variables is None else variables
    pairs = (pair.partition("=") for pair in found.get(BOUND_VARIABLE, "").split(","))
    bound = {unquote(name): unquote(value) for name, equals, value in pairs if name and equals}
    if bound:
        _bound.set({**_bound.get(), **bound})
    from opentelemetry import context, propagate

    fields = propagate.get_global_textmap().fields
    headers = {field: found[_variable(field)] for field in fields if _variable(field) in found}
    if headers:
        context.attach(propagate.extract(headers, context.get_current()))


def _variable(field: str) -> str:
    return field.upper().replace("-", "_")
