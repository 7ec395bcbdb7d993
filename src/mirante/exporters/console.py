"""Telemetry as a table on the terminal, for development."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TextIO

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante._core.convert import records_of
from mirante._core.extras import require
from mirante._core.protocols import Exportable
from mirante._core.record import AggregatedMetric, Metric


class ConsoleExporter:
    """Prints each batch as a table. Needs the extra ``mirante[console]``.

    Args:
        file: where to print; standard output when not given.
        max_rows: rows of a table; how many more there were stands below it.
        clock: the source of time.

    Raises:
        ConfigError: the extra is not installed.

    Example:
        >>> ConsoleExporter(max_rows=20).max_rows
        20
    """

    def __init__(self, file: TextIO | None = None, *, max_rows: int = 50, clock: Clock = SYSTEM_CLOCK) -> None:
        self.max_rows = max_rows
        self._clock = clock
        self._table = require("rich.table", extra="console", purpose="ConsoleExporter").Table
        terminal = require("rich.console", extra="console", purpose="ConsoleExporter")
        self._console = terminal.Console(file=file, markup=False, highlight=False)

    def export(self, batch: Sequence[Exportable]) -> None:
        """Print the batch."""
        records = records_of(batch, datetime.fromtimestamp(self._clock.time_ns() / 1e9, UTC))
        table = self._table("time", "name", "tags", title=f"{len(records)} records", title_justify="left")
        table.add_column("value", justify="right")
        table.add_column("more")
        for one in records[: self.max_rows]:
            time = f"{one.timestamp.astimezone():%H:%M:%S.%f}"[:-3]
            table.add_row(time, one.name, _pairs(one.tags), f"{one.value:g}", _more(one))
        if len(records) > self.max_rows:
            table.caption = f"and {len(records) - self.max_rows} more"
        self._console.print(table)


def _more(one: Metric) -> str:
    parts = [_pairs(one.metadata)] if one.metadata else []
    if isinstance(one, AggregatedMetric):
        parts.append(f"count={one.count:g} min={one.min:g} max={one.max:g} last={one.last:g}")
        parts += [f"p{share * 100:g}={value:g}" for share, value in one.quantiles.items()]
    return " ".join(parts)


def _pairs(mapping: Mapping[str, object]) -> str:
    return " ".join(f"{key}={value}" for key, value in mapping.items())
