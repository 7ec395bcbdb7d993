"""A log in memory, a fixed clock, and an application with all receivers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from starlette.applications import Starlette

from mirante.errors import StoreError
from mirante.server.ingest.counts import IngestCounts
from mirante.server.ingest.exchange import Bounds
from mirante.server.ingest.routes import routes
from mirante.server.store.api import Stream

NOW = 1_700_000_000_000_000_000
"""What time it is in these tests, in nanoseconds."""


class FixedClock:
    """Always NOW."""

    def time_ns(self) -> int:
        """Nanoseconds since the epoch."""
        return NOW

    def monotonic(self) -> float:
        """Seconds."""
        return 0.0


@dataclass
class MemoryLog:
    """Keeps bodies in a list; fails when told."""

    bodies: list[tuple[Stream, bytes]] = field(default_factory=list)
    error: StoreError | None = None

    def append(self, stream: Stream, bodies: Sequence[bytes]) -> None:
        """Append the bodies."""
        if self.error is not None:
            raise self.error
        self.bodies += [(stream, body) for body in bodies]


@dataclass
class Door:
    """All receivers over a log in memory.

    Bodies may have 10,000 bytes; times may lie a day back and an hour ahead.
    """

    log: MemoryLog = field(default_factory=MemoryLog)
    counts: IngestCounts = field(default_factory=IngestCounts)
    bounds: Bounds = field(default_factory=lambda: Bounds(max_body=10_000, past=86_400, clock=FixedClock()))
    app: Starlette = field(init=False)

    def __post_init__(self) -> None:
        self.app = Starlette(routes=routes(self.log, self.bounds, self.counts))

    def counted(self) -> dict[str, float]:
        """The receivers' own metrics, by their label values."""
        samples = [sample for family in self.counts.collect() for sample in family.samples]
        return {"/".join(sample.labels.values()): sample.value for sample in samples}


@pytest.fixture
def door() -> Door:
    """Fresh receivers."""
    return Door()
