"""So that nothing of the demo stays behind when what started it is killed."""

from __future__ import annotations

import asyncio
import os

CHECK_SECONDS = 0.5


async def parent_gone(parent: int) -> None:
    """Return when the process that started this one, of that number, has ended; with 0 never."""
    while parent in {0, os.getppid()}:  # noqa: ASYNC110 - no event of the operating system is there on every platform
        await asyncio.sleep(CHECK_SECONDS)
