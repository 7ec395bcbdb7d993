"""Ways out for telemetry."""

from mirante.exporters.console import ConsoleExporter
from mirante.exporters.file import FileExporter
from mirante.exporters.memory import MemoryExporter
from mirante.exporters.otlp import OtlpMetricExporter
from mirante.exporters.prometheus import MetricsServer, start_http_server
from mirante.exporters.pushgateway import PushgatewayExporter
from mirante.exporters.remote_write import RemoteWriteExporter

__all__ = [
    "ConsoleExporter",
    "FileExporter",
    "MemoryExporter",
    "MetricsServer",
    "OtlpMetricExporter",
    "PushgatewayExporter",
    "RemoteWriteExporter",
    "start_http_server",
]
