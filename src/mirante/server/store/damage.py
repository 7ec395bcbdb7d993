"""What is broken on disk, and what killed runs left: told, set aside, cleared."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from mirante._core.model import MetricFamily, Sample
from mirante.errors import StoreError
from mirante.server.store.client import Engine
from mirante.server.store.tables import TABLES

_log = logging.getLogger(__name__)

_DETACHED = (
    "SELECT table, name, partition_id AS day, reason, bytes_on_disk AS bytes, path FROM system.detached_parts"
    " WHERE database = currentDatabase() AND reason != '' AND reason != 'ignored' ORDER BY table, name"
)
_LEFTOVERS = ("tmp", "engine/tmp", "engine/shadow")
_LEFT_FILES = ("formats/*.[0-9]*", "ballast.tmp")


def clear_leftovers(data: Path) -> int:
    """Remove the temporary files of runs that were killed; call it while the directory is held and the engine closed.

    Returns how many entries were removed.
    """
    found = [one for folder in _LEFTOVERS for one in _entries(data / folder)]
    found += [one for pattern in _LEFT_FILES for one in data.glob(pattern)]
    for one in found:
        if one.is_dir() and not one.is_symlink():
            shutil.rmtree(one, ignore_errors=True)
        else:
            with suppress(OSError):
                one.unlink()
    if found:
        _log.info("cleared %d temporary files that a killed run had left", len(found))
    return len(found)


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


class DamageReport:
    """Tells which parts of tables the engine has set aside because they are broken.

    Args:
        engine: the store.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._told: set[str] = set()

    def parts(self) -> list[dict[str, object]]:
        """Table, name, day, reason, bytes and path of every part that was set aside.

        Raises:
            StoreError: the engine failed.
        """
        rows: list[dict[str, object]] = self._engine.arrow(_DETACHED).to_pylist()
        return rows

    def tell(self) -> None:
        """Log each part that was set aside, once."""
        for part in self.parts():
            path = str(part["path"])
            if path not in self._told:
                self._told.add(path)
                _log.error(
                    "a part of %s of the day %s is broken and was set aside (%s): %s; everything else answers,"
                    " see docs/runbooks/corrupted-part.md",
                    part["table"], part["day"], part["reason"], path,
                )  # fmt: skip

    def check(self) -> list[str]:
        """Read every file of every part and set aside those that are not what their checksums say; gives their names.

        Raises:
            StoreError: the engine failed.
        """
        broken = []
        connection = self._engine.connect()
        try:
            for table in TABLES:
                rows = connection.arrow(
                    f"CHECK TABLE {table.name}", settings={"check_query_single_value_result": 0}
                ).to_pylist()
                for row in rows:
                    if not row["is_passed"]:
                        _log.error("part %s of %s is broken: %s", row["part_path"], table.name, row["message"])
                        connection.command(f"ALTER TABLE {table.name} DETACH PART '{row['part_path']}'")
                        broken.append(f"{table.name}/{row['part_path']}")
        finally:
            connection.close()
        return broken

    def collect(self) -> Iterable[MetricFamily]:
        """How many parts were set aside."""
        try:
            count = len(self.parts())
        except StoreError:
            return
        name = "mirante_store_broken_parts"
        text = "Parts of tables that are broken on disk and were set aside."
        yield MetricFamily(name, "gauge", text, samples=(Sample(name, {}, count),))
