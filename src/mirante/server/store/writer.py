"""Takes checked bodies into the segment log and has them loaded: the store's way in."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from mirante._core.model import MetricFamily, Sample
from mirante._core.spool import Spool
from mirante.errors import StoreFullError
from mirante.formats.size import format_size
from mirante.server.store.api import Stream
from mirante.server.store.client import Engine
from mirante.server.store.known import KnownSeries
from mirante.server.store.loader import Loader
from mirante.server.store.protos import STREAMS


@dataclass(frozen=True, slots=True)
class LogOptions:
    """How the log is kept.

    Attributes:
        max_bytes: what each stream may hold on disk before bodies are refused.
        group_bytes: size of a large group.
        interval: seconds between two groups of a stream, as long as less than a group's bytes wait.
        fsync: when appended bodies are forced to the medium, see ``Spool``.
        reserve_bytes: free disk space below which bodies are refused.
    """

    max_bytes: int = 4 << 30
    group_bytes: int = 16 << 20
    interval: float = 0.5
    fsync: float | None = 1.0
    reserve_bytes: int = 512 << 20


class LogWriter:
    """The ``BodyLog`` of an engine whose schema is up to date.

    Args:
        engine: where bodies are loaded.
        directory: home of the log: a folder a stream, and ``quarantine`` for bodies that the engine refused.
        options: sizes and times.

    Raises:
        StoreBusyError: another process holds the log.
        StoreError: the log cannot be opened.
    """

    def __init__(self, engine: Engine, directory: Path, options: LogOptions | None = None) -> None:
        self._options = options or LogOptions()
        self._directory = directory
        self._known = KnownSeries(engine.connect())
        self._loaders: dict[Stream, Loader] = {}
        for stream in STREAMS:
            spool = Spool(directory / stream, max_bytes=self._options.max_bytes, fsync=self._options.fsync)
            self._loaders[stream] = Loader(
                stream,
                spool,
                engine.connect(),
                quarantine=directory / "quarantine",
                after_load=self._known.refresh if stream == "remote_write" else None,
                group_bytes=self._options.group_bytes,
                interval=self._options.interval,
            )

    def append(self, stream: Stream, bodies: Sequence[bytes]) -> None:
        """Append the bodies in order, all or none.

        Raises:
            StoreFullError: no room.
            StoreError: the disk failed, or after ``close``.
        """
        free = free_bytes(self._directory)
        if free < self._options.reserve_bytes:
            reserve = format_size(self._options.reserve_bytes)
            raise StoreFullError(
                f"{format_size(free)} are free on the disk of {self._directory}, and {reserve} are kept in reserve"
                " (min_free_disk): free some space, or keep data for a shorter time"
            )
        self._loaders[stream].spool.append(bodies)

    def position(self, stream: Stream) -> int:
        """The number behind the last body that was appended."""
        return self._loaders[stream].spool.position

    def loaded(self, stream: Stream) -> int:
        """The number behind the last body that is in the engine, or set aside."""
        return self._loaders[stream].spool.committed

    @contextmanager
    def paused(self) -> Iterator[KnownSeries]:
        """Insert nothing while the block runs (bodies are taken all the same); gives what is known of series."""
        with ExitStack() as held:
            for loader in self._loaders.values():
                held.enter_context(loader.idle)
            yield self._known

    def wait_until_loaded(self, timeout: float | None = None) -> bool:
        """Load what was appended before this call without waiting for more; false when it took longer than that."""
        deadline = None if timeout is None else time.monotonic() + timeout
        return all(
            loader.wait_until_loaded(None if deadline is None else max(0.0, deadline - time.monotonic()))
            for loader in self._loaders.values()
        )

    def close(self, deadline: float = 10.0) -> None:
        """Refuse new bodies and load the rest for up to ``deadline`` seconds; what is left then stays in the log."""
        end = time.monotonic() + deadline
        threads = [threading.Thread(target=loader.close, args=(deadline,)) for loader in self._loaders.values()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()) + 5)

    def collect(self) -> Iterable[MetricFamily]:
        """The writer's own metrics, ``mirante_store_*`` by stream."""
        for name, kind, text, unit, read in _METRICS:
            line = f"mirante_store_{name}" + ("_total" if kind == "counter" else "")
            samples = (Sample(line, {"stream": stream}, read(loader)) for stream, loader in self._loaders.items())
            yield MetricFamily(f"mirante_store_{name}", kind, text, unit, tuple(samples))


def free_bytes(directory: Path) -> int:
    """What this process may still write on the disk of that folder."""
    disk = os.statvfs(directory)
    return disk.f_bavail * disk.f_frsize


_METRICS: tuple[tuple[str, str, str, str, Callable[[Loader], float]], ...] = (
    ("loaded_bodies", "counter", "Bodies loaded.", "", lambda x: x.stats.bodies),
    ("loaded_bytes", "counter", "Bytes of the bodies loaded.", "bytes", lambda x: x.stats.bytes),
    ("load_groups", "counter", "Groups of bodies loaded.", "", lambda x: x.stats.groups),
    ("load_seconds", "counter", "Time spent loading.", "seconds", lambda x: x.stats.seconds),
    ("load_retries", "counter", "Loads that failed and were repeated.", "", lambda x: x.stats.retries),
    ("quarantined_bodies", "counter", "Bodies that the engine refused.", "", lambda x: x.stats.quarantined),
    ("log_bodies", "gauge", "Bodies in the log that are not loaded.", "", lambda x: x.spool.waiting_records),
    ("log_bytes", "gauge", "Size of the log on disk.", "bytes", lambda x: x.spool.waiting_bytes),
    ("log_damaged_segments", "counter", "Log segments found damaged.", "", lambda x: x.spool.stats.damaged_segments),
)
