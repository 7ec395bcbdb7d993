"""Context managers, also usable as decorators, that measure what happens inside: time, concurrency, exceptions."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from time import perf_counter
from types import TracebackType
from typing import Any, Self, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])
Exceptions = type[BaseException] | tuple[type[BaseException], ...]


class Around:
    """A context manager that decorates functions and coroutine functions too; each call gets a context of its own."""

    __slots__ = ()

    def fresh(self) -> Self:
        """The context manager of one call; itself where it keeps nothing between entering and leaving."""
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def __call__(self, function: Function) -> Function:
        """Wrap a function so that each call of it runs inside the context."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def coroutine(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - stands in for any function
                with self.fresh():
                    return await function(*args, **kwargs)

            return coroutine  # type: ignore[return-value] # the same signature, by functools.wraps

        @functools.wraps(function)
        def plain(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - stands in for any function
            with self.fresh():
                return function(*args, **kwargs)

        return plain  # type: ignore[return-value] # the same signature, by functools.wraps


class Timer(Around):
    """Gives the seconds from entering to leaving, exceptions included, to a function.

    Example:
        >>> taken = []
        >>> with Timer(taken.append):
        ...     pass
        >>> taken[0] < 1.0
        True
    """

    __slots__ = ("_record", "_start")

    _start: float

    def __init__(self, record: Callable[[float], object]) -> None:
        self._record = record

    def fresh(self) -> Self:
        """A timer of its own for each call, because calls overlap."""
        return type(self)(self._record)

    def __enter__(self) -> Self:
        self._start = perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._record(perf_counter() - self._start)


class InProgress(Around):
    """Adds one on entering and takes it away on leaving."""

    __slots__ = ("_dec", "_inc")

    def __init__(self, inc: Callable[[], object], dec: Callable[[], object]) -> None:
        self._inc = inc
        self._dec = dec

    def __enter__(self) -> Self:
        self._inc()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._dec()


class CountExceptions(Around):
    """Counts the exceptions that leave the block; they go on their way."""

    __slots__ = ("_inc", "_kinds")

    def __init__(self, inc: Callable[[], object], kinds: Exceptions) -> None:
        self._inc = inc
        self._kinds = kinds

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, self._kinds):
            self._inc()
