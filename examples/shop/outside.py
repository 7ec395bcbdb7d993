"""The shop's neighbours, played by chance: a payment provider and a recommendation service, both slow at times."""

from __future__ import annotations

import asyncio
import random
import time

INCIDENT_EVERY_SECONDS = 300.0
INCIDENT_SECONDS = 40.0
"""Every five minutes the provider has forty bad seconds, so that there is something to see on a chart."""

WAIT_SECONDS = 0.3
"""Nobody waits longer for recommendations."""


class ProviderError(Exception):
    """The payment provider did not take the payment."""


def in_incident(now: float) -> bool:
    """Whether the payment provider is having a bad time."""
    return now % INCIDENT_EVERY_SECONDS < INCIDENT_SECONDS


def course_of_payment(payment: str, now: float, dice: random.Random) -> tuple[float, bool]:
    """Seconds that a payment takes, and whether it fails: one in twelve does, during an incident one in three."""
    bad = in_incident(now)
    middle = {"card": 0.06, "wallet": 0.03, "invoice": 0.01}[payment]
    seconds = min(dice.lognormvariate(0, 0.5) * middle * (4 if bad else 1), 2.0)
    return seconds, dice.random() < (1 / 3 if bad else 1 / 12)


async def pay(payment: str, dice: random.Random) -> None:
    """Ask the payment provider.

    Raises:
        ProviderError: it failed.
    """
    seconds, fails = course_of_payment(payment, time.time(), dice)
    await asyncio.sleep(seconds)
    if fails:
        raise ProviderError(f"the payment provider refused to answer for {payment}")


async def recommend(number: int, products: int, dice: random.Random) -> list[int]:
    """Numbers of similar products.

    Raises:
        TimeoutError: it took longer than a visitor waits.
    """
    async with asyncio.timeout(WAIT_SECONDS):
        await asyncio.sleep(dice.lognormvariate(-3, 0.9))
    return [(number * step) % products + 1 for step in (3, 5, 7)]
