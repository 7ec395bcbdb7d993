"""Metrics of several processes, in prometheus_client's words; see ``mirante.metrics.multiprocess`` for what it does."""

from __future__ import annotations

from collections.abc import Iterator

from mirante._core.model import MetricFamily
from mirante.compat.prometheus_client.registry import CollectorRegistry
from mirante.metrics import REGISTRY, multiprocess

__all__ = ["MultiProcessCollector", "mark_process_dead"]


class MultiProcessCollector:
    """Gives the metrics of all processes that share a directory.

    Args:
        registry: the registry to which it adds itself; None for none.
        path: the directory; that of PROMETHEUS_MULTIPROC_DIR when not given.

    Raises:
        ConfigError: there is no directory; it is a ValueError.
        OSError: the directory cannot be used.

    Example:
        >>> MultiProcessCollector(CollectorRegistry())
        Traceback (most recent call last):
        mirante.errors.ConfigError: name a directory, or set PROMETHEUS_MULTIPROC_DIR
    """

    def __init__(self, registry: CollectorRegistry | None, path: str | None = None) -> None:
        multiprocess.start(path)
        if registry is not None:
            registry.register(self)

    def describe(self) -> list[MetricFamily]:
        """Nothing: its names are those of the process's own metrics."""
        return []

    def collect(self) -> Iterator[MetricFamily]:
        """The families of all processes together."""
        return REGISTRY.exposed().collect()


def mark_process_dead(pid: int, path: str | None = None) -> None:
    """Nothing needs to be done: that a process has ended is noticed by itself, and its counts stay.

    Args:
        pid: the process that ended.
        path: the directory.

    Example:
        >>> mark_process_dead(4711)
    """
