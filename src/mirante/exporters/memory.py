"""An exporter that keeps what it gets: for tests, and for looking at telemetry without a server."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from typing import Any

from mirante._core.done import DONE


class MemoryExporter:
    """Keeps everything in ``records``, in the order in which it came.

    Args:
        max_records: how many to keep at most, the most recent ones; all of them when not given.

    Attributes:
        records: what was exported.

    Example:
        >>> out = MemoryExporter(max_records=2)
        >>> out.export([1, 2, 3])
        DONE
        >>> out.records
        [2, 3]
    """

    def __init__(self, max_records: int | None = None) -> None:
        self.records: list[Any] = []
        self._max_records = max_records

    def export(self, batch: Iterable[Any], /) -> Awaitable[None]:
        """Keep a batch; the result may be awaited or ignored."""
        self.records.extend(batch)
        if self._max_records is not None:
            del self.records[: -self._max_records]
        return DONE
