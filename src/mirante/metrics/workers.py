"""The files by which processes share their metrics: one for each that lives, one for all the dead.

Every file is replaced as a whole, with a checksum. ``lock`` is held while files are read or the dead are added up.
"""

from __future__ import annotations

import fcntl
import marshal
import os
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from mirante.errors import StoreBusyError
from mirante.metrics.merge import Declared, Dump, Key, combined, of_the_dead, without

FORMAT = 1
STALE = 60.0
"""Seconds after which files that nobody alive stands behind belong to an earlier run, and are forgotten."""
PATIENCE = 2.0
"""Seconds to wait for another process that holds the directory."""

Removal = tuple[int, str, Key]


class Published(NamedTuple):
    """What one process tells the others.

    Attributes:
        pid: its process id.
        seen: the number of the last removal that it has carried out.
        state: its metrics.
    """

    pid: int
    seen: int
    state: Dump


class Gone(NamedTuple):
    """What is left of those that have ended.

    Attributes:
        files: names of files that are counted in already, in case they could not be deleted any more.
        state: their metrics.
    """

    files: list[str]
    state: Dump


def _encode(value: tuple[Any, ...]) -> bytes:
    body = marshal.dumps((FORMAT, *value), 4)
    return zlib.crc32(body).to_bytes(4, "big") + body


def _decode(data: bytes) -> tuple[Any, ...] | None:
    """None for what this version did not write, or not to the end."""
    body = data[4:]
    if zlib.crc32(body).to_bytes(4, "big") != data[:4]:
        return None
    # Not for strangers' bytes: the directory belongs to the application, and the checksum finds damage.
    version, *rest = marshal.loads(body)  # noqa: S302
    return tuple(rest) if version == FORMAT else None


def _plain(state: Dump) -> dict[str, Any]:
    return {name: (tuple(declared), states) for name, (declared, states) in state.items()}


def _typed(state: dict[str, Any]) -> Dump:
    return {name: (Declared(*declared), states) for name, (declared, states) in state.items()}


class Worker:
    """The file of one living process, locked as long as it lives.

    Attributes:
        path: where it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1

    def write(self, published: Published) -> None:
        """Replace the content; the new file is locked before it takes the old one's place."""
        fresh = self.path.with_suffix(".new")
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            _write_all(fd, _encode((published.pid, published.seen, _plain(published.state))))
            fresh.replace(self.path)
        except BaseException:
            os.close(fd)
            raise
        self.abandon()
        self._fd = fd

    def abandon(self) -> None:
        """Close it without touching the content; a forked child does so with its parent's."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Directory:
    """The common directory.

    Args:
        path: made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def prepare(self) -> None:
        """Make the directory, and clear up after a run that has ended.

        Raises:
            StoreBusyError: another process has held the directory for too long.
        """
        self._path.mkdir(parents=True, exist_ok=True)
        with self._locked():
            alive, dead = self._sorted(None)
            if not alive and all(_age(path) > STALE for path in [*dead, self._path / "gone"]):
                self._clear(dead)

    def worker(self) -> Worker:
        """A file for this process, not yet written."""
        return Worker(self._path / f"{os.getpid()}-{uuid4().hex[:12]}.worker")

    def others(self, mine: Worker, seen: int) -> list[Dump]:
        """The states of all others, living and dead; the dead are added up on the way.

        Args:
            mine: the file of this process.
            seen: the number of the last removal that this process has carried out.

        Raises:
            StoreBusyError: another process has held the directory for too long.
        """
        with self._locked():
            alive, dead = self._sorted(mine.path)
            gone = self._bury(dead)
            living = [found for path in alive if (found := _read_worker(path))]
            removals = self._removals()
            self._forget([seen, *(found.seen for found in living)], removals)
        states = [
            without(found.state, [(name, key) for seq, name, key in removals if seq > found.seen]) for found in living
        ]
        return [*states, gone.state]

    def leave(self, mine: Worker) -> None:
        """Count this process among the dead; the last one deletes everything."""
        with self._locked():
            alive, dead = self._sorted(mine.path)
            if alive:
                self._bury([*dead, mine.path])
            else:
                self._clear([*dead, mine.path])
            mine.abandon()

    def remove(self, removed: Sequence[tuple[str, Key]]) -> None:
        """Tell the others, and forget what the dead had counted there."""
        with self._locked():
            known = self._removals()
            last = self._last(known)
            numbered = [(last + n, name, key) for n, (name, key) in enumerate(removed, start=1)]
            self._replace("removed", _encode((last + len(numbered), [*known, *numbered])))
            gone = self._gone()
            self._replace("gone", _encode((gone.files, _plain(without(gone.state, removed)))))

    def removals(self, seen: int) -> tuple[int, list[tuple[str, Key]]]:
        """The number of the last removal, and those after ``seen``."""
        known = self._removals()
        return max(self._last(known), seen), [(name, key) for seq, name, key in known if seq > seen]

    def _last(self, known: Sequence[Removal]) -> int:
        found = self._read("removed")
        return max([int(found[0]) if found else 0, *(seq for seq, _, _ in known)])

    def _removals(self) -> list[Removal]:
        found = self._read("removed")
        return [(seq, name, key) for seq, name, key in found[1]] if found else []

    def _forget(self, seen: Sequence[int], removals: Sequence[Removal]) -> None:
        """Drop removals that everyone alive has carried out."""
        kept = [one for one in removals if any(one[0] > at for at in seen)]
        if len(kept) < len(removals):
            self._replace("removed", _encode((self._last(removals), kept)))

    def _gone(self) -> Gone:
        found = self._read("gone")
        return Gone(found[0], _typed(found[1])) if found else Gone([], {})

    def _bury(self, dead: Sequence[Path]) -> Gone:
        """Add the dead up. Their names are written with the sum, so that a crash in between counts nobody twice."""
        gone = self._gone()
        fresh = [path for path in dead if path.name not in gone.files]
        if fresh:
            removals = self._removals()
            states = [gone.state]
            for path in fresh:
                if found := _read_worker(path):
                    state = without(found.state, [(name, key) for seq, name, key in removals if seq > found.seen])
                    states.append(of_the_dead(state))
            gone = Gone([path.name for path in dead], combined(states))
            self._replace("gone", _encode((gone.files, _plain(gone.state))))
        for path in dead:
            path.unlink(missing_ok=True)
            path.with_suffix(".new").unlink(missing_ok=True)
        return gone

    def _sorted(self, mine: Path | None) -> tuple[list[Path], list[Path]]:
        """The files of the living, without one's own, and of the dead."""
        alive: list[Path] = []
        dead: list[Path] = []
        for path in self._path.glob("*-*.new"):
            if _age(path) > STALE:  # its process died while writing
                path.unlink(missing_ok=True)
        for path in sorted(self._path.glob("*.worker")):
            if path != mine:
                (alive if _is_locked(path) else dead).append(path)
        return alive, dead

    def _clear(self, dead: Sequence[Path]) -> None:
        for path in (*dead, *(self._path / name for name in ("gone", "removed", "lock"))):
            path.unlink(missing_ok=True)
            path.with_suffix(".new").unlink(missing_ok=True)

    def _read(self, name: str) -> tuple[Any, ...] | None:
        try:
            return _decode((self._path / name).read_bytes())
        except FileNotFoundError:
            return None

    def _replace(self, name: str, data: bytes) -> None:
        fresh = self._path / f"{name}.new"
        fresh.write_bytes(data)
        fresh.replace(self._path / name)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        deadline = time.monotonic() + PATIENCE
        path = self._path / "lock"
        while True:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _same_file(fd, path):
                    break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    os.close(fd)
                    raise StoreBusyError(f"{self._path} has been held for {PATIENCE:g} s by another process") from None
                time.sleep(0.002)
            os.close(fd)
        try:
            yield
        finally:
            os.close(fd)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _read_worker(path: Path) -> Published | None:
    try:
        found = _decode(path.read_bytes())
    except FileNotFoundError:
        return None
    return Published(found[0], found[1], _typed(found[2])) if found else None


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return STALE + 1


def _same_file(fd: int, path: Path) -> bool:
    """Whether the open file is still the one with that name."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    here = os.fstat(fd)
    return (here.st_ino, here.st_dev) == (there.st_ino, there.st_dev)


def _is_locked(path: Path) -> bool:
    """Whether the process that wrote it lives."""
    while True:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            if _same_file(fd, path):
                return False
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
