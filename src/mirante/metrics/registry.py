"""The set of metrics that are collected and exposed together."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from mirante._core.guard import REPORTER
from mirante._core.model import Collector, MetricFamily, Sample
from mirante.errors import DuplicateMetricError
from mirante.formats.exposition import encode, family_text, header, underscored
from mirante.metrics.family import Instrument

I = TypeVar("I", bound=Instrument[Any])  # noqa: E741 - an instrument
K = TypeVar("K", bound=Collector)

STRETCH = 1000
"""Lines formatted at a stretch: under a millisecond."""

_BREATH = 0.00005
"""Seconds of sleep between stretches. Sleeping for zero would take the GIL back before any waiting thread wakes up."""

_DECLARING = threading.Lock()
if hasattr(os, "register_at_fork"):  # pragma: no branch - absent on Windows, where nothing forks
    # Held across fork, so that no child inherits it from a thread that it does not have.
    os.register_at_fork(
        before=_DECLARING.acquire, after_in_parent=_DECLARING.release, after_in_child=_DECLARING.release
    )


class Registry:
    """Instruments by name, and collectors of metrics that are read elsewhere. Any thread may call any method.

    Example:
        >>> from mirante.metrics import counter
        >>> registry = Registry()
        >>> jobs = counter("jobs_total", "Jobs done.", registry=registry)
        >>> jobs.inc()
        DONE
        >>> print(registry.expose().decode(), end="")
        # HELP jobs_total Jobs done.
        # TYPE jobs_total counter
        jobs_total 1.0

    Args:
        process_wide: share its metrics with other processes if PROMETHEUS_MULTIPROC_DIR is set when the first one is
            declared; see ``mirante.metrics.multiprocess``.
    """

    def __init__(self, *, process_wide: bool = False) -> None:
        self._process_wide = process_wide
        self._view: Callable[[], Registry] | None = None
        # Replaced as a whole, never changed in place: readers take no lock.
        self._instruments: dict[str, Instrument[Any]] = {}
        self._names: dict[str, Instrument[Any]] = {}
        self._collectors: tuple[Collector, ...] = ()

    def add(self, instrument: I) -> I:
        """Add an instrument, or find the one that was declared with the same name and shape before.

        Returns:
            The instrument to use, which may be the earlier one.

        Raises:
            DuplicateMetricError: the name, or one that its samples take, is used with another shape; names both places.
        """
        with _DECLARING:
            known = self._instruments.get(instrument.name)
            if known is not None and known.shape() == instrument.shape():
                return known  # type: ignore[return-value] # the shape holds the type
            for name in instrument.sample_names():
                if name in self._names:
                    raise _conflict(name, self._names[name], instrument)
            self._names = {**self._names, **dict.fromkeys(instrument.sample_names(), instrument)}
            self._instruments = {**self._instruments, instrument.name: instrument}
        if self._process_wide and self._view is None and os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            from mirante.metrics import multiprocess

            multiprocess.start_if_asked()
        return instrument

    def instruments(self) -> list[Instrument[Any]]:
        """The present instruments."""
        return list(self._instruments.values())

    def share(self, view: Callable[[], Registry] | None) -> None:
        """Expose what ``view`` gives instead of this registry's own metrics; None goes back to those."""
        self._view = view

    @property
    def shared(self) -> bool:
        """Whether other processes' metrics are exposed with it, which takes reading files."""
        return self._view is not None

    def exposed(self) -> Registry:
        """The registry to expose: itself, or where several processes share their metrics, that of all together."""
        return self if self._view is None else self._view()

    def adopt(self, other: Registry) -> None:
        """Ask the other one's collectors too, but those that tell of their own process."""
        self._collectors += tuple(one for one in other._collectors if not getattr(one, "per_process", False))

    def own_families(self) -> Iterator[MetricFamily]:
        """The families of collectors that tell of this process; they have an attribute ``per_process = True``."""
        yield from self._asked([one for one in self._collectors if getattr(one, "per_process", False)])

    def register(self, collector: K) -> K:
        """Add a collector, such as the host's metrics; it is asked at each collection. Adding it again does nothing."""
        if isinstance(collector, Instrument):
            self.add(collector)
            return collector
        with _DECLARING:
            if collector not in self._collectors:
                self._collectors = (*self._collectors, collector)
        return collector

    def unregister(self, collector: Collector) -> None:
        """Take out a collector or an instrument, if it is there."""
        with _DECLARING:
            self._collectors = tuple(other for other in self._collectors if other is not collector)
            self._instruments = {n: other for n, other in self._instruments.items() if other is not collector}
            self._names = {n: other for n, other in self._names.items() if other is not collector}

    def get(self, name: str) -> Instrument[Any] | None:
        """The instrument that has this name or gives samples of this name."""
        return self._names.get(name)

    def collect(self) -> Iterator[MetricFamily]:
        """All families with their samples. A collector that fails is reported and left out."""
        for instrument in self._instruments.values():
            yield from instrument.collect()
        yield from self._collected()
        yield from self._own()

    def expose(self, *, openmetrics: bool = False) -> bytes:
        """All metrics as one Prometheus text, or OpenMetrics text, exposition.

        Other threads get their turn at least every millisecond, however many series there are.
        """
        return gather(self.chunks(openmetrics=openmetrics))

    def chunks(self, *, openmetrics: bool = False, utf8: bool = False) -> Iterator[bytes]:
        """The exposition in parts that take less than a millisecond each, for whoever shares a thread with others.

        Args:
            openmetrics: OpenMetrics 1.0 instead of Prometheus text 0.0.4.
            utf8: the reader knows names of any characters; otherwise they become ``_``.
        """
        families: list[MetricFamily] = []
        for instrument in self._instruments.values():
            if instrument.utf8:
                families += instrument.collect()
                continue
            yield header(instrument.header(), openmetrics=openmetrics).encode()
            children = instrument.children()
            step = max(1, STRETCH // instrument.lines_per_child)
            for start in range(0, len(children), step):
                yield encode(instrument.text(children[start : start + step], openmetrics=openmetrics))
        for family in (*families, *self._collected(), *self._own()):
            yield encode(family_text(family if utf8 else underscored(family), openmetrics=openmetrics))
        if openmetrics:
            yield b"# EOF\n"

    async def refresh(self) -> None:
        """Await the coroutine functions given to ``set_function``, all at once, before exposing on this loop."""
        import asyncio

        asked = [one for instrument in self._instruments.values() for one in getattr(instrument, "awaited", list)()]
        if asked:
            await asyncio.gather(*[one.refresh() for one in asked])

    def reset(self) -> None:
        """Set all counts back to zero and keep gauges, as a forked child does, whose own history begins there."""
        for instrument in self._instruments.values():
            instrument.reset()

    def _own(self) -> Iterator[MetricFamily]:
        """What the registry says about itself, when there is something to say."""
        name = "mirante_metrics_label_sets_refused"
        refused = {one.name: one.refused for one in self._instruments.values() if one.refused}
        if refused:
            samples = tuple(Sample(f"{name}_total", {"metric": m}, float(n)) for m, n in refused.items())
            help = "Calls of labels() that got the overflow series, because the metric had all its label sets."
            yield MetricFamily(name, "counter", help, samples=samples)

    def _collected(self) -> Iterator[MetricFamily]:
        return self._asked(self._collectors)

    def _asked(self, collectors: Iterable[Collector]) -> Iterator[MetricFamily]:
        seen = set(self._instruments)
        for collector in collectors:
            try:
                families = list(collector.collect())
            except Exception as error:  # noqa: BLE001 - one collector's fault must not cost the others
                REPORTER.fault(f"collector {type(collector).__name__}", error)
                continue
            for family in families:
                if family.name in seen:
                    REPORTER.warn(f"metric {family.name}", f"left out: {type(collector).__name__} gives it again")
                    continue
                seen.add(family.name)
                yield family


def gather(parts: Iterable[bytes]) -> bytes:
    """Join the parts of an exposition, giving way to other threads after each that took long."""
    joined = []
    for part in parts:
        joined.append(part)
        if len(part) > STRETCH * 10:
            time.sleep(_BREATH)
    return b"".join(joined)


def _conflict(name: str, first: Instrument[Any], second: Instrument[Any]) -> DuplicateMetricError:
    return DuplicateMetricError(
        f"{name} is declared as {_description(first)} at {first.declared_at} "
        f"and as {_description(second)} at {second.declared_at}: give one of them another name",
        name=name,
        first=first.declared_at,
        second=second.declared_at,
    )


def _description(instrument: Instrument[Any]) -> str:
    _kind, labels, unit, *rest = instrument.shape()
    more = "".join(f", {part}" for part in (f"unit {unit}" if unit else "", *rest) if part)
    return f"{instrument.type} with labels {labels}{more}"


REGISTRY = Registry(process_wide=True)
"""The process's own, used where none is named."""
