"""The buffered telemetry pipeline: record, aggregate, sample, limit, batch, retry, deliver."""

from mirante._core.record import AggregatedMetric, Metric
from mirante.telemetry.collector import MetricsCollector
from mirante.telemetry.config import TelemetryConfig
from mirante.telemetry.stages import Aggregate, Batch, RateLimit, Retry, Sample

__all__ = [
    "Aggregate",
    "AggregatedMetric",
    "Batch",
    "Metric",
    "MetricsCollector",
    "RateLimit",
    "Retry",
    "Sample",
    "TelemetryConfig",
]
