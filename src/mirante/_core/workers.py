"""The end of processes that ``multiprocessing`` started: they leave by ``os._exit``, which ``atexit`` does not see.

Other pools of processes end theirs in the same way; who knows such a pool calls ``leave`` when a process of it ends.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

_LAST = -100
"""Priority among what multiprocessing calls at the end: after what the application has registered."""


class _Duties:
    """What is to be called; an instance keeps multiprocessing's reference to it alive."""

    def __init__(self) -> None:
        self.all: dict[Callable[[], object], None] = {}
        self.known_to_multiprocessing = False


_duties = _Duties()


def at_worker_exit(duty: Callable[[], object]) -> None:
    """Call that when a worker that this process forks ends, and when this process does if it is a worker.

    Args:
        duty: may be called although everything is done already.
    """
    process = sys.modules.get("multiprocessing.process")
    if duty not in _duties.all and process is not None and process.parent_process() is not None:
        _finalize(duty)
    _duties.all[duty] = None


def leave() -> None:
    """This process, a worker of a pool that is not multiprocessing's, ends now: do what is to be done, latest first.

    Example:
        >>> leave()
    """
    for duty in reversed(list(_duties.all)):
        duty()


def _finalize(duty: Callable[[], object]) -> None:
    sys.modules["multiprocessing.util"].Finalize(None, duty, exitpriority=_LAST)


def _finalize_all(duties: Any) -> None:  # noqa: ANN401 - multiprocessing hands back what was registered
    for duty in duties.all:
        _finalize(duty)


def _after_fork_in_child() -> None:
    # The worker forgets what its parent had registered for the end, and then asks those that are registered here.
    util = sys.modules.get("multiprocessing.util")
    if util is not None and not _duties.known_to_multiprocessing:
        util.register_after_fork(_duties, _finalize_all)
        _duties.known_to_multiprocessing = True


if hasattr(os, "register_at_fork"):  # pragma: no branch - absent on Windows, where nothing forks
    os.register_at_fork(after_in_child=_after_fork_in_child)
