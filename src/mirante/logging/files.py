"""Lines in a file that is rotated by size and age, compressed, and kept below a limit together with its elders."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante._core.fork import watch
from mirante._core.guard import REPORTER
from mirante.errors import DeclarationError
from mirante.logging.formatter import Formatter
from mirante.logging.line import LogLine

_LOOK_AGAIN = 1.0
"""Seconds between two looks whether the file is still the one under its name."""


class FileOutput:
    """Appends lines to a file; several processes may write to the same one, and other tools may move it away.

    A rotated file is named after the moment: ``app-20260102T030405.000006-1230001.log``. Compressing it happens on a
    thread of its own, once no process writes to it any more.

    Args:
        path: the file; folders above it are made.
        formatter: turns lines into text.
        max_bytes: a file that a line would make larger than this is rotated first.
        max_age: seconds; a file is rotated when a period of this length, counted from 1970 in UTC, has ended.
        max_total_bytes: what the file and its elders may take together; beyond it the oldest are deleted.
        compress: whether rotated files are compressed with gzip.
        clock: the time.

    Attributes:
        name: ``file``.
        dropped: lines that the disk did not take.

    Raises:
        DeclarationError: a limit makes no sense.

    Example:
        >>> import tempfile
        >>> from mirante.logging import JsonFormatter
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     output = FileOutput(Path(folder, "app.log"), JsonFormatter())
        ...     output(LogLine(0, 20, "shop", {"event": "sold"}))
        ...     output.close()
        ...     print(Path(folder, "app.log").read_text(), end="")
        {"timestamp":"1970-01-01T00:00:00.000000Z","level":"info","logger":"shop","event":"sold"}
    """

    name = "file"

    def __init__(
        self,
        path: Path | str,
        formatter: Formatter,
        *,
        max_bytes: int = 64 << 20,
        max_age: float = 86_400.0,
        max_total_bytes: int = 1 << 30,
        compress: bool = True,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if not 0 < max_bytes <= max_total_bytes or not max_age > 0:
            raise DeclarationError("FileOutput: needs 0 < max_bytes <= max_total_bytes and max_age > 0")
        self._path = Path(path)
        self._format = formatter
        self._max_bytes = max_bytes
        self._max_age = max_age
        self._clock = clock
        self._elders = Elders(self._path, max_total_bytes - max_bytes, compress=compress)
        self._fd = -1
        self._period = 0
        self._size = 0
        self._looked = 0.0
        self.after_fork()
        watch(self)

    def after_fork(self) -> None:
        """A lock that another thread held when the process forked is held for ever."""
        # Reentrant, because a signal handler or a finalizer may log in the middle of a line.
        self._lock = threading.RLock()
        self._elders.after_fork()
        self.dropped = 0

    def __call__(self, line: LogLine) -> None:
        """Write one line."""
        data = f"{self._format(line)}\n".encode("utf-8", "backslashreplace")
        try:
            with self._lock:
                self._make_ready(len(data))
                self._append(data)
        except OSError as error:
            self.dropped += 1
            REPORTER.warn("log file", f"{self._path} does not take lines, which are dropped: {error.strerror or error}")

    def close(self) -> None:
        """Close the file; the next line opens it again."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def _make_ready(self, needed: int) -> None:
        now = self._clock.monotonic()
        if self._fd >= 0 and now - self._looked >= _LOOK_AGAIN:
            self._looked = now
            if not self._is_ours():
                self.close()  # moved away by another process or tool
            else:
                self._size = os.fstat(self._fd).st_size  # others may write to it too
        if self._fd < 0:
            self._open()
        if self._size and (self._size + needed > self._max_bytes or self._period != self._present()):
            self._rotate()

    def _present(self) -> int:
        return int(self._clock.time_ns() / 1e9 // self._max_age)

    def _is_ours(self) -> bool:
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._fd))
        except FileNotFoundError:
            return False

    def _open(self) -> None:
        import fcntl

        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        with suppress(BlockingIOError):  # being compressed at this very moment: the next look finds it moved away
            fcntl.flock(self._fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        found = os.fstat(self._fd)
        self._size = found.st_size
        self._period = int(found.st_mtime // self._max_age) if self._size else self._present()
        self._looked = self._clock.monotonic()

    def _rotate(self) -> None:
        with _owning(self._path.parent) as owned:
            if not owned:
                return  # another process is at it: the next look finds the new file
            if self._is_ours():
                self._path.rename(self._elders.name(self._clock.time_ns()))
        self.close()
        self._open()
        self._elders.tidy()

    def _append(self, data: bytes) -> None:
        self._size += len(data)
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]


class Elders:
    """The rotated files of a log file.

    Args:
        path: the log file.
        max_bytes: what they may take together.
        compress: whether they are compressed.
    """

    def __init__(self, path: Path, max_bytes: int, *, compress: bool) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._compress = compress
        self._count = 0
        self._mine = re.compile(rf"{re.escape(path.stem)}-\d{{8}}T\d{{6}}\.\d{{6}}-\d+{re.escape(path.suffix)}(\.gz)?")
        self.after_fork()

    def after_fork(self) -> None:
        """See ``Forkable``."""
        self._busy = threading.Lock()

    def name(self, time_ns: int) -> Path:
        """A new name for a file that is rotated now."""
        self._count += 1
        moment = datetime.fromtimestamp(time_ns / 1e9, UTC)
        return self._path.with_name(
            f"{self._path.stem}-{moment:%Y%m%dT%H%M%S.%f}-{os.getpid()}{self._count:04}{self._path.suffix}"
        )

    def files(self) -> list[Path]:
        """The rotated files, oldest first; files that only look alike are not among them."""
        return sorted(p for p in self._path.parent.iterdir() if self._mine.fullmatch(p.name))

    def tidy(self) -> threading.Thread | None:
        """Compress and delete on a thread of its own; None when that is going on already."""
        if not self._busy.acquire(blocking=False):
            return None
        thread = threading.Thread(target=self._tidy, name="mirante-log-files", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # at the interpreter's end: the next process goes on
            self._busy.release()
            return None
        return thread

    def _tidy(self) -> None:
        try:
            for path in self.files() if self._compress else ():
                if path.suffix != ".gz":
                    _squeeze(path)
            self._delete_oldest()
        except OSError as error:
            REPORTER.warn("log files", f"rotated files of {self._path} cannot be tidied up: {error.strerror or error}")
        finally:
            self._busy.release()

    def _delete_oldest(self) -> None:
        files = self.files()
        sizes = [path.stat().st_size for path in files]
        total = sum(sizes)
        for path, size in zip(files, sizes, strict=True):
            if total <= self._max_bytes:
                break
            path.unlink(missing_ok=True)
            total -= size


@contextmanager
def _owning(folder: Path) -> Iterator[bool]:
    """Hold a folder's advisory lock, if nobody else does."""
    import fcntl

    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(fd)


def _squeeze(path: Path) -> None:
    """Put a compressed file in the place of a plain one, unless a process still writes to that."""
    import fcntl

    unfinished = path.with_name(path.name + ".tmp")
    with path.open("rb") as source:
        try:
            fcntl.flock(source, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        with gzip.open(unfinished, "wb", compresslevel=6) as target:
            shutil.copyfileobj(source, target, 1 << 20)
        unfinished.replace(path.with_name(path.name + ".gz"))
        path.unlink()
