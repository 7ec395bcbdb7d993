"""Alerts that nobody takes on are told to further people, level by level."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mirante.server.notify.model import EscalationLevel, EscalationPolicy, NotifyConfig, OnCallSchedule, Route
from tests.server.notify.world import HOUR, INTERVAL, MINUTE, SECOND, START, WAIT, World, alert, config, receiver

Worlds = Callable[..., World]
FIRST = EscalationLevel(10 * MINUTE, ("lead",))
SECOND_LEVEL = EscalationLevel(30 * MINUTE, ("boss",), ("ops",))
TURNS = OnCallSchedule("ops", ("ann", "bob"), datetime.fromtimestamp(START / 1000, UTC) - timedelta(days=7))


def escalating(policy: EscalationPolicy | None = None, **rest: object) -> NotifyConfig:
    """After ten minutes the lead, after thirty the boss and whoever is on call."""
    policy = policy or EscalationPolicy("p", (FIRST, SECOND_LEVEL))
    return config(
        Route("team", group_by=("alertname",), escalation="p"),
        *(receiver(name) for name in ("team", "lead", "boss", "ann", "bob")),
        escalations={"p": policy},
        on_call={"ops": TURNS},
        **rest,
    )


def test_levels_are_told_one_after_the_other_each_once(world: Worlds) -> None:
    """At their time after the first message; at the second it is Bob's turn. The end is told to all of them."""
    w = world(escalating())
    w.fire("Down")
    w.wait(WAIT)
    assert w.wait(10 * MINUTE - 1) == []
    assert w.wait(1) == [("lead", "escalated", "Down", "")]
    assert w.wait(20 * MINUTE - 1) == []
    assert w.wait(1) == [("boss", "escalated", "Down", ""), ("bob", "escalated", "Down", "")]
    assert [one.level for one in w.sent] == [0, 1, 2, 2]
    assert w.wait(2 * HOUR) == []
    w.resolve("Down")
    everybody = [(name, "resolved", "", "Down") for name in ("team", "lead", "boss", "bob")]
    assert sorted(w.wait(INTERVAL)) == sorted(everybody)
    assert w.wait(5 * HOUR) == []


def test_an_acknowledgement_stops_the_escalation(world: Worlds) -> None:
    """Who was told of the alert hears of its end."""
    w = world(escalating())
    w.fire("Down")
    w.wait(WAIT + 15 * MINUTE)
    w.dispatcher.acknowledge([w.id("Down")], "ann", "", w.now)
    assert w.wait(3 * HOUR) == []
    w.resolve("Down")
    assert w.wait(INTERVAL) == [("team", "resolved", "", "Down"), ("lead", "resolved", "", "Down")]


def test_after_a_snooze_the_escalation_begins_anew(world: Worlds) -> None:
    """From the moment in which the alert is told again."""
    w = world(escalating())
    w.fire("Down")
    w.wait(WAIT + 5 * MINUTE)
    w.dispatcher.acknowledge([w.id("Down")], "ann", "", w.now, until=w.now + HOUR)
    assert w.wait(HOUR) == [("team", "repeat", "Down", "")]
    assert w.wait(10 * MINUTE) == [("lead", "escalated", "Down", "")]


def test_an_acknowledgement_that_is_taken_back_begins_the_escalation_anew(world: Worlds) -> None:
    """Also for levels that were told before; only the route's own receiver is told at once."""
    w = world(escalating())
    w.fire("Down")
    w.wait(WAIT + 15 * MINUTE)
    w.dispatcher.acknowledge([w.id("Down")], "ann", "", w.now)
    w.wait(HOUR)
    w.dispatcher.unacknowledge([w.id("Down")], w.now)
    assert w.wait(1) == [("team", "repeat", "Down", "")]
    assert w.wait(10 * MINUTE) == [("lead", "escalated", "Down", "")]


def test_a_later_alert_of_a_group_escalates_by_its_own_time(world: Worlds) -> None:
    """The message of a level has those beside it that have come as far; each end is told once."""
    w = world(escalating())
    w.fire("Down", instance="1")
    w.wait(WAIT + 9 * MINUTE)
    w.fire("Down", instance="2")
    assert w.wait(MINUTE) == [("team", "changed", "Down1 Down2", ""), ("lead", "escalated", "Down1", "")]
    assert w.wait(10 * MINUTE) == [("lead", "escalated", "Down1 Down2", "")]
    w.resolve("Down", instance="1")
    assert w.wait(INTERVAL) == [("team", "changed", "Down2", "Down1"), ("lead", "changed", "Down2", "Down1")]
    w.resolve("Down", instance="2")
    assert w.wait(INTERVAL) == [("team", "resolved", "", "Down2"), ("lead", "resolved", "", "Down2")]


def test_a_policy_is_gone_through_again(world: Worlds) -> None:
    """As often as it says, and as far apart."""
    policy = EscalationPolicy("p", (EscalationLevel(MINUTE, ("lead",)), EscalationLevel(5 * MINUTE, ("boss",))), 1)
    for every, times in ((0, [1, 5, 6, 10]), (20 * MINUTE, [1, 5, 21, 25])):
        w = world(escalating(replace(policy, every=every)))
        w.fire("Down")
        w.wait(2 * HOUR)
        told_at = [one for one in w.sent if one.level]
        assert [(one.created_at - START - WAIT) // MINUTE for one in told_at] == times
        assert [one.receiver for one in told_at] == ["lead", "boss"] * 2


def test_an_alert_that_is_silenced_does_not_escalate(world: Worlds) -> None:
    """When the silence ends, the level whose time is over is told at the next flush."""
    w = world(escalating())
    w.fire("Down")
    w.wait(WAIT)
    w.silence("alertname=Down", lasts=15 * MINUTE)
    assert w.wait(15 * MINUTE - 1) == []
    assert w.wait(INTERVAL) == [("lead", "escalated", "Down", "")]


def test_after_an_outage_each_level_is_told_once(world: Worlds) -> None:
    """However many steps were due meanwhile."""
    levels = (EscalationLevel(MINUTE, ("lead",)), EscalationLevel(5 * MINUTE, ("boss",)))
    w = world(escalating(EscalationPolicy("p", levels, repeat=1)))
    w.fire("Down")
    w.wait(WAIT)
    w.now += 3 * HOUR
    w.dispatcher.put([alert("Down", starts_at=START)], w.now)
    assert sorted(w.wait(1)) == [("boss", "escalated", "Down", ""), ("lead", "escalated", "Down", "")]
    assert w.wait(10 * MINUTE) == []


def test_who_is_told_by_route_and_by_level_hears_the_end_once(world: Worlds) -> None:
    """The level tells the route's own receiver again."""
    w = world(escalating(EscalationPolicy("p", (EscalationLevel(10 * MINUTE, ("team",)),))))
    w.fire("Down")
    assert w.wait(WAIT + 10 * MINUTE) == [("team", "firing", "Down", ""), ("team", "escalated", "Down", "")]
    w.resolve("Down")
    assert w.wait(INTERVAL) == [("team", "resolved", "", "Down")]


@pytest.mark.parametrize("who", ["gone", "unwilling"])
def test_a_level_that_is_not_told_of_ends_is_forgotten(world: Worlds, who: str) -> None:
    """Because its receiver is not there any more, or does not want to know."""
    settings = escalating()
    w = world(settings)
    w.fire("Down")
    w.wait(WAIT + 10 * MINUTE)
    others = {name: one for name, one in settings.receivers.items() if name != "lead"}
    if who == "unwilling":
        others["lead"] = receiver("lead", send_resolved=False)
    level = EscalationLevel(0, ("boss",)) if who == "gone" else FIRST
    w.reconfigure(replace(settings, receivers=others, escalations={"p": EscalationPolicy("p", (level,))}))
    w.resolve("Down")
    assert w.wait(INTERVAL) == [("team", "resolved", "", "Down")]
    assert w.state.load().book.told == {}


def test_a_reload_ends_the_escalation_of_a_route_that_has_none(world: Worlds) -> None:
    """And keeps the place of one that goes on."""
    settings = escalating()
    w = world(settings)
    w.fire("Down")
    w.wait(WAIT + 15 * MINUTE)
    w.reconfigure(escalating())
    assert w.wait(15 * MINUTE) == [("boss", "escalated", "Down", ""), ("bob", "escalated", "Down", "")]
    w.reconfigure(replace(settings, route=replace(settings.route, escalation="")))
    assert w.state.load().groups[next(iter(w.state.load().groups))].escalating == {}
    w.reconfigure(replace(settings, route=replace(settings.route, group_by=("instance",))))
    assert w.wait(2 * SECOND) == [("team", "firing", "Down", "")]


def test_a_policy_without_levels_tells_nobody(world: Worlds) -> None:
    """It is as if there were none."""
    w = world(escalating(EscalationPolicy("p", ())))
    w.fire("Down")
    assert w.wait(HOUR) == [("team", "firing", "Down", "")]
