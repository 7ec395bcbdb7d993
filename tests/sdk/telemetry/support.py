"""Exporters that fail, hang and answer as told, and a clock that moves when told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from mirante._core.protocols import Exportable
from mirante._core.record import Metric
from mirante.telemetry import MetricsCollector, TelemetryConfig

PATIENCE = 20.0
"""Seconds after which a test gives up waiting for another thread."""


class FakeClock:
    """Time that moves when told."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self.now = start

    def time_ns(self) -> int:
        """Nanoseconds since the epoch."""
        return int(self.now * 1e9)

    def monotonic(self) -> float:
        """Seconds."""
        return self.now


class Scripted:
    """Answers each call with the next outcome of a script, an exception to raise or None; then always with None."""

    def __init__(self, *script: Exception | None) -> None:
        self.script = list(script)
        self.calls: list[list[float]] = []
        self.values: list[float] = []
        self.closed = 0

    def export(self, batch: Sequence[Exportable]) -> None:
        """Remember the values; they count as arrived when the script has no exception."""
        values = [one.value for one in batch if isinstance(one, Metric)]
        self.calls.append(values)
        outcome = self.script.pop(0) if self.script else None
        if outcome is not None:
            raise outcome
        self.values += values

    def close(self) -> None:
        """Count."""
        self.closed += 1


class Switched(Scripted):
    """Is away until it is switched on."""

    def __init__(self) -> None:
        super().__init__()
        self.on = threading.Event()

    def export(self, batch: Sequence[Exportable]) -> None:
        """Refuse the connection while it is off."""
        if not self.on.is_set():
            raise ConnectionError("off")
        super().export(batch)


class Stuck(Scripted):
    """Hangs in its first call until released."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.release = threading.Event()

    def export(self, batch: Sequence[Exportable]) -> None:
        """Wait."""
        self.entered.set()
        assert self.release.wait(PATIENCE)
        super().export(batch)


def collector(*stages: Any, exporter: Any = None, **config: Any) -> MetricsCollector:
    """A collector that flushes when told, unless its config says otherwise."""
    settings = {"name": "test", "flush_interval": 3600.0, **config}
    clock = settings.pop("clock", None)
    more = {"clock": clock} if clock else {}
    return MetricsCollector(TelemetryConfig(**settings), stages, exporter, **more)


def eventually(condition: Callable[[], object]) -> None:
    """Wait until another thread has made it true."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)
