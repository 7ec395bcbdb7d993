"""How queries grow with the number of series: time and peak memory beside Prometheus 2.42, as a table and a plot.

``python -m benchmarks.bench_promql_growth [--sizes 1000 10000 100000] [--plot docs/images/promql-growth.svg]``. An
hour at 15 s, asked for 60 steps of a minute. Every question of mirante's is asked in a process of its own, JSON
included, written as the server writes it; peak memory is that process's, and for Prometheus the server's.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple, ParamSpec, TypeVar

from benchmarks.bench_promql import START, Peer, load, prometheus
from mirante.server.promql.encode import pieces
from mirante.server.promql.engine import Engine
from mirante.server.store.api import QueryBudget
from mirante.server.store.client import Engine as Store
from mirante.server.store.migrations import migrate
from mirante.server.store.reader import StoreReader

P = ParamSpec("P")
T = TypeVar("T")
HOURS = 1
FIRST, LAST = START + 60_000, START + HOURS * 3_600_000
QUERIES = {"sum(rate(m[5m]))": "sum(rate(requests_total[5m]))", "rate(m[5m])": "rate(requests_total[5m])"}


class Figure(NamedTuple):
    """One question, answered."""

    system: str
    query: str
    series: int
    seconds: float
    megabytes: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    figures: list[Figure] = []
    print(f"{'query':20}{'series':>8}{'system':>12}{'seconds':>10}{'peak MB':>9}")
    for series in options.sizes:
        for figure in measured(series, options.runs):
            figures.append(figure)
            print(
                f"{figure.query:20}{series:8}{figure.system:>12}{figure.seconds:10.3f}{figure.megabytes:9.0f}",
                flush=True,
            )
    if options.plot:
        options.plot.write_text(plot(figures), encoding="utf-8")


# What is measured.


def measured(series: int, runs: int) -> Iterator[Figure]:
    """Both systems with that many series, in turn."""
    folder = Path(tempfile.mkdtemp(prefix="bench_growth"))
    try:
        with prometheus(folder) as peer:
            alone(filled, folder, peer.url, series)
            for title, expr in QUERIES.items():
                yield Figure("mirante", title, series, *alone(ours, folder, expr, runs))
                yield Figure("Prometheus", title, series, *theirs(peer, expr, runs))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def alone(function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """The function's answer, from a process that does nothing else."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments, **named).result()


def filled(folder: Path, url: str, series: int) -> None:
    """The same samples in both."""
    store = Store(f"chdb://{folder / 'mirante'}")
    try:
        migrate(store)
        load(store, [url], series, HOURS)
    finally:
        store.close()


def ours(folder: Path, expr: str, runs: int) -> tuple[float, float]:
    """Best time and peak memory of this process."""
    store = Store(f"chdb://{folder / 'mirante'}")
    try:
        engine, times = Engine(StoreReader(store)), []
        for _ in range(runs):
            started = time.perf_counter()
            budget = QueryBudget(deadline=time.monotonic() + 300)
            sum(len(piece) for piece in pieces(engine.range(expr, FIRST, LAST, 60_000, budget)))
            times.append(time.perf_counter() - started)
    finally:
        store.close()
    return min(times), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def theirs(peer: Peer, expr: str, runs: int) -> tuple[float, float]:
    """Best time and peak memory of the server since the question was asked first."""
    pid, times = peer.process.pid, []
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    for _ in range(runs):
        started = time.perf_counter()
        peer.ask(expr, FIRST, LAST)
        times.append(time.perf_counter() - started)
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return min(times), int(status["VmHWM"].split()[0]) * 1024 / 1e6


# How it is drawn: two panels, both axes logarithmic.

WIDTH, HEIGHT, LEFT, TOP = 330, 250, 60, 60
STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #24292f } .title { font-weight: 600; font-size: 13px }
  .paper { fill: #ffffff } .grid { stroke: #d0d7de; stroke-width: 1 }
  .line { fill: none; stroke-width: 2 } .Prometheus { stroke-dasharray: 6 4 }
  .q0 { stroke: #0969da } .q1 { stroke: #bc4c00 } circle.q0 { fill: #0969da } circle.q1 { fill: #bc4c00 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .paper { fill: #0d1117 } .grid { stroke: #30363d }
    .q0 { stroke: #58a6ff } .q1 { stroke: #f0883e } circle.q0 { fill: #58a6ff } circle.q1 { fill: #f0883e }
  }
"""


def plot(figures: Sequence[Figure]) -> str:
    """The figures as an SVG picture for light and dark pages."""
    wide, high = 2 * (WIDTH + LEFT) + 60, TOP + HEIGHT + 110
    panels = [
        panel(figures, LEFT + 10, "time of a query", "seconds", [figure.seconds for figure in figures]),
        panel(figures, WIDTH + 2 * LEFT + 20, "peak memory", "MB", [figure.megabytes for figure in figures]),
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}">',
            f'<style>{STYLE}</style><rect class="paper" width="{wide}" height="{high}"/>',
            *panels,
            *legend(figures, high),
            "</svg>\n",
        ]
    )


def panel(figures: Sequence[Figure], left: int, title: str, unit: str, values: Sequence[float]) -> str:
    """One pair of axes with a line for each system and query."""
    across = scale([figure.series for figure in figures], left, left + WIDTH)
    up = scale(values, TOP + HEIGHT, TOP)
    parts = [f'<text class="title" x="{left}" y="{TOP - 30}">{title} ({unit})</text>']
    for at in powers([figure.series for figure in figures]):
        x = across(at)
        parts.append(f'<line class="grid" x1="{x:.0f}" x2="{x:.0f}" y1="{TOP}" y2="{TOP + HEIGHT}"/>')
        parts.append(f'<text text-anchor="middle" x="{x:.0f}" y="{TOP + HEIGHT + 18}">{at:,.0f}</text>')
    for at in powers(values):
        y = up(at)
        parts.append(f'<line class="grid" x1="{left}" x2="{left + WIDTH}" y1="{y:.0f}" y2="{y:.0f}"/>')
        parts.append(f'<text text-anchor="end" x="{left - 8}" y="{y + 4:.0f}">{at:,.10g}</text>')
    parts.append(f'<text text-anchor="middle" x="{left + WIDTH / 2:.0f}" y="{TOP + HEIGHT + 38}">series</text>')
    for system, query, kind in kinds(figures):
        rows = [n for n, one in enumerate(figures) if (one.system, one.query) == (system, query)]
        points = [(across(figures[n].series), up(values[n])) for n in rows]
        drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline class="line {kind}" points="{drawn}"/>')
        parts += [f'<circle class="{kind.split()[0]}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in points]
    return "\n".join(parts)


def legend(figures: Sequence[Figure], high: int) -> Iterator[str]:
    """What each line is."""
    for number, (system, query, kind) in enumerate(kinds(figures)):
        column, row = divmod(number, 2)
        x, y = LEFT + 10 + column * (WIDTH + LEFT + 10), high - 40 + row * 20
        yield f'<line class="line {kind}" x1="{x}" x2="{x + 32}" y1="{y - 4}" y2="{y - 4}"/>'
        yield f'<text x="{x + 38}" y="{y}">{system}, {query}</text>'


def kinds(figures: Sequence[Figure]) -> list[tuple[str, str, str]]:
    """System, query and class of every line."""
    pairs = dict.fromkeys((figure.system, figure.query) for figure in figures)
    return [(system, query, f"q{list(QUERIES).index(query)} {system}") for system, query in pairs]


def powers(values: Sequence[float]) -> list[float]:
    """The powers of ten around the values."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return [10.0**power for power in range(low, max(high, low + 1) + 1)]


def scale(values: Sequence[float], start: float, end: float) -> Callable[[float], float]:
    """From a value to its place on a logarithmic axis."""
    marks = powers(values)
    span = math.log10(marks[-1] / marks[0])
    return lambda value: start + (end - start) * math.log10(value / marks[0]) / span


if __name__ == "__main__":
    main()
