"""Functions that run inside a span: plain ones, coroutines, generators and asynchronous generators."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractContextManager
from typing import Any, ParamSpec, TypeAlias, TypeVar, cast

from opentelemetry.context import Context
from opentelemetry.trace import Span as ApiSpan

from mirante.tracing.context import SPAN_KEY, attach, detach, get_context
from mirante.tracing.spans import Span

P = ParamSpec("P")
R = TypeVar("R")
Block: TypeAlias = Callable[[], AbstractContextManager[ApiSpan]]
Start: TypeAlias = Callable[[], ApiSpan]


def traced(function: Callable[P, R], *, block: Block, start: Start) -> Callable[P, R]:
    """Wrap a function so that each call, or each iteration from start to end, has its span.

    Args:
        function: of any of the four kinds.
        block: makes the context manager that starts, makes current and ends a call's span.
        start: only starts a span, for what runs in steps.
    """
    wrapper: Callable[..., Any]
    if inspect.iscoroutinefunction(function):
        wrapper = _coroutine(function, block)
    elif inspect.isasyncgenfunction(function):
        wrapper = _async_generator(function, start)
    elif inspect.isgeneratorfunction(function):
        wrapper = _generator(function, start)
    else:
        wrapper = _plain(function, block)
    return cast("Callable[P, R]", functools.wraps(function)(wrapper))


def _plain(function: Callable[..., Any], block: Block) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the wrapped function's own types
        with block():
            return function(*args, **kwargs)

    return call


def _coroutine(function: Callable[..., Any], block: Block) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the wrapped function's own types
        with block():
            return await function(*args, **kwargs)

    return call


class _Inside:
    """Makes the span current for one step of a generator only, so that its consumer does not inherit it."""

    __slots__ = ("_span", "_token")

    def __init__(self, span: ApiSpan) -> None:
        self._span = span

    def __enter__(self) -> None:
        self._token = attach(Context({**get_context(), SPAN_KEY: self._span}))

    def __exit__(self, *_: object) -> None:
        detach(self._token)

    def finish(self, error: BaseException | None = None) -> None:
        if error is not None and isinstance(self._span, Span):
            self._span.fail(error)
        self._span.end()


def _generator(function: Callable[..., Any], start: Start) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:  # noqa: ANN401 - the wrapped function's own types
        inside = _Inside(start())
        steps = function(*args, **kwargs)
        step: Callable[[Any], Any] = steps.send
        sent: Any = None
        try:
            while True:
                with inside:
                    item = step(sent)
                try:
                    sent = yield item
                    step = steps.send
                except GeneratorExit:
                    with inside:
                        steps.close()
                    raise
                except BaseException as error:  # noqa: BLE001 - thrown in by the consumer, meant for the generator
                    step, sent = steps.throw, error
        except StopIteration as stop:
            inside.finish()
            return stop.value
        except BaseException as error:
            inside.finish(error)
            raise

    return call


def _async_generator(function: Callable[..., Any], start: Start) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:  # noqa: ANN401 - the wrapped function's own types
        inside = _Inside(start())
        steps = function(*args, **kwargs)
        step: Callable[[Any], Any] = steps.asend
        sent: Any = None
        try:
            while True:
                with inside:
                    item = await step(sent)
                try:
                    sent = yield item
                    step = steps.asend
                except GeneratorExit:
                    with inside:
                        await steps.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001 - thrown in by the consumer, meant for the generator
                    step, sent = steps.athrow, error
        except StopAsyncIteration:
            inside.finish()
        except BaseException as error:
            inside.finish(error)
            raise

    return call
