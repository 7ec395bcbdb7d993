"""A directory that belongs to one owner at a time."""

from __future__ import annotations

import os
from pathlib import Path

from mirante._core.fork import watch
from mirante.errors import StoreBusyError


class DirectoryLock:
    """Holds a directory by an advisory lock on its file ``lock``; the system lets go of it however the process ends.

    A forked child does not hold it, or the directory would stay locked until the last child has ended.

    Raises:
        StoreBusyError: another owner holds it, in this process or in another, whose id the message gives.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     lock = DirectoryLock(Path(folder))
        ...     lock.release()
    """

    def __init__(self, directory: Path) -> None:
        import fcntl  # POSIX only: elsewhere the package must still be importable

        self._fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(self._fd, 20).decode("ascii", "replace")
            os.close(self._fd)
            raise StoreBusyError(f"{directory} is in use by process {pid or '(unknown)'}") from None
        os.ftruncate(self._fd, 0)
        os.write(self._fd, str(os.getpid()).encode())
        watch(self)

    def after_fork(self) -> None:
        """Close the child's end of it: the parent holds the directory as long as its own end is open."""
        self.release()

    def release(self) -> None:
        """Let go of the directory; more than once does no harm."""
        fd, self._fd = self._fd, -1  # in this order: a fork in between must not close another's descriptor
        if fd >= 0:
            os.close(fd)
