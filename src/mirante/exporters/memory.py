"""An exporter that keeps what it gets: for tests, and for looking at telemetry without a server."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from typing import Any

from mirante._core.done import DONE


class MemoryExporter:
    """Keeps everything in ``records``, in the order in which it came.

    Example:
        >>> out = MemoryExporter()
        >>> out.export([1, 2])
        DONE
        >>> out.records
        [1, 2]
    """

    def __init__(self) -> None:
        self.records: list[Any] = []

    def export(self, batch: Iterable[Any]) -> Awaitable[None]:
        """Keep a batch; the result may be awaited or ignored."""
        self.records.extend(batch)
        return DONE
