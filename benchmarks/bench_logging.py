"""What a JSON log line costs, beside structlog's stock JSON chain and the standard library, in one run.

Run: ``python benchmarks/bench_logging.py``. Figures are microseconds of CPU, best of many rounds that take turns; trust
the ratios. Every line goes to ``/dev/null`` as text, written and flushed. Ours also looks for ids and secrets.
"""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import redirect_stdout

import structlog

from mirante.correlation import bind
from mirante.logging import LoggingSettings, LogLine, get_logger
from mirante.logging.export import encode_line
from mirante.logging.setup import start

NUMBER = 5_000
ROUNDS = 15
HUNG_LINES = 20_000

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


def stock(sink: io.TextIOWrapper) -> structlog.typing.FilteringBoundLogger:
    """The chain as structlog's documentation sets it up for JSON."""
    log: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        structlog.PrintLogger(sink),
        processors=[
            structlog.contextvars.merge_contextvars,
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


def lines(sink: io.TextIOWrapper) -> dict[str, float]:
    """What one line costs."""
    theirs = stock(sink)
    plain = logging.getLogger("plain")
    plain.propagate = False
    handler = logging.StreamHandler(sink)
    handler.setFormatter(StdlibJson())
    plain.addHandler(handler)
    ours, std = get_logger("orders").bind(service="orders"), logging.getLogger("orders.std")

    def bound(i: int) -> None:
        with bind(request_id="r-1", user_id="u-1"):
            ours.info("order_placed", order_id=i, customer="c-17", total=19.5)

    return best(
        {
            "structlog, stock JSON chain": lambda i: theirs.info(
                "order_placed", order_id=i, customer="c-17", total=19.5
            ),
            "mirante": lambda i: ours.info("order_placed", order_id=i, customer="c-17", total=19.5),
            "mirante, texts never seen before": lambda i: ours.info(
                "order_placed", order_id=i, customer=f"c-{i}-{time.perf_counter_ns()}", total=19.5
            ),
            "mirante, bind() around it": bound,
            "structlog, below the level": lambda i: theirs.debug(
                "order_placed", order_id=i, customer="c-17", total=19.5
            ),
            "mirante, below the level": lambda i: ours.debug("order_placed", order_id=i, customer="c-17", total=19.5),
            "standard library, 3 fields": lambda i: plain.info("order %d placed", i),
            "mirante behind the standard library": lambda i: std.info("order %d placed", i),
        }
    )


def hung() -> tuple[float, float, dict[str, int]]:
    """p99 and maximum of a line in milliseconds while the exporter hangs, and what was dropped."""
    release = threading.Event()

    def send(body: bytes, timeout: float) -> bytes:
        release.wait(60)
        return b""

    run = start(LoggingSettings(log_stream="stdout", log_format="json"), send, dict)
    log = get_logger("orders")
    taken = []
    for number in range(HUNG_LINES):
        begun = time.perf_counter()
        log.info("order_placed", order_id=number, customer="c-17", total=19.5)
        taken.append(time.perf_counter() - begun)
    assert run.exporter is not None
    dropped = dict(run.exporter.stats.dropped)
    release.set()
    run.shutdown()
    taken.sort()
    return taken[int(len(taken) * 0.99)] * 1e3, taken[-1] * 1e3, dropped


def main() -> None:
    with open(os.devnull, "w", encoding="utf-8") as sink, redirect_stdout(sink):  # noqa: PTH123 - a device
        run = start(LoggingSettings(log_stream="stdout", log_format="json"), None, dict)
        found = lines(sink)
        run.shutdown()
        p99, worst, dropped = hung()
        line = LogLine(time.time_ns(), 20, "orders", {"event": "order_placed", "order_id": 7, "customer": "c-17"})
        encoding = best({"otlp": lambda _: encode_line(line)})["otlp"]
    print(f"{'with orjson' if sys.modules.get('orjson') else 'without orjson'}")
    base = found["structlog, stock JSON chain"]
    for name, micros in found.items():
        print(f"{name:40} {micros:7.2f} us   {base / micros:6.2f}x cheaper than the stock chain")
    print(f"{'OTLP encoding, in the background':40} {encoding:7.2f} us")
    print(f"exporter hung: p99 {p99:.3f} ms, worst {worst:.3f} ms, dropped {dropped} of {HUNG_LINES} lines")
    print(f"ratio to the stock chain {base / found['mirante']:.2f} (promised 2), p99 {p99:.3f} ms (promised 10)")
    if sys.modules.get("orjson"):
        again = f"runpy.run_path({__file__!r}, run_name='__main__')"
        code = f"import sys, runpy; sys.modules['orjson'] = None; {again}"
        subprocess.run([sys.executable, "-c", code], check=True)


if __name__ == "__main__":
    main()
