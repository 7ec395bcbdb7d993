"""Short ways to write the families that collectors give."""

from __future__ import annotations

from collections.abc import Iterable

from mirante._core.model import MetricFamily, Sample

Rows = Iterable[tuple[dict[str, str], float]]
"""Labels and value of each series."""


def counter(name: str, help: str, rows: Rows, unit: str = "") -> MetricFamily:
    """A counter's family; ``name`` without ``_total``."""
    samples = tuple(Sample(f"{name}_total", labels, float(value)) for labels, value in rows)
    return MetricFamily(name, "counter", help, unit, samples)


def gauge(name: str, help: str, rows: Rows, unit: str = "") -> MetricFamily:
    """A gauge's family."""
    return MetricFamily(name, "gauge", help, unit, tuple(Sample(name, labels, float(value)) for labels, value in rows))


def single(name: str, help: str, value: float, unit: str = "") -> MetricFamily:
    """A gauge's family with one series and no labels."""
    return gauge(name, help, [({}, value)], unit)
