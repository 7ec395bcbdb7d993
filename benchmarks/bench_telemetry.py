"""What one awaited ``record`` costs, by stages, beside one value recorded in prometheus_client and OpenTelemetry.

Run: ``python benchmarks/bench_telemetry.py``. The other two keep a running figure and deliver nothing, so that this
compares what the caller pays, not the same work.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry, Histogram

from mirante._core.protocols import Exportable
from mirante.telemetry import Aggregate, Batch, MetricsCollector, RateLimit, Retry, Sample, TelemetryConfig
from mirante.telemetry.collector import Stage

ROUNDS = 7
CALLS = 50_000
TAGS = {"route": "/users", "method": "GET"}
PROMISED = 3.0  # microseconds with three stages

PIPELINES: dict[str, tuple[Stage, ...]] = {
    "no stage": (),
    "Aggregate": (Aggregate(),),
    "Aggregate, Batch, Retry": (Aggregate(), Batch(500), Retry()),
    "RateLimit, Batch, Retry": (RateLimit(1e9), Batch(500), Retry()),
    "RateLimit, Sample(0.1), Aggregate": (RateLimit(1e9), Sample(0.1), Aggregate()),
    "Sample(target_per_second=1000), Batch, Retry": (Sample(target_per_second=1000), Batch(500), Retry()),
}


class Nowhere:
    """Takes everything."""

    def export(self, batch: Sequence[Exportable]) -> None:
        """Forget it."""


async def collector(stages: tuple[Stage, ...]) -> float:
    """Microseconds of the fastest round."""
    config = TelemetryConfig("bench", buffer_size=10_000, flush_interval=3600)
    best = float("inf")
    for _ in range(ROUNDS):
        async with MetricsCollector(config, stages, Nowhere()) as mine:
            record: Callable[..., Awaitable[None]] = mine.record
            began = time.perf_counter()
            for _ in range(CALLS):
                await record("response_time", 0.25, tags=TAGS)
            best = min(best, time.perf_counter() - began)
    return best / CALLS * 1e6


def other(call: Callable[[], object]) -> float:
    """Microseconds of the fastest round."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(CALLS):
            call()
        best = min(best, time.perf_counter() - began)
    return best / CALLS * 1e6


def main() -> None:
    """Print one line each."""
    histogram = Histogram("response_time", "T.", ["route", "method"], registry=CollectorRegistry())
    meter = MeterProvider([InMemoryMetricReader()]).get_meter("bench").create_histogram("response_time")
    prometheus = other(lambda: histogram.labels("/users", "GET").observe(0.25))
    otel = other(lambda: meter.record(0.25, TAGS))
    print(f"{'prometheus_client: labels().observe()':55} {prometheus:6.2f} us")
    print(f"{'opentelemetry-sdk: histogram.record()':55} {otel:6.2f} us")
    for name, stages in PIPELINES.items():
        cost = asyncio.run(collector(stages))
        verdict = "" if len(stages) < 3 else f"  promised {PROMISED:g} us: {'kept' if cost < PROMISED else 'MISSED'}"
        print(f"{'await record(), ' + name:55} {cost:6.2f} us  {otel / cost:4.1f}x otel{verdict}")


if __name__ == "__main__":
    main()
