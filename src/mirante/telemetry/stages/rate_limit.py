"""A ceiling on how much is recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mirante._core.record import Metric
from mirante.errors import DeclarationError
from mirante.telemetry.stages.base import Bound, RecordContext

KEYS = 10_000
"""Keys of which a limit by key keeps a bucket; the one that was idle longest makes room, with its bucket full again."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Lets through ``max_per_second`` measurements on average and drops the surplus, counted as ``rate_limit``.

    A token bucket: after a quiet time up to ``burst`` measurements pass at once.

    Attributes:
        max_per_second: measurements a second, more than 0.
        burst: measurements that may come at once, 1 or more; ``max_per_second`` (1 at least) when not given.
        key: gives what has a bucket of its own, such as ``lambda m: m.name``; one bucket for all when not given.

    Raises:
        DeclarationError: a number is out of range.

    Example:
        >>> RateLimit(max_per_second=100, key=lambda metric: metric.name).max_per_second
        100
    """

    max_per_second: float
    burst: float | None = None
    key: Callable[[Metric], object] | None = None

    def __post_init__(self) -> None:
        if not self.max_per_second > 0:
            raise DeclarationError(f"RateLimit: max_per_second must be more than 0, not {self.max_per_second!r}")
        if self.burst is not None and not self.burst >= 1:
            raise DeclarationError(f"RateLimit: burst must be 1 or more, not {self.burst!r}")

    def bind(self, context: RecordContext) -> Bound:
        """See ``RecordStage``."""
        rate = self.max_per_second
        size = max(1.0, rate) if self.burst is None else self.burst
        emit, drop, monotonic, key = context.emit, context.drop, context.clock.monotonic, self.key
        buckets: dict[object, tuple[float, float]] = {}  # tokens left and when; the most recently used last

        def record(metric: Metric) -> None:
            now = monotonic()
            mine = key(metric) if key else None
            tokens, before = buckets.pop(mine, (size, now))
            tokens = min(size, tokens + (now - before) * rate)
            if tokens >= 1.0:
                buckets[mine] = (tokens - 1.0, now)
                emit(metric)
            else:
                buckets[mine] = (tokens, now)
                drop("rate_limit", 1)
            if len(buckets) > KEYS:
                del buckets[next(iter(buckets))]

        return Bound(record)
