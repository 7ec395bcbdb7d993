"""The same samples and queries in the real Prometheus 2.42 and in the evaluator.

2.42's windows are closed on the left, so no sample lies on an edge of a window here. It knows neither annotations nor
the functions that came later; where its answers differ by intent the query is not here.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from mirante.errors import BadQueryError, QueryError
from mirante.formats import remote_write
from mirante.server.promql.encode import encode
from mirante.server.promql.engine import Engine
from mirante.testing.memory_store import MemoryReader
from tests.peers import Peer
from tests.server.promql.queries import budget
from tests.server.promql.versus import Series, by_labels, prometheus_with

pytestmark = pytest.mark.slow

START = 1_700_000_040_000
MINUTES = 20
END = START + MINUTES * 60_000
STEP = 60_000


def some_series() -> list[Series]:
    """Counters with resets and gaps, gauges, histograms and numbers that are hard to print."""
    rng = random.Random(7)  # noqa: S311 - a fixed data set
    series: list[Series] = []
    times = range(START + 1000, END, 15_000)
    for number in range(6):
        labels = {"job": f"j{number % 2}", "instance": f"i{number}"}
        total, counter = rng.random() * 100, []
        for time in times:
            total = 0.0 if rng.random() < 0.03 else total + rng.choice([0, 1, 2.5, 7])
            if rng.random() > 0.1:
                counter.append((time, total))
        series.append(({"__name__": "requests_total", **labels}, counter))
        series.append(({"__name__": "level", **labels}, [(time, rng.gauss(number * 10, 5)) for time in times]))
        # Large enough that no extrapolation reaches zero, where 2.42 still stops sooner than 3 does.
        buckets = [1000.0, 2000.0, 3000.0, 4000.0]
        rows: list[list[tuple[int, float]]] = [[], [], [], []]
        for time in times:
            first = rng.randrange(4)
            buckets = [count + (index >= first) * rng.randrange(3) * 1.0 for index, count in enumerate(buckets)]
            buckets = [max(buckets[: index + 1]) for index in range(4)]
            for row, count in zip(rows, buckets, strict=True):
                row.append((time, count))
        for bound, row in zip(("0.1", "0.5", "2.5", "+Inf"), rows, strict=True):
            series.append(({"__name__": "wait_bucket", "le": bound, **labels}, row))
    for number, value in enumerate([0, -0.0, 1e20, 1e21, 123456789012.25, 1e-6, 1e-7, 5e-324, 2.0**60, 1 / 3]):
        series.append(({"__name__": "numeral", "n": str(number)}, [(time, value) for time in times]))
    series.append(({"__name__": "comes"}, [(time, 1.0) for time in times if time > START + 600_000]))
    goes = [(time, 2.0) for time in times if time < START + 400_000]
    series.append(({"__name__": "goes"}, [*goes, (START + 401_000, remote_write.STALE_NAN)]))
    return series


@pytest.fixture(scope="module")
def series() -> list[Series]:
    """The data set."""
    return some_series()


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory, series: Sequence[Series]) -> Iterator[Peer]:
    """The real one, with the data set."""
    with prometheus_with(tmp_path_factory.mktemp("prometheus"), series) as peer:
        yield peer


@pytest.fixture(scope="module")
def engine(series: Sequence[Series]) -> Engine:
    """The evaluator over the same data set."""
    reader = MemoryReader()
    for labels, points in series:
        reader.add(labels, points)
    return Engine(reader)


QUERIES = [
    "requests_total",
    'level{job="j1"}',
    'level{instance=~"i[0-2]", job!="j1"} offset 3m',
    "level offset -2m",
    "level @ 1700000640",
    "sum(level @ end()) - sum(level offset -1m @ start())",
    "rate(requests_total[5m])",
    "increase(requests_total[7m])",
    "irate(requests_total[2m])",
    "delta(level[4m])",
    "idelta(level[4m])",
    "deriv(level[5m])",
    "predict_linear(level[5m], 600)",
    "holt_winters(level[5m], 0.3, 0.6)",
    "resets(requests_total[10m])",
    "changes(requests_total[10m])",
    *(
        f"{name}_over_time(level[3m])"
        for name in ("avg", "min", "max", "sum", "count", "stddev", "stdvar", "last", "present")
    ),
    "quantile_over_time(0.8, level[5m])",
    "sum(rate(requests_total[5m]))",
    *(f"{name} by (job) (level)" for name in ("sum", "avg", "min", "max", "count", "stddev", "stdvar", "group")),
    "quantile without (instance) (0.3, level)",
    "topk(2, level)",
    "bottomk by (job) (1, level)",
    'count_values("v", round(level / 30))',
    "level > 20",
    "level >= bool 20",
    "20 - level % 7",
    "level ^ 2 / 100",
    "-level atan2 requests_total",
    "-level",
    "requests_total / on (instance) level",
    "requests_total * ignoring (instance, job) group_left comes",
    "comes or goes",
    "level and on (instance) (level > 20)",
    "level unless on (instance) (level > 20)",
    "histogram_quantile(0.9, rate(wait_bucket[5m]))",
    "histogram_quantile(0.5, sum by (le) (rate(wait_bucket[5m])))",
    "max_over_time(rate(requests_total[2m])[370s:30s])",
    "sum_over_time(level[290s:1m] offset 2m)",
    "avg_over_time(vector(time())[590s:])",
    'label_replace(level, "who", "$2-$1", "instance", "(.)(.)")',
    'label_join(level, "both", "/", "job", "instance")',
    "absent(comes)",
    "absent_over_time(goes[3m])",
    "timestamp(level)",
    "clamp(level, 10, 20)",
    "round(level, 0.5)",
    *(
        f"{name}(level)"
        for name in ("abs", "ceil", "floor", "sgn", "sqrt", "exp", "ln", "log2", "log10", "sin", "deg", "atan")
    ),
    "day_of_week() + hour() / 100 + minute() + days_in_month()",
    "scalar(comes) + time()",
    "vector(scalar(sum(level)))",
    "numeral",
    "numeral * 1e3",
    "numeral / 1e3",
    "goes",
]

OURS = {"holt_winters": "double_exponential_smoothing"}


def answer(engine: Engine, expr: str) -> dict[str, Any]:
    """The evaluator's answer, read back from its JSON."""
    for theirs, ours in OURS.items():
        expr = expr.replace(theirs, ours)
    data: dict[str, Any] = json.loads(encode(engine.range(expr, START, END, STEP, budget())))
    return data


@pytest.mark.parametrize("expr", QUERIES)
def test_both_give_the_same_answer(prometheus: Peer, engine: Engine, expr: str) -> None:
    """Series, times, and values to nine digits."""
    reply = prometheus.get("/api/v1/query_range", query=expr, start=START / 1000, end=END / 1000, step=STEP / 1000)
    assert reply["status"] == "success", reply
    ours, theirs = (by_labels(data) for data in (answer(engine, expr), reply["data"]))
    assert ours.keys() == theirs.keys()
    assert theirs
    for key, points in theirs.items():
        assert [time for time, _ in ours[key]] == [time for time, _ in points]
        values = [[float(text) for _, text in side] for side in (ours[key], points)]
        assert values[0] == pytest.approx(values[1], rel=1e-9, abs=1e-12, nan_ok=True), key


def test_both_print_numbers_alike(prometheus: Peer, engine: Engine) -> None:
    """To the letter, in vectors, matrices and scalars."""
    at = END / 1000
    for expr in ("numeral", "numeral / 7", "numeral[1m]", "1e21 / 10", "0.1 + 0.2", "-1 / 0"):
        theirs = prometheus.get("/api/v1/query", query=expr, time=at)["data"]
        ours = json.loads(encode(engine.instant(expr, END, budget())))
        assert sorted(map(json.dumps, ours["result"])) == sorted(map(json.dumps, theirs["result"])), expr


@pytest.mark.parametrize(
    "expr",
    [
        "level +",
        "rate(level)",
        "foo(level)",
        "level{",
        "sum(1)",
        "1 > 2",
        "level / ignoring(instance, job) requests_total",
    ],
)
def test_both_refuse_the_same(prometheus: Peer, engine: Engine, expr: str) -> None:
    """With an error of the same kind: the expression's fault is bad_data, the data's is execution."""
    reply = prometheus.get("/api/v1/query", query=expr, time=END / 1000)
    with pytest.raises(QueryError) as caught:
        engine.instant(expr, END, budget())
    assert reply["errorType"] == ("bad_data" if isinstance(caught.value, BadQueryError) else "execution")
