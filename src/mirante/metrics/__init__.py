"""Counters, gauges, histograms and summaries; one registry; the same calls with and without ``await``."""

from mirante._core.model import Collector, Exemplar, MetricFamily, Sample
from mirante.metrics.distributions import BoundHistogram, BoundSummary, Histogram, Summary
from mirante.metrics.manager import MetricsManager
from mirante.metrics.names import DEFAULT_BUCKETS
from mirante.metrics.registry import REGISTRY, Registry
from mirante.metrics.service import MetricsCollector
from mirante.metrics.shorthand import counter, gauge, histogram, info, stateset, summary
from mirante.metrics.states import BoundInfo, BoundStateSet, Info, StateSet
from mirante.metrics.types import BoundCounter, BoundGauge, Counter, Gauge

__all__ = [
    "DEFAULT_BUCKETS",
    "REGISTRY",
    "BoundCounter",
    "BoundGauge",
    "BoundHistogram",
    "BoundInfo",
    "BoundStateSet",
    "BoundSummary",
    "Collector",
    "Counter",
    "Exemplar",
    "Gauge",
    "Histogram",
    "Info",
    "MetricFamily",
    "MetricsCollector",
    "MetricsManager",
    "Registry",
    "Sample",
    "StateSet",
    "Summary",
    "counter",
    "gauge",
    "histogram",
    "info",
    "stateset",
    "summary",
]
