"""All collectors of the process that are at work: what happens to them at fork and exit, and their own metrics."""

from __future__ import annotations

import atexit
import os
import sys
import weakref
from collections.abc import Iterator
from typing import Protocol

from mirante._core.model import MetricFamily, Sample


class Live(Protocol):
    """What is needed of a collector here."""

    def shutdown(self) -> None:
        """Deliver what is left, within the configured time."""
        ...

    def after_fork(self) -> None:
        """Begin anew in a forked child."""
        ...

    def samples(self) -> Iterator[Sample]:
        """Its own metrics now."""
        ...


_live: weakref.WeakSet[Live] = weakref.WeakSet()

# Name without the counter's suffix, type, help.
_FAMILIES = (
    ("mirante_telemetry_recorded", "counter", "Records that were given to a telemetry collector."),
    ("mirante_telemetry_exported", "counter", "Records that reached their destination."),
    ("mirante_telemetry_dropped", "counter", "Records that were lost or left out, by reason."),
    ("mirante_telemetry_retries", "counter", "Attempts to deliver that were repetitions."),
    ("mirante_telemetry_queue_records", "gauge", "Records that wait in memory for their destination."),
    ("mirante_telemetry_spool_records", "gauge", "Records that wait on disk for their destination."),
    ("mirante_telemetry_spool_bytes", "gauge", "Bytes on disk of what waits for its destination."),
    ("mirante_telemetry_spool_torn_bytes", "gauge", "Bytes of half-written records that were cut off at the start."),
)


def families(samples: Iterator[Sample]) -> Iterator[MetricFamily]:
    """Samples of the pipeline's own metrics, put in their families."""
    found = list(samples)
    for name, kind, text in _FAMILIES:
        full = name + "_total" if kind == "counter" else name
        mine = tuple(sample for sample in found if sample.name == full)
        if mine:
            yield MetricFamily(name, kind, text, samples=mine)


class _Pipelines:
    """Collects the metrics of every collector at work, so that several share one family each."""

    def collect(self) -> Iterator[MetricFamily]:
        """See ``Collector``."""
        return families(sample for one in tuple(_live) for sample in one.samples())


PIPELINES = _Pipelines()
"""Registered in the process's registry when the first collector starts."""


def enter(collector: Live) -> None:
    """The collector starts work."""
    from mirante.metrics.registry import REGISTRY

    REGISTRY.register(PIPELINES)
    _live.add(collector)
    _finish_in_multiprocessing()


def leave(collector: Live) -> None:
    """The collector has ended."""
    _live.discard(collector)


def _finish_in_multiprocessing() -> None:
    """A child of multiprocessing ends without ``atexit``; it has a list of its own."""
    process, util = sys.modules.get("multiprocessing.process"), sys.modules.get("multiprocessing.util")
    if process and util and process.parent_process() is not None:
        util.Finalize(None, _at_exit, exitpriority=0)


def _at_exit() -> None:
    for collector in tuple(_live):
        collector.shutdown()


def _after_fork() -> None:
    for collector in tuple(_live):
        collector.after_fork()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):  # pragma: no branch - absent on Windows, where nothing forks
    os.register_at_fork(after_in_child=_after_fork)
