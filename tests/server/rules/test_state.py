"""What alerts were before a restart is what they are after it."""

from __future__ import annotations

import pytest

from mirante.formats.remote_write import STALE_NAN
from mirante.server.rules.alerting import Alerting
from mirante.server.rules.evaluation import RuleOptions, key_of
from mirante.server.rules.group import Group
from mirante.server.rules.model import RuleGroup
from mirante.server.rules.state import StoredState, read_states
from tests.server.rules.parts import MINUTE, Memory, alert, budget

DOWN = {"alertname": "Down", "job": "a"}


def after_restart(
    memory: Memory, *, at: int, hold: int, evaluations: int = 1, now_holds_from: int = 0
) -> tuple[str, int, int]:
    """State, ``active_at`` and ``fired_at`` of the one alert after evaluations a minute apart, in minutes."""
    options = RuleOptions()
    states = read_states(memory.reader, at, options.outage_tolerance, budget())
    spec = RuleGroup("g", "f", (alert("Down", "down", hold=hold * MINUTE),))
    one = Group(spec, memory, options, states)
    for number in range(evaluations):
        now = at + number * MINUTE
        if number >= now_holds_from:
            memory.add(now, 1.0, "down", job="a")
        one.evaluate(now, memory)
    rule = one.rules[0].rule
    assert isinstance(rule, Alerting)
    (active,) = rule.active.values()
    return active.state, active.active_at // MINUTE, active.fired_at // MINUTE


def stored(memory: Memory, written: int, active: int) -> None:
    """The state that the process before wrote, in minutes."""
    memory.add(written * MINUTE, active * 60.0, "ALERTS_FOR_STATE", **DOWN)


@pytest.mark.parametrize(
    ("hold", "written", "active", "at", "expected"),
    [
        # It fired: it fires at once, since then.
        (15, 120, 100, 130, ("firing", 100, 115)),
        (0, 120, 100, 121, ("firing", 100, 100)),
        (5, 120, 100, 121, ("firing", 100, 105)),
        # It was pending for long enough that the grace period is what it still waits.
        (15, 112, 100, 130, ("pending", 125, 0)),
        # It was pending for some of the time: that much less is left.
        (30, 110, 100, 130, ("pending", 120, 0)),
        # A hold shorter than the grace period begins anew.
        (5, 102, 100, 130, ("pending", 130, 0)),
        # The state is older than the tolerance.
        (15, 120, 100, 190, ("pending", 190, 0)),
    ],
)
def test_states_are_restored_as_in_prometheus(
    hold: int, written: int, active: int, at: int, expected: tuple[str, int, int]
) -> None:
    """Time that was waited counts, the outage does not, and what fired goes on firing."""
    memory = Memory()
    stored(memory, written, active)
    assert after_restart(memory, at=at * MINUTE, hold=hold) == expected


def test_an_alert_that_appears_at_the_second_evaluation_is_restored_too() -> None:
    """At the first evaluation after a restart what the rule depends on may not be there again; at the third it is."""
    memory = Memory()
    stored(memory, 120, 100)
    at = 130 * MINUTE
    assert after_restart(memory, at=at, hold=15, evaluations=2, now_holds_from=1) == ("firing", 100, 115)
    memory = Memory()
    stored(memory, 120, 100)
    assert after_restart(memory, at=at, hold=15, evaluations=3, now_holds_from=2) == ("pending", 132, 0)


def test_what_had_ended_is_not_restored() -> None:
    """A state that ends with a staleness marker is none; others are read with their time and since when."""
    memory = Memory()
    stored(memory, 120, 100)
    memory.add(110 * MINUTE, 100 * 60.0, "ALERTS_FOR_STATE", alertname="Ended")
    memory.add(111 * MINUTE, STALE_NAN, "ALERTS_FOR_STATE", alertname="Ended")
    found = read_states(memory.reader, 130 * MINUTE, 60 * MINUTE, budget())
    assert found == {key_of(DOWN): StoredState(120 * MINUTE, 100 * MINUTE)}


def test_an_alert_that_ended_and_comes_again_begins_anew() -> None:
    """A stored state is taken up once."""
    memory = Memory()
    stored(memory, 120, 100)
    spec = RuleGroup("g", "f", (alert("Down", "down == 1", hold=15 * MINUTE),))
    one = Group(spec, memory, RuleOptions(), read_states(memory.reader, 121 * MINUTE, 60 * MINUTE, budget()))
    rule = one.rules[0].rule
    assert isinstance(rule, Alerting)
    for now, value in ((121, 1.0), (122, 0.0), (123, 1.0)):
        memory.add(now * MINUTE, value, "down", job="a")
        one.evaluate(now * MINUTE, memory)
    assert [(a.state, a.active_at // MINUTE) for a in rule.active.values()] == [("pending", 123)]
