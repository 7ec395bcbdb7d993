"""What a span costs, beside the OpenTelemetry SDK with its own OTLP encoder, in one run.

    python benchmarks/bench_tracing.py [--rounds 15] [--spans 4000]

"Recorded" is total CPU time: start, three attributes of which two differ from span to span, end, and the encoding to
OTLP bytes in batches of 512, as both exporters do it. "Unsampled" is what a span costs that is left out. Both are timed
in turns, and the best of all rounds counts, so that a busy machine disturbs both alike.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable
from typing import Any

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import sampling as sdk_sampling
from opentelemetry.trace import Tracer
from opentelemetry.util.types import AnyValue

from mirante.formats import otlp_common
from mirante.formats.otlp_traces import encode_request, encode_span
from mirante.tracing import AlwaysOff, AlwaysOn, ParentBased, Pipeline, TracerProvider

BATCH = 512
RESOURCE = {"service.name": "bench", "telemetry.sdk.language": "python"}
PATHS = [f"/orders/{number}" for number in range(BATCH)]
Encode = Callable[[list[Any]], bytes]


class Keep(sdk.SpanProcessor):
    """Hands ended spans over as the SDK's batch processor does, without its thread."""

    def __init__(self, ended: list[Any]) -> None:
        self._ended = ended

    def on_end(self, span: sdk.ReadableSpan) -> None:
        """Keep it."""
        self._ended.append(span)


def blocks(tracer: Tracer, count: int) -> None:
    for number in range(count):
        with tracer.start_as_current_span("GET /orders/{id}") as span:
            span.set_attribute("http.request.method", "GET")
            span.set_attribute("order.id", number)
            span.set_attribute("url.path", PATHS[number])


def pairs(tracer: Tracer, count: int) -> None:
    for number in range(count):
        attributes: dict[str, AnyValue] = {
            "http.request.method": "GET",
            "order.id": number,
            "url.path": PATHS[number],
        }
        tracer.start_span("GET /orders/{id}", attributes=attributes).end()


def ours(*, sampled: bool) -> tuple[Tracer, list[Any], Encode]:
    ended: list[Any] = []
    resource = otlp_common.resource(RESOURCE)
    pipeline = Pipeline(ended.append, ParentBased(AlwaysOn() if sampled else AlwaysOff()))
    tracer = TracerProvider(pipeline).get_tracer("bench", "1")
    return tracer, ended, lambda spans: encode_request(resource, [(span.scope, encode_span(span)) for span in spans])


def theirs(*, sampled: bool) -> tuple[Tracer, list[Any], Encode]:
    ended: list[Any] = []
    sampler = sdk_sampling.DEFAULT_ON if sampled else sdk_sampling.DEFAULT_OFF
    provider = sdk.TracerProvider(sampler, Resource(RESOURCE), shutdown_on_exit=False)
    provider.add_span_processor(Keep(ended))
    return provider.get_tracer("bench", "1"), ended, lambda spans: encode_spans(spans).SerializeToString()


def once(side: tuple[Tracer, list[Any], Encode], work: Callable[[Tracer, int], None], count: int) -> float:
    """Microseconds of CPU a span, encoding included."""
    tracer, ended, encode = side
    ended.clear()
    gc.collect()
    begun = time.process_time_ns()
    for _ in range(0, count, BATCH):
        work(tracer, BATCH)
        if ended:
            encode(ended)
            ended.clear()
    return (time.process_time_ns() - begun) / 1000 / (-(-count // BATCH) * BATCH)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--spans", type=int, default=4000)
    given = options.parse_args()
    cases = [
        ("recorded and encoded, start_as_current_span", blocks, True),
        ("recorded and encoded, start_span", pairs, True),
        ("unsampled, start_as_current_span", blocks, False),
        ("unsampled, start_span", pairs, False),
    ]
    print(f"{'us of CPU a span':45} {'mirante':>8} {'SDK':>8} {'ratio':>6}")
    for name, work, sampled in cases:
        left, right = ours(sampled=sampled), theirs(sampled=sampled)
        rounds = [(once(left, work, given.spans), once(right, work, given.spans)) for _ in range(given.rounds)]
        mine, other = min(a for a, _ in rounds), min(b for _, b in rounds)
        print(f"{name:45} {mine:8.2f} {other:8.2f} {other / mine:5.1f}x")


if __name__ == "__main__":
    main()
