"""What is still to be done when a process ends, for ends of which ``atexit`` is not told too.

Worker processes of pools often end by ``os._exit``; whoever knows such a pool calls ``leave`` before.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable

_duties: dict[Callable[[], object], None] = {}  # in order, each once


def before_end(duty: Callable[[], object]) -> None:
    """Call that at the end of the process; asking again changes nothing.

    Example:
        >>> before_end(print)
        >>> forget(print)
    """
    if not _duties:
        atexit.register(leave)
    _duties[duty] = None


def forget(duty: Callable[[], object]) -> None:
    """Do not call it, if that was asked for."""
    _duties.pop(duty, None)


def leave() -> None:
    """Do now what is to be done, the latest first; each once."""
    while _duties:
        duty, _ = _duties.popitem()
        duty()
