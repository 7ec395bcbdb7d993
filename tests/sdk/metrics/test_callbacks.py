"""Gauges that ask a function, plain or coroutine, for their number."""

from __future__ import annotations

import asyncio
import math

import pytest

from mirante._core.guard import REPORTER
from mirante.metrics import Gauge, MetricsManager, Registry, callbacks, gauge


class Depth:
    """An object that can be called with await."""

    async def __call__(self) -> float:
        return 7


async def depth() -> float:
    """A number that takes a turn of the loop."""
    await asyncio.sleep(0)
    return 5


def test_a_coroutine_function_without_a_loop_runs_on_its_own() -> None:
    """Nothing has to run for it."""
    waiting = Gauge("waiting")
    waiting.set_function(depth)
    assert waiting.value == 5
    waiting.set_function(Depth())
    assert waiting.value == 7
    waiting.set_function(lambda: 3)
    assert waiting.value == 3


def test_it_runs_on_the_loop_that_declared_it() -> None:
    """Because what it uses may belong to that loop; other threads wait for it there."""
    loops = []

    async def seen() -> float:
        loops.append(asyncio.get_running_loop())
        return 1

    async def main() -> tuple[asyncio.AbstractEventLoop, float]:
        waiting = Gauge("waiting")
        waiting.set_function(seen)
        return asyncio.get_running_loop(), await asyncio.to_thread(lambda: waiting.value)

    loop, value = asyncio.run(main())
    assert (loops, value) == ([loop], 1)


def test_within_a_running_loop_the_last_refresh_counts() -> None:
    """A loop is never blocked; collect_all refreshes by itself."""
    registry = Registry()
    gauge("waiting", registry=registry).set_function(depth)
    gauge("other", registry=registry).set(1)

    async def main() -> tuple[bytes, float]:
        before = registry.expose()
        families = await MetricsManager(registry).collect_all()
        return before, families[0].samples[0].value

    before, value = asyncio.run(main())
    assert b"waiting NaN" in before
    assert value == 5


def test_one_that_takes_too_long_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exposition goes on with NaN, and people are told."""
    monkeypatch.setattr(callbacks, "TIMEOUT", 0.01)
    monkeypatch.delenv("MIRANTE_RAISE_FAULTS")

    async def never() -> float:
        await asyncio.Event().wait()
        return 1

    async def main() -> float:
        waiting = Gauge("waiting")
        waiting.set_function(never)
        return await asyncio.to_thread(lambda: waiting.value)

    reports = sum(REPORTER.counts.values())
    assert math.isnan(asyncio.run(main()))
    assert sum(REPORTER.counts.values()) == reports + 1


def test_a_loop_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop held up by somebody else cannot hold up the exposition."""
    import threading

    monkeypatch.setattr(callbacks, "TIMEOUT", 0.01)
    asked, answer = threading.Event(), threading.Event()

    async def main() -> BaseException | None:
        function = callbacks.callback(depth)
        caught: list[BaseException] = []

        def ask() -> None:
            asked.wait()
            try:
                function()
            except TimeoutError as error:
                caught.append(error)
            answer.set()

        thread = threading.Thread(target=ask)
        thread.start()
        asked.set()
        answer.wait(10)  # the loop is blocked on purpose
        thread.join()
        return caught[0]

    assert "no value within" in str(asyncio.run(main()))


def test_a_fault_on_refresh_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the number is unknown again."""
    monkeypatch.delenv("MIRANTE_RAISE_FAULTS")
    answers: list[float | Exception] = [ValueError("gone"), 1.0]

    async def flaky() -> float:
        answer = answers.pop()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def main() -> list[float]:
        registry, seen = Registry(), []
        waiting = gauge("waiting", registry=registry)
        waiting.set_function(flaky)
        for _ in range(2):
            await registry.refresh()
            seen.append(waiting.value)
        return seen

    first, second = asyncio.run(main())
    assert first == 1.0
    assert math.isnan(second)
    assert any("flaky" in where for where in REPORTER.counts)
