"""Objects that must begin anew in a forked child."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forkable(Protocol):
    """Has threads, locks or buffers that a child process must not go on with."""

    def after_fork(self) -> None:
        """Begin anew; called in the child, where only the forking thread is left."""
        ...


_living: weakref.WeakSet[Forkable] = weakref.WeakSet()


def _tell() -> None:
    for one in list(_living):
        one.after_fork()


if hasattr(os, "register_at_fork"):  # pragma: no branch - absent on Windows, where nothing forks
    os.register_at_fork(after_in_child=_tell)


def watch(one: Forkable) -> None:
    """Call ``after_fork`` of that object in every child, for as long as the object lives."""
    _living.add(one)
