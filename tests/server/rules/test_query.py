"""What rules ask: answers as points, and limits."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from mirante.errors import BadQueryError, QueryCanceledError, QueryTimeoutError
from mirante.server.promql.engine import Engine
from mirante.server.rules.evaluation import RuleSample
from mirante.server.rules.model import Expression, RuleGroup
from mirante.server.rules.needs import Need, needs_of
from mirante.server.rules.query import Budgets, StoreQuery, sql_points
from mirante.server.rules.store import ServerStore
from mirante.server.store.user_sql import UserSql
from tests.server.rules.parts import MINUTE, Memory, record
from tests.server.store.conftest import NOW, Store, body, open_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A real store."""
    opened = open_store(tmp_path_factory.mktemp("store"))
    yield opened
    opened.close()


def test_sql_answers_are_points() -> None:
    """Every column but ``value`` is a label; what is NULL is no label, or not a number."""
    found = sql_points([{"a": "x", "b": 3, "c": None, "value": 2}, {"value": None, "a": ""}])
    assert found[0] == ({"a": "x", "b": "3"}, 2.0)
    assert math.isnan(found[1].value)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"a": 1, "b": 2}, "SQL of a rule must give a column named value; it gives a, b"),
        ({"value": "high"}, "the column value of a rule's SQL must be a number, not 'high'"),
        ({"value": [1]}, "the column value of a rule's SQL must be a number, not [1]"),
    ],
)
def test_sql_without_a_number_is_an_error(row: dict[str, object], message: str) -> None:
    """It says what is missing."""
    with pytest.raises(BadQueryError) as raised:
        sql_points([row])
    assert str(raised.value) == message


def test_the_store_answers_promql_and_sql(store: Store) -> None:
    """Both languages see the same samples; SQL gets the time of the evaluation as its parameter."""
    store.write("remote_write", body("asked", 4.0, NOW - 1_000, job="a"), body("asked", 9.0, NOW + 5_000, job="a"))
    query = StoreQuery(Engine(store.reader), UserSql(store.engine), Budgets(30, 1_000_000, store.engine.cancel))
    sql = (
        "SELECT labels['job'] AS job, max(value) AS value FROM samples JOIN series USING (series_id)"
        " WHERE name = 'asked' AND timestamp <= {now:DateTime64(3)} GROUP BY job"
    )
    assert query.vector(Expression("asked"), NOW) == [({"__name__": "asked", "job": "a"}, 4.0)]
    assert query.vector(Expression(sql, "sql"), NOW) == [({"job": "a"}, 4.0)]


def test_groups_of_a_round_see_what_they_write_and_have_the_step_of_subqueries(store: Store) -> None:
    """What is written is there for the next question; a subquery without a step has that of the evaluation."""
    joined = ServerStore(store.reader, UserSql(store.engine), store.log, Budgets(30, 1_000_000, store.engine.cancel))
    group = RuleGroup("g", "f", (record("wrote", "vector(1)"), record("r", "wrote + 0")))
    at = NOW // MINUTE * MINUTE
    query = joined.together([group], 10_000)(at)
    assert query.vector(Expression("wrote"), at) == []
    joined.log().write([RuleSample({"__name__": "wrote", "n": "1"}, at, 5.0)])
    assert query.vector(Expression("wrote"), at) == [({"__name__": "wrote", "n": "1"}, 5.0)]
    assert store.log.wait_until_loaded(60)
    assert query.vector(Expression("wrote"), at) == [({"__name__": "wrote", "n": "1"}, 5.0)]
    assert joined.together([group], 10_000)(at).vector(Expression("sum(wrote)"), at) == [({}, 5.0)]
    assert query.vector(Expression("count_over_time(vector(1)[1m:])"), at) == [({}, 6.0)]


def test_the_end_cancels_what_runs_and_what_comes() -> None:
    """A server that stops does not wait for the queries of rules."""
    canceled: list[str] = []
    budgets = Budgets(30, 1_000, canceled.append)
    with budgets.open() as running:
        budgets.end()
        assert running.canceled
        assert canceled == [running.query_id]
    query = StoreQuery(Engine(Memory().reader), None, budgets)  # type: ignore[arg-type] # asked no SQL
    with pytest.raises(QueryCanceledError):
        query.vector(Expression("m"), MINUTE)


def test_a_query_has_a_deadline() -> None:
    """A rule's query ends like anybody's."""
    query = StoreQuery(Engine(Memory().reader), None, Budgets(-1, 1_000, str))  # type: ignore[arg-type]
    with pytest.raises(QueryTimeoutError):
        query.vector(Expression("m"), MINUTE)


def test_needs_are_what_is_read_at_the_time_itself() -> None:
    """Selectors of the present by metric, with the longest short window; others, SQL and what is wrong left out."""
    expressions = (
        "sum(rate(a[10m])) / on () group_left () b",
        "-rate(a[1h]) + topk(scalar(c), a)",
        'b{x="1"} offset 1m or a @ 5 or max_over_time(a[10m:1m]) or {__name__=~"d"} or time()',
        "sum(",
    )
    group = RuleGroup("g", "f", tuple(record("r", one) for one in expressions))
    found = needs_of([group], 5 * MINUTE)
    assert {name: (need.span, len(need.selectors)) for name, need in found.items()} == {
        "a": (10 * MINUTE, 3),
        "b": (5 * MINUTE, 1),
        "c": (5 * MINUTE, 1),
    }
    alone = needs_of([RuleGroup("g", "f", (record("r", "rate(a[1h])"),))], 5 * MINUTE)
    assert alone == {"a": Need(0, 60 * MINUTE, found["a"].selectors[:1])}
