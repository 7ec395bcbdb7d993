"""What a collector can be told."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from mirante.errors import DeclarationError


@dataclass(frozen=True, slots=True)
class TelemetryConfig:
    """Settings of one ``MetricsCollector``.

    Attributes:
        name: tells collectors apart in their own metrics and in log lines; not empty.
        enabled: whether anything is recorded.
        buffer_size: records that are collected before they are handed over, without waiting for ``flush_interval``.
        flush_interval: seconds after which whatever was collected is handed over.
        queue_size: records that may wait in memory for one slow destination; beyond it the oldest are dropped.
        export_timeout: seconds after which a coroutine of an exporter is cancelled; others have timeouts of their own.
        shutdown_timeout: seconds that ``teardown`` and the end of the process wait for what is left.
        history_size: records that are kept in memory where there is no exporter at all.
        spool_dir: directory for what could not be delivered, so that it survives an outage of the destination and the
            death of the process; None to drop it. Several processes may share it.
        spool_max_bytes: what it may take on disk for each process and destination; beyond it the oldest are dropped.

    Raises:
        DeclarationError: a value is out of range; the message names it.

    Example:
        >>> TelemetryConfig(name="api", buffer_size=0)
        Traceback (most recent call last):
        mirante.errors.DeclarationError: TelemetryConfig: buffer_size must be more than 0, not 0
    """

    name: str
    enabled: bool = True
    buffer_size: int = 1_000
    flush_interval: float = 10.0
    queue_size: int = 100_000
    export_timeout: float = 10.0
    shutdown_timeout: float = 2.0
    history_size: int = 10_000
    spool_dir: Path | None = None
    spool_max_bytes: int = 256 << 20

    def __post_init__(self) -> None:
        if not self.name:
            raise DeclarationError("TelemetryConfig: name must not be empty")
        for column in fields(self)[2:]:
            value = getattr(self, column.name)
            if isinstance(value, int | float) and not value > 0:
                raise DeclarationError(f"TelemetryConfig: {column.name} must be more than 0, not {value!r}")
