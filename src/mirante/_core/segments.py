"""The files of a spool: segments of framed records, and the cursor that says how far they were consumed.

A record is its length and a CRC-32 over length and payload (four bytes each, little endian), then the payload. A
segment's name is the number of its first record. The cursor has two slots, written in turn: one is always whole.
"""

from __future__ import annotations

import os
import struct
import uuid
import zlib
from dataclasses import dataclass
from pathlib import Path

_HEADER = struct.Struct("<II")
_LENGTH = struct.Struct("<I")
_SLOT = struct.Struct("<16sQQQ")
_SLOT_DISTANCE = 64

MAX_RECORD = (1 << 32) - 1
"""Largest record, in bytes."""


def frame(record: bytes) -> bytes:
    """A record as it stands in a segment."""
    length = _LENGTH.pack(len(record))
    return b"".join((length, _LENGTH.pack(zlib.crc32(record, zlib.crc32(length))), record))


def next_record(buffer: bytes, at: int) -> tuple[bytes, int] | None:
    """The record that starts there and where it ends; None when it is not whole."""
    start = at + _HEADER.size
    if start > len(buffer):
        return None
    length, crc = _HEADER.unpack_from(buffer, at)
    payload = buffer[start : start + length]
    if len(payload) < length or zlib.crc32(payload, zlib.crc32(buffer[at : at + 4])) != crc:
        return None
    return payload, start + length


@dataclass(slots=True)
class Segment:
    """One file of records.

    Attributes:
        path: the file.
        first: number of its first record.
        size: bytes of whole records.
    """

    path: Path
    first: int
    size: int

    @classmethod
    def named(cls, directory: Path, first: int) -> Segment:
        """The segment, not made yet, that begins with that record."""
        return cls(directory / f"{first:020}.segment", first, 0)

    @classmethod
    def found(cls, directory: Path) -> list[Segment]:
        """All segments of a directory, oldest first."""
        paths = sorted(directory.glob("*.segment"))
        return [cls(path, int(path.stem), path.stat().st_size) for path in paths]

    def cut_torn_tail(self) -> tuple[int, int]:
        """Cut off what follows the last whole record; returns the number of records left and of bytes cut."""
        buffer = self.path.read_bytes()
        count = at = 0
        while (one := next_record(buffer, at)) is not None:
            count, at = count + 1, one[1]
        torn = len(buffer) - at
        if torn:
            os.truncate(self.path, at)
        self.size = at
        return count, torn

    def offset_of(self, number: int) -> int | None:
        """Where that record starts, or None when damage comes before it."""
        buffer = self.path.read_bytes()
        at = 0
        for _ in range(number - self.first):
            one = next_record(buffer, at)
            if one is None:
                return None
            at = one[1]
        return at


def read_records(fd: int, at: int, end: int, max_bytes: int, max_records: int) -> tuple[list[bytes], int, bool]:
    """Up to ``max_records`` records and ``max_bytes`` of a segment's bytes from ``at``, but one record at least.

    Returns the records, where they end, and whether damage stopped the reading before ``end``.
    """
    buffer = os.pread(fd, min(max(max_bytes, _HEADER.size), end - at), at)
    if len(buffer) >= _HEADER.size:
        needed = _HEADER.size + _LENGTH.unpack_from(buffer)[0]
        if len(buffer) < needed <= end - at:
            buffer = os.pread(fd, needed, at)
    records: list[bytes] = []
    stop = 0
    while len(records) < max_records and (one := next_record(buffer, stop)) is not None:
        records.append(one[0])
        stop = one[1]
    whole = at + len(buffer) >= end
    damaged = len(records) < max_records and (not records or (whole and at + stop < end))
    return records, at + stop, damaged


class Cursor:
    """The consumer's place in a spool, on disk.

    Attributes:
        id: 32 hexadecimal digits that name this spool for ever: record numbers are unique within it.
        committed: number of the first record that was not consumed yet.
        claimed: number after the last record of the batch that was handed out, ``committed`` when there is none.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._turn = 0
        self.committed = self.claimed = 0
        self.id = ""
        for slot in range(2):
            self._load(os.pread(self._fd, _SLOT.size + 4, slot * _SLOT_DISTANCE))
        if not self.id:
            self.id = uuid.uuid4().hex
            self.store(sync=False)

    def _load(self, raw: bytes) -> None:
        body = raw[: _SLOT.size]
        if len(raw) < _SLOT.size + 4 or _LENGTH.pack(zlib.crc32(body)) != raw[_SLOT.size :]:
            return
        name, turn, committed, claimed = _SLOT.unpack(body)
        if turn > self._turn:
            self.id, self._turn, self.committed, self.claimed = name.hex(), turn, committed, claimed

    def store(self, *, sync: bool) -> None:
        """Write the place down."""
        self._turn += 1
        body = _SLOT.pack(bytes.fromhex(self.id), self._turn, self.committed, self.claimed)
        os.pwrite(self._fd, body + _LENGTH.pack(zlib.crc32(body)), self._turn % 2 * _SLOT_DISTANCE)
        if sync:
            os.fsync(self._fd)

    def close(self) -> None:
        """Close the file; more than once does no harm."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
