"""Ready-made checks for ``HealthChecker.check``: ``health.check("db", critical=True)(checks.tcp("db", 5432))``."""

from __future__ import annotations

import asyncio
import shutil
import socket
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante._core.seen import check_covers
from mirante.errors import CheckFailedError

Details = Mapping[str, object]


def tcp(host: str, port: int, timeout: float = 2.0) -> Callable[[], Details]:
    """A TCP connection can be opened. ``timeout`` in seconds."""

    def check() -> Details:
        with socket.create_connection((host, port), timeout):
            return {"address": f"{host}:{port}"}

    return check


def http(url: str, timeout: float = 2.0, expected: int = 200) -> Callable[[], Details]:
    """A GET of ``url`` answers with the expected status code. ``timeout`` in seconds."""

    def check() -> Details:
        import urllib3

        with urllib3.PoolManager(retries=False, timeout=timeout) as pool:
            code = pool.request("GET", url).status
        if code != expected:
            raise CheckFailedError(f"{url} answered {code} instead of {expected}")
        return {"url": url, "status_code": code}

    return check


def sqlalchemy(engine: Any) -> Callable[[], Details]:  # noqa: ANN401 - an Engine, whose package is not ours to require
    """The database of an SQLAlchemy ``Engine`` answers ``SELECT 1``."""
    check_covers(engine)

    def check() -> Details:
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT 1")
        return {"database": engine.url.render_as_string(hide_password=True)}

    return check


def redis(client: Any) -> Callable[[], Details]:  # noqa: ANN401 - a client, whose package is not ours to require
    """A redis client gets its PING answered."""
    check_covers(client)

    def check() -> Details:
        if not client.ping():
            raise CheckFailedError("PING was not answered with PONG")
        return {}

    return check


def disk_space(path: str = "/", min_free: float = 0.05) -> Callable[[], Details]:
    """The file system of ``path`` has at least this share (0 to 1) of its room free."""

    def check() -> Details:
        usage = shutil.disk_usage(path)
        free = usage.free / usage.total
        if free < min_free:
            raise CheckFailedError(f"{path} has {free:.1%} of its room free, less than {min_free:.1%}")
        return {"path": path, "free_bytes": usage.free, "free_ratio": round(free, 4)}

    return check


def memory(max_used: float = 0.95) -> Callable[[], Details]:
    """No more than this share (0 to 1) of the machine's memory is in use."""

    def check() -> Details:
        import psutil

        used = psutil.virtual_memory().percent / 100
        if used > max_used:
            raise CheckFailedError(f"{used:.1%} of memory is in use, more than {max_used:.1%}")
        return {"used_ratio": used}

    return check


def event_loop_lag(max_seconds: float = 0.05) -> Callable[[], Coroutine[Any, Any, Details]]:
    """The event loop comes back from a pause of 10 ms no later than this; ask it with the async twins."""

    async def check() -> Details:
        pause = 0.01
        start = time.perf_counter()
        await asyncio.sleep(pause)
        lag = max(0.0, time.perf_counter() - start - pause)
        if lag > max_seconds:
            raise CheckFailedError(f"the event loop was {lag:.3f} s late, more than {max_seconds:g} s")
        return {"lag_seconds": round(lag, 6)}

    return check


class JobRanWithin:
    """A job that should run again and again has run within so many seconds.

    Args:
        seconds: longest time between two runs.
        clock: the time, for tests.

    Example:
        >>> backup = JobRanWithin(86_400)
        >>> backup.ran()
        >>> sorted(backup())
        ['seconds_ago']
    """

    def __init__(self, seconds: float, clock: Clock = SYSTEM_CLOCK) -> None:
        self._seconds = seconds
        self._clock = clock
        self._last = clock.monotonic()

    def ran(self) -> None:
        """Say that the job has just run."""
        self._last = self._clock.monotonic()

    def __call__(self) -> Details:
        """The check."""
        ago = self._clock.monotonic() - self._last
        if ago > self._seconds:
            raise CheckFailedError(f"the last run was {ago:.0f} s ago, longer than {self._seconds:g} s")
        return {"seconds_ago": round(ago, 3)}
