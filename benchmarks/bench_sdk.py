"""What the metrics SDK costs, beside prometheus_client and the OpenTelemetry SDK, in one run.

Run: ``python benchmarks/bench_sdk.py``. Figures are nanoseconds of the best of many rounds, the loop itself taken off;
trust the ratios. Everything runs in one thread but the pauses, which a second thread measures.
"""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
import timeit
import tracemalloc
from collections.abc import Callable
from typing import Any, NamedTuple

import prometheus_client
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from mirante import metrics
from mirante.metrics import Registry

NUMBER = 50_000
ROUNDS = 15
SERIES = 100_000
CHILDREN = 20_000


class Row(NamedTuple):
    """One operation: statements for the three libraries, and the ratios that we promise."""

    name: str
    mirante: str
    prometheus: str
    opentelemetry: str
    faster: float


ROWS = (
    Row("bound inc()", "m_inc()", "p_bound.inc()", "o_counter.add(1, o_labels)", 7),
    Row("child.inc()", "m_bound.inc()", "p_bound.inc()", "o_counter.add(1, o_labels)", 5),
    Row("counter.inc(), no labels", "m_counter.inc()", "p_counter.inc()", "o_counter.add(1)", 5),
    Row(
        "labels(...).inc()",
        "m_labelled.labels('GET', '/x').inc()",
        "p_labelled.labels('GET', '/x').inc()",
        "o_counter.add(1, {'method': 'GET', 'route': '/x'})",
        5,
    ),
    Row(
        "labels(by=name).inc()",
        "m_labelled.labels(method='GET', route='/x').inc()",
        "p_labelled.labels(method='GET', route='/x').inc()",
        "o_counter.add(1, {'method': 'GET', 'route': '/x'})",
        2,
    ),
    Row("gauge.set()", "m_gauge.set(4.2)", "p_gauge.set(4.2)", "o_gauge.set(4.2)", 3),
    Row("observe()", "m_histogram.observe(0.3)", "p_histogram.observe(0.3)", "o_histogram.record(0.3)", 5),
    Row(
        "labels(...).observe()",
        "m_hlabelled.labels('GET', '/x').observe(0.3)",
        "p_hlabelled.labels('GET', '/x').observe(0.3)",
        "o_histogram.record(0.3, {'method': 'GET', 'route': '/x'})",
        5,
    ),
    Row("with time()", "with m_histogram.time(): pass", "with p_histogram.time(): pass", "o_timed()", 4),
    Row("summary, no quantiles", "m_plain.observe(0.3)", "p_summary.observe(0.3)", "o_histogram.record(0.3)", 5),
    Row("summary, 3 quantiles", "m_summary.observe(0.3)", "p_summary.observe(0.3)", "o_histogram.record(0.3)", 1),
)


def once(statement: str, names: dict[str, Any]) -> float:
    """Nanoseconds of one round of a loop over the statement, at best."""
    return min(timeit.repeat(statement, globals=names, number=NUMBER, repeat=ROUNDS)) / NUMBER * 1e9


def best(statement: str, names: dict[str, Any]) -> float:
    """Nanoseconds that the statement takes, at best, without the loop around it."""
    return once(statement, names) - once("pass", names)


def instruments() -> dict[str, Any]:
    """All that the statements name."""
    ours, labels = Registry(), ("method", "route")
    meter = MeterProvider(metric_readers=[InMemoryMetricReader()]).get_meter("bench")
    labelled = metrics.counter("labelled", "help", labels, registry=ours)
    theirs = prometheus_client.Counter("labelled", "help", labels, registry=None)
    histogram = meter.create_histogram("histogram")

    def timed() -> None:
        start = time.perf_counter()
        histogram.record(time.perf_counter() - start)

    return {
        "bare": lambda: None,
        "m_inc": labelled.labels("GET", "/x").inc,
        "m_bound": labelled.labels("GET", "/x"),
        "m_counter": metrics.counter("counter", "help", registry=ours),
        "m_labelled": labelled,
        "m_gauge": metrics.gauge("gauge", "help", registry=ours),
        "m_histogram": metrics.histogram("histogram", "help", registry=ours),
        "m_hlabelled": metrics.histogram("hlabelled", "help", labels, registry=ours),
        "m_plain": metrics.summary("plain", "help", registry=ours, quantiles=()),
        "m_summary": metrics.summary("summary", "help", registry=ours),
        "p_bound": theirs.labels("GET", "/x"),
        "p_counter": prometheus_client.Counter("counter", "help", registry=None),
        "p_labelled": theirs,
        "p_gauge": prometheus_client.Gauge("gauge", "help", registry=None),
        "p_histogram": prometheus_client.Histogram("histogram", "help", registry=None),
        "p_hlabelled": prometheus_client.Histogram("hlabelled", "help", labels, registry=None),
        "p_summary": prometheus_client.Summary("summary", "help", registry=None),
        "o_counter": meter.create_counter("counter"),
        "o_gauge": meter.create_gauge("gauge"),
        "o_histogram": histogram,
        "o_timed": timed,
        "o_labels": {"method": "GET", "route": "/x"},
    }


def recording() -> None:
    """The hot path, operation by operation."""
    names = instruments()
    bare = best("bare()", names)
    print(f"a bare Python function call: {bare:.0f} ns\n")
    print(f"{'operation':26}{'mirante':>9}{'prometheus':>12}{'otel':>9}   faster than prometheus (promise), otel")
    for row in ROWS:
        ours, theirs, otel = best(row.mirante, names), best(row.prometheus, names), best(row.opentelemetry, names)
        print(
            f"{row.name:26}{ours:9.0f}{theirs:12.0f}{otel:9.0f}"
            f"   {theirs / ours:5.1f}x ({row.faster:g}x){otel / ours:9.1f}x"
        )
    ratio = once("m_inc()", names) / once("bare()", names)
    print(f"\nbound inc() / bare call, both as timeit gives them: {ratio:.2f} (promise: at most 2)")
    print(f"the same without the loop's own cost: {best('m_inc()', names) / bare:.2f}")


def many_series() -> tuple[Registry, prometheus_client.CollectorRegistry]:
    """The same 100,000 series in both libraries."""
    ours, theirs = Registry(), prometheus_client.CollectorRegistry()
    a = metrics.counter("requests", "Requests.", ("method", "route"), registry=ours, max_label_sets=SERIES)
    b = prometheus_client.Counter("requests", "Requests.", ("method", "route"), registry=theirs)
    for n in range(SERIES):
        a.labels("GET", f"/route/{n}").inc(n / 7)
        b.labels("GET", f"/route/{n}").inc(n / 7)
    return ours, theirs


def exposition() -> None:
    """100,000 series as text, and how long a recording thread is held up meanwhile."""
    ours, theirs = many_series()

    def timed(function: Callable[[], object]) -> float:
        return min(timeit.repeat(function, number=1, repeat=5)) * 1e3

    both = (("mirante", ours.expose), ("prometheus_client", lambda: prometheus_client.generate_latest(theirs)))
    mine, other = (timed(function) for _, function in both)
    print(
        f"\nexposition of {SERIES:,} series: {mine:.0f} ms, prometheus_client {other:.0f} ms: {other / mine:.1f}x (4x)"
    )
    for name, function in both:
        pauses = sorted(worst_pause(function) for _ in range(9))
        print(f"longest pause of a recording thread, {name}: median {pauses[4]:.1f} ms, worst {pauses[-1]:.1f} ms")


def worst_pause(function: Callable[[], object]) -> float:
    """Milliseconds of the longest gap that a thread sees which records all the time."""
    counter, gaps, stop = metrics.Counter("ticks"), [0.0], threading.Event()

    def record() -> None:
        last = time.perf_counter()
        while not stop.is_set():
            counter.inc()
            now = time.perf_counter()
            gaps[0] = max(gaps[0], now - last)
            last = now

    thread = threading.Thread(target=record)
    thread.start()
    time.sleep(0.05)
    gaps[0] = 0.0
    function()
    stop.set()
    thread.join()
    return gaps[0] * 1e3


def memory() -> None:
    """Bytes that one more labelled series takes, its label values included."""

    def per_child(metric: Any) -> float:  # noqa: ANN401 - of either library
        gc.collect()
        tracemalloc.start()
        for n in range(CHILDREN):
            metric.labels("GET", str(n))
        used = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return used / CHILDREN

    print("\nbytes of a labelled child: mirante, prometheus_client")
    for kind in ("counter", "gauge", "histogram"):
        ours = getattr(metrics, kind)("a", "help", ("x", "y"), registry=Registry(), max_label_sets=CHILDREN)
        theirs = getattr(prometheus_client, kind.title())("a", "help", ("x", "y"), registry=None)
        print(f"  {kind:10}{per_child(ours):6.0f}{per_child(theirs):8.0f}")


def imports() -> None:
    """Milliseconds to import, in new interpreters."""
    code = "import time; t = time.perf_counter(); import {}; print((time.perf_counter() - t) * 1e3)"
    for module in ("mirante", "mirante.metrics", "mirante.configure", "prometheus_client", "opentelemetry.sdk.metrics"):
        took = min(float(subprocess.check_output([sys.executable, "-c", code.format(module)])) for _ in range(5))
        print(f"import {module}: {took:.0f} ms")


if __name__ == "__main__":
    recording()
    exposition()
    memory()
    imports()
