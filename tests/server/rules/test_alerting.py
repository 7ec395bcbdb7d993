"""Alerting rules: their states, what they write, and what others are told."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirante.server.rules.alerting import RESOLVED_RETENTION, Alerting
from mirante.server.rules.evaluation import RuleOptions
from mirante.server.rules.model import Expression
from tests.server.rules.parts import MINUTE, Memory, alert, group, states


@dataclass
class Model:
    """One alert by the book: since when it is active, fires, is kept firing, ended."""

    hold: int
    keep: int
    active: int | None = None
    fires: bool = False
    kept: int | None = None
    ended: int | None = None

    def step(self, now: int, *, holds: bool) -> str:
        """The state after an evaluation."""
        if holds:
            self.kept = None
            if self.active is None:
                self.active, self.ended = now, None
            self.fires = self.fires or now - self.active >= self.hold
        elif self.active is not None:
            self.kept = now if self.kept is None else self.kept
            if not self.fires or now - self.kept >= self.keep:
                self.ended = now if self.fires else None
                self.active, self.fires, self.kept = None, False, None
        elif self.ended is not None and now - self.ended > RESOLVED_RETENTION:
            self.ended = None
        return self.state

    @property
    def state(self) -> str:
        """What it is called."""
        if self.active is not None:
            return "firing" if self.fires else "pending"
        return "" if self.ended is None else "inactive"


@settings(max_examples=50)
@given(
    holds=st.lists(st.booleans(), max_size=30),
    hold=st.sampled_from([0, MINUTE, 3 * MINUTE]),
    keep=st.sampled_from([0, MINUTE, 5 * MINUTE]),
)
def test_states_are_those_of_a_simple_model(holds: list[bool], hold: int, keep: int) -> None:
    """Pending, firing, kept firing, ended and forgotten come when the book says, whatever the expression does."""
    memory, model = Memory(), Model(hold, keep)
    one = group(memory, alert("Down", "down == 1", hold=hold, keep_firing_for=keep))
    for number, holding in enumerate(holds):
        now = (number + 1) * MINUTE
        memory.add(now, float(holding), "down")
        one.evaluate(now, memory)
        state = model.step(now, holds=holding)
        assert states(one).get("", "") == state, (number, holding)
        alive = state in {"pending", "firing"}
        assert memory.now("ALERTS", now) == ({f"alertname=Down,alertstate={state}": 1.0} if alive else {})
        since = {} if model.active is None else {"alertname=Down": model.active / 1000}
        assert memory.now("ALERTS_FOR_STATE", now) == since


@settings(max_examples=50)
@given(holds=st.lists(st.booleans(), max_size=40))
def test_firing_is_told_until_it_ends_and_the_end_is_told_again(holds: list[bool]) -> None:
    """An evaluation tells of what fires and of what ended in the last quarter of an hour, not of what is pending."""
    memory, told = Memory(), 0
    one = group(memory, alert("Down", "down == 1", hold=MINUTE), options=RuleOptions(resend_delay=MINUTE))
    for number, holding in enumerate(holds):
        now = number * 2 * MINUTE + MINUTE
        memory.add(now, float(holding), "down")
        sent = one.evaluate(now, memory)
        (active,) = one.rules[0].rule.active.values() or (None,)  # type: ignore[union-attr]
        assert bool(sent) == (active is not None and active.state != "pending")
        for told_alert in sent:
            told += 1
            assert told_alert.name == "Down"
            assert active is not None
            assert told_alert.resolved(now) == (active.state == "inactive")
            assert told_alert.ends_at == (active.resolved_at or now + 4 * MINUTE)
            assert told_alert.starts_at == active.fired_at


def test_a_firing_alert_is_told_again_after_the_resend_delay_only() -> None:
    """Evaluations more often than the delay tell nothing new, but for the end, which is told at once."""
    memory = Memory()
    one = group(memory, alert("Down", "down == 1"), options=RuleOptions(resend_delay=MINUTE), interval=10_000)
    sent = {}
    for now in range(10_000, 200_000, 10_000):
        memory.add(now, float(now < 150_000), "down")
        sent[now] = [told.resolved(now) for told in one.evaluate(now, memory)]
    assert {now: found for now, found in sent.items() if found} == {
        10_000: [False],
        70_000: [False],
        130_000: [False],
        150_000: [True],
    }


def test_labels_and_annotations_are_templates_of_the_series() -> None:
    """They see labels, value, external labels and queries; a rule's own name cannot be changed by a label."""
    memory = Memory()
    memory.add(MINUTE, 0.25, "ratio", job="shop", env="dev")
    memory.add(MINUTE, 7.0, "limit")
    labels = {"severity": "{{ $labels.job }}-{{ $externalLabels.dc }}", "env": "", "alertname": "Other"}
    texts = {"summary": "{{ $value | humanizePercentage }} of {{ with query `limit` }}{{ . | first | value }}{{ end }}"}
    rule = alert("High", "ratio > 0.1", labels=labels, annotations={**texts, "bad": "{{ first (query `nothing`) }}"})
    one = group(memory, rule, options=RuleOptions(external_labels={"dc": "eu", "job": "x"}, external_url="http://m/"))
    (sent,) = one.evaluate(MINUTE, memory)
    assert sent.labels == {"alertname": "High", "job": "shop", "severity": "shop-eu", "dc": "eu"}
    assert sent.annotations["summary"] == "25% of 7"
    assert sent.annotations["bad"].startswith("<error expanding template: ")
    assert sent.generator_url == "http://m/graph?g0.expr=ratio+%3E+0.1&g0.tab=1"


def test_alerts_that_become_the_same_are_an_error() -> None:
    """Two series whose labels end up equal cannot be two alerts: the rule fails, and says why."""
    memory = Memory()
    memory.add(MINUTE, 1.0, "down", job="a")
    memory.add(MINUTE, 1.0, "down", job="b")
    one = group(memory, alert("Down", "down", labels={"job": "all"}))
    assert one.evaluate(MINUTE, memory) == []
    assert one.rules[0].health == "err"
    assert one.rules[0].error == "vector contains metrics with the same labelset after applying alert labels"


def test_more_alerts_than_the_limit_are_none() -> None:
    """Beyond the group's limit the rule fails, and its alerts are forgotten."""
    memory = Memory()
    one = group(memory, alert("Down", "down"), limit=2)
    for now, count in ((MINUTE, 2), (2 * MINUTE, 3)):
        for number in range(count):
            memory.add(now, 1.0, "down", job=str(number))
        one.evaluate(now, memory)
        assert len(states(one)) == (2 if count == 2 else 0)
    assert one.rules[0].error == "exceeded limit of 2 with 3 alerts"


def test_a_rule_that_fails_leaves_its_alerts_as_they_were() -> None:
    """While the expression cannot be evaluated, what fires goes on firing, and is told so."""
    memory = Memory()
    one = group(memory, alert("Down", "down / on () group_left () other"))
    memory.add(MINUTE, 1.0, "down")
    memory.add(MINUTE, 1.0, "other", n="1")
    assert len(one.evaluate(MINUTE, memory)) == 1
    memory.add(3 * MINUTE, 1.0, "other", n="2")
    (sent,) = one.evaluate(3 * MINUTE, memory)
    assert one.rules[0].health == "err"
    assert states(one) == {"": "firing"}
    assert not sent.resolved(3 * MINUTE)
    assert sent.ends_at == 7 * MINUTE


@pytest.mark.parametrize(("held", "state"), [((), "inactive"), ((1,), "pending"), ((1, 3), "firing")])
def test_the_state_of_a_rule_is_its_most_urgent_alert(held: tuple[int, ...], state: str) -> None:
    """Inactive without alerts, pending with pending ones alone, firing with one that fires."""
    memory = Memory()
    one = group(memory, alert("Down", "down > 0", hold=2 * MINUTE))
    for now in held:
        memory.add(now * MINUTE, 1.0, "down", job="a")
        memory.add(now * MINUTE, 1.0, "down", job=f"new{now}")
        one.evaluate(now * MINUTE, memory)
    rule = one.rules[0].rule
    assert isinstance(rule, Alerting)
    assert rule.state == state


def test_an_alert_of_sql_leads_to_the_server() -> None:
    """There is no page for an SQL expression."""
    memory = Memory()
    rule = replace(alert("Errors", ""), expression=Expression("1", "sql"))
    one = group(memory, rule, options=RuleOptions(external_url="http://m/"))
    assert [sent.generator_url for sent in one.evaluate(MINUTE, memory)] == ["http://m"]


def test_a_scalar_that_holds_is_one_alert() -> None:
    """A rule may ask a scalar, as in Prometheus: one alert without labels of its own."""
    memory = Memory()
    one = group(memory, alert("Always", "1"))
    assert len(one.evaluate(MINUTE, memory)) == 1
    assert states(one) == {"": "firing"}
