"""What a span costs, beside the OpenTelemetry SDK with its own OTLP encoder and beside logfire, in one run.

    python benchmarks/bench_tracing.py [--rounds 15] [--spans 4000]

"Recorded" is total CPU time: start, three attributes of which two differ from span to span, end, and the encoding to
OTLP bytes in batches of 512, as all exporters do it. "Unsampled" is what a span costs that is left out, as the first of
its trace or below another. They are timed in turns, and the best of all rounds counts, so that a busy machine disturbs
them alike. logfire sends nothing and prints nothing here; its column is its own ``span()``, which has no twin that does
not make current.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import logfire
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
NAME = "GET /orders"
RESOURCE = {"service.name": "bench", "telemetry.sdk.language": "python"}
PATHS = [f"/orders/{number}" for number in range(BATCH)]


class Keep(sdk.SpanProcessor):
    """Hands ended spans over as the SDK's batch processor does, without its thread."""

    def __init__(self, ended: list[Any]) -> None:
        self._ended = ended

    def on_end(self, span: sdk.ReadableSpan) -> None:
        """Keep it."""
        self._ended.append(span)


class Side(NamedTuple):
    """One of those that are compared.

    Attributes:
        make: makes the context manager of one span that is current.
        tracer: for spans that are not made current, or None.
        ended: where its recorded spans go.
        encode: to OTLP.
    """

    make: Callable[[str], AbstractContextManager[Any]]
    tracer: Tracer | None
    ended: list[Any]
    encode: Callable[[list[Any]], bytes]


def blocks(side: Side, count: int) -> None:
    make = side.make
    for number in range(count):
        with make(NAME) as span:
            span.set_attribute("http.request.method", "GET")
            span.set_attribute("order.id", number)
            span.set_attribute("url.path", PATHS[number])


def pairs(side: Side, count: int) -> None:
    tracer = side.tracer
    assert tracer is not None
    for number in range(count):
        attributes: dict[str, AnyValue] = {
            "http.request.method": "GET",
            "order.id": number,
            "url.path": PATHS[number],
        }
        tracer.start_span(NAME, attributes=attributes).end()


def ours(*, sampled: bool) -> Side:
    ended: list[Any] = []
    resource = otlp_common.resource(RESOURCE)
    pipeline = Pipeline(ended.append, ParentBased(AlwaysOn() if sampled else AlwaysOff()))
    tracer = TracerProvider(pipeline).get_tracer("bench", "1")
    return Side(
        tracer.start_as_current_span,
        tracer,
        ended,
        lambda spans: encode_request(resource, [(span.scope, encode_span(span)) for span in spans]),
    )


def theirs(*, sampled: bool) -> Side:
    ended: list[Any] = []
    sampler = sdk_sampling.DEFAULT_ON if sampled else sdk_sampling.DEFAULT_OFF
    provider = sdk.TracerProvider(sampler, Resource(RESOURCE), shutdown_on_exit=False)
    provider.add_span_processor(Keep(ended))
    tracer = provider.get_tracer("bench", "1")
    return Side(tracer.start_as_current_span, tracer, ended, lambda spans: encode_spans(spans).SerializeToString())


def of_logfire(*, sampled: bool) -> Side:
    ended: list[Any] = []
    instance = logfire.configure(
        local=True,
        send_to_logfire=False,
        console=False,
        service_name="bench",
        inspect_arguments=False,
        additional_span_processors=[Keep(ended)],
        sampling=logfire.SamplingOptions(head=1.0 if sampled else 0.0),
    )
    return Side(instance.span, None, ended, lambda spans: encode_spans(spans).SerializeToString())


def once(side: Side, work: Callable[[Side, int], None], count: int, *, below: bool) -> float:
    """Microseconds of CPU a span, encoding included."""
    side.ended.clear()
    gc.collect()
    with side.make("above") if below else nullcontext():
        begun = time.process_time_ns()
        for _ in range(0, count, BATCH):
            work(side, BATCH)
            if side.ended:
                side.encode(side.ended)
                side.ended.clear()
        return (time.process_time_ns() - begun) / 1000 / (-(-count // BATCH) * BATCH)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--spans", type=int, default=4000)
    given = options.parse_args()
    cases = [
        ("recorded and encoded, start_as_current_span", blocks, True, False),
        ("recorded and encoded, start_span", pairs, True, False),
        ("unsampled root, start_as_current_span", blocks, False, False),
        ("unsampled root, start_span", pairs, False, False),
        ("unsampled child, start_as_current_span", blocks, False, True),
        ("unsampled child, start_span", pairs, False, True),
    ]
    print(f"{'us of CPU a span':45} {'mirante':>8} {'SDK':>8} {'ratio':>7} {'logfire':>8} {'ratio':>7}")
    for name, work, sampled, below in cases:
        sides = [make(sampled=sampled) for make in (ours, theirs, of_logfire)]
        if work is pairs:
            del sides[2]
        rounds = [[once(side, work, given.spans, below=below) for side in sides] for _ in range(given.rounds)]
        mine, *others = map(min, zip(*rounds, strict=True))
        compared = " ".join(f"{other:8.2f} {other / mine:6.1f}x" for other in others)
        print(f"{name:45} {mine:8.2f} {compared}", flush=True)


if __name__ == "__main__":
    main()
