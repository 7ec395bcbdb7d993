"""Counters, gauges, histograms and summaries; one registry; the same calls with and without ``await``."""

from mirante._core.model import Collector, Exemplar, MetricFamily, Sample
from mirante.metrics.distributions import BoundHistogram, BoundSummary, Histogram, Summary
from mirante.metrics.manager import MetricsManager
from mirante.metrics.names import DEFAULT_BUCKETS
from mirante.metrics.registry import REGISTRY, Registry
from mirante.metrics.service import MetricsCollector
from mirante.metrics.shorthand import counter, gauge, histogram, summary
from mirante.metrics.types import BoundCounter, BoundGauge, Counter, Gauge

__all__ = [
    "DEFAULT_BUCKETS",
    "REGISTRY",
    "BoundCounter",
    "BoundGauge",
    "BoundHistogram",
    "BoundSummary",
    "Collector",
    "Counter",
    "Exemplar",
    "Gauge",
    "Histogram",
    "MetricFamily",
    "MetricsCollector",
    "MetricsManager",
    "Registry",
    "Sample",
    "Summary",
    "counter",
    "gauge",
    "histogram",
    "summary",
]
