"""What observing a FastAPI application costs under load, beside OpenTelemetry's instrumentation on its SDK, in one run.

    python benchmarks/bench_web.py [--rounds 5] [--seconds 4] [--handler quick|slow]

uvicorn (httptools, uvloop, one worker) runs on one core; ``wrk`` and a receiver that takes in all that is exported over
OTLP run on another. The variants take turns, and medians count. CPU a request is the server process's own time, exports
included, divided by the number of requests: on a busy machine it says more than the throughput does.

* bare: the application alone.
* mirante: ``mirante.configure()`` with metrics, spans and log lines delivered, which instruments FastAPI.
* opentelemetry: its FastAPI instrumentation, spans through the batch processor, metrics through the periodic reader.
* fastapi: what FastAPI does by itself where OpenTelemetry's SDK is set up, in the same way as above.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psutil
import uvicorn
import uvloop
from fastapi import FastAPI

VARIANTS = ("bare", "mirante", "opentelemetry", "fastapi")
SERVER_CORE, LOAD_CORE = 0, 1
CONNECTIONS = 32
FIRST_PORT = 18650
SLOW_SECONDS = 0.002


def application() -> FastAPI:
    """The application under test."""
    app = FastAPI()

    @app.get("/quick/{item}")
    async def quick(item: int) -> dict[str, object]:
        return {"item": item, "name": "thing"}

    @app.get("/slow/{item}")
    async def slow(item: int) -> dict[str, object]:
        time.sleep(SLOW_SECONDS)  # noqa: ASYNC251 - it stands for work that keeps the process busy
        return {"item": item, "name": "thing"}

    return app


def observe_with_mirante(receiver: str) -> None:
    import mirante

    mirante.configure(service_name="bench", endpoint=receiver)  # which instruments what is imported


def set_up_opentelemetry(receiver: str) -> None:
    from opentelemetry import metrics, trace
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    spans = TracerProvider()
    spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{receiver}/v1/traces")))
    trace.set_tracer_provider(spans)
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{receiver}/v1/metrics"), 15_000)
    metrics.set_meter_provider(MeterProvider([reader]))


def observe_with_opentelemetry(app: FastAPI, receiver: str) -> None:
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    set_up_opentelemetry(receiver)
    FastAPIInstrumentor.instrument_app(app)


def serve(variant: str, port: int, receiver: str) -> None:
    """Run one variant until it is told to stop."""
    os.sched_setaffinity(0, {SERVER_CORE})
    app = application()
    if variant == "mirante":
        observe_with_mirante(receiver)
    elif variant == "opentelemetry":
        observe_with_opentelemetry(app, receiver)
    elif variant == "fastapi":
        set_up_opentelemetry(receiver)
    uvicorn.run(app, port=port, loop="uvloop", http="httptools", access_log=False, log_level="error")


def receive(port: int) -> None:
    """Take in whatever is sent, and throw it away, at the least possible cost to the core that wrk runs on."""
    os.sched_setaffinity(0, {LOAD_CORE})

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = re.search(rb"content-length: *(\d+)", head)
                await reader.readexactly(int(length[1]) if length else 0)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async def listen() -> None:
        server = await asyncio.start_server(talk, "127.0.0.1", port, limit=1 << 20)
        await server.serve_forever()

    uvloop.run(listen())


@contextmanager
def program(mode: str, *arguments: str, port: int) -> Iterator[psutil.Process]:
    """Another process that runs this file, once it answers."""
    command = [sys.executable, str(Path(__file__)), mode, *arguments, "--port", str(port)]
    with subprocess.Popen(command) as process:
        try:
            wait_for(port)
            yield psutil.Process(process.pid)
        finally:
            process.terminate()


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/openapi.json", timeout=5).read()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


class Figures(NamedTuple):
    """Of one run."""

    per_second: float
    cpu: float  # microseconds a request


def load(port: int, process: psutil.Process, given: argparse.Namespace) -> Figures:
    """One run of wrk."""
    url = f"http://127.0.0.1:{port}/{given.handler}/17"
    command = ["taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{given.seconds}", url]
    before = process.cpu_times()
    report = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    after = process.cpu_times()
    found = re.search(r"(\d+) requests in", report)
    rate = re.search(r"Requests/sec:\s*([\d.]+)", report)
    if not found or not rate or "Non-2xx" in report or "Socket errors" in report:
        raise SystemExit(f"wrk did not get what it asked for:\n{report}")
    spent = after.user + after.system - before.user - before.system
    return Figures(float(rate[1]), spent * 1e6 / int(found[1]))


def table(runs: dict[str, list[Figures]]) -> None:
    bare = Figures(*(statistics.median(column) for column in zip(*runs["bare"], strict=True)))
    print(f"{'':14} {'req/s':>8} {'of bare':>8} {'CPU us':>8} {'more':>8} {'of bare':>8}")
    for variant, figures in runs.items():
        rate, cpu = (statistics.median(column) for column in zip(*figures, strict=True))
        shares = f"{rate / bare.per_second:8.1%} {cpu:8.1f} {cpu - bare.cpu:8.1f} {bare.cpu / cpu:8.1%}"
        print(f"{variant:14} {rate:8.0f} {shares}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("mode", nargs="?", choices=("run", "serve", "receive"), default="run")
    options.add_argument("variant", nargs="?", choices=VARIANTS)
    options.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=int, default=4)
    options.add_argument("--handler", choices=("quick", "slow"), default="quick")
    options.add_argument("--port", type=int, default=FIRST_PORT)
    given = options.parse_args()
    receiver = f"http://127.0.0.1:{FIRST_PORT}"
    if given.mode == "receive":
        receive(given.port)
    elif given.mode == "serve":
        serve(given.variant, given.port, receiver)
    elif not shutil.which("wrk"):
        sys.exit("wrk is not installed; Debian has a package for it")
    else:
        with ExitStack() as stack:
            stack.enter_context(program("receive", port=FIRST_PORT))
            started = {}
            for number, variant in enumerate(given.variants, FIRST_PORT + 1):
                started[variant] = number, stack.enter_context(program("serve", variant, port=number))
            runs: dict[str, list[Figures]] = {variant: [] for variant in started}
            for _ in range(given.rounds):
                for variant, (port, process) in started.items():
                    runs[variant].append(load(port, process, given))
            table(runs)


if __name__ == "__main__":
    main()
