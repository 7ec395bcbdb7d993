"""One object through which a program declares and collects its metrics."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import ClassVar, Unpack

from mirante._core.model import MetricFamily
from mirante.metrics import shorthand
from mirante.metrics.distributions import Histogram, Summary
from mirante.metrics.names import DEFAULT_BUCKETS
from mirante.metrics.options import Mode, Options
from mirante.metrics.registry import REGISTRY, Registry
from mirante.metrics.states import Info, StateSet
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

    def create_counter(
        self, name: str, help: str = "", labels: Iterable[str] = (), **options: Unpack[Options]
    ) -> Counter:
        """As metrics.counter, in this manager's registry."""
        return shorthand.counter(name, help, labels, registry=self.registry, **options)

    def create_gauge(
        self,
        name: str,
        help: str = "",
        labels: Iterable[str] = (),
        *,
        multiprocess_mode: Mode = "livesum",
        **options: Unpack[Options],
    ) -> Gauge:
        """As metrics.gauge, in this manager's registry."""
        return shorthand.gauge(
            name, help, labels, registry=self.registry, multiprocess_mode=multiprocess_mode, **options
        )

    def create_histogram(
        self,
        name: str,
        help: str = "",
        labels: Iterable[str] = (),
        *,
        buckets: Iterable[float] = DEFAULT_BUCKETS,
        native_factor: float | None = None,
        native_buckets: int = 160,
        **options: Unpack[Options],
    ) -> Histogram:
        """As metrics.histogram, in this manager's registry."""
        return shorthand.histogram(
            name,
            help,
            labels,
            registry=self.registry,
            buckets=buckets,
            native_factor=native_factor,
            native_buckets=native_buckets,
            **options,
        )

    def create_summary(
        self,
        name: str,
        help: str = "",
        labels: Iterable[str] = (),
        *,
        quantiles: Iterable[float] = (0.5, 0.9, 0.99),
        max_age: float = 600.0,
        **options: Unpack[Options],
    ) -> Summary:
        """As metrics.summary, in this manager's registry."""
        return shorthand.summary(
            name, help, labels, registry=self.registry, quantiles=quantiles, max_age=max_age, **options
        )

    def create_info(self, name: str, help: str = "", labels: Iterable[str] = (), **options: Unpack[Options]) -> Info:
        """As metrics.info, in this manager's registry."""
        return shorthand.info(name, help, labels, registry=self.registry, **options)

    def create_stateset(
        self,
        name: str,
        help: str = "",
        labels: Iterable[str] = (),
        *,
        states: Iterable[str],
        **options: Unpack[Options],
    ) -> StateSet:
        """As metrics.stateset, in this manager's registry."""
        return shorthand.stateset(name, help, labels, registry=self.registry, states=states, **options)

    async def collect_all(self) -> list[MetricFamily]:
        """All families with their samples; the event loop gets its turn between two families."""
        import asyncio

        await self.registry.refresh()
        families = []
        for family in self.registry.collect():
            families.append(family)
            await asyncio.sleep(0)
        return families
