"""CollectorRegistry: prometheus_client's registry over one of mirante's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from mirante._core.model import Collector as OwnCollector
from mirante._core.model import MetricFamily, Sample
from mirante.compat.prometheus_client.metrics_core import SUFFIXES, Collector, Metric, adapt, from_family
from mirante.metrics import REGISTRY as OWN_REGISTRY
from mirante.metrics import Registry
from mirante.metrics.family import Instrument

__all__ = ["REGISTRY", "Collector", "CollectorRegistry", "DuplicateTimeseries", "RestrictedRegistry", "beneath"]


class DuplicateTimeseries(ValueError):
    """A collector gives names that are taken.

    Attributes:
        duplicates: those names.
    """

    def __init__(self, duplicates: Iterable[str]) -> None:
        self.duplicates = set(duplicates)
        super().__init__(f"Duplicated timeseries in CollectorRegistry: {self.duplicates}")


class _Entry(NamedTuple):
    """A registered collector: its names, and what stands for it in mirante's registry."""

    names: frozenset[str]
    own: OwnCollector


class _Target:
    """The family ``target_info``."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        self.labels = dict(labels)

    def collect(self) -> Iterator[MetricFamily]:
        """As a collector does."""
        yield MetricFamily("target", "info", "Target metadata", samples=(Sample("target_info", self.labels, 1.0),))


class CollectorRegistry:
    """Instruments and custom collectors that are exposed together.

    Args:
        auto_describe: ask a collector without ``describe()`` for its metrics when it is registered, to find
            duplicates.
        target_info: labels of the metric ``target_info``.
        support_collectors_without_names: ask collectors whose names are unknown for a restricted registry too.
        registry: mirante's registry beneath; one of its own when not given.

    Attributes:
        registry: mirante's registry beneath, in which the instruments live.

    Example:
        >>> from mirante.compat.prometheus_client import CollectorRegistry, Counter
        >>> registry = CollectorRegistry()
        >>> Counter("jobs_total", "Jobs done.", registry=registry).inc(2)
        DONE
        >>> registry.get_sample_value("jobs_total")
        2.0
    """

    def __init__(
        self,
        auto_describe: bool = False,
        target_info: Mapping[str, str] | None = None,
        support_collectors_without_names: bool = False,
        *,
        registry: Registry | None = None,
    ) -> None:
        self.registry = Registry() if registry is None else registry
        self._auto_describe = auto_describe
        self._nameless = support_collectors_without_names
        self._entries: dict[Any, _Entry] = {}
        self._target: _Target | None = None
        self._lock = threading.Lock()
        self.set_target_info(target_info)

    def register(self, collector: Collector) -> None:
        """Add an instrument or a custom collector.

        Raises:
            DuplicateTimeseries: one of its names is taken.
        """
        names = frozenset(self._names(collector))
        with self._lock:
            duplicates = {name for name in names if self._taken(name)}
            if duplicates:
                raise DuplicateTimeseries(duplicates)
            own = collector if isinstance(collector, Instrument) else adapt(collector)
            self._entries[collector] = _Entry(names, own)
            self.registry.register(own)

    def unregister(self, collector: Collector) -> None:
        """Take a collector out.

        Raises:
            KeyError: it is not registered here.
        """
        with self._lock:
            self.registry.unregister(self._entries.pop(collector).own)

    def collect(self) -> Iterator[Metric]:
        """All families with their samples."""
        yield from map(from_family, self.registry.collect())

    def restricted_registry(self, names: Iterable[str]) -> RestrictedRegistry:
        """A collector of only the samples with these names; only collectors that have them are asked."""
        return RestrictedRegistry(names, self._asked)

    def set_target_info(self, labels: Mapping[str, str] | None) -> None:
        """Replace the labels of ``target_info``; none takes it out.

        Raises:
            ValueError: another collector has a metric of that name.
        """
        with self._lock:
            if labels and self._target is None and self._taken("target_info"):
                raise ValueError("CollectorRegistry already contains a target_info metric")
            if self._target is not None:
                self.registry.unregister(self._target)
            self._target = self.registry.register(_Target(labels)) if labels else None

    def get_target_info(self) -> dict[str, str] | None:
        """The labels of ``target_info``."""
        return self._target.labels if self._target else None

    def get_sample_value(self, name: str, labels: Mapping[str, str] | None = None) -> float | None:
        """The value of the sample with this name and exactly these labels; None where there is none. For tests."""
        for family in self.registry.collect():
            for sample in family.samples:
                if sample.name == name and sample.labels == (labels or {}):
                    return sample.value
        return None

    def _taken(self, name: str) -> bool:
        if self._target is not None and name == "target_info":
            return True
        return self.registry.get(name) is not None or any(name in entry.names for entry in self._entries.values())

    def _names(self, collector: Collector) -> Iterator[str]:
        if isinstance(collector, Instrument):
            yield from collector.sample_names()
            return
        describe: Callable[[], Iterable[Any]] | None = getattr(collector, "describe", None)
        if describe is None:
            describe = collector.collect if self._auto_describe else list
        for metric in describe():
            yield metric.name
            for suffix in SUFFIXES.get(metric.type, ()):
                yield metric.name + suffix

    def _asked(self, names: frozenset[str]) -> list[OwnCollector]:
        """The collectors that may have samples with these names."""
        with self._lock:
            found: list[OwnCollector] = [self._target] if self._target and "target_info" in names else []
            found += [one for one in map(self.registry.get, names) if one is not None]
            entries = [entry for entry in self._entries.values() if not isinstance(entry.own, Instrument)]
        found += [one.own for one in entries if names & one.names or (self._nameless and not one.names)]
        return list(dict.fromkeys(found))


class RestrictedRegistry:
    """Some samples of a registry; see ``CollectorRegistry.restricted_registry``."""

    def __init__(self, names: Iterable[str], asked: Callable[[frozenset[str]], Iterable[OwnCollector]]) -> None:
        self._names = frozenset(names)
        self._asked = asked

    def collect(self) -> Iterator[MetricFamily]:
        """The families that have such samples, with those only."""
        for collector in self._asked(self._names):
            for family in collector.collect():
                samples = tuple(sample for sample in family.samples if sample.name in self._names)
                if samples:
                    yield replace(family, samples=samples, native=())


def beneath(registry: Collector) -> Registry:
    """Mirante's registry for what code hands over as one: a registry of either kind, or any collector."""
    if isinstance(registry, CollectorRegistry):
        return registry.registry
    if isinstance(registry, Registry):
        return registry
    own = Registry()
    own.register(adapt(registry))
    return own


REGISTRY = CollectorRegistry(auto_describe=True, registry=OWN_REGISTRY)
"""The process's own: over ``mirante.metrics.REGISTRY``, so that both spellings meet in one exposition."""
