"""Room on the disk: how much is kept in reserve, and the ballast that lets data be dropped when there is none left."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from mirante.formats.size import parse_size
from mirante.server.store.writer import free_bytes

_AUTO_SHARE, _AUTO_MOST = 0.05, 1 << 30
_BALLAST = 16 << 20


def reserve_bytes(text: str, directory: Path) -> int:
    """What the setting ``min_free_disk`` means on the disk of that folder, in bytes."""
    disk = os.statvfs(directory)
    total = disk.f_blocks * disk.f_frsize
    if text == "auto":
        return min(int(total * _AUTO_SHARE), _AUTO_MOST)
    if text.endswith("%"):
        return int(total * float(text[:-1]) / 100)
    return parse_size(text)


class Ballast:
    """A file that only takes up room: the engine wants a little even to drop something, or a full disk would stay full.

    Args:
        path: the file.
        reserve: bytes of the disk's reserve; the ballast is at most an eighth of it.
    """

    def __init__(self, path: Path, reserve: int) -> None:
        self._path = path
        self._reserve = reserve
        self._size = min(_BALLAST, reserve // 8)

    def release(self) -> None:
        """Give up the room."""
        with suppress(FileNotFoundError):
            self._path.unlink()

    def ensure(self) -> None:
        """Take it again, where the disk has more than its reserve."""
        if self._size and not self._path.exists() and free_bytes(self._path.parent) > self._reserve + self._size:
            draft = self._path.with_suffix(".tmp")
            with suppress(OSError), draft.open("wb") as file:  # it is an aid, not a condition
                os.posix_fallocate(file.fileno(), 0, self._size)
                draft.replace(self._path)
