"""All rules of a server: rounds, missed evaluations, reloads, and who is told."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from mirante.errors import BadQueryError, ConfigError, StoreError
from mirante.server.alert import Alert
from mirante.server.rules.evaluation import Point, QueryAt, RuleOptions
from mirante.server.rules.manager import RuleManager, RuleSet
from mirante.server.rules.model import Expression, Rule, RuleGroup
from mirante.server.rules.rounds import place_in
from mirante.server.rules.state import States, StoredState
from mirante.testing.clock import FakeClock
from tests.server.rules.parts import MINUTE, Memory, alert, key_of, record


class Store(Memory):
    """A RuleStore in memory.

    Attributes:
        before: states of before the start; None fails.
        gate: closed, questions wait.
        asked: times of the rounds.
    """

    def __init__(self) -> None:
        super().__init__()
        self.before: States | None = {}
        self.gate = threading.Event()
        self.gate.set()
        self.asked: list[int] = []
        self.ended_queries = False

    def together(self, groups: Sequence[RuleGroup], subquery_step: int) -> QueryAt:
        """See RuleStore."""
        assert groups
        assert subquery_step == MINUTE

        def ask(at: int) -> Store:
            self.asked.append(at)
            return self

        return ask

    def vector(self, expression: Expression, at: int) -> Sequence[Point]:
        """See RuleQuery."""
        assert self.gate.wait(60)
        return super().vector(expression, at)

    def log(self) -> Store:
        """See RuleStore."""
        return self

    def states(self, now: int, tolerance: int) -> States:
        """See RuleStore."""
        assert now > tolerance > 0
        if self.before is None:
            raise StoreError("cannot be read")
        return self.before

    def check_sql(self, text: str) -> None:
        """See RuleStore."""
        if "bad" in text:
            raise BadQueryError("bad SQL")

    def end(self) -> None:
        """See RuleStore."""
        self.ended_queries = True
        self.gate.set()


class Sink:
    """An AlertSink that keeps all."""

    def __init__(self) -> None:
        self.got: list[Alert] = []

    def put(self, alerts: Iterable[Alert]) -> None:
        """See AlertSink."""
        self.got += alerts


class World:
    """A manager whose time is ours."""

    def __init__(self, *groups: RuleGroup, options: RuleOptions | None = None) -> None:
        self.store, self.sink, self.clock = Store(), Sink(), FakeClock(1_700_000_040.0)
        self.options = options or RuleOptions(interval=MINUTE)
        self.manager = RuleManager(
            RuleSet(groups, self.options), self.store, [self.sink], clock=self.clock, sleep=self._sleep
        )
        self._asleep, self._wake = asyncio.Event(), asyncio.Event()

    async def _sleep(self, seconds: float) -> None:
        assert seconds <= 1
        self._asleep.set()
        await self._wake.wait()
        self._wake.clear()

    async def turn(self) -> None:
        """Let the manager look at the clock once more."""
        await self._asleep.wait()
        self._asleep.clear()
        self._wake.set()
        await self._asleep.wait()

    async def idle(self) -> None:
        """Wait until nothing is being evaluated."""
        running = (member.running for member in self.manager._members.values())
        await asyncio.gather(*(asyncio.wrap_future(one) for one in running if one is not None))

    async def minute(self, **values: float) -> None:
        """A minute later, with samples of metrics of those names just before; wait for what is evaluated."""
        self.clock.advance(60)
        for name, value in values.items():
            self.store.add(self.now - MINUTE, value, name)
        await self.turn()
        await self.idle()

    @property
    def now(self) -> int:
        """Milliseconds."""
        return self.clock.time_ns() // 1_000_000

    def rule(self, name: str) -> dict[str, Any]:
        """A rule as the API has it."""
        return next(rule for group in self.manager.groups() for rule in group["rules"] if rule["name"] == name)

    def metric(self, name: str, group: str = "g") -> float:
        """A metric of a group."""
        samples = [sample for family in self.manager.collect() for sample in family.samples]
        return next(s.value for s in samples if s.name == name and s.labels["rule_group"].endswith(f";{group}"))


def spec(*rules: Rule, name: str = "g", **more: Any) -> RuleGroup:
    """A group of a file."""
    return RuleGroup(name, "rules.yml", rules, **more)


def run(world: Callable[[], World], story: Callable[[World], Any]) -> None:
    """Tell a story with a started manager, and stop it."""

    async def whole() -> None:
        made = world()
        await made.manager.start()
        try:
            await story(made)
        finally:
            await made.manager.stop()
        assert made.store.ended_queries

    asyncio.run(asyncio.wait_for(whole(), 60))


def test_groups_are_evaluated_at_their_places_and_alerts_are_told() -> None:
    """Each at its own place in the interval, with that very time; what fires goes to the sinks."""

    async def story(world: World) -> None:
        await world.minute(m=1.0)
        await world.minute(m=2.0)
        assert {at % MINUTE for at in world.store.asked} == {place_in(spec(), MINUTE)}
        assert len(world.store.asked) == 2
        assert [(a.name, a.labels["dc"], a.generator_url) for a in world.sink.got] == [
            ("High", "eu", "http://m/graph?g0.expr=m+%3E+0&g0.tab=1")
        ] * 2
        assert world.metric("mirante_rule_group_iterations_total") == 2
        assert world.metric("prometheus_rule_evaluations_total") == 4
        assert world.metric("prometheus_rule_group_last_evaluation_samples") == 3
        assert world.metric("prometheus_rule_group_rules") == 2
        assert world.metric("prometheus_rule_group_interval_seconds") == 60

    options = RuleOptions(interval=MINUTE, external_labels={"dc": "eu"}, external_url="http://m")
    run(lambda: World(spec(record("r", "m"), alert("High", "m > 0")), options=options), story)


def test_the_lists_have_prometheus_shape() -> None:
    """Groups, rules and alerts have the keys and the formats of Prometheus's API."""

    async def story(world: World) -> None:
        before = world.rule("High")
        assert (before["health"], before["lastEvaluation"]) == ("unknown", "0001-01-01T00:00:00Z")
        await world.minute(m=0.25)
        await world.minute(m=0.5)
        active = "1970" not in world.rule("High")["alerts"][0]["activeAt"]
        assert active
        alerts = [{**one, "activeAt": ""} for one in world.manager.alerts()]
        labels, annotations = {"alertname": "High", "severity": "page"}, {"summary": "m is 0.5"}
        assert alerts == [
            {"labels": labels, "annotations": annotations, "state": "pending", "activeAt": "", "value": "5e-01"}
        ]
        high = world.rule("High")
        assert {key: high[key] for key in ("state", "duration", "keepFiringFor", "type", "query", "health")} == {
            "state": "pending", "duration": 300.0, "keepFiringFor": 60.0, "type": "alerting", "query": "m > 0",
            "health": "ok",
        }  # fmt: skip
        assert high["annotations"] == {"summary": "m is {{ $value }}"}
        assert world.rule("bad")["lastError"].startswith("1:5: parse error")
        assert world.rule("bad")["type"] == "recording"
        (group,) = world.manager.groups()
        assert (group["name"], group["file"], group["interval"], group["limit"]) == ("g", "rules.yml", 60.0, 9)
        assert world.manager.alertmanagers() == {"activeAlertmanagers": (), "droppedAlertmanagers": ()}

    high = alert(
        "High", "m > 0", hold=5 * MINUTE, keep_firing_for=MINUTE, labels={"severity": "page"},
        annotations={"summary": "m is {{ $value }}"},
    )  # fmt: skip
    run(lambda: World(spec(record("bad", "sum("), high, limit=9)), story)


def test_a_group_that_is_kept_firing_says_since_when() -> None:
    """``keepFiringSince`` stands in the list while the expression no longer holds."""

    async def story(world: World) -> None:
        await world.minute(m=1.0)
        await world.minute(m=0.0)
        (one,) = world.manager.alerts()
        assert (one["state"], "keepFiringSince" in one) == ("firing", True)

    run(lambda: World(spec(alert("High", "m > 0", keep_firing_for=5 * MINUTE))), story)


def test_a_group_that_takes_too_long_misses_its_next_time_and_no_other_does() -> None:
    """What is still being evaluated is not started again; the missed time is counted."""

    async def story(world: World) -> None:
        world.store.gate.clear()
        world.clock.advance(60)
        await world.turn()
        world.clock.advance(60)
        await world.turn()
        assert world.metric("mirante_rule_group_iterations_missed_total") == 1
        world.store.gate.set()
        await world.idle()
        await world.minute(m=1.0)
        assert world.metric("mirante_rule_group_iterations_total") == 3
        assert world.metric("mirante_rule_evaluations_total") == 2

    run(lambda: World(spec(record("r", "m"))), story)


def test_a_reload_keeps_what_stays_and_ends_what_goes() -> None:
    """The same group goes on as it is, a changed one keeps its alerts, one that is gone ends its series."""

    async def story(world: World) -> None:
        await world.minute(m=1.0)
        kept = world.manager._members["rules.yml", "same"].group
        groups = (
            spec(record("r", "m"), name="same", line=7),
            spec(record("new", "m"), alert("High", "m > 0", hold=MINUTE), name="changed"),
        )
        await world.manager.commit(world.manager.prepare(RuleSet(groups, world.options)))
        assert world.manager._members["rules.yml", "same"].group is kept
        assert world.rule("High")["state"] == "pending"
        assert "gone" in world.store.ended(world.now)
        await world.minute(m=1.0)
        assert world.rule("High")["state"] == "firing"
        assert world.metric("mirante_rule_group_iterations_total", "changed") == 2
        assert [group["name"] for group in world.manager.groups()] == ["changed", "same"]

    groups = (
        spec(record("gone", "m"), name="gone"),
        spec(record("r", "m"), name="same"),
        spec(alert("High", "m > 0", hold=MINUTE), name="changed"),
    )
    run(lambda: World(*groups), story)


def test_other_options_concern_every_group() -> None:
    """A new external label is in what is told next, and states are kept."""

    async def story(world: World) -> None:
        await world.minute(m=1.0)
        options = replace(world.options, external_labels={"dc": "us"})
        await world.manager.commit(RuleSet((spec(alert("High", "m > 0")),), options))
        await world.minute(m=1.0)
        first, second = world.sink.got
        assert (first.labels, second.labels["dc"]) == ({"alertname": "High"}, "us")
        assert first.starts_at == second.starts_at

    run(lambda: World(spec(alert("High", "m > 0"))), story)


def test_a_reload_waits_for_what_is_being_evaluated() -> None:
    """The successor of a group takes over the state after the evaluation, not the one before."""

    async def story(world: World) -> None:
        world.store.gate.clear()
        world.store.add(world.now, 1.0, "m")
        world.clock.advance(60)
        await world.turn()
        change = asyncio.create_task(
            world.manager.commit(RuleSet((spec(alert("High", "m > 0"), limit=5),), world.options))
        )
        await asyncio.sleep(0)
        world.store.gate.set()
        await change
        assert world.rule("High")["state"] == "firing"

    run(lambda: World(spec(alert("High", "m > 0"))), story)


def test_a_stop_does_not_wait_for_a_query_that_a_reload_waits_for() -> None:
    """The queries end first, then the reload, then the manager."""

    async def story(world: World) -> None:
        world.store.gate.clear()
        world.clock.advance(60)
        await world.turn()
        change = asyncio.create_task(world.manager.commit(RuleSet((), world.options)))
        await asyncio.sleep(0)
        await world.manager.stop()
        assert change.done()

    run(lambda: World(spec(record("r", "m"))), story)


def test_series_that_cannot_be_ended_are_told_and_the_reload_stands(caplog: pytest.LogCaptureFixture) -> None:
    """A full disk does not keep an old group in force."""

    async def story(world: World) -> None:
        await world.minute(m=1.0)
        world.store.full = True
        await world.manager.commit(RuleSet((), world.options))
        assert world.manager.groups() == []

    run(lambda: World(spec(record("r", "m"))), story)
    assert "the series of rule group g could not be ended: no room" in caplog.text


def test_states_of_before_are_taken_up(caplog: pytest.LogCaptureFixture) -> None:
    """What fired before the restart fires at once; when that cannot be read, alerts begin anew."""

    async def story(world: World) -> None:
        await world.minute(m=1.0)
        assert world.rule("High")["state"] == ("firing" if world.store.before else "pending")

    def world(before: States | None) -> World:
        made = World(spec(alert("High", "m > 0", hold=5 * MINUTE)))
        made.store.before = before
        return made

    start = 1_700_000_040_000
    run(lambda: world({key_of({"alertname": "High"}): StoredState(start - MINUTE, start - 10 * MINUTE)}), story)
    run(lambda: world(None), story)
    assert "what alerts were before the restart cannot be read, they begin anew: cannot be read" in caplog.text


def test_the_log_tells_which_rules_begin_and_cease_to_fail(caplog: pytest.LogCaptureFixture) -> None:
    """In one line for a group: thousands of rules may fail every 15 seconds for a night."""
    caplog.set_level(logging.INFO, "mirante.server.rules")

    async def story(world: World) -> None:
        world.store.full = True
        await world.minute(m=1)
        await world.minute(m=1)
        assert len(caplog.messages) == 1
        world.store.full = False
        await world.minute(m=1)
        await world.minute(m=1)

    run(lambda: World(spec(alert("A", "m > 0"), record("r", "m"))), story)
    place = 'rules of group "g" in rules.yml'
    assert caplog.messages == [
        f"{place} cannot be evaluated, their alerts and series stay as they are: A, r: no room",
        f"{place} are evaluated again: A, r",
    ]


def test_a_sink_that_fails_does_not_end_the_evaluation(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and the group is evaluated at its next time."""

    async def story(world: World) -> None:
        world.sink.put = lambda alerts: 1 / 0  # type: ignore[assignment,method-assign]
        await world.minute(m=1.0)
        await world.minute(m=1.0)
        assert world.metric("mirante_rule_group_iterations_total") == 2

    run(lambda: World(spec(alert("High", "m > 0"))), story)
    assert "evaluating the rule group g of rules.yml failed" in caplog.text


def test_sql_that_cannot_be_used_is_refused_with_its_place() -> None:
    """Every rule with such SQL is named with file and line, and nothing changes."""

    async def story(world: World) -> None:
        bad = replace(record("r", ""), expression=Expression("bad", "sql"), line=4)
        good = replace(bad, expression=Expression("SELECT 1 AS value", "sql"))
        with pytest.raises(ConfigError) as raised:
            world.manager.prepare(RuleSet((spec(bad, good, replace(bad, line=9)),), world.options))
        assert str(raised.value) == "rules.yml, line 4: bad SQL\nrules.yml, line 9: bad SQL"

    run(lambda: World(spec(record("r", "m"))), story)
