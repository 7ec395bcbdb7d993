"""What could not be delivered, on disk in the order in which it was recorded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from mirante._core.guard import REPORTER
from mirante._core.record import Metric, from_json, to_json
from mirante._core.spool import Batch, Spool
from mirante.errors import StoreBusyError, StoreError


class Backlog:
    """The spools of one destination: this process's own, and before it those that dead processes left behind.

    Each process takes the first directory, counted from 0, that no living one holds.

    Args:
        directory: home of the destination's spools, shared by the processes that write to it.
        max_bytes: what this process's own spool may take; then the oldest records make room.

    Attributes:
        torn_bytes: bytes of half-written records that were cut off when the spools were opened.

    Raises:
        StoreError: the directory cannot be used.
    """

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._spools: list[Spool] = []
        self._full = self._damaged = 0
        self.torn_bytes = 0
        number = 0
        while not self._spools or (directory / str(number)).exists():
            self._claim(directory / str(number), max_bytes)
            number += 1
        self._own = self._spools.pop(0)
        self._spools.append(self._own)  # what others left behind goes first: it is older
        self._reading: tuple[Spool, Batch] | None = None

    def _claim(self, home: Path, max_bytes: int) -> None:
        try:
            spool = Spool(home, max_bytes=max_bytes, when_full="drop_oldest")
        except StoreBusyError:
            return
        self.torn_bytes += spool.stats.torn_bytes
        if not self._spools or spool.waiting_records:
            self._spools.append(spool)
        else:
            spool.close()

    @property
    def waiting(self) -> int:
        """Records on disk that were not delivered yet."""
        return sum(spool.waiting_records for spool in self._spools)

    @property
    def waiting_bytes(self) -> int:
        """Bytes that they take."""
        return sum(spool.waiting_bytes for spool in self._spools)

    def losses(self) -> dict[str, int]:
        """Records that could not be kept, by reason."""
        full = self._full + self._own.stats.dropped_records
        losses = {"spool_full": full, "spool_damaged": self._damaged}
        return {reason: count for reason, count in losses.items() if count}

    def append(self, batch: Sequence[Metric]) -> None:
        """Write records down behind those that wait already; those for which there is no room are counted."""
        for metric in batch:
            row = json.dumps(to_json(metric), separators=(",", ":"), default=str).encode()
            try:
                self._own.append([row])
            except StoreError as error:
                self._full += 1
                REPORTER.warn("telemetry spool", f"{error}; records are dropped")

    def read(self, size: int) -> list[Metric]:
        """The oldest records, the same ones until they are committed; an empty list when none wait.

        Raises:
            StoreError: the disk failed.
        """
        while True:
            spool = self._spools[0]
            batch = spool.read(max_records=size)
            self._reading = spool, batch
            metrics = [metric for row in batch.records if (metric := self._decoded(row)) is not None]
            if metrics or (not batch.records and spool is self._own):
                return metrics
            self.commit()

    def _decoded(self, row: bytes) -> Metric | None:
        try:
            return from_json(json.loads(row))
        except (ValueError, KeyError, TypeError):
            self._damaged += 1
            return None

    def commit(self) -> None:
        """Forget the records that ``read`` gave.

        Raises:
            StoreError: the disk failed.
        """
        if self._reading is None:
            return
        (spool, batch), self._reading = self._reading, None
        spool.commit(batch.end)
        if spool is not self._own and not spool.waiting_records:
            self._spools.remove(spool)
            spool.close()

    def close(self) -> None:
        """Let go of the directories; what waits stays for the next process."""
        for spool in self._spools:
            spool.close()
