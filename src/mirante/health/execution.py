"""Runs checks where they may take as long as they like: each on a daemon thread, or on an event loop.

Nothing here can keep the process alive: threads are daemons, and nobody waits for them at exit.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

CheckFunction = Callable[[], Any]
"""A plain or a coroutine function; see ``HealthChecker.check`` for what it may return."""


class Execution:
    """Starts checks and gives futures of what they return."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._own_loop: asyncio.AbstractEventLoop | None = None
        self._host_loop: asyncio.AbstractEventLoop | None = None

    def adopt(self, loop: asyncio.AbstractEventLoop) -> None:
        """Remember the application's loop: its clients and locks may only be used there."""
        self._host_loop = loop

    def start(
        self, name: str, function: CheckFunction, timeout: float, loop: asyncio.AbstractEventLoop | None = None
    ) -> Future[Any]:
        """Start a check and return at once; an async one on ``loop``, which must run, or where it finds one.

        An async check ends with TimeoutError after ``timeout`` seconds; a thread cannot be ended, so a plain one goes
        on and its caller decides how long to believe in it.
        """
        if inspect.iscoroutinefunction(function):
            return asyncio.run_coroutine_threadsafe(asyncio.wait_for(function(), timeout), loop or self._loop())
        future: Future[Any] = Future()
        threading.Thread(target=_run, args=(function, future), name=f"health-{name}", daemon=True).start()
        return future

    def _loop(self) -> asyncio.AbstractEventLoop:
        """The application's loop, unless it cannot make progress: it has ended, or its thread waits for us."""
        host = self._host_loop
        if host is not None and host.is_running() and not _inside_a_loop():
            return host
        with self._lock:
            if self._own_loop is None:
                self._own_loop = asyncio.new_event_loop()
                threading.Thread(target=self._own_loop.run_forever, name="health-loop", daemon=True).start()
            return self._own_loop


def _inside_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _run(function: CheckFunction, future: Future[Any]) -> None:
    try:
        future.set_result(function())
    except BaseException as error:  # noqa: BLE001 - whatever a check raises is its answer
        future.set_exception(error)
