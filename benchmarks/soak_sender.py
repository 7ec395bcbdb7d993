"""One application of the soak: makes items, each a span, a log record and a count, and prints how many it made.

Arguments: ``mirante``, ``grpc`` or ``http`` (OpenTelemetry's SDK over that), the endpoint, seconds, items a second.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable

WARNINGS: list[str] = []
"""What an SDK complained of: that it dropped something, or could not send it."""


class _Complaints(logging.Handler):
    """Remembers warnings of the SDKs."""

    def emit(self, record: logging.LogRecord) -> None:
        """Remember one."""
        WARNINGS.append(f"{record.name}: {record.getMessage()}")


def own_sdk(endpoint: str) -> tuple[Callable[[int], None], Callable[[], None]]:
    """The project's own."""
    from opentelemetry import trace

    import mirante
    from mirante import metrics

    mirante.configure("soak-mirante", endpoint, log_stream="none", log_warnings=False, shutdown_timeout=60.0)
    items = metrics.counter("soak_items_total", "Items made.")
    tracer, log = trace.get_tracer("soak"), logging.getLogger("soak")

    def make(number: int) -> None:
        with tracer.start_as_current_span("item", attributes={"number": number}):
            log.info("item %d", number)
            items.inc()

    def end() -> None:
        mirante.flush(60)
        if not mirante.shutdown():
            WARNINGS.append("mirante: not everything was delivered by the end")

    return make, end


def open_telemetry(way: str, endpoint: str) -> tuple[Callable[[int], None], Callable[[], None]]:
    """OpenTelemetry's, with its usual batches and queues."""
    from opentelemetry._logs import LogRecord, SeverityNumber
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    if way == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    else:
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter  # type: ignore[assignment]
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import (  # type: ignore[assignment]
            OTLPMetricExporter,
        )
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # type: ignore[assignment]
    resource = Resource.create({"service.name": f"soak-{way}"})
    tracers, loggers = TracerProvider(resource=resource), LoggerProvider(resource=resource)
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    loggers.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
    meters = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(), 5000)], resource)
    items = meters.get_meter("soak").create_counter("soak.items")
    tracer, log = tracers.get_tracer("soak"), loggers.get_logger("soak")

    def make(number: int) -> None:
        with tracer.start_as_current_span("item", attributes={"number": number}):
            now = time.time_ns()
            log.emit(LogRecord(timestamp=now, body=f"item {number}", severity_number=SeverityNumber.INFO))
            items.add(1)

    def end() -> None:
        for provider in (tracers, loggers, meters):
            provider.shutdown()

    return make, end


def main() -> None:
    """Make items at an even pace."""
    way, endpoint, seconds, rate = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
    for name in ("opentelemetry", "mirante"):
        logging.getLogger(name).addHandler(_Complaints(logging.WARNING))
    make, end = own_sdk(endpoint) if way == "mirante" else open_telemetry(way, endpoint)
    begun, made = time.monotonic(), 0
    while (passed := time.monotonic() - begun) < seconds:
        for number in range(made, int(passed * rate)):
            make(number)
        made = max(made, int(passed * rate))
        time.sleep(0.02)
    end()
    print(json.dumps({"service": f"soak-{way}", "made": made, "warnings": WARNINGS[:5]}))


if __name__ == "__main__":
    main()
