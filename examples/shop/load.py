"""Visitors of the shop: real HTTP requests at a rate that comes and goes.

Run it alone with ``python -m examples.shop.load --target http://127.0.0.1:8600``. It stops after ``--duration``, or
when its ``--parent`` is gone; it never has more than a fixed number of requests under way.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable

import aiohttp

from examples.shop.database import PRODUCTS
from examples.shop.parent import parent_gone

MAX_RATE = 200.0
MAX_UNDER_WAY = 64
WAVE_SECONDS = 240.0
WORDS = ("bell", "blue", "box", "kite", "lamp", "wooden", "no. 1", "")


def rate_at(seconds: float, rate: float) -> float:
    """Visits a second, so long after the start: a wave of four minutes, and a short rush in each.

    Example:
        >>> rate_at(0, 10), rate_at(60, 10), rate_at(180, 10)
        (10.0, 16.0, 4.0)
    """
    wave = 1 + 0.6 * math.sin(2 * math.pi * seconds / WAVE_SECONDS)
    rush = 2.0 if WAVE_SECONDS * 0.35 <= seconds % WAVE_SECONDS < WAVE_SECONDS * 0.4 else 1.0
    return rate * wave * rush


class Visitors:
    """Sends visitors to a shop.

    Attributes:
        answers: how many answers had which status; 0 stands for no answer, -1 for visitors turned away at the door.
    """

    def __init__(self, target: str, rate: float, dice: random.Random) -> None:
        if not 0 < rate <= MAX_RATE:
            raise ValueError(f"the rate must be above 0 and at most {MAX_RATE:g} a second")
        self.answers: Counter[int] = Counter()
        self._target, self._rate, self._dice = target.rstrip("/"), rate, dice
        self._under_way: set[asyncio.Task[None]] = set()
        self._visits: dict[Callable[[aiohttp.ClientSession], Awaitable[object]], int] = {
            self._browse: 45,
            self._look: 30,
            self._order: 15,
            self._report: 2,
            self._lost: 1,
        }

    async def come(self) -> None:
        """Send visitors until cancelled."""
        timeout = aiohttp.ClientTimeout(total=10)
        async with aiohttp.ClientSession(self._target, timeout=timeout) as session:
            try:
                await self._arrive(session)
            finally:
                for visit in self._under_way:
                    visit.cancel()
                await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _arrive(self, session: aiohttp.ClientSession) -> None:
        begun = time.monotonic()
        while True:
            # Poisson arrivals: people do not come at even distances.
            await asyncio.sleep(self._dice.expovariate(rate_at(time.monotonic() - begun, self._rate)))
            if len(self._under_way) >= MAX_UNDER_WAY:
                self.answers[-1] += 1
                continue
            (visit,) = self._dice.choices(list(self._visits), list(self._visits.values()))
            task = asyncio.create_task(self._survive(visit(session)))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _survive(self, visit: Awaitable[object]) -> None:
        try:
            await visit
        except (aiohttp.ClientError, TimeoutError):
            self.answers[0] += 1

    async def _request(self, session: aiohttp.ClientSession, method: str, path: str, **what: object) -> object:
        async with session.request(method, path, **what) as answer:  # type: ignore[arg-type]
            self.answers[answer.status] += 1
            return await answer.json()

    async def _browse(self, session: aiohttp.ClientSession) -> object:
        return await self._request(session, "GET", "/products", params={"words": self._dice.choice(WORDS)})

    async def _look(self, session: aiohttp.ClientSession) -> object:
        number = self._dice.randint(1, PRODUCTS)
        await self._request(session, "GET", f"/products/{number}")
        return await self._request(session, "GET", f"/products/{number}/recommendations")

    async def _order(self, session: aiohttp.ClientSession) -> object:
        payment = self._dice.choices(("card", "wallet", "invoice"), (6, 3, 1))[0]
        basket = {"product": self._dice.randint(1, PRODUCTS), "quantity": self._dice.randint(1, 9), "payment": payment}
        order = await self._request(session, "POST", "/orders", json=basket)
        if isinstance(order, dict) and "id" in order:
            return await self._request(session, "GET", f"/orders/{order['id']}")
        return order

    async def _report(self, session: aiohttp.ClientSession) -> object:
        return await self._request(session, "GET", "/reports/sales")

    async def _lost(self, session: aiohttp.ClientSession) -> object:
        return await self._request(session, "GET", f"/products/{PRODUCTS + self._dice.randint(1, 99)}")


async def run(visitors: Visitors, duration: float, parent: int) -> None:
    """Let visitors come for so many seconds (0: without end), until SIGTERM, SIGINT or the parent's end."""
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    ends = [asyncio.create_task(end) for end in (told.wait(), parent_gone(parent), visitors.come())]
    await asyncio.wait(ends, timeout=duration or None, return_when=asyncio.FIRST_COMPLETED)
    for end in ends:
        end.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await ends[-1]


def main() -> None:
    """Let visitors come and say what they were answered."""
    parser = argparse.ArgumentParser(prog="python -m examples.shop.load", description="Visitors of the example shop.")
    parser.add_argument("--target", default="http://127.0.0.1:8600", help="where the shop answers")
    parser.add_argument("--rate", type=float, default=15.0, help="visits a second, on average")
    parser.add_argument("--duration", type=float, default=0.0, help="seconds; 0 for as long as it is wanted")
    parser.add_argument("--parent", type=int, default=0, help="a process whose end is ours too")
    options = parser.parse_args()
    try:
        visitors = Visitors(options.target, options.rate, random.Random())
    except ValueError as error:
        parser.error(str(error))
    asyncio.run(run(visitors, options.duration, options.parent))
    print("answers by status:", dict(sorted(visitors.answers.items())))


if __name__ == "__main__":
    main()
