"""A directory that belongs to one process at a time."""

from __future__ import annotations

import os
from pathlib import Path


class DirectoryHeldError(OSError):
    """Another holder has the directory.

    Attributes:
        directory: the directory that was asked for.
        pid: process id of the holder, or None where it is not known.
    """

    def __init__(self, directory: Path, pid: int | None) -> None:
        self.directory = directory
        self.pid = pid
        super().__init__(f"{directory} is in use by {f'process {pid}' if pid else 'another process'}")


class DirectoryLock:
    """Holds a directory by an advisory lock on its file ``lock``; the system lets go of it however the process ends.

    Raises:
        DirectoryHeldError: someone else holds it, another owner in this very process included.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     lock = DirectoryLock(Path(folder))
        ...     lock.release()
    """

    def __init__(self, directory: Path) -> None:
        import fcntl  # POSIX; a system without it can do everything but keep telemetry on disk

        self._fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(self._fd, 20)
            os.close(self._fd)
            raise DirectoryHeldError(directory, int(pid) if pid.isdigit() else None) from None
        os.ftruncate(self._fd, 0)
        os.write(self._fd, str(os.getpid()).encode())

    def release(self) -> None:
        """Let go of the directory; more than once does no harm."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
