"""What client integrations add to a call, beside OpenTelemetry's instrumentations on its SDK, in one run.

    python benchmarks/bench_integrations.py [--rounds 15] [--calls 2000]

CPU time that a call takes more than without any: httpx over a transport that answers at once, and a statement on SQLite
in memory. Recorded spans are kept and thrown away, on both sides without encoding; ours measures durations into a
histogram besides, OpenTelemetry's here does not. The best of all rounds counts, taken in turns.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx
import sqlalchemy
from opentelemetry import propagate
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.trace import sampling

from mirante.correlation.propagator import propagator
from mirante.integrations import httpx as ours_httpx
from mirante.integrations import sqlalchemy as ours_sqlalchemy
from mirante.tracing import PROVIDER, AlwaysOff, AlwaysOn, ParentBased, Pipeline

Call = Callable[[], object]


class Drop(sdk.SpanProcessor):
    """Takes ended spans."""


class Answers:
    """A connection pool that answers at once."""

    def handle_request(self, _request: httpcore.Request) -> httpcore.Response:
        """204."""
        return httpcore.Response(204)

    def close(self) -> None:
        """Nothing is open."""


@contextmanager
def bare(_: object) -> Iterator[None]:
    """Without any."""
    yield


@contextmanager
def ours(integration: Any, *, recorded: bool) -> Iterator[None]:  # noqa: ANN401 - a module
    """With mirante's."""
    before, headers = PROVIDER.pipeline, propagate.get_global_textmap()
    propagate.set_global_textmap(propagator("tracecontext,baggage"))  # as mirante.configure() does
    PROVIDER.pipeline = Pipeline(sampler=ParentBased(AlwaysOn() if recorded else AlwaysOff()))
    integration.install()
    try:
        yield
    finally:
        integration.uninstall()
        PROVIDER.pipeline = before
        propagate.set_global_textmap(headers)


@contextmanager
def theirs(instrumentor: Any, *, recorded: bool, **options: Any) -> Iterator[None]:  # noqa: ANN401 - of any library
    """With OpenTelemetry's."""
    root = sampling.ALWAYS_ON if recorded else sampling.ALWAYS_OFF
    provider = sdk.TracerProvider(sampler=sampling.ParentBased(root), shutdown_on_exit=False)
    provider.add_span_processor(Drop())
    instrumentor.instrument(tracer_provider=provider, **options)
    try:
        yield
    finally:
        instrumentor.uninstrument()


def seconds(call: Call, calls: int) -> float:
    """CPU time of one."""
    gc.collect()
    start = time.process_time()
    for _ in range(calls):
        call()
    return (time.process_time() - start) / calls


def cases() -> Iterator[tuple[str, Call, Any, Callable[[], tuple[Any, dict[str, Any]]]]]:
    """Name, call, our integration, and OpenTelemetry's with its options."""
    transport = httpx.HTTPTransport()
    transport._pool = Answers()  # type: ignore[assignment] # noqa: SLF001 - no network
    client = httpx.Client(transport=transport)
    yield (
        "httpx",
        lambda: client.get("http://shop.example/orders?page=2"),
        ours_httpx,
        lambda: (
            HTTPXClientInstrumentor(),
            {},
        ),
    )
    engine = sqlalchemy.create_engine("sqlite://")
    connection = engine.connect()
    statement = sqlalchemy.text("SELECT 1 WHERE 'a' = :name")
    yield (
        "SQLAlchemy",
        lambda: connection.execute(statement, {"name": "b"}),
        ours_sqlalchemy,
        lambda: (
            SQLAlchemyInstrumentor(),
            {"engine": engine},
        ),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=2000)
    options = parser.parse_args()
    for name, call, integration, other in cases():
        best: dict[str, float] = {}
        for _ in range(options.rounds):
            for label, recorded in (("recorded", True), ("unsampled", False)):
                instrumentor, arguments = other()
                blocks = {
                    "bare": bare(None),
                    f"{label} mirante": ours(integration, recorded=recorded),
                    f"{label} OpenTelemetry": theirs(instrumentor, recorded=recorded, **arguments),
                }
                for side, block in blocks.items():
                    with block:
                        best[side] = min(best.get(side, 1.0), seconds(call, options.calls))
        base = best.pop("bare")
        print(f"{name}: a call takes {base * 1e6:.1f} us without any")
        for label in ("recorded", "unsampled"):
            mine, other_one = ((best[f"{label} {side}"] - base) * 1e6 for side in ("mirante", "OpenTelemetry"))
            print(f"  {label}: {mine:.1f} us more, OpenTelemetry {other_one:.1f} us more, {other_one / mine:.1f}x")


if __name__ == "__main__":
    main()
