"""The server's backups: one at a time, in a thread; on a schedule, with a number kept; and their list."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante._core.model import MetricFamily, Sample
from mirante.errors import BackupError, MiranteError, StoreBusyError
from mirante.formats.size import format_size
from mirante.server.store.backup.manifest import Kind, Manifest, read
from mirante.server.store.backup.snapshot import EVERYTHING, Snapshotter, Wanted
from mirante.server.store.tables import SIGNALS, Signal

_log = logging.getLogger(__name__)

_POLL_SECONDS = 30.0


def listed(directory: Path) -> list[Manifest]:
    """The backups in a folder, oldest first; what is no backup is left out."""
    found = []
    for folder in sorted(directory.iterdir()) if directory.is_dir() else ():
        if folder.is_dir() and not folder.name.endswith(".partial"):
            try:
                found.append(read(folder))
            except BackupError as error:
                _log.warning("%s", error)
    return sorted(found, key=lambda manifest: manifest.created)


class Backups:
    """Makes backups when asked and when they are due.

    Args:
        snapshotter: makes them.
        every: seconds between two that the server makes by itself, 0 for none.
        keep: how many of those are kept.
        clock: tells when one is due.
    """

    def __init__(
        self, snapshotter: Snapshotter, every: float = 0.0, keep: int = 7, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._snapshotter = snapshotter
        self._every, self._keep, self._clock = every, keep, clock
        self._one = threading.Lock()
        self._running: dict[str, Any] | None = None
        self._last_error = ""
        self._failures = 0
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to keep the schedule, and clear what killed runs left of unfinished backups."""
        for partial in self._snapshotter.directory.glob("*.partial"):
            shutil.rmtree(partial, ignore_errors=True)
        if self._every:
            self._spawn(self._keep_schedule, "mirante-backups")

    def close(self) -> None:
        """Stop; waits for a backup that is being made."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _spawn(self, target: Any, name: str, *arguments: object) -> None:  # noqa: ANN401 - any callable
        thread = threading.Thread(target=target, args=arguments, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def begin(self, signal: str | None = None, kind: str = "native") -> str:
        """Start a backup and give its name; ``state`` tells how far it is.

        Raises:
            StoreBusyError: one is being made already.
        """
        wanted = Wanted((cast("Signal", signal),) if signal else SIGNALS, cast("Kind", kind))
        name = self._claim()
        self._spawn(self._make_quietly, "mirante-backup", name, wanted)
        return name

    def create(self, wanted: Wanted = EVERYTHING) -> str:
        """Make a backup and give its name.

        Raises:
            StoreBusyError: one is being made already.
            BackupError: it could not be made.
            StoreError: the engine failed.
        """
        name = self._claim()
        self._make(name, wanted)
        return name

    def _claim(self) -> str:
        if not self._one.acquire(blocking=False):
            raise StoreBusyError("a backup is being made; ask again when it is done")
        name = self._snapshotter.new_name()
        self._running = {"name": name, "bytes": 0}
        return name

    def _make_quietly(self, name: str, wanted: Wanted) -> None:
        with suppress(MiranteError):  # it has been logged, and state tells it
            self._make(name, wanted)

    def _make(self, name: str, wanted: Wanted) -> None:
        try:
            manifest = self._snapshotter.create(name, wanted, self._count)
        except MiranteError as error:
            self._failures += 1
            self._last_error = f"{name}: {error}"
            _log.error("the backup %s failed: %s", name, error)
            raise
        else:
            self._last_error = ""
            size, files = format_size(manifest.bytes), len(manifest.files)
            _log.info("made the backup %s: %s in %d files", self._snapshotter.directory / name, size, files)
        finally:
            self._running = None
            self._one.release()

    def _count(self, more: int) -> None:
        if self._running is not None:
            self._running["bytes"] += more

    def state(self) -> Mapping[str, Any]:
        """``backups`` that exist, the one that is being made under ``running``, and the ``last_error``."""
        running = self._running
        return {
            "directory": str(self._snapshotter.directory),
            "backups": [manifest.summary() for manifest in listed(self._snapshotter.directory)],
            "running": dict(running) if running else None,
            "last_error": self._last_error,
        }

    def _keep_schedule(self) -> None:
        while not self._stop.is_set():
            self.if_due()
            self._stop.wait(min(_POLL_SECONDS, self._every))

    def if_due(self) -> None:
        """Make a backup when the last one of the schedule is old enough, and remove the oldest beyond those kept."""
        scheduled = [manifest for manifest in listed(self._snapshotter.directory) if manifest.scheduled]
        last = scheduled[-1].created if scheduled else 0.0
        if self._clock.time_ns() / 1e9 - last < self._every:
            return
        try:
            self.create(Wanted(scheduled=True))
        except MiranteError:
            return  # it has been logged; tried again at the next look
        for manifest in scheduled[: max(0, len(scheduled) + 1 - self._keep)]:
            shutil.rmtree(self._snapshotter.directory / manifest.name, ignore_errors=True)
            _log.info("removed the backup %s: %d newer ones are kept", manifest.name, self._keep)

    def collect(self) -> Iterable[MetricFamily]:
        """How many failed, and when the last one was made."""
        name, text = "mirante_backup_failures", "Backups that could not be made."
        yield MetricFamily(name, "counter", text, samples=(Sample(f"{name}_total", {}, self._failures),))
        name, text = "mirante_backup_last_success_timestamp_seconds", "When the newest backup was made, 0 for never."
        made = [manifest.created for manifest in listed(self._snapshotter.directory)]
        yield MetricFamily(name, "gauge", text, "seconds", samples=(Sample(name, {}, max(made, default=0.0)),))
