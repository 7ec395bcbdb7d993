"""From measurements to metric families and back: exporters take both and speak one of the two."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from math import isfinite

from mirante._core.model import MetricFamily, Sample
from mirante._core.protocols import Exportable
from mirante._core.record import AggregatedMetric, Metric

_SUFFIXES = ("count", "sum", "min", "max", "last")


@lru_cache(4096)
def metric_name(name: str) -> str:
    """The nearest name that the Prometheus data model allows.

    Example:
        >>> metric_name("api.latency-ms"), metric_name("99th")
        ('api_latency_ms', '_99th')
    """
    clean = re.sub(r"[^a-zA-Z0-9_:]", "_", name)
    return "_" + clean if clean[:1].isdigit() else clean


@lru_cache(4096)
def label_name(name: str) -> str:
    """The nearest label name that the Prometheus data model allows, and that is not one of its own.

    Example:
        >>> label_name("http.method"), label_name("__name__")
        ('http_method', 'tag__name__')
    """
    clean = re.sub(r"[^a-zA-Z0-9_]", "_", name)
    if clean.startswith("__"):
        return "tag" + clean
    return "_" + clean if clean[:1].isdigit() or not clean else clean


def families_of(batch: Iterable[Exportable]) -> list[MetricFamily]:
    """The batch as metric families: measurements become gauges with their own timestamps, metadata is left out.

    An ``AggregatedMetric`` becomes gauges with the suffixes ``_count``, ``_sum``, ``_min``, ``_max`` and ``_last``, and
    its quantiles one with the label ``quantile``. They tell of the time since the flush before, not running totals.

    Example:
        >>> families_of([Metric("jobs", 2, datetime(2026, 1, 1, tzinfo=UTC), {"shop": "a"})])[0].samples[0][:3]
        ('jobs', {'shop': 'a'}, 2.0)
    """
    out: list[MetricFamily] = []
    gauges: dict[str, list[Sample]] = {}
    for one in batch:
        if isinstance(one, MetricFamily):
            out.append(one)
            continue
        for sample in _samples(one):
            gauges.setdefault(sample.name, []).append(sample)
    return out + [MetricFamily(name, "gauge", samples=tuple(samples)) for name, samples in gauges.items()]


def _samples(metric: Metric) -> Iterator[Sample]:
    name = metric_name(metric.name)
    labels = {label_name(tag): value for tag, value in metric.tags.items()}
    at = metric.timestamp.timestamp()
    if not isinstance(metric, AggregatedMetric):
        yield Sample(name, labels, metric.value, at)
        return
    for suffix in _SUFFIXES:
        yield Sample(f"{name}_{suffix}", labels, getattr(metric, suffix), at)
    for share, value in metric.quantiles.items():
        yield Sample(name, {**labels, "quantile": f"{share:g}"}, value, at)


def records_of(batch: Iterable[Exportable], now: datetime) -> list[Metric]:
    """The batch as measurements: each finite sample of a family becomes one, taken ``now`` unless it says when."""
    out = []
    for one in batch:
        if isinstance(one, Metric):
            out.append(one)
            continue
        for sample in one.samples:
            if isfinite(sample.value):
                at = now if sample.timestamp is None else datetime.fromtimestamp(sample.timestamp, UTC)
                out.append(Metric(sample.name, sample.value, at, sample.labels))
    return out


def latest(families: Iterable[MetricFamily]) -> list[MetricFamily]:
    """Of each series the last sample only, without its timestamp: the present state."""
    return [
        replace(family, samples=tuple({_series(s): s._replace(timestamp=None) for s in family.samples}.values()))
        for family in families
    ]


def in_order(families: Iterable[MetricFamily], now: float) -> list[MetricFamily]:
    """Every sample with a timestamp (``now`` where it had none), by time; of one series' in a millisecond the last."""
    out = []
    for family in families:
        found: dict[object, Sample] = {}
        for sample in family.samples:
            timed = sample if sample.timestamp is not None else sample._replace(timestamp=now)
            found[_series(timed), round((timed.timestamp or 0.0) * 1000)] = timed
        out.append(replace(family, samples=tuple(sorted(found.values(), key=lambda s: s.timestamp or 0.0))))
    return out


def _series(sample: Sample) -> object:
    return sample.name, frozenset(sample.labels.items())
