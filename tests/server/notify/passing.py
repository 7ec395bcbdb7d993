"""Time that passes as the test says, for whoever reads it and whoever sleeps."""

from __future__ import annotations

import asyncio

from mirante.testing.clock import FakeClock
from tests.server.notify.receivers import NOW_MS


class Time(FakeClock):
    """Time that passes when told; who sleeps wakes then."""

    def __init__(self) -> None:
        super().__init__(NOW_MS / 1000)
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    async def sleep(self, seconds: float) -> None:
        """Until the clock was moved on."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now + seconds, done))
        await done

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        super().advance(seconds)
        for _, done in [one for one in self._sleepers if one[0] <= self.now and not one[1].done()]:
            done.set_result(None)
