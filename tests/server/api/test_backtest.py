"""Backtests over HTTP: what may be asked, and the lines of the answer."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.applications import Starlette

from mirante.server.access.rights import right_for
from mirante.server.api.backtest import BacktestApi, InForce
from mirante.server.api.runner import QueryLimits, QueryRunner
from mirante.server.backtest.replay import Source
from mirante.server.notify.config import parse_config
from mirante.server.notify.matchers import parse_matchers
from mirante.server.notify.silence import Silence
from mirante.server.rules.evaluation import RuleOptions
from mirante.server.store.api import Labels, Matcher, QueryBudget, SeriesSet
from mirante.testing.memory_store import MemoryReader
from tests.server.asgi import Reply, call
from tests.server.notify.world import HOUR, START, config

JSON = {"content-type": "application/json"}
RULES = """
groups:
  - name: g
    rules:
      - {record: twice, expr: level * 2}
      - {alert: High, expr: twice > 2, annotations: {text: "{{ $value }}"}}
      - {alert: Wrong, expr: level + on () group_left () level}
"""
ROUTES = "{route: {receiver: me}, receivers: [{name: me, webhook_configs: [{url: 'http://127.0.0.1:9/'}]}]}"


class Stuck(MemoryReader):
    """A store that does not answer before it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.go = threading.Event(), threading.Event()
        self.budget: QueryBudget | None = None

    def series(self, matchers: Any, start: int, end: int, budget: QueryBudget) -> SeriesSet:
        """See MetricReader."""
        self.budget = budget
        self.asked.set()
        assert self.go.wait(60)
        return super().series(matchers, start, end, budget)


class Broken(MemoryReader):
    """A store with a fault of ours."""

    def series(self, matchers: Any, start: int, end: int, budget: QueryBudget) -> SeriesSet:
        """See MetricReader."""
        raise RuntimeError("a fault")


def app(reader: MemoryReader | None = None, timeout: int = 60_000) -> Starlette:
    """The route over a store; one silence is remembered."""
    silences = [Silence(tuple(parse_matchers("alertname=High")), START, START + HOUR, "ann", "why", id="1")]
    in_force = InForce(RuleOptions, config, lambda: silences, list)
    runner = QueryRunner(QueryLimits(timeout), lambda _: None)
    return Starlette(routes=BacktestApi(runner, Source(reader or filled()), in_force).routes())


def filled() -> MemoryReader:
    """An hour and a half of a level that is high for ten minutes."""
    reader = MemoryReader()
    for job in "ab":
        labels: Labels = {"__name__": "level", "job": job}
        reader.add(labels, [(START + m * 60_000, 2.0 if 70 <= m < 80 and job == "a" else 1.0) for m in range(90)])
    return reader


def document(**changes: object) -> dict[str, object]:
    """A question; None takes a key out."""
    asked = {
        "rules": [{"name": "rules.yml", "text": RULES}],
        "alertmanager": ROUTES,
        "from": START / 1000,
        "to": "2026-01-01T10:30:00Z",
        **changes,
    }
    return {name: value for name, value in asked.items() if value is not None}


def post(asked: object, to: Starlette | None = None) -> Reply:
    """The answer."""
    body = json.dumps(asked).encode()
    return asyncio.run(call(to or app(), "POST", "/api/v1/alerting/backtest", body, JSON))


def result(asked: object, to: Starlette | None = None) -> Any:
    """What the last line says."""
    reply = post(asked, to)
    assert reply.status == 200, reply.text
    assert reply.headers["content-type"] == "application/x-ndjson"
    *progress, last = [json.loads(line) for line in reply.text.splitlines()]
    assert [set(line) for line in progress] == [{"progress"}] * len(progress)
    assert [line["progress"] for line in progress] == sorted(line["progress"] for line in progress)
    return last


def test_whoever_may_read_may_ask() -> None:
    """It changes nothing."""
    assert right_for("POST", "/api/v1/alerting/backtest") == "read"


def test_the_result() -> None:
    """Rules, episodes, receivers and days; how rules failed."""
    found = result(document())["result"]
    assert (found["from"], found["to"]) == ("2026-01-01T09:00:00Z", "2026-01-01T10:30:00Z")
    assert found["evaluations"] in {3 * 90, 3 * 91}
    high, wrong = found["rules"]
    assert (high["name"], high["fired"], high["firingAtEnd"], high["onlyPending"]) == ("High", 1, 0, 0)
    assert high["seconds"] == {"total": 600, "longest": 600, "median": 600, "anyFiring": 600}
    assert sum(high["timeline"]["firing"]) == pytest.approx(600)
    (episode,) = high["episodes"]
    assert episode["labels"] == {"alertname": "High", "job": "a"}
    assert episode["annotations"] == {"text": "4"}
    assert (episode["value"], episode["endedAt"] > episode["firingAt"] == episode["activeAt"]) == ("4.0", True)
    assert wrong["fired"] == 0
    (failure,) = found["failures"]
    assert failure["rule"] == "Wrong"
    assert failure["count"] > 80
    (receiver,) = found["receivers"]
    assert (receiver["name"], receiver["notifications"]) == ("me", 2)
    assert receiver["reasons"] == {"firing": 1, "resolved": 1}
    assert receiver["integrations"] == {"webhook": 2}
    assert receiver["first"][0]["alerts"] == ["High"]
    assert found["days"] == [{"day": "2026-01-01", "fired": {"High": 1}, "notifications": {"me": 2}}]


def test_what_is_in_force_holds_where_nothing_else_is_asked() -> None:
    """The server's own routes and silences; an alert is silenced here for its first hour."""
    early = document(alertmanager=None, rules=[{"name": "a", "text": RULES.replace("twice > 2", "twice")}])
    both = result(early)["result"]["receivers"]
    assert [(one["name"], one["reasons"]) for one in both] == [("team", {"firing": 1})]
    assert both[0]["first"][0]["at"] > "2026-01-01T10:00"
    loud = result({**early, "silences": False})["result"]["receivers"]
    assert loud[0]["first"][0]["at"] < "2026-01-01T09:05"


def test_a_step() -> None:
    """In the place of the interval, as a duration or as seconds."""
    for step in ("10m", 600):
        assert result(document(step=step))["result"]["evaluations"] in {27, 30}


def test_the_end_is_now_at_the_latest() -> None:
    """The future is not known."""
    for to in (None, 4e9):
        before = datetime.now(UTC)
        found = datetime.fromisoformat(result(document(to=to, step="30d"))["result"]["to"])
        assert before - timedelta(milliseconds=1) <= found <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"rules": None}, '"rules" must be a list'),
        ({"rules": []}, '"rules" must be a list'),
        ({"rules": ["groups: []"]}, '"name" and "text"'),
        ({"rules": [{"name": 1, "text": ""}]}, '"name" and "text"'),
        ({"rules": [{"name": "a", "text": "{}"}] * 2}, "a twice"),
        ({"rules": [{"name": "a.yml", "text": "groups: [{name: g, rules: [{alert: A, expr: (}]}]"}]}, "a.yml, line 1"),
        ({"alertmanager": "route: {receiver: nobody}"}, "nobody"),
        ({"alertmanager": 1}, '"alertmanager" must be a text'),
        ({"from": None}, '"from" is missing'),
        ({"from": True}, '"from" must be a text or a number'),
        ({"from": "yesterday"}, '"from": cannot parse'),
        ({"from": 4e9}, '"from" must be before "to"'),
        ({"to": -5}, '"from" must be before "to"'),
        ({"step": "soon"}, '"step": cannot parse'),
        ({"step": -1}, '"step" must be more than nothing'),
        ({"silences": "no"}, '"silences" must be true or false'),
        ({"until": 1}, "unknown key 'until'"),
    ],
)
def test_what_cannot_be_asked(changes: dict[str, object], says: str) -> None:
    """Is refused before anything is replayed, with the reason."""
    reply = post(document(**changes))
    assert reply.status == 400
    assert says in reply.json()["detail"]


def test_the_time_of_queries_is_the_limit() -> None:
    """The last line says so, and what to do."""
    assert "timeout" in result(document(), app(timeout=0))["error"]


def test_a_fault_of_ours_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """And logged, as nobody else would know; of one rule it is that rule's failure."""
    assert result(document(), app(Broken()))["error"] == "internal error: RuntimeError: a fault"
    assert "a backtest failed" in caplog.text


def test_it_ends_when_the_client_leaves() -> None:
    """What it asks the store ends too."""
    store = Stuck()

    async def leave() -> None:
        gone = asyncio.Event()
        asking = asyncio.create_task(
            call(app(store), "POST", "/api/v1/alerting/backtest", json.dumps(document()).encode(), JSON, gone)
        )
        assert await asyncio.to_thread(store.asked.wait, 60)
        gone.set()
        await asking
        assert store.budget is not None
        assert store.budget.canceled
        store.go.set()
        # What was asked for in the background ends as well, and its end is nobody's loss.
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)

    asyncio.run(leave())


def test_matchers_are_whole() -> None:
    """A store is asked what rules ask."""
    reader = filled()
    assert post(document(), app(reader)).status == 200
    assert ("series", (Matcher("__name__", "=", "level"),)) in reader.reads


def test_a_config_is_read_without_its_files() -> None:
    """Whoever may only read must not make the server open files."""
    text = "{global: {slack_api_url_file: /nowhere}, route: {receiver: a}, receivers: [{name: a, slack_configs: [{}]}]}"
    assert parse_config(text, "x").route.receiver == "a"
