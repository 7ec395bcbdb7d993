"""Which tables hold what: by signal, all of them partitioned by day (UTC)."""

from __future__ import annotations

from typing import Literal, NamedTuple

Signal = Literal["metrics", "logs", "traces"]
SIGNALS: tuple[Signal, ...] = ("metrics", "logs", "traces")


class Table(NamedTuple):
    """One table of a signal.

    Attributes:
        name: its name.
        signal: what it holds.
        time: the column by which its rows have a time.
        of_series: whether its rows belong to series, by ``series_id``.
    """

    name: str
    signal: Signal
    time: str
    of_series: bool = False


TABLES: tuple[Table, ...] = (
    Table("samples", "metrics", "timestamp", of_series=True),
    Table("histogram_samples", "metrics", "timestamp", of_series=True),
    Table("exemplars", "metrics", "timestamp", of_series=True),
    # After what belongs to them: whoever is cut short while removing finds by them what is left to remove.
    Table("series", "metrics", "day"),
    Table("otel_logs", "logs", "Timestamp"),
    Table("otel_traces", "traces", "Timestamp"),
    Table("otel_traces_trace_id_ts", "traces", "Start"),
)
OF_SERIES: tuple[str, ...] = tuple(table.name for table in TABLES if table.of_series)
KEPT: tuple[str, ...] = ("metric_metadata", "schema_migrations")
"""Small tables that are kept for ever."""

SIGNAL_OF: dict[str, Signal] = {table.name: table.signal for table in TABLES}


def tables_of(signal: Signal) -> tuple[Table, ...]:
    """The tables of a signal, in the order in which rows are removed from them."""
    return tuple(table for table in TABLES if table.signal == signal)
