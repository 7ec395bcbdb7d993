"""What holds for every test."""

from __future__ import annotations

import os

import coverage


def _fork_safely_under_coverage() -> None:
    """Hold coverage's lock over a fork: a child would wait for ever for one that another thread held at that moment.

    Registered before anything of mirante is imported, so that it is let go before mirante's own care of forks runs.
    """
    measuring = coverage.Coverage.current()
    collector = getattr(measuring, "_collector", None)
    if collector is not None:
        lock = collector.data_lock
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)


_fork_safely_under_coverage()
