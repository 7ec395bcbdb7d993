"""Functions that are asked for a value at collection, plain ones and coroutine functions."""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, cast

from mirante._core.guard import REPORTER

if TYPE_CHECKING:
    import asyncio

TIMEOUT = 5.0
"""Seconds that a coroutine function may take before a collection goes on without it."""

Callback = Callable[[], float] | Callable[[], Awaitable[float]]


def callback(function: Callback) -> Callable[[], float]:
    """The function as one that can be called from any thread at any time."""
    bound = vars(type(function)).get("__call__")  # of an object that can be called
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(bound):
        return AwaitedCallback(cast("Callable[[], Awaitable[float]]", function))
    return cast("Callable[[], float]", function)


class AwaitedCallback:
    """A coroutine function as a plain one.

    It runs on the event loop that was running when it was declared, because what it uses may belong to that loop;
    where there was none, on a loop of its own. Called from within a running loop, which must not be blocked, it gives
    the value of the last ``refresh``.
    """

    __slots__ = ("_function", "_last", "_loop")

    def __init__(self, function: Callable[[], Awaitable[float]]) -> None:
        self._function = function
        self._last = math.nan
        self._loop = _running_loop()

    def __repr__(self) -> str:
        return str(getattr(self._function, "__qualname__", self._function))

    def __call__(self) -> float:
        """The value, waiting for it at most TIMEOUT seconds.

        Raises:
            TimeoutError: it took too long.
        """
        import asyncio  # here and below, because it takes 20 ms to import and most programs have no such callback

        if _running_loop() is not None:
            return self._last
        if self._loop is not None and self._loop.is_running():
            waiting = asyncio.run_coroutine_threadsafe(self._ask(), self._loop)
            try:
                return waiting.result(TIMEOUT)
            except TimeoutError:
                waiting.cancel()
                raise TimeoutError(f"no value within {TIMEOUT:g} seconds") from None
        return asyncio.run(self._ask())

    async def refresh(self) -> None:
        """Ask for the value that the next call within a running loop gives; a fault is reported and makes it NaN."""
        try:
            await self._ask()
        except Exception as error:  # noqa: BLE001 - one callback's fault must not cost the whole exposition
            self._last = math.nan
            REPORTER.fault(f"gauge callback {self!r}", error)

    async def _ask(self) -> float:
        import asyncio

        async with asyncio.timeout(TIMEOUT):
            self._last = float(await self._function())
        return self._last


def _running_loop() -> asyncio.AbstractEventLoop | None:
    import asyncio

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
