"""A spool for each process below one directory that all of them are given."""

from __future__ import annotations

from pathlib import Path

from mirante._core.guard import REPORTER
from mirante._core.spool import Spool
from mirante.errors import StoreBusyError, StoreError

_SLOTS = 64
"""Processes of one host that can have a spool below one directory at the same time."""


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
            return Spool(directory / f"{signal}-{number}", max_bytes=max_bytes, when_full="drop_oldest")
        except StoreBusyError:
            continue
        except StoreError as error:
            REPORTER.warn(f"{signal} spool", f"{error}; {signal} wait in memory instead")
            return None
    told = f"all {_SLOTS} spools below {directory} are in use; {signal} wait in memory instead"
    REPORTER.warn(f"{signal} spool", told)
    return None
