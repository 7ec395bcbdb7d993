"""Rules that share their reads get what each would get alone."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from mirante.formats import remote_write
from mirante.server.promql.engine import Engine, Result
from mirante.server.rules import shared
from mirante.server.rules.model import RuleGroup
from mirante.server.rules.needs import needs_of
from mirante.server.rules.shared import Selectors, SharedReader
from mirante.server.store.api import MetricReader
from mirante.testing.memory_store import MemoryReader
from tests.server.rules.parts import MINUTE, budget, record
from tests.server.store.conftest import NOW, Store, open_store

AT = NOW // MINUTE * MINUTE
EXPRESSIONS = (
    "m0",
    'm0{job="a"}',
    'm0{job=~"a|b",code!="500"}',
    'm0{job="nobody"}',
    "sum by (job) (rate(m0[5m]))",
    'rate(m0{code="500"}[2m]) / on (job, i) group_left () m1',
    "increase(m1[10m])",
    "delta(m1[5m])",
    "irate(m0[5m]) + idelta(m0[5m])",
    "changes(m1[5m]) + resets(m1[5m])",
    "avg_over_time(m1[5m]) - min_over_time(m1[5m]) + max_over_time(m1[5m])",
    "sum_over_time(m1[90s]) / count_over_time(m1[90s])",
    "last_over_time(m1[5m]) * present_over_time(m1[5m])",
    "deriv(m1[5m]) + predict_linear(m1[5m], 60)",
    "quantile_over_time(0.5, m1[5m])",
    "rate(m0[30m])",
    "avg_over_time(m1[20m])",
    "m0 offset 2m",
    "sum(rate(m0[5m] offset 5m))",
    "max_over_time(sum(m0)[10m:1m])",
    "timestamp(m1)",
    '{__name__=~"m0|m1",job="a"}',
    "absent(m2)",
    "m1 @ 0",
    "-m1 > 3 or topk(2, m0)",
    "predict_linear(m1[5m], scalar(vector(60)))",
    "sum(",
)


def samples() -> Iterator[tuple[dict[str, str], list[tuple[int, float]]]]:
    """Two metrics, of which some series end, begin late, are reset or hold what is not finite."""
    chance = random.Random(7)  # noqa: S311 - the same samples in every run
    for metric in ("m0", "m1"):
        for number in range(12):
            labels = {
                "__name__": metric,
                "job": "abc"[number % 3],
                "code": ("200", "500")[number % 2],
                "i": str(number),
            }
            value, points = 0.0, []
            for back in range(40 * 4, -1, -1):
                value = 0.0 if chance.random() < 0.05 else value + chance.randrange(5)
                if number == 3 and back < 20:
                    continue
                if not (number == 4 and back > 10):
                    points.append((AT - back * 15_000, value))
            odd = {5: remote_write.STALE_NAN, 6: float("inf"), 7: remote_write.NORMAL_NAN, 8: float("nan")}
            if number in odd:
                points[-2:] = [(points[-2][0], odd[number]), points[-1]]
            if number == 9:
                points[-1] = (points[-1][0], remote_write.STALE_NAN)
            yield labels, points


def shown(result: Result) -> list[str]:
    """The answer's rows; the engine's functions round the last digits otherwise."""
    rows = zip(result.labels, result.values[:, 0].tolist(), result.present[:, 0].tolist(), strict=True)
    return sorted(f"{sorted(labels.items())} {value:.12g}" for labels, value, there in rows if there)


def compare(base: MetricReader, expressions: tuple[str, ...] = EXPRESSIONS) -> SharedReader:
    """Ask everything alone and together."""
    rules = tuple(record(f"r{number}", expression) for number, expression in enumerate(expressions))
    needs = needs_of([RuleGroup("g", "f", rules)], 5 * MINUTE)
    together = SharedReader(base, needs, AT, Selectors())
    for expression in expressions[:-1]:
        got, alone = (Engine(reader).instant(expression, AT, budget()) for reader in (together, base))
        assert shown(got) == shown(alone), expression
    return together


@pytest.fixture(scope="module")
def memory() -> MemoryReader:
    """The samples in memory."""
    reader = MemoryReader()
    for labels, points in samples():
        reader.add(labels, points)
    return reader


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The samples in the real store."""
    opened = open_store(tmp_path_factory.mktemp("store"))
    bodies = (
        remote_write.series(remote_write.labels(labels), *(remote_write.sample(value, time) for time, value in points))
        for labels, points in samples()
    )
    opened.write("remote_write", *bodies)
    yield opened
    opened.close()


def test_shared_answers_are_those_of_each_alone_in_memory(memory: MemoryReader) -> None:
    """Selectors, functions of windows, subqueries and offsets give the same."""
    compare(memory)


def test_shared_answers_are_those_of_each_alone_in_the_store(store: Store) -> None:
    """The same over the real engine, whose own functions compute what stands alone."""
    compare(store.reader)


def test_one_scan_serves_all_rules(memory: MemoryReader) -> None:
    """Samples of short windows are read once for all metrics, whatever the number of rules."""
    memory.reads.clear()
    expressions = tuple(f'sum by (i) ({metric}{{job=~"a|b|c|{n}"}})' for n in range(5) for metric in ("m0", "m1"))
    together = SharedReader(
        memory,
        needs_of([RuleGroup("g", "f", tuple(record("r", one) for one in expressions))], 5 * MINUTE),
        AT,
        Selectors(),
    )
    for expression in expressions:
        Engine(together).instant(expression, AT, budget())
    assert [read[0] for read in memory.reads] == ["series", "series", "samples"]


def test_narrow_selectors_of_a_wide_metric_read_their_own(memory: MemoryReader) -> None:
    """Where rules ask for few of a metric's series, the others are not read."""
    memory.reads.clear()
    compare(memory, ('m0{i="1"}', 'rate(m0{i="2"}[5m])', 'rate(m0{i="2"}[30m])', ""))
    assert {read[1] for read in memory.reads if read[0] == "samples"} == {1}


def test_beyond_the_bound_each_rule_reads_its_own(memory: MemoryReader, monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples of so many series are not held at once; answers stay the same."""
    monkeypatch.setattr(shared, "MOST_SERIES", 15)
    monkeypatch.setattr(shared, "MOST_AT_ONCE", 10)
    compare(memory)


def test_new_series_are_seen_in_the_next_round() -> None:
    """What selectors chose is kept from round to round, until the metric has other series."""
    reader, selectors = MemoryReader(), Selectors()
    needs = needs_of([RuleGroup("g", "f", (record("r", 'm{job="a"}'), record("s", "m")))], 5 * MINUTE)
    for number in range(3):
        if number != 1:
            reader.add({"__name__": "m", "job": "a", "n": str(number)}, [(AT, 1.0)])
        found = SharedReader(reader, needs, AT, selectors).series(needs["m"].selectors[0], AT - 1, AT, budget())
        assert len(found) == (number + 2) // 2
