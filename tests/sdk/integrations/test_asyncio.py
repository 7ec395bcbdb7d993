"""asyncio: the lag of event loops, their tasks, and unfetched exceptions with their trace."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import uvloop

from mirante.correlation import bind, current
from mirante.integrations import asyncio as integration
from mirante.metrics import REGISTRY
from mirante.testing.clock import FakeClock
from mirante.tracing import Tracer
from tests.sdk.integrations.recording import Counted, recording, samples

LAG = "asyncio_event_loop_lag_seconds"


class SlowLoop(asyncio.SelectorEventLoop):
    """Whose time goes on when it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock(0.0)

    def time(self) -> float:
        return self.clock.monotonic()


@pytest.fixture
def installed() -> Iterator[None]:
    """For all loops."""
    integration.install()
    yield
    integration.uninstall()


def tasks() -> float | None:
    """The gauge, if there is one."""
    return samples("asyncio_tasks").get(("asyncio_tasks", frozenset()))


def test_lag_is_how_much_later_than_due_the_loop_comes_back(installed: None) -> None:
    """Something held it up for two seconds and a half."""
    counted, total = Counted(f"{LAG}_count"), Counted(f"{LAG}_sum")
    loop = SlowLoop()

    async def main() -> None:
        loop.clock.advance(integration.INTERVAL + 2.5)
        while not counted():  # noqa: ASYNC110 - the loop's time stands still
            await asyncio.sleep(0)
        loop.clock.advance(integration.INTERVAL)
        while counted() < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)

    loop.run_until_complete(main())
    loop.close()
    assert (counted(), total()) == (2, 2.5)


def test_time_between_two_runs_of_a_loop_is_no_lag(installed: None) -> None:
    """It did not run, and held nobody up."""
    counted, total = Counted(f"{LAG}_count"), Counted(f"{LAG}_sum")
    loop = SlowLoop()

    async def main() -> None:
        loop.clock.advance(integration.INTERVAL)
        integration.watch(loop)
        while not counted():  # noqa: ASYNC110 - the loop's time stands still
            await asyncio.sleep(0)

    loop.run_until_complete(asyncio.sleep(0))
    loop.clock.advance(100.0)
    loop.run_until_complete(main())
    loop.close()
    assert (counted(), total()) == (1, 0)


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_tasks_of_running_loops_are_a_gauge(installed: None, run: Any) -> None:
    """Of asyncio's and uvloop's; those that have ended do not count, nor does a closed loop."""

    async def main() -> None:
        waits = [asyncio.create_task(asyncio.Event().wait()) for _ in range(3)]
        assert tasks() == 4
        for one in waits:
            one.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        assert tasks() == 1

    assert not tasks()  # unknown, or none where the gauge has been there before
    run(main())
    gc.collect()
    assert tasks() == 0


def test_the_loop_that_runs_at_installation_is_watched() -> None:
    """It was made before; twice on is once on, and off is off."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        before = loop.get_exception_handler(), loop.get_task_factory()
        integration.install()
        integration.install()
        assert tasks() == 1
        integration.uninstall()
        integration.uninstall()
        assert (loop.get_exception_handler(), loop.get_task_factory()) == before
        assert tasks() is None

    original = asyncio.BaseEventLoop.run_forever
    asyncio.run(main())
    assert asyncio.BaseEventLoop.run_forever is original
    assert integration._LOOPS not in REGISTRY._collectors


def test_one_loop_can_be_watched() -> None:
    """On request, without installing anything."""

    async def main() -> None:
        integration.watch(asyncio.get_running_loop())
        assert tasks() == 1

    asyncio.run(main())
    integration.uninstall()


class Ids(logging.Handler):
    """Keeps the ids under which lines were logged."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str | None, str | None]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append((current().trace_id, current().request_id))


@pytest.fixture
def ids() -> Iterator[Ids]:
    """Of asyncio's own logger."""
    handler = Ids()
    logger = logging.getLogger("asyncio")
    logger.addHandler(handler)
    logger.propagate = False
    yield handler
    logger.removeHandler(handler)
    logger.propagate = True


async def forgotten() -> str:
    """A task fails inside a span and nobody fetches its exception; returns the trace id."""

    async def fails() -> None:
        raise ValueError("nobody cares")

    with Tracer().start_span("op") as span, bind(request_id="r-1"):
        task = asyncio.create_task(fails())
    await asyncio.wait([task])
    del task
    gc.collect()
    return f"{span.get_span_context().trace_id:032x}"


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_an_exception_that_nobody_fetches_is_told_with_its_trace(installed: None, ids: Ids, run: Any) -> None:
    """And counted."""
    counted = Counted("asyncio_unhandled_exceptions_total")
    with recording():
        trace_id = run(forgotten())
    assert (ids.seen, counted()) == ([(trace_id, "r-1")], 1)


def test_the_applications_own_handler_and_factory_are_used(installed: None) -> None:
    """They were there first; what the application sets later stays when we go."""
    told: list[str] = []
    made: list[str] = []

    def factory(loop: asyncio.AbstractEventLoop, coro: Any, **_: Any) -> asyncio.Task[Any]:
        made.append(coro.__qualname__)
        return asyncio.Task(coro, loop=loop)

    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _, context: told.append(context["message"]))
    loop.set_task_factory(factory)
    loop.run_until_complete(forgotten())
    assert told == ["Task exception was never retrieved"]
    assert made == ["forgotten", "forgotten.<locals>.fails"]
    loop.set_exception_handler(None)
    integration.uninstall()
    assert (loop.get_exception_handler(), loop.get_task_factory()) == (None, factory)
    loop.close()


def test_what_is_no_task_is_told_too(installed: None, ids: Ids) -> None:
    """A callback's exception."""

    async def main() -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 // 0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    counted = Counted("asyncio_unhandled_exceptions_total")
    asyncio.run(main())
    assert (len(ids.seen), counted()) == (1, 1)


def test_tasks_run_in_the_context_that_they_are_given(installed: None) -> None:
    """The factory that remembers contexts changes nothing else."""
    import contextvars

    async def request_id() -> str | None:
        return current().request_id

    async def main() -> tuple[str | None, str | None, str]:
        with bind(request_id="r-1"):
            context = contextvars.copy_context()
            inherited = asyncio.create_task(request_id(), name="mine")
        given = asyncio.get_running_loop().create_task(request_id(), context=context)
        return await inherited, await given, inherited.get_name()

    assert asyncio.run(main()) == ("r-1", "r-1", "mine")


def test_a_watched_loop_lives_no_longer_for_it(installed: None) -> None:
    """Nothing keeps a loop that its owner has forgotten, and letting go of it later does no harm."""
    loop = asyncio.new_event_loop()
    integration.watch(loop)
    watched = integration._LOOPS._watched[loop]
    gone = weakref.ref(loop)
    loop.close()
    del loop
    gc.collect()
    assert gone() is None
    assert watched.tasks() == 0
    watched._look(watched._turn)
    watched.stop()


def test_a_loop_that_is_let_go_is_looked_at_no_more() -> None:
    """The timer that is still there is the last."""
    counted = Counted(f"{LAG}_count")
    loop = SlowLoop()

    async def main() -> None:
        integration.watch(loop)
        integration.uninstall()
        loop.clock.advance(5)
        for _ in range(5):
            await asyncio.sleep(0)

    loop.run_until_complete(main())
    loop.close()
    assert counted() == 0


def test_a_forked_child_has_none_of_its_parents_loops(installed: None) -> None:
    """They do not run there."""

    async def main() -> int:
        child = os.fork()
        if child == 0:
            os._exit(len(integration._LOOPS._watched))
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])  # noqa: ASYNC222 - it ends at once

    assert asyncio.run(main()) == 0
