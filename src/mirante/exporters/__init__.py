"""Ways out for telemetry."""

from mirante.exporters.memory import MemoryExporter
from mirante.exporters.otlp import OtlpMetricExporter
from mirante.exporters.prometheus import MetricsServer, start_http_server

__all__ = ["MemoryExporter", "MetricsServer", "OtlpMetricExporter", "start_http_server"]
