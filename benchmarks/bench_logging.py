"""What a JSON log line costs, beside structlog's stock JSON chain, the standard library and logfire, in one run.

Run: ``python benchmarks/bench_logging.py``. Figures are microseconds of CPU, best of many rounds that take turns; trust
the ratios. Every line goes to ``/dev/null`` as text, written and flushed; logfire writes none, and sends nothing. Ours
also looks for ids and secrets. Inside a span every line carries its ids, in structlog's chain by a processor as
OpenTelemetry's users write it. The last part logs from eight threads while the server accepts and never answers.
"""

from __future__ import annotations

import contextvars
import io
import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import redirect_stdout

import logfire
import structlog
from opentelemetry import context, trace

from mirante.correlation import bind
from mirante.exporters.otlp_sender import OtlpSender
from mirante.logging import LoggingSettings, LogLine, get_logger
from mirante.logging.export import encode_line
from mirante.logging.setup import start
from mirante.tracing import Pipeline, TracerProvider

NUMBER = 5_000
ROUNDS = 15
HUNG_THREADS, HUNG_LINES = 8, 5_000

Call = Callable[[int], object]


def cpu(call: Call) -> float:
    """Microseconds of CPU that one call takes in one round."""
    begun = time.process_time()
    for number in range(NUMBER):
        call(number)
    return (time.process_time() - begun) / NUMBER * 1e6


def best(calls: dict[str, Call]) -> dict[str, float]:
    """Of each call the best round; they take turns, so that all have the same neighbours."""
    found: dict[str, float] = {}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            found[name] = min(found.get(name, 1e9), cpu(call))
    return found


def add_ids(_logger: object, _method: str, fields: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """The current span's ids, where there are any."""
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        fields["trace_id"] = trace.format_trace_id(span.trace_id)
        fields["span_id"] = trace.format_span_id(span.span_id)
    return fields


def stock(sink: io.TextIOWrapper, *more: structlog.typing.Processor) -> structlog.typing.FilteringBoundLogger:
    """The chain as structlog's documentation sets it up for JSON."""
    log: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        structlog.PrintLogger(sink),
        processors=[
            structlog.contextvars.merge_contextvars,
            *more,
            structlog.processors.add_log_level,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    ).bind(service="orders")
    return log


class StdlibJson(logging.Formatter):
    """The least that a JSON formatter of the standard library does."""

    def format(self, record: logging.LogRecord) -> str:
        """Four fields."""
        return json.dumps(
            {"timestamp": self.formatTime(record), "level": record.levelname, "event": record.getMessage()}
        )


def rows(sink: io.TextIOWrapper) -> dict[str, Call]:
    """Whom to time, by name: theirs, and ours that does the same behind it."""
    theirs, with_ids = stock(sink), stock(sink, add_ids)
    plain = logging.getLogger("plain")
    plain.propagate = False
    handler = logging.StreamHandler(sink)
    handler.setFormatter(StdlibJson())
    plain.addHandler(handler)
    ours, std = get_logger("orders").bind(service="orders"), logging.getLogger("orders.std")
    fire = logfire.configure(local=True, send_to_logfire=False, console=False, inspect_arguments=False)
    tracer = TracerProvider(Pipeline()).get_tracer("bench")
    within = contextvars.copy_context()
    within.run(context.attach, trace.set_span_in_context(tracer.start_span("sell")))

    def new(i: int) -> str:
        return f"c-{i}-{time.perf_counter_ns()}"

    def bound(i: int) -> None:
        with bind(request_id="r-1", user_id="u-1"):
            ours.info("order_placed", order_id=i, customer="c-17", total=19.5)

    return {
        "structlog, stock JSON chain": lambda i: theirs.info("order_placed", order_id=i, customer="c-17", total=19.5),
        "mirante": lambda i: ours.info("order_placed", order_id=i, customer="c-17", total=19.5),
        "logfire, without any output": lambda i: fire.info("order_placed", order_id=i, customer="c-17", total=19.5),
        "structlog, texts never seen before": lambda i: theirs.info(
            "order_placed", order_id=i, customer=new(i), total=19.5
        ),
        "mirante, texts never seen before": lambda i: ours.info(
            "order_placed", order_id=i, customer=new(i), total=19.5
        ),
        "structlog with a processor, in a span": lambda i: within.run(
            with_ids.info, "order_placed", order_id=i, customer="c-17", total=19.5
        ),
        "mirante, in a span": lambda i: within.run(ours.info, "order_placed", order_id=i, customer="c-17", total=19.5),
        "mirante, bind() around it": bound,
        "structlog, below the level": lambda i: theirs.debug("order_placed", order_id=i, customer="c-17", total=19.5),
        "mirante, below the level": lambda i: ours.debug("order_placed", order_id=i, customer="c-17", total=19.5),
        "standard library, 3 fields": lambda i: plain.info("order %d placed", i),
        "mirante behind the standard library": lambda i: std.info("order %d placed", i),
    }


def hung() -> tuple[list[float], dict[str, int]]:
    """Milliseconds of every line while the server hangs, in order, and what was dropped."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)  # the system accepts, and nobody ever answers
        send = OtlpSender(f"http://127.0.0.1:{silent.getsockname()[1]}/v1/logs")
        run = start(LoggingSettings(log_stream="stdout", log_format="json"), send, dict)
        taken: list[float] = []

        def work() -> None:
            log, mine = get_logger("orders"), []
            for number in range(HUNG_LINES):
                begun = time.perf_counter()
                log.info("order_placed", order_id=number, customer="c-17", total=19.5)
                mine.append((time.perf_counter() - begun) * 1e3)
            taken.extend(mine)

        threads = [threading.Thread(target=work) for _ in range(HUNG_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert run.exporter is not None
        dropped = dict(run.exporter.stats.dropped)
        run.shutdown(0.1)
    return sorted(taken), dropped


def main() -> None:
    with open(os.devnull, "w", encoding="utf-8") as sink, redirect_stdout(sink):  # noqa: PTH123 - a device
        run = start(LoggingSettings(log_stream="stdout", log_format="json"), None, dict)
        found = best(rows(sink))
        run.shutdown()
        taken, dropped = hung()
        line = LogLine(time.time_ns(), 20, "orders", {"event": "order_placed", "order_id": 7, "customer": "c-17"})
        encoding = best({"otlp": lambda _: encode_line(line)})["otlp"]
    print(f"{'with orjson' if sys.modules.get('orjson') else 'without orjson'}")
    base = found["structlog, stock JSON chain"]
    for name, micros in found.items():
        print(f"{name:40} {micros:7.2f} us   {base / micros:6.2f}x cheaper than the stock chain")
    print(f"{'OTLP encoding, in the background':40} {encoding:7.2f} us")
    for what in (", texts never seen before", ", in a span"):
        (peer, other), (_, ours) = [(name, us) for name, us in found.items() if name.endswith(what)]
        print(f"{peer}: mirante is {other / ours:.2f}x cheaper")
    p50, p99, worst = (taken[min(len(taken) - 1, int(len(taken) * share))] for share in (0.5, 0.99, 1.0))
    told = f"p50 {p50:.3f} ms, p99 {p99:.3f} ms, worst {worst:.3f} ms, dropped {dropped} of {len(taken)} lines"
    print(f"server hangs, {HUNG_THREADS} threads: {told}")
    print(f"ratio to the stock chain {base / found['mirante']:.2f} (promised 2), p99 {p99:.3f} ms (promised 10)")
    if sys.modules.get("orjson"):
        again = f"runpy.run_path({__file__!r}, run_name='__main__')"
        code = f"import sys, runpy; sys.modules['orjson'] = None; {again}"
        subprocess.run([sys.executable, "-c", code], check=True)


if __name__ == "__main__":
    main()
