"""asyncio: how late event loops are, how many tasks they have, and exceptions of tasks told with their trace.

Tasks keep trace and bound ids by themselves. Python before 3.12 forgets them when it tells of an exception that nobody
has fetched: there, tasks remember their context.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextvars import Context, copy_context
from functools import cache
from typing import TYPE_CHECKING, Any

from mirante._core import fork
from mirante._core.imports import when_imported
from mirante._core.model import MetricFamily, Sample
from mirante._core.patch import Patches
from mirante.metrics.distributions import Histogram
from mirante.metrics.registry import REGISTRY
from mirante.metrics.shorthand import counter, histogram
from mirante.metrics.types import Counter

if TYPE_CHECKING:
    import asyncio

INTERVAL = 0.5
"""Seconds between two looks at how late a loop is."""

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_CONTEXT = "_mirante_context"

_patches = Patches()


def install() -> None:
    """Watch the running event loop, and all that run from now on, uvloop's too.

    Example:
        >>> install()
        >>> uninstall()
    """
    import asyncio

    _patches.wrap(asyncio.BaseEventLoop, "run_forever", _run_forever)
    _LOOPS.on_uvloop()
    if (loop := _running()) is not None:
        watch(loop)


def uninstall() -> None:
    """Put back what was changed, apart from what others have changed since; loops given to ``watch`` are let go too."""
    _patches.undo()
    _LOOPS.forget_all()


def watch(loop: asyncio.AbstractEventLoop) -> None:
    """Watch one event loop: its lag, its tasks, and exceptions that nobody fetches.

    Args:
        loop: any implementation, running or not; from its own thread, or before it runs. Again changes nothing.

    Example:
        >>> import asyncio
        >>> async def main():
        ...     watch(asyncio.get_running_loop())
        >>> asyncio.run(main())
        >>> uninstall()
    """
    _LOOPS.watch(loop)


def _running() -> asyncio.AbstractEventLoop | None:
    import asyncio

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _run_forever(original: Callable[[Any], None]) -> Callable[[Any], None]:
    def run_forever(loop: Any) -> None:  # noqa: ANN401 - of any implementation
        watch(loop)
        original(loop)

    return run_forever


@cache
def _lag() -> Histogram:
    return histogram(
        "asyncio_event_loop_lag_seconds",
        "How much later than due the event loop ran a callback.",
        buckets=_BUCKETS,
    )


@cache
def _unhandled() -> Counter:
    return counter("asyncio_unhandled_exceptions_total", "Exceptions of tasks and callbacks that nobody has handled.")


class _Watched:
    """One event loop, which this does not keep alive."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        import asyncio

        self._loop = weakref.ref(loop)
        self._on = True
        self._handler_before = loop.get_exception_handler()
        loop.set_exception_handler(self._tell)
        self._remembers = loop.get_task_factory() is None and not hasattr(asyncio.Task, "get_context")
        if self._remembers:
            loop.set_task_factory(_remembering)
        self._turn = 0
        self.look_later(loop)

    def look_later(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to wait for the next look: time in which the loop did not run at all is no lag."""
        self._turn += 1  # a look that was waited for before comes to nothing; keeping its handle would keep the loop
        self._due = loop.time() + INTERVAL
        loop.call_at(self._due, self._look, self._turn, context=Context())  # no part of the request that is running

    def _look(self, turn: int) -> None:
        loop = self._loop()
        if self._on and turn == self._turn and loop is not None:
            _lag().observe(max(0.0, loop.time() - self._due))
            self.look_later(loop)

    def _tell(self, loop: asyncio.AbstractEventLoop, told: Mapping[str, Any]) -> None:
        """Tell of it as before, but in the context of the task that it came from."""
        _unhandled().inc()
        context: Context | None = getattr(told.get("task") or told.get("future"), _CONTEXT, None)
        arguments = (told,) if self._handler_before is None else (loop, told)
        tell: Callable[..., object] = self._handler_before or loop.default_exception_handler
        if context is None:
            tell(*arguments)
        else:
            context.copy().run(tell, *arguments)

    def tasks(self) -> int:
        """How many there are that have not ended."""
        import asyncio

        loop = self._loop()
        return 0 if loop is None or loop.is_closed() else len(asyncio.all_tasks(loop))

    def stop(self) -> None:
        """Put back what is still ours; the next look is the last."""
        self._on = False
        loop = self._loop()
        if loop is None:
            return
        if loop.get_exception_handler() == self._tell:
            loop.set_exception_handler(self._handler_before)
        if self._remembers and loop.get_task_factory() is _remembering:
            loop.set_task_factory(None)


def _remembering(
    loop: asyncio.AbstractEventLoop,
    coro: Any,  # noqa: ANN401 - a coroutine or a generator
    *,
    context: Context | None = None,
    **_: object,
) -> asyncio.Task[Any]:
    """The usual task, which remembers its context."""
    import asyncio

    context = copy_context() if context is None else context
    task = asyncio.Task(coro, loop=loop, context=context)
    setattr(task, _CONTEXT, context)
    return task


class _Loops:
    """All that are watched; a gauge of their tasks."""

    per_process = True

    def __init__(self) -> None:
        self._cancel: Callable[[], object] = bool
        self.after_fork()
        fork.watch(self)

    def after_fork(self) -> None:
        """The parent's loops do not run in a child."""
        self._watched: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Watched] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def on_uvloop(self) -> None:
        """Its loops are of a class of their own."""
        self._cancel()
        self._cancel = when_imported("uvloop", self._wrap_uvloop)

    def _wrap_uvloop(self) -> None:
        import uvloop

        _patches.wrap(uvloop.Loop, "run_forever", _run_forever)

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """See the function of that name."""
        with self._lock:
            watched = self._watched.get(loop)
            if watched is None:
                self._watched[loop] = _Watched(loop)
            elif not loop.is_running():
                watched.look_later(loop)
        REGISTRY.register(self)

    def forget_all(self) -> None:
        """Watch none of them any more."""
        self._cancel()
        self._cancel = bool
        with self._lock:
            watched = list(self._watched.values())
            self._watched.clear()
        for one in watched:
            one.stop()
        REGISTRY.unregister(self)

    def collect(self) -> Iterator[MetricFamily]:
        """The gauge."""
        with self._lock:
            watched = list(self._watched.values())
        sample = Sample("asyncio_tasks", {}, float(sum(one.tasks() for one in watched)))
        yield MetricFamily("asyncio_tasks", "gauge", "Tasks of event loops that have not ended.", samples=(sample,))


_LOOPS = _Loops()
