"""Clears what runs that were killed have left."""

from __future__ import annotations

import logging
import shutil
from contextlib import suppress
from pathlib import Path

_log = logging.getLogger(__name__)

_INSIDE = ("tmp", "engine/tmp", "engine/shadow")
_MATCHING = ("formats/*.[0-9]*", "ballast.tmp")


def clear_leftovers(data: Path) -> int:
    """Remove temporary files; call it while the data directory is held and its engine is closed.

    Returns how many entries were removed.
    """
    found = [one for folder in _INSIDE if (data / folder).is_dir() for one in (data / folder).iterdir()]
    found += [one for pattern in _MATCHING for one in data.glob(pattern)]
    for one in found:
        if one.is_dir() and not one.is_symlink():
            shutil.rmtree(one, ignore_errors=True)
        else:
            with suppress(OSError):
                one.unlink()
    if found:
        _log.info("cleared %d temporary files that a killed run had left", len(found))
    return len(found)
