"""A spool for each process below one directory that all of them are given."""

from __future__ import annotations

from pathlib import Path

from mirante._core.guard import REPORTER
from mirante._core.spool import Spool
from mirante.errors import StoreBusyError, StoreError

_SLOTS = 64
"""Processes of one host that can have a spool below one directory at the same time."""


_SEGMENT_BYTES = 4 << 20
"""Bytes that are given up at once when a spool is full, at most."""


def record_of(items: int, body: bytes) -> bytes:
    """A request as it stands in a spool: the number of items in it, then the request itself.

    Example:
        >>> record = record_of(3, b"body")
        >>> items_of(record), body_of(record)
        (3, b'body')
    """
    return items.to_bytes(4, "big") + body


def items_of(record: bytes) -> int:
    """How many items are in it."""
    return int.from_bytes(record[:4], "big")


def body_of(record: bytes) -> bytes:
    """The request."""
    return record[4:]


def open_spool(directory: Path | None, signal: str, max_bytes: int) -> Spool | None:
    """This process's spool of a signal: the first that no other process holds, with what was left in it.

    Args:
        directory: where all spools are; None for none.
        signal: what is kept, such as ``traces``.
        max_bytes: what this one may take; beyond it the oldest records are dropped.

    Returns:
        None, told once, where the directory cannot be used: losing the spool must not keep the host from starting.
    """
    if directory is None:
        return None
    for number in range(_SLOTS):
        try:
            return Spool(
                directory / f"{signal}-{number}",
                max_bytes=max_bytes,
                segment_bytes=_SEGMENT_BYTES,
                when_full="drop_oldest",
                weigh=items_of,
            )
        except StoreBusyError:
            continue
        except StoreError as error:
            REPORTER.warn(f"{signal} spool", f"{error}; {signal} wait in memory instead")
            return None
    told = f"all {_SLOTS} spools below {directory} are in use; {signal} wait in memory instead"
    REPORTER.warn(f"{signal} spool", told)
    return None
