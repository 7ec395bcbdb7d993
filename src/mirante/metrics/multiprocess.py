"""Several processes that answer as one: whichever worker is scraped tells the metrics of all.

Every process writes its state to one small file in a common directory, once a second, before it answers a scrape and
when it ends; recording costs nothing more than without. Nothing is shown that has not been written, so no counter falls
when a worker is killed: SIGKILL loses at most what nobody has seen, of the last second. A live process holds a lock on
its file, which the system lets go of however the process ends. Whoever comes across a dead one's file adds its counts
to those of all the dead, in one file that does not grow with restarts. The last to leave takes the directory's files
along.

``PROMETHEUS_MULTIPROC_DIR`` names the directory, and turns all this on when the first metric is declared. Label sets do
not expire by ``ttl`` then, because another process may be using them.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType

from mirante._core.guard import REPORTER
from mirante._core.periodic import Periodic
from mirante.errors import ConfigError, StoreBusyError
from mirante.metrics.expiry import Expiry
from mirante.metrics.merge import FAMILY, Dump, Key, combined, dump, registry_of, without
from mirante.metrics.registry import REGISTRY, Registry
from mirante.metrics.types import Gauge
from mirante.metrics.workers import Directory, Published

INTERVAL = 1.0
"""Seconds between two writings of a state."""

LEAVING = 1.0
"""Seconds that leaving waits for a writing that is going on."""

SHARE = 50
"""The time that one writing took, this many times, is waited at least until the next: it never takes over 2 %."""


class Member:
    """One process among those that share a directory.

    Args:
        directory: where the files are.
        registry: the metrics of this process.
    """

    def __init__(self, directory: Directory, registry: Registry) -> None:
        self._directory = directory
        self._registry = registry
        # Held for whatever touches the directory, and over a fork: a child must not inherit a file lock.
        self._lock = threading.Lock()
        directory.prepare()
        self._begin()
        self.publish()  # at once, so that nobody who leaves takes this process for the last one
        registry.share(self.view)

    def _begin(self) -> None:
        self._file = self._directory.worker()
        self._seen, _ = self._directory.removals(0)
        self._known: dict[str, set[Key]] = {}
        self._view: Registry | None = None
        self._rest = 0.0
        self._periodic = Periodic("mirante-multiprocess", self._tick, INTERVAL, first=INTERVAL)
        self._periodic.start()

    def publish(self) -> None:
        """Write the present state; removals go both ways first.

        Raises:
            StoreBusyError: another process has kept the directory to itself for too long.
            OSError: the directory cannot be written.
        """
        with self._lock:
            self._publish()

    def _publish(self) -> Dump:
        started = time.monotonic()
        state = self._exchange_removals(dump(self._registry, os.getpid()))
        self._file.write(Published(os.getpid(), self._seen, state))
        self._rest = started + SHARE * (time.monotonic() - started)
        return state

    def view(self) -> Registry:
        """The metrics of all processes. If the directory cannot be used, those seen last: so nothing falls."""
        try:
            with self._lock:
                mine = self._publish()
                others = self._directory.others(self._file, self._seen)
        except (OSError, StoreBusyError) as error:
            REPORTER.warn("metrics of the other processes", f"cannot be read: {error}; showing what was known last")
            return self._view or self._registry
        self._view = registry_of(combined([mine, *others]))
        self._view.adopt(self._registry)
        return self._view

    def leave(self) -> None:
        """Hand the counts over to those who stay; more than once does no harm."""
        self._registry.share(None)
        self._periodic.stop(1.0, final=False)
        # Not forever: a signal may have stopped the very thread that holds it.
        if not self._lock.acquire(timeout=LEAVING):
            REPORTER.warn("metrics of this process", "are left to the others: it was just writing them")
            return
        try:
            self._publish()
            self._directory.leave(self._file)
        except (OSError, StoreBusyError) as error:
            REPORTER.warn("metrics of this process", f"are left to the others: {error}")
        finally:
            self._lock.release()

    def before_fork(self) -> None:
        """No thread may be in the middle of it."""
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Another process now: with a file of its own, counting from zero."""
        self._lock.release()
        self._file.abandon()
        self._registry.reset()
        for instrument in self._registry.instruments():
            if isinstance(instrument, Gauge):
                instrument.zero()
        self._begin()
        self._tick()

    def _tick(self) -> None:
        if time.monotonic() < self._rest:
            return
        try:
            self.publish()
        except (OSError, StoreBusyError) as error:
            REPORTER.warn("metrics of this process", f"cannot be written for the others: {error}")

    def _exchange_removals(self, state: Dump) -> Dump:
        """Tell the others which children were removed here, and remove what they have removed."""
        gone = [
            (name, self._values(name, key))
            for name, keys in self._known.items()
            if name in state and state[name][0].kind != FAMILY
            for key in keys - state[name][1].keys()
        ]
        if gone:
            self._directory.remove(gone)
        self._seen, told = self._directory.removals(self._seen)
        foreign = set(told) - set(gone)
        for name, values in foreign:
            instrument = self._registry.get(name)
            if instrument is not None and len(instrument.label_names) == len(values):
                instrument.remove(*values)
        state = without(state, foreign)
        self._known = {name: set(states) for name, (_, states) in state.items()}
        return state

    def _values(self, name: str, key: Key) -> Key:
        instrument = self._registry.get(name)
        return key[: len(instrument.label_names)] if instrument is not None else key


class _State:
    """The membership of this process."""

    member: Member | None = None
    left = False


def start_if_asked() -> None:
    """As start(), where PROMETHEUS_MULTIPROC_DIR is set and the process has not left before; faults are reported."""
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR") or _State.left:
        return
    try:
        start()
    except (ConfigError, OSError, StoreBusyError) as error:
        REPORTER.warn("PROMETHEUS_MULTIPROC_DIR", f"metrics are not shared: {error}")


def start(directory: str | Path | None = None, registry: Registry = REGISTRY) -> None:
    """Share this process's metrics with those of others; done by itself where PROMETHEUS_MULTIPROC_DIR is set.

    Args:
        directory: where all of them write; made if it is not there. The variable's when not given.
        registry: the metrics of this process.

    Raises:
        ConfigError: there is no directory, or this platform has no file locks.
        OSError: the directory cannot be used.
        StoreBusyError: another process has kept the directory to itself for too long.
    """
    found = directory or os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if not found:
        raise ConfigError("name a directory, or set PROMETHEUS_MULTIPROC_DIR", key="PROMETHEUS_MULTIPROC_DIR")
    if not hasattr(os, "fork"):
        raise ConfigError("sharing metrics among processes needs a POSIX system", key="PROMETHEUS_MULTIPROC_DIR")
    if _State.member is not None:
        return
    _State.member = Member(Directory(Path(found)), registry)
    _State.left = False
    Expiry.paused = True
    atexit.unregister(stop)
    atexit.register(stop)
    _stop_with_multiprocessing()
    if threading.current_thread() is threading.main_thread():
        _stop_on_signals()


def stop() -> None:
    """Leave the others; done by itself when the process ends."""
    member, _State.member = _State.member, None
    if member is not None:
        _State.left = True
        Expiry.paused = False
        member.leave()


def _stop_with_multiprocessing() -> None:
    """Children that ``multiprocessing`` forked end without the usual exit functions, but with its own."""
    from multiprocessing import process, util

    def at_its_end(_: object) -> None:
        util.Finalize(None, stop, exitpriority=100)

    util.register_after_fork(_Forked.instance, at_its_end)
    if process.parent_process() is not None:
        at_its_end(None)


def _stop_on_signals() -> None:
    """Leave before a signal ends the process, where nobody else handles it.

    Servers that have stopped in good order often end by repeating the signal that stopped them; no exit function runs.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _leave_and_die)


def _leave_and_die(number: int, _frame: FrameType | None) -> None:
    stop()
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


class _Forked:
    """Something to hang the function on, alive as long as the module."""

    instance: _Forked


_Forked.instance = _Forked()


def _before_fork() -> None:
    if _State.member is not None:
        _State.member.before_fork()


def _after_fork_in_parent() -> None:
    if _State.member is not None:
        _State.member.after_fork_in_parent()


def _after_fork_in_child() -> None:
    if _State.member is not None:
        _State.member.after_fork_in_child()


if sys.platform != "win32":  # pragma: no branch - nothing forks there
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
