"""Random queries over random data: the real Prometheus, NumPy and the embedded engine give one answer.

MIRANTE_FUZZ_QUERIES says how many (``make fuzz``: 2,000), MIRANTE_FUZZ_SEED with which seed. What 2.42 does otherwise
than 3, whose semantics are ours, and how the data and the queries keep out of its way:

- A window includes its left edge in 2.42: no sample is on an edge.
- Extrapolation towards zero stops sooner in 2.42: counters stay far above zero.
- It sums without compensation: discontinuous functions get exact values only, others are compared to nine digits.
- ``stddev`` and ``stdvar`` of a single NaN are 0 in 2.42.
- ``atan2`` between vectors keeps the metric's name in 2.42.
- ``predict_linear`` of a window that ``@`` holds fast has a value at the first step only in 2.42, although its own
  instant queries have one at every step.
- Two series that lose their name and are alike then, but are never there at the same step, are an error of range
  queries in 2.42; an answer of ours is taken there.
- ``holt_winters`` was renamed; functions and aggregations that came after 2.42 are not written.
"""

from __future__ import annotations

import json
import math
import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from mirante.errors import BadQueryError, QueryError
from mirante.server.promql.encode import encode
from mirante.server.promql.engine import Engine
from mirante.server.store.client import Engine as Store
from mirante.server.store.migrations import migrate
from mirante.server.store.reader import StoreReader
from mirante.server.store.writer import LogWriter
from mirante.testing.memory_store import MemoryReader
from tests.peers import Peer
from tests.server.promql.queries import budget
from tests.server.promql.random_queries import Writer
from tests.server.promql.versus import Series, body_of, by_labels, prometheus_with

pytestmark = pytest.mark.slow

QUERIES = int(os.environ.get("MIRANTE_FUZZ_QUERIES", "150"))
SEED = int(os.environ.get("MIRANTE_FUZZ_SEED", "1"))
START = 1_700_000_040_000
END = START + 20 * 60_000
STEP = 120_000


def some_series(seed: int) -> list[Series]:
    """Counters with resets and gaps, gauges, a histogram, series that come and go; all values are eighths."""
    rng = random.Random(seed)  # noqa: S311 - reproducible data
    times = range(START - 600_000 + 1000, END + 60_000, 15_000)
    found: list[Series] = []
    for number in range(6):
        labels = {"job": f"j{number % 2}", "instance": f"i{number}"}
        total = 1e6
        counter: list[tuple[int, float]] = []
        level: list[tuple[int, float]] = []
        for time in times:
            total = 1e6 + number if rng.random() < 0.02 else total + rng.randrange(0, 80) / 8
            if rng.random() > 0.15:
                counter.append((time, total))
            # The last digits are the series' own, so that no two are ever equal where one is to be chosen.
            level.append((time, rng.randrange(-40, 400) / 8 + number / 64))
        found += [({"__name__": "requests_total", **labels}, counter), ({"__name__": "level", **labels}, level)]
        found.append(({"__name__": "flag", **labels}, [(time, float(rng.random() < 0.5)) for time in times]))
        found += _histogram(labels, times, rng)
    half = [(time, 1.0) for time in times if time > START + 600_000]
    found.append(({"__name__": "comes", "job": "j0", "instance": "i0"}, half))
    gone = [(time, 2.0) for time in times if not START + 300_000 < time < START + 800_000]
    found.append(({"__name__": "goes", "job": "j1", "instance": "i1"}, gone))
    return found


def _histogram(labels: dict[str, str], times: Sequence[int], rng: random.Random) -> list[Series]:
    counts = [100_000.0, 200_000.0, 300_000.0, 400_000.0]
    rows: list[list[tuple[int, float]]] = [[], [], [], []]
    for time in times:
        more = [float(rng.randrange(5)) for _ in counts]
        counts = [count + sum(more[: index + 1]) for index, count in enumerate(counts)]
        for row, count in zip(rows, counts, strict=True):
            row.append((time, count))
    bounds = ("0.1", "0.5", "2.5", "+Inf")
    return [({"__name__": "wait_bucket", "le": bound, **labels}, row) for bound, row in zip(bounds, rows, strict=True)]


@pytest.fixture(scope="module")
def series() -> list[Series]:
    """The data set."""
    return some_series(SEED)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory, series: Sequence[Series]) -> Iterator[Peer]:
    """The real one."""
    with prometheus_with(tmp_path_factory.mktemp("prometheus"), series) as peer:
        yield peer


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory, series: Sequence[Series]) -> Iterator[dict[str, Engine]]:
    """The evaluator over memory, where NumPy does everything, and over the embedded engine."""
    memory = MemoryReader()
    for labels, points in series:
        memory.add(labels, points)
    folder: Path = tmp_path_factory.mktemp("store")
    store = Store(f"chdb://{folder / 'data'}")
    migrate(store)
    writer = LogWriter(store, folder / "log")
    writer.append("remote_write", [body_of(series)])
    assert writer.wait_until_loaded(60)
    yield {
        "NumPy": Engine(memory),
        "the embedded engine": Engine(StoreReader(store, small=0)),
        "what earlier queries left": Engine(StoreReader(store, grid_bytes=64 << 20)),
    }
    writer.close()
    store.close()


def answer(engine: Engine, expression: str) -> dict[str, Any]:
    """As the API would give it: data, or the type of the error."""
    try:
        return {"data": json.loads(encode(engine.range(expression, START, END, STEP, budget())))}
    except QueryError as error:
        return {"error": "bad_data" if isinstance(error, BadQueryError) else "execution", "told": str(error)}


def differs(ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    """In what two answers differ; nothing where they do not."""
    if "error" in ours or theirs["status"] != "success":
        disjoint = "error" not in ours and "metrics with the same labelset" in theirs["error"]
        same = disjoint or ours.get("error") == theirs.get("errorType")
        return "" if same else f"{ours.get('told', 'an answer')} against {theirs.get('error', 'an answer')}"
    mine, other = by_labels(ours["data"]), by_labels(theirs["data"])
    if mine.keys() != other.keys():
        return f"series {sorted(mine.keys() ^ other.keys())} are on one side only"
    for key, points in other.items():
        if [time for time, _ in mine[key]] != [time for time, _ in points]:
            return f"{key} has values at other times"
        for (time, a), (_, b) in zip(mine[key], points, strict=True):
            if not close(float(a), float(b)):
                return f"{key} at {time}: {a} against {b}"
    return ""


def close(a: float, b: float) -> bool:
    """Whether they agree to nine digits; noise of sums of large numbers does not count."""
    return a == b or (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-7)


def test_random_queries_have_one_answer(prometheus: Peer, engines: dict[str, Engine]) -> None:
    """Labels, times and values, or the kind of the error; a difference is told with its query and seed."""
    writer = Writer(SEED)
    differences: list[str] = []
    answered = 0
    for number in range(QUERIES):
        expression = writer.query()
        try:
            theirs = prometheus.get(
                "/api/v1/query_range", query=expression, start=START / 1000, end=END / 1000, step=STEP / 1000
            )
        except OSError as error:
            theirs = {"status": "error", "error": str(error)}
        answered += theirs["status"] == "success" and bool(theirs["data"]["result"])
        for name, engine in engines.items():
            if found := differs(answer(engine, expression), theirs):
                differences.append(f"query {number} of seed {SEED}, {name}: {expression}\n    {found}")
    print(f"{QUERIES} queries of seed {SEED}: {answered} had an answer, {len(differences)} differed")  # noqa: T201
    assert differences == [], "\n".join(differences[:20])
    assert answered > QUERIES / 3, "most queries found nothing: they test too little"
