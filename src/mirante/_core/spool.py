"""A crash-safe queue of records on disk: what was appended survives the death of the process.

The server's segment log and the SDK's outage spool are this one mechanism. One process owns the directory; any thread
may append, one consumer reads. A batch that was read is handed out again, with the same extent, until it is committed,
across restarts too: so a consumer can name the batch by its record numbers and make its work count once.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante._core.fork import watch
from mirante._core.lock import DirectoryLock
from mirante._core.segments import MAX_RECORD, Cursor, Segment, frame, read_records
from mirante.errors import StoreError, StoreFullError

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Batch(NamedTuple):
    """Records that were read together.

    Attributes:
        first: number of the first record.
        end: number after the last one; damaged records make it more than ``first + len(records)``.
        records: the payloads.
    """

    first: int
    end: int
    records: Sequence[bytes]


@dataclass(slots=True)
class SpoolStats:
    """Counts since the spool was opened.

    Attributes:
        dropped_records: records that were dropped, oldest first, to stay below the size cap.
        dropped_weight: what these count.
        torn_bytes: bytes of a half-written record that were cut off when the spool was opened.
        damaged_segments: segments whose rest could not be read and was skipped.
    """

    dropped_records: int = 0
    dropped_weight: int = 0
    torn_bytes: int = 0
    damaged_segments: int = 0


class Spool:
    """An open spool.

    Args:
        directory: its home, made when it is missing; nobody else may use it.
        max_bytes: what it may take on disk.
        segment_bytes: a segment that has reached this size is followed by a new one.
        when_full: ``refuse`` new records with StoreFullError, or ``drop_oldest`` segments, counted in ``stats``.
        weigh: what a record that is dropped so counts in ``stats.dropped_weight``; nothing when not given.
        fsync: 0 to force each append to the medium before it returns (appends at the same time share one), a number of
            seconds to do so at the first append or read after that time, None to leave it to the operating system. What
            was appended survives SIGKILL in every case, a power cut only when it was forced.
        clock: tells when the next fsync is due.

    Raises:
        StoreBusyError: another owner holds the directory.
        StoreError: the directory cannot be used.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     spool = Spool(Path(folder))
        ...     spool.append([b"one", b"two"])
        ...     batch = spool.read()
        ...     spool.commit(batch.end)
        ...     spool.close()
        2
        >>> batch.records
        [b'one', b'two']
    """

    def __init__(
        self,
        directory: Path,
        *,
        max_bytes: int = 1 << 30,
        segment_bytes: int = 64 << 20,
        when_full: Literal["refuse", "drop_oldest"] = "refuse",
        weigh: Callable[[bytes], int] | None = None,
        fsync: float | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.stats = SpoolStats()
        self._directory = directory
        self._max_bytes = max_bytes
        self._segment_bytes = min(segment_bytes, max(1, max_bytes // 4))
        self._drop_oldest = when_full == "drop_oldest"
        self._weigh = weigh
        self._fsync = fsync
        self._clock = clock
        self._make_locks()
        self._synced_at = clock.monotonic()
        self._closed = False
        self._fd = -1
        self._ragged = False
        self._offset: int | None = None  # of the first record that is not committed, where that is known
        self._claimed_stop: int | None = None  # where the batch that was handed out ends, where that is known
        with _disk_errors(directory):
            directory.mkdir(parents=True, exist_ok=True)
            self._owner = DirectoryLock(directory)
            try:
                self._segments = Segment.found(directory)
                self._cursor = Cursor(directory / "cursor")
                self._recover()
            except BaseException:
                self._owner.release()
                raise
        watch(self)

    def _make_locks(self) -> None:
        self._lock = threading.Lock()
        self._arrived = threading.Condition(self._lock)
        self._sync_lock = threading.Lock()

    def after_fork(self) -> None:
        """In a forked child it is closed: the spool is the parent's."""
        self._make_locks()  # the parent's threads may have held the others
        self._closed = True
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
        self._cursor.close()

    def _recover(self) -> None:
        after = 0
        if self._segments:
            last = self._segments[-1]
            count, self.stats.torn_bytes = last.cut_torn_tail()
            after = last.first + count
        cursor = self._cursor
        # A number is never given twice, even when a power cut took the records that had it: batches are named by them.
        self._next = self._synced = max(after, cursor.committed, cursor.claimed)
        if self._segments:
            cursor.committed = max(cursor.committed, self._segments[0].first)
            if self._next > after:
                self._segments.append(Segment.named(self._directory, self._next))
        self._forget_consumed()

    @property
    def id(self) -> str:
        """Names this spool for ever; with a record's number it is unique."""
        return self._cursor.id

    @property
    def waiting_records(self) -> int:
        """Records that were appended and not committed."""
        return self._next - self._cursor.committed

    @property
    def waiting_bytes(self) -> int:
        """Bytes of the segments on disk."""
        with self._lock:
            return sum(segment.size for segment in self._segments)

    @property
    def position(self) -> int:
        """Number that the next record will have."""
        return self._next

    @property
    def committed(self) -> int:
        """Number of the first record that was not committed."""
        return self._cursor.committed

    def append(self, records: Sequence[bytes]) -> int:
        """Append records in order, all or none, and return the number after the last one.

        Raises:
            StoreFullError: the cap or the disk leaves no room.
            StoreError: the disk failed, or the spool is closed.
        """
        if any(len(record) > MAX_RECORD for record in records):
            raise StoreError(f"a record may have {MAX_RECORD} bytes at most")
        block = b"".join(map(frame, records))
        with _disk_errors(self._directory):
            with self._lock:
                self._check_open()
                if block:
                    self._make_room(len(block))
                    self._write(block)
                    self._next += len(records)
                    self._arrived.notify_all()
                position = self._next
            self._force(position)
        return position

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"the spool in {self._directory} is closed")

    def _make_room(self, needed: int) -> None:
        used = sum(segment.size for segment in self._segments)
        if needed <= self._max_bytes:
            while self._drop_oldest and used + needed > self._max_bytes:
                oldest = self._segments[0]
                used -= oldest.size
                until = self._end_of(0)
                self._count_dropped(oldest, until)
                self._advance(until)
        if used + needed > self._max_bytes:
            raise StoreFullError(
                f"{self._directory} holds {used} of {self._max_bytes} bytes, no room for {needed} more"
            )

    def _count_dropped(self, segment: Segment, until: int) -> None:
        """Count what is lost with the oldest segment: all of it that was not consumed."""
        first = max(segment.first, self._cursor.committed)
        self.stats.dropped_records += until - first
        if self._weigh is not None and segment.size:
            fd, at, size = self._open_oldest()
            try:
                records, _, _ = read_records(fd, at, size, size, until - first)
            finally:
                os.close(fd)
            self.stats.dropped_weight += sum(map(self._weigh, records))

    def _write(self, block: bytes) -> None:
        if self._fd < 0 or self._segments[-1].size >= self._segment_bytes:
            self._start_segment()
        if self._ragged:
            self._cut_back()
        self._ragged = True
        view = memoryview(block)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            with suppress(OSError):  # then the next append begins with it
                self._cut_back()
            raise
        self._segments[-1].size += len(block)
        self._ragged = False

    def _cut_back(self) -> None:
        """Half a record must not stand between whole ones."""
        os.ftruncate(self._fd, self._segments[-1].size)
        self._ragged = False

    def _start_segment(self) -> None:
        self._close_segment()
        last = self._segments[-1] if self._segments else None
        if last is None or last.size >= self._segment_bytes:
            last = Segment.named(self._directory, self._next)
            self._segments.append(last)
        self._fd = os.open(last.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._force_directory()

    def _close_segment(self) -> None:
        if self._fd >= 0:
            if self._fsync is not None:
                os.fsync(self._fd)
            fd, self._fd = self._fd, -1  # in this order: a fork in between must not close another's descriptor
            os.close(fd)

    def _force(self, position: int) -> None:
        """Bring what was appended to the medium, if that is due."""
        if self._fsync is None or (self._fsync and self._clock.monotonic() - self._synced_at < self._fsync):
            return
        with self._sync_lock:
            if self._synced >= position:
                return  # another thread's fsync took ours along
            with self._lock:
                target = self._next
                fd = os.dup(self._fd) if self._fd >= 0 else -1
            if fd >= 0:  # otherwise it was consumed in the meantime
                try:
                    os.fsync(fd)
                finally:
                    os.close(fd)
            self._synced = target
            self._synced_at = self._clock.monotonic()

    def _force_directory(self) -> None:
        if self._fsync is not None:
            fd = os.open(self._directory, os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until there is something to read, or the spool is closed; false when there is nothing."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._closed or self._next > self._cursor.committed, timeout)
            return not self._closed and self._next > self._cursor.committed

    def read(self, max_bytes: int = 16 << 20, max_records: int = 100_000) -> Batch:
        """The oldest records that are not committed: the same batch again and again until ``commit``.

        Its extent is on disk before it is handed out. Damaged records are skipped up to the end of their segment.
        The batch has no records when there are none.

        Raises:
            StoreError: the disk failed, or the spool is closed.
        """
        with _disk_errors(self._directory):
            self._force(self._next)
            while True:
                with self._lock:
                    self._check_open()
                    cursor = self._cursor
                    first = cursor.committed
                    if self._next == first:
                        return Batch(first, first, ())
                    until = self._end_of(0)
                    fd, at, size = self._open_oldest()
                try:
                    records, stop, damaged = self._load(fd, at, size, max_bytes, min(max_records, until - first))
                finally:
                    os.close(fd)
                if (batch := self._claim(first, until, records, stop, damaged=damaged)) is not None:
                    return batch

    def _open_oldest(self) -> tuple[int, int, int]:
        """A descriptor of the oldest segment, where the first record that is not committed starts, and its size."""
        oldest = self._segments[0]
        if self._offset is None:
            self._offset = oldest.offset_of(self._cursor.committed)
        at = oldest.size if self._offset is None else self._offset
        return os.open(oldest.path, os.O_RDONLY | os.O_CLOEXEC), at, oldest.size

    def _load(self, fd: int, at: int, size: int, max_bytes: int, max_records: int) -> tuple[list[bytes], int, bool]:
        claimed = self._cursor.claimed - self._cursor.committed
        if claimed > 0:
            max_bytes, max_records = size, claimed
        return read_records(fd, at, size, max_bytes, max_records)

    def _claim(self, first: int, until: int, records: list[bytes], stop: int, *, damaged: bool) -> Batch | None:
        """Write the extent down; None when the batch is void and the next one must be read."""
        with self._lock:
            cursor = self._cursor
            if cursor.committed != first:
                return None  # dropped in the meantime to make room
            end = until if damaged else first + len(records)
            if damaged:
                self.stats.damaged_segments += 1
            if not records:
                self._advance(end)
                return None
            self._claimed_stop = None if damaged else stop
            if cursor.claimed != end:
                cursor.claimed = end
                cursor.store(sync=self._fsync is not None)
            return Batch(first, end, records)

    def commit(self, position: int) -> None:
        """Forget all records before that number: the ``end`` of the batch that was read.

        Raises:
            StoreError: the disk failed, or the spool is closed.
        """
        with _disk_errors(self._directory), self._lock:
            self._check_open()
            position = min(position, self._next)
            if position <= self._cursor.committed:
                return  # dropped already to make room
            stop = self._claimed_stop if position == self._cursor.claimed else None
            self._advance(position)
            if self._segments and self._segments[0].first < position:
                self._offset = stop

    def _advance(self, position: int) -> None:
        self._cursor.committed = position
        self._cursor.claimed = position
        self._cursor.store(sync=self._fsync is not None)
        self._offset = None
        self._forget_consumed()

    def _end_of(self, index: int) -> int:
        """Number after the last record of that segment."""
        return self._segments[index + 1].first if index + 1 < len(self._segments) else self._next

    def _forget_consumed(self) -> None:
        while self._segments and self._end_of(0) <= self._cursor.committed:
            gone = self._segments.pop(0)
            if not self._segments:
                self._close_segment()
            gone.path.unlink(missing_ok=True)
            self._force_directory()

    def close(self) -> None:
        """Force the rest to the medium where that was asked for, and let go of the directory."""
        with self._sync_lock, self._lock:
            if self._closed:
                return
            self._closed = True
            self._arrived.notify_all()
            with _disk_errors(self._directory):
                try:
                    self._close_segment()
                finally:
                    self._cursor.close()
                    self._owner.release()


@contextmanager
def _disk_errors(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kind = StoreFullError if error.errno in _NO_ROOM else StoreError
        raise kind(f"cannot write to {directory}: {error.strerror or error}") from error
