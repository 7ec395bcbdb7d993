"""Waiting for what other threads, tasks and programs do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(condition: Callable[[], T], meanwhile: Callable[[], object] = bool, *, seconds: float = 60) -> T:
    """The condition's first true answer; by the real clock, because the other side has no other.

    Args:
        condition: asked again and again.
        meanwhile: called in between, such as to let the time of a fake clock pass.
        seconds: patience.
    """
    async with asyncio.timeout(seconds):
        while not (answer := condition()):
            meanwhile()
            await asyncio.sleep(0.005)
        return answer
