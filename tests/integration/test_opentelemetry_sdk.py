"""The OpenTelemetry SDK sends all three signals, over both transports, packed and not; the store has them whole."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from tests.peers import Peer, fetch, free_port, mirante, wait_for

pytestmark = pytest.mark.slow

WAYS: dict[str, Callable[[int, int], dict[str, Any]]] = {
    "grpc": lambda port, _: {"endpoint": f"http://127.0.0.1:{port}", "insecure": True},
    "grpc-gzip": lambda port, _: {
        "endpoint": f"http://127.0.0.1:{port}", "insecure": True, "compression": grpc.Compression.Gzip
    },
    "http": lambda _, port: {"endpoint": f"http://127.0.0.1:{port}/v1/"},
    "http-gzip": lambda _, port: {"endpoint": f"http://127.0.0.1:{port}/v1/", "compression": Compression.Gzip},
    "http-deflate": lambda _, port: {"endpoint": f"http://127.0.0.1:{port}/v1/", "compression": Compression.Deflate},
}  # fmt: skip
DEEP: Any = {"list": [1, {"of": ["maps", 2.5]}], "bytes": b"\xff", "yes": True}
DEEP_JSON = {"list": [1, {"of": ["maps", 2.5]}], "bytes": "/w==", "yes": True}
READ = """
import json, sys
from mirante.server.store.client import Engine

engine = Engine(f"chdb://{sys.argv[1]}")
spans = "SELECT ServiceName, SpanName, SpanAttributes['list'] AS list, Events.Name AS events FROM otel_traces"
logs = "SELECT ServiceName, Body, LogAttributes['deep'] AS deep, SeverityText, SpanId != '' AS in_span FROM otel_logs"
print(json.dumps([engine.arrow(sql + " ORDER BY ServiceName").to_pylist() for sql in (spans, logs)]))
engine.close()
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Peer, int, int, Path]]:
    """A server with both of OTLP's ports."""
    folder = tmp_path_factory.mktemp("otlp")
    over_grpc, over_http = free_port(), free_port()
    flags = ["--otlp-grpc-port", str(over_grpc), "--otlp-http-port", str(over_http), "--no-host-metrics"]
    flags += ["--otlp-promote-resource-attributes", "deployment.environment.name"]
    with mirante(folder, *flags) as peer:
        yield peer, over_grpc, over_http, folder / "data"


def send_all(way: str, options: Mapping[str, Any]) -> None:
    """Spans, log records and metrics of a service that is named after the way."""
    resource = Resource.create({"service.name": way, "service.instance.id": "1", "deployment.environment.name": "test"})
    is_grpc = way.startswith("grpc")

    def of(signal: str) -> dict[str, Any]:
        deltas = dict.fromkeys((Counter, Histogram), AggregationTemporality.DELTA)
        more = {"preferred_temporality": deltas} if signal == "metrics" else {}
        return {**options, **more} if is_grpc else {**options, **more, "endpoint": f"{options['endpoint']}{signal}"}

    tracers = TracerProvider(resource=resource)
    spans = GrpcSpans(**of("traces")) if is_grpc else HttpSpans(**of("traces"))
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    loggers = LoggerProvider(resource=resource)
    records = GrpcLogs(**of("logs")) if is_grpc else HttpLogs(**of("logs"))
    loggers.add_log_record_processor(SimpleLogRecordProcessor(records))
    with tracers.get_tracer("t").start_as_current_span("GET /", attributes={"list": ["a", "b"]}) as span:
        span.add_event("happened")
        loggers.get_logger("l").emit(
            LogRecord(
                timestamp=span.start_time,  # type: ignore[attr-defined] # the SDK's own span
                body=DEEP,
                attributes={"deep": DEEP},
                severity_number=SeverityNumber.WARN,
                severity_text="WARN",
            )
        )
    metrics = GrpcMetrics(**of("metrics")) if is_grpc else HttpMetrics(**of("metrics"))
    views = [View(instrument_name="size", aggregation=ExponentialBucketHistogramAggregation())]
    meters = MeterProvider([PeriodicExportingMetricReader(metrics, 3_600_000)], resource, views=views)
    meter = meters.get_meter("m", "1.0")
    counter = meter.create_counter("orders", "1")
    sizes, latency = (meter.create_histogram(name, unit) for name, unit in (("size", "By"), ("latency", "s")))
    for _ in range(2):
        counter.add(3, {"kind": "a"})
        sizes.record(5)
        sizes.record(0)
        latency.record(0.3)
        assert meters.force_flush(60_000)
    for provider in (meters, tracers, loggers):
        provider.shutdown()


def whole(peer: Peer, target: str) -> Any:
    """The native histogram, once all of both requests can be seen: a body's parts may appear one after the other."""
    (size,) = peer.query(f"size_bytes{{{target}}}") or [{"histogram": [0, {"count": ""}]}]
    counts = [peer.query(f"{name}{{{target}}}") for name in ("latency_seconds_count", "orders_total")]
    seen = [found[0]["value"][1] for found in counts if found]
    return size if [size["histogram"][1]["count"], *seen] == ["4", "2", "6"] else None


def test_everything_arrives(served: tuple[Peer, int, int, Path]) -> None:
    """Deltas as totals, exponential histograms as native ones, nested values as JSON; none of it refused."""
    peer, over_grpc, over_http, data = served
    for way, options in WAYS.items():
        send_all(way, options(over_grpc, over_http))
    for way in WAYS:
        target = f'job="{way}", instance="1", deployment_environment_name="test", otel_scope_name="m"'
        size = wait_for(lambda asked=target: whole(peer, asked), what=f"both requests over {way} to be loaded")
        assert size["histogram"][1]["sum"] == "10"
        assert [bucket[3] for bucket in size["histogram"][1]["buckets"]] == ["2", "2"]
        assert peer.query(f"orders_total{{{target}}}")[0]["metric"]["kind"] == "a"
        (info,) = peer.query(f'target_info{{job="{way}"}}')
        assert info["metric"]["telemetry_sdk_language"] == "python"
    counted = [line for line in fetch(f"{peer.url}/metrics")[1].decode().splitlines() if 'outcome="rejected"' in line]
    assert len(counted) >= 3
    assert all(line.endswith(" 0.0") for line in counted), counted
    assert peer.stop() == 0

    read = subprocess.run(
        [sys.executable, "-c", READ, str(data)], capture_output=True, text=True, check=True, timeout=120
    )
    spans, records = json.loads(read.stdout)
    one = {"SpanName": "GET /", "list": '["a","b"]', "events": ["happened"]}
    assert spans == [{"ServiceName": way, **one} for way in sorted(WAYS)]
    assert [record["ServiceName"] for record in records] == sorted(WAYS)
    for record in records:
        assert json.loads(record["Body"]) == json.loads(record["deep"]) == DEEP_JSON
        assert (record["SeverityText"], record["in_span"]) == ("WARN", 1)
