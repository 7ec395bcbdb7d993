"""One object through which a program declares and collects its metrics."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import ClassVar

from mirante._core.model import MetricFamily
from mirante.metrics import shorthand
from mirante.metrics.distributions import Histogram, Summary
from mirante.metrics.names import DEFAULT_BUCKETS
from mirante.metrics.registry import REGISTRY, Registry
from mirante.metrics.types import Counter, Gauge


class MetricsManager:
    """Declares metrics in one registry, and collects them for synchronous and asynchronous callers.

    Args:
        registry: where its metrics live; the process's own when not given.

    Example:
        >>> manager = MetricsManager(registry=Registry())
        >>> manager.create_counter("jobs_total", "Jobs done.").inc()
        DONE
    """

    _instance: ClassVar[MetricsManager | None] = None
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, registry: Registry = REGISTRY) -> None:
        self.registry = registry

    @classmethod
    def get_instance(cls) -> MetricsManager:
        """The manager of the process's own registry, the same one at every call."""
        with MetricsManager._lock:
            if MetricsManager._instance is None:
                MetricsManager._instance = MetricsManager()
            return MetricsManager._instance

    def create_counter(self, name: str, help: str = "", labels: Iterable[str] = (), *, unit: str = "") -> Counter:
        """As metrics.counter, in this manager's registry."""
        return shorthand.counter(name, help, labels, registry=self.registry, unit=unit)

    def create_gauge(self, name: str, help: str = "", labels: Iterable[str] = (), *, unit: str = "") -> Gauge:
        """As metrics.gauge, in this manager's registry."""
        return shorthand.gauge(name, help, labels, registry=self.registry, unit=unit)

    def create_histogram(
        self,
        name: str,
        help: str = "",
        labels: Iterable[str] = (),
        *,
        buckets: Iterable[float] = DEFAULT_BUCKETS,
        unit: str = "",
    ) -> Histogram:
        """As metrics.histogram, in this manager's registry."""
        return shorthand.histogram(name, help, labels, registry=self.registry, buckets=buckets, unit=unit)

    def create_summary(
        self,
        name: str,
        help: str = "",
        labels: Iterable[str] = (),
        *,
        unit: str = "",
        quantiles: Iterable[float] = (0.5, 0.9, 0.99),
        max_age: float = 600.0,
    ) -> Summary:
        """As metrics.summary, in this manager's registry."""
        return shorthand.summary(
            name, help, labels, registry=self.registry, unit=unit, quantiles=quantiles, max_age=max_age
        )

    async def collect_all(self) -> list[MetricFamily]:
        """All families with their samples; the event loop gets its turn between two families."""
        import asyncio

        families = []
        for family in self.registry.collect():
            families.append(family)
            await asyncio.sleep(0)
        return families
