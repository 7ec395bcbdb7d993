"""Parts of tables that are broken on disk: found, set aside, told. Everything else goes on answering."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable

from mirante._core.model import MetricFamily, Sample
from mirante.server.store.client import Engine, quoted
from mirante.server.store.tables import TABLES

_log = logging.getLogger(__name__)

_DETACHED = (
    "SELECT table, name, partition_id AS day, reason, bytes_on_disk AS bytes, path FROM system.detached_parts"
    " WHERE database = currentDatabase() AND (startsWith(reason, 'broken') OR reason = '') ORDER BY table, name"
)


class DamageReport:
    """Tells which parts were set aside: by the engine when it started, or by ``check``.

    Args:
        engine: the store.
    """

    def __init__(self, engine: Engine) -> None:
        self._connection = engine.connect()
        self._one = threading.Lock()
        self._told: set[str] = set()

    def parts(self) -> list[dict[str, object]]:
        """Table, name, day, reason, bytes and path of every part that was set aside.

        Raises:
            StoreError: the engine failed.
        """
        with self._one:
            rows: list[dict[str, object]] = self._connection.arrow(_DETACHED).to_pylist()
        return rows

    def tell(self) -> None:
        """Log each part that was set aside, once.

        Raises:
            StoreError: the engine failed.
        """
        for part in self.parts():
            path = str(part["path"])
            if path not in self._told:
                self._told.add(path)
                what = f"a part of {part['table']}, day {part['day']}, is broken and was set aside"
                _log.error("%s: %s; everything else answers (see the runbook of corrupted parts)", what, path)

    def check(self) -> list[str]:
        """Read all files of all parts and set aside those that are not what their checksums say; gives their names.

        Raises:
            StoreError: the engine failed.
        """
        broken = []
        with self._one:
            for table in TABLES:
                rows = self._connection.arrow(
                    f"CHECK TABLE {table.name}", settings={"check_query_single_value_result": 0}
                )
                for row in rows.to_pylist():
                    if not row["is_passed"]:
                        _log.error("%s of %s: %s", row["part_path"], table.name, row["message"])
                        self._connection.command(f"ALTER TABLE {table.name} DETACH PART {quoted(row['part_path'])}")
                        broken.append(f"{table.name}/{row['part_path']}")
        self.tell()
        return broken

    def collect(self) -> Iterable[MetricFamily]:
        """How many parts were set aside."""
        count = len(self.parts())
        name = "mirante_store_broken_parts"
        text = "Parts of tables that are broken on disk and were set aside."
        yield MetricFamily(name, "gauge", text, samples=(Sample(name, {}, count),))
