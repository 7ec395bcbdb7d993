"""One object through which a program declares and collects its metrics."""

from __future__ import annotations

import atexit
import inspect
import os
import threading
import weakref
from collections.abc import Coroutine, Iterable
from typing import Any, ClassVar, Unpack

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante._core.guard import REPORTER
from mirante._core.model import MetricFamily
from mirante._core.periodic import Periodic
from mirante._core.protocols import Exporter
from mirante.errors import DeclarationError
from mirante.metrics import shorthand
from mirante.metrics.distributions import Histogram, Summary
from mirante.metrics.names import DEFAULT_BUCKETS
from mirante.metrics.options import Mode, Options
from mirante.metrics.registry import REGISTRY, Registry
from mirante.metrics.states import Info, StateSet
from mirante.metrics.types import Counter, Gauge
from mirante.metrics.window import Aggregate, Window


class _Running:
    """Collections in the background."""

    def __init__(self, registry: Registry, exporters: tuple[Exporter, ...], interval: float, window: Window) -> None:
        self._registry = registry
        self._exporters = exporters
        self._interval = interval
        self.window = window
        self._periodic = Periodic("mirante-manager", self._collect, interval, first=min(1.0, interval))
        self._periodic.start()

    def again(self) -> _Running:
        """The same in a forked child, where the thread did not come along."""
        return _Running(self._registry, self._exporters, self._interval, self.window)

    def stop(self, timeout: float) -> None:
        """A last time."""
        self._periodic.stop(timeout)

    def _collect(self) -> None:
        families = list(self._registry.collect())
        self.window.add(families)
        for exporter in self._exporters:
            try:
                waiting = exporter.export(families)
                if inspect.iscoroutine(waiting):
                    _run(waiting)
            except Exception as error:  # noqa: BLE001 - one exporter's fault must not cost the others
                REPORTER.warn(f"exporter {type(exporter).__name__}", f"{type(error).__name__}: {error}")


def _run(waiting: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine on this thread."""
    import asyncio  # here, because most exporters are plain functions

    asyncio.run(waiting)


_STARTED: weakref.WeakSet[MetricsManager] = weakref.WeakSet()


def _in_child() -> None:
    for manager in list(_STARTED):
        manager._in_child()  # noqa: SLF001 - of this module


if hasattr(os, "register_at_fork"):  # pragma: no branch - absent on Windows, where nothing forks
    os.register_at_fork(after_in_child=_in_child)


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
        self._running: _Running | None = None

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

    def start(
        self,
        exporters: Iterable[Exporter] = (),
        *,
        interval: float = 15.0,
        window: float = 300.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Collect every ``interval`` seconds in the background: for ``aggregates()``, and for the exporters.

        Started again, it takes the new exporters; a forked child goes on by itself. An exporter that fails does not
        keep the others from their turn, and gets everything anew the next time, since these are running totals.

        Args:
            exporters: where every collection goes.
            interval: seconds between two collections.
            window: seconds that ``aggregates()`` looks back.
            clock: the source of time.

        Raises:
            DeclarationError: interval or window is not positive.

        Example:
            >>> from mirante.exporters.memory import MemoryExporter
            >>> manager, out = MetricsManager(registry=Registry()), MemoryExporter()
            >>> manager.create_counter("jobs_total", "Jobs done.").inc()
            DONE
            >>> manager.start([out], interval=60)
            >>> manager.stop()
            >>> out.records[0].name
            'jobs'
        """
        if not interval > 0 or not window > 0:
            raise DeclarationError(f"interval and window must be positive, and are {interval} and {window}")
        self.stop()
        self._running = _Running(self.registry, tuple(exporters), interval, Window(window, clock))
        atexit.register(self.stop)
        _STARTED.add(self)

    def stop(self, timeout: float = 2.0) -> None:
        """Collect and export a last time, and end; done by itself when the process ends.

        Args:
            timeout: seconds to wait at most.
        """
        running, self._running = self._running, None
        if running:
            atexit.unregister(self.stop)
            _STARTED.discard(self)
            running.stop(timeout)

    def aggregates(self) -> list[Aggregate]:
        """What became of every series within the window; nothing before ``start()`` and its first collection."""
        return self._running.window.aggregates() if self._running else []

    def _in_child(self) -> None:
        if self._running:
            self._running = self._running.again()

    async def collect_all(self) -> list[MetricFamily]:
        """All families with their samples; the event loop gets its turn between two families."""
        import asyncio

        await self.registry.refresh()
        families = []
        for family in self.registry.collect():
            families.append(family)
            await asyncio.sleep(0)
        return families
