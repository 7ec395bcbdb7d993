"""Groups are told of as Alertmanager documents it: when, to whom, and with which alerts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from mirante.errors import SilenceError
from mirante.server.notify.matchers import parse_matchers
from mirante.server.notify.model import InhibitRule, MaintenanceWindow, Route, Runbook, TimeSpan
from tests.server.notify.world import (
    HOUR,
    INTERVAL,
    MINUTE,
    REPEAT,
    SECOND,
    START,
    WAIT,
    World,
    alert,
    config,
    receiver,
)

Worlds = Callable[..., World]


def test_a_group_waits_for_its_first_alerts(world: Worlds) -> None:
    """Alerts that fire within ``group_wait`` are told of together."""
    w = world(config())
    w.fire("Down", instance="1")
    assert w.wait(WAIT - 1) == []
    w.fire("Down", instance="2")
    assert w.wait(1) == [("team", "firing", "Down1 Down2", "")]


def test_an_alert_that_has_waited_long_enough_elsewhere_is_told_at_once(world: Worlds) -> None:
    """``group_wait`` counts from when the alert began."""
    w = world(config())
    w.dispatcher.put([alert("Down", starts_at=START - WAIT - 1)], START)
    assert w.wait(1) == [("team", "firing", "Down", "")]


def test_news_of_a_group_is_told_every_group_interval(world: Worlds) -> None:
    """A further alert, and a part that resolved, wait for the next interval; without news nothing is told."""
    w = world(config())
    w.fire("Down", instance="1")
    w.wait(WAIT)
    w.fire("Down", instance="2")
    assert w.wait(INTERVAL - 1) == []
    assert w.wait(1) == [("team", "changed", "Down1 Down2", "")]
    w.resolve("Down", instance="1")
    assert w.wait(INTERVAL) == [("team", "changed", "Down2", "Down1")]
    assert w.wait(INTERVAL) == []


def test_an_alert_that_resolved_leaves_its_group_after_it_was_told(world: Worlds) -> None:
    """The resolution of a group is told once, with all of its alerts; then the group is gone."""
    w = world(config())
    w.fire("Down", instance="1")
    w.fire("Down", instance="2")
    w.wait(WAIT)
    w.resolve("Down", instance="1")
    w.resolve("Down", instance="2")
    assert w.wait(INTERVAL) == [("team", "resolved", "", "Down1 Down2")]
    assert w.dispatcher.status(w.now).groups() == []
    assert w.wait(REPEAT * 2) == []


def test_the_same_is_repeated_after_the_repeat_interval(world: Worlds) -> None:
    """And counted from the last message."""
    w = world(config())
    w.fire("Down")
    w.wait(WAIT)
    assert w.wait(REPEAT - 1) == []
    assert w.wait(1) == [("team", "repeat", "Down", "")]
    assert w.wait(REPEAT) == [("team", "repeat", "Down", "")]


def test_a_repetition_does_not_join_a_message_that_waits(world: Worlds) -> None:
    """As long as a message about a group could not be sent, none is added that says the same."""
    w = world(config())
    w.fire("Down")
    w.dispatcher.tick(START + WAIT)
    for minutes in range(5, 600, 5):
        w.dispatcher.put([alert("Down", starts_at=START)], START + WAIT + minutes * MINUTE)
        w.dispatcher.tick(START + WAIT + minutes * MINUTE)
    assert len(w.state.history()) == 1


def test_an_alert_that_nobody_mentions_any_more_resolves(world: Worlds) -> None:
    """After ``resolve_timeout``, when it came without an end."""
    w = world(config(resolve_timeout=10 * MINUTE))
    w.fire("Down")
    w.wait(WAIT)
    w.forget("Down")
    assert w.wait(9 * MINUTE) == []
    assert w.wait(6 * MINUTE) == [("team", "resolved", "", "Down")]


def test_who_does_not_want_resolutions_is_told_of_what_fires_only(world: Worlds) -> None:
    """And an alert that comes back is news for them, though they were not told of its end."""
    w = world(config(None, receiver("team", send_resolved=False)))
    w.fire("Down", instance="1")
    w.fire("Down", instance="2")
    w.wait(WAIT)
    w.resolve("Down", instance="1")
    assert w.wait(INTERVAL) == []
    w.fire("Down", instance="1")
    assert w.wait(INTERVAL) == [("team", "changed", "Down1 Down2", "")]
    w.resolve("Down", instance="1")
    w.resolve("Down", instance="2")
    assert w.wait(INTERVAL) == []
    w.fire("Down", instance="2")
    assert w.wait(INTERVAL) == [("team", "firing", "Down2", "")]


def test_an_alert_that_began_and_ended_within_the_wait_is_told_to_nobody(world: Worlds) -> None:
    """Nobody knows of it."""
    w = world(config())
    w.fire("Down")
    w.resolve("Down")
    assert w.wait(INTERVAL) == []
    assert w.dispatcher.status(w.now).alerts() == []


def test_that_an_unknown_alert_has_ended_is_no_news(world: Worlds) -> None:
    """Prometheus tells of resolved alerts for another quarter of an hour."""
    w = world(config())
    w.dispatcher.put([alert("Down", ends_at=START - 1)], START)
    assert w.wait(INTERVAL) == []


def test_an_alert_goes_to_every_route_that_it_takes(world: Worlds) -> None:
    """Each route has its own groups and times."""
    audit = Route("audit", parse_matchers("severity=critical"), group_wait=0, continues=True)
    team = Route("team", group_by_all=True, group_wait=WAIT, index=1)
    w = world(config(Route("team", children=(audit, team)), receiver("team"), receiver("audit")))
    w.fire("Down", severity="critical")
    w.fire("Slow", severity="warning")
    assert w.wait(1) == [("audit", "firing", "Down", "")]
    assert w.wait(WAIT) == [("team", "firing", "Down", ""), ("team", "firing", "Slow", "")]
    keys = {one.receiver: one.group_key for one in w.sent if one.alerts[0].name == "Down"}
    assert keys == {
        "audit": '{}/{severity="critical"}:{}',
        "team": '{}/{}:{alertname="Down", severity="critical"}',
    }
    [status] = [one for one in w.dispatcher.status(w.now).alerts() if one.alert.name == "Down"]
    assert status.receivers == ("audit", "team")


def test_two_routes_of_one_key_and_one_receiver_tell_once(world: Worlds) -> None:
    """Alertmanager's log of what was told goes by group key and receiver."""
    same = parse_matchers("severity=critical")
    root = Route("team", children=(Route("team", same, continues=True), Route("team", same, index=1)))
    w = world(config(root))
    w.fire("Down", severity="critical")
    assert w.wait(INTERVAL) == [("team", "firing", "Down", "")]
    assert len(w.dispatcher.status(w.now).groups()) == 2


def test_every_integration_of_a_receiver_is_told(world: Worlds) -> None:
    """Each with its own memory of what it was told."""
    w = world(config(None, receiver("team", "slack", "email")))
    w.fire("Down")
    w.wait(WAIT)
    assert [(one.receiver, one.kind, one.index) for one in w.sent] == [("team", "slack", 0), ("team", "email", 0)]


def test_alerts_are_told_in_alertmanagers_order(world: Worlds) -> None:
    """By job, by instance, by number of labels, by labels; who lacks a label comes last, or first among equals."""
    w = world(config(Route("team")))
    for labels in (
        {"job": "b"}, {"job": "a", "instance": "2"}, {"job": "a", "instance": "1"}, {"job": "a"}, {}, {"zone": "x"},
        {"az": "x"}, {"az": "w"}, {"more": "x", "zone": "y"},
    ):  # fmt: skip
        w.fire("Down", **labels)
    w.wait(WAIT)
    [sent] = w.sent
    assert [{k: v for k, v in one.labels.items() if k != "alertname"} for one in sent.alerts] == [
        {"job": "a", "instance": "1"}, {"job": "a", "instance": "2"}, {"job": "a"}, {"job": "b"}, {}, {"zone": "x"},
        {"az": "w"}, {"az": "x"}, {"more": "x", "zone": "y"},
    ]  # fmt: skip


def test_nobody_is_told_of_what_is_silenced(world: Worlds) -> None:
    """Others of the group are told of; when the silence ends the next flush tells of what still fires."""
    w = world(config())
    w.silence("instance=1", lasts=10 * MINUTE)
    w.fire("Down", instance="1")
    w.fire("Down", instance="2")
    assert w.wait(WAIT) == [("team", "firing", "Down2", "")]
    assert w.wait(INTERVAL) == []
    assert w.wait(2 * INTERVAL) == [("team", "changed", "Down1 Down2", "")]


def test_a_silence_that_is_refused_leaves_everything_as_it_was(world: Worlds) -> None:
    """Nothing has to be read anew for it."""
    w = world(config())
    with pytest.raises(SilenceError, match="before end time"):
        w.silence("instance=1", lasts=0)
    with pytest.raises(SilenceError, match="there is no silence x"):
        w.dispatcher.expire("x", w.now)
    w.fire("Down")
    assert w.wait(WAIT) == [("team", "firing", "Down", "")]


def test_what_ends_in_silence_ends_for_everybody(world: Worlds) -> None:
    """No resolution is told, as with Alertmanager; but when the alert comes back it is news."""
    w = world(config())
    w.fire("Down")
    w.wait(WAIT)
    w.silence("alertname=Down", lasts=10 * MINUTE)
    w.resolve("Down")
    assert w.wait(15 * MINUTE) == []
    w.fire("Down")
    assert w.wait(INTERVAL) == [("team", "firing", "Down", "")]


def test_status_tells_by_what_an_alert_is_suppressed(world: Worlds) -> None:
    """Ids of silences and of alerts, names of maintenance windows and of intervals."""
    rule = InhibitRule(parse_matchers("alertname=Fire"), parse_matchers("alertname=Smoke"))
    window = MaintenanceWindow("move", parse_matchers("alertname=Down"))
    w = world(config(inhibit=(rule,), maintenance=(window,)))
    w.fire("Fire", "Smoke", "Down", "Slow", "Other")
    silence = w.silence("alertname=Slow", lasts=HOUR)
    assert w.dispatcher.status(w.now).maintenance() == ("move",)
    status = {one.alert.name: one for one in w.dispatcher.status(w.now).alerts()}
    assert status["Smoke"].muted.inhibited_by == (w.id("Fire"),)
    assert status["Slow"].muted.silenced_by == (silence,)
    assert status["Down"].muted.maintenance == ("move",)
    assert {name: one.state for name, one in status.items()} == {
        "Fire": "active", "Smoke": "suppressed", "Down": "suppressed", "Slow": "suppressed", "Other": "active",
    }  # fmt: skip
    assert w.wait(WAIT) == [("team", "firing", "Fire", ""), ("team", "firing", "Other", "")]


@pytest.mark.parametrize(
    ("mute", "active", "muted_by"),
    [
        (("morning",), (), ("morning",)),
        (("evening",), (), ()),
        ((), ("morning",), ()),
        ((), ("evening", "noon"), ("evening", "noon")),
        ((), ("morning", "evening"), ()),
        (("morning",), ("morning",), ("morning",)),
    ],
)
def test_a_route_is_silent_in_its_mute_and_outside_its_active_intervals(
    world: Worlds, mute: tuple[str, ...], active: tuple[str, ...], muted_by: tuple[str, ...]
) -> None:
    """It is 9 in the morning."""
    spans = {"morning": (8, 10), "noon": (12, 13), "evening": (18, 19)}
    intervals = {name: (TimeSpan(times=((start * 60, end * 60),)),) for name, (start, end) in spans.items()}
    w = world(config(Route("team", mute=mute, active=active), intervals=intervals))
    w.fire("Down")
    assert bool(w.wait(INTERVAL)) is not bool(muted_by)
    [group] = w.dispatcher.status(w.now).groups()
    assert group.muted_by == muted_by
    [status] = group.alerts
    assert (status.muted_by, status.state) == (muted_by, "suppressed" if muted_by else "active")


def test_a_muted_route_tells_of_what_still_fires_when_its_time_comes(world: Worlds) -> None:
    """At the first flush after the interval; what resolved meanwhile is told to nobody."""
    intervals = {"morning": (TimeSpan(times=((8 * 60, 10 * 60),)),)}
    w = world(config(Route("team", mute=("morning",)), intervals=intervals))
    w.fire("Down", "Slow")
    w.wait(30 * MINUTE)
    w.resolve("Slow")
    assert w.wait(30 * MINUTE) == []
    assert w.wait(INTERVAL) == [("team", "firing", "Down", "")]


def test_maintenance_windows_silence_what_matches(world: Worlds) -> None:
    """Between two times, or in intervals between them; they are in no need of anybody to end them."""
    at = datetime.fromtimestamp(START / 1000, UTC)
    intervals = {"late": (TimeSpan(times=((9 * 60 + 10, 9 * 60 + 20),)),)}
    window = MaintenanceWindow("move", parse_matchers("instance=1"), at, at.replace(minute=50), intervals=("late",))
    w = world(
        config(Route("team", group_by_all=True, repeat_interval=MINUTE), maintenance=(window,), intervals=intervals)
    )
    w.fire("Down", instance="1")
    w.dispatcher.put([alert("Down", {"instance": "1"}, ends_at=START + HOUR)], w.now)
    muted = [m for m in range(60) if w.dispatcher.status(START + m * MINUTE).alerts()[0].muted]
    assert muted == list(range(10, 20))
    always = MaintenanceWindow("move", parse_matchers("instance=1"), at.replace(minute=30), at.replace(minute=40))
    w.reconfigure(config(maintenance=(always,)))
    muted = [m for m in range(60) if w.dispatcher.status(START + m * MINUTE).alerts()[0].muted]
    assert muted == list(range(30, 40))


def test_a_reload_repeats_nothing_and_forgets_nothing(world: Worlds) -> None:
    """Groups that stay keep their time; those that are new wait, unless their alerts have waited."""
    w = world(config())
    w.fire("Down")
    w.wait(WAIT + MINUTE)
    w.reconfigure(config(Route("team", group_by=("alertname",), group_interval=MINUTE)))
    assert w.wait(10 * MINUTE) == []
    w.resolve("Down")
    assert w.wait(MINUTE) == [("team", "resolved", "", "Down")]


def test_a_reload_that_regroups_tells_of_the_new_groups(world: Worlds) -> None:
    """They have other keys; back again under the old keys nobody is told again of what they know."""
    by_name = config()
    w = world(by_name)
    w.fire("Down", instance="1")
    w.wait(WAIT + MINUTE)
    w.reconfigure(config(Route("team", group_by_all=True)))
    assert w.wait(INTERVAL) == [("team", "firing", "Down1", "")]
    w.reconfigure(by_name)
    assert w.wait(INTERVAL) == []
    w.resolve("Down", instance="1")
    assert w.wait(INTERVAL) == [("team", "resolved", "", "Down1")]


def test_an_alert_that_ended_on_another_way_is_news_on_its_old_one(world: Worlds) -> None:
    """What its old group was told of it is forgotten when it ends."""
    by_name = config()
    w = world(by_name)
    w.fire("Down", instance="1")
    w.fire("Down", instance="2")
    w.wait(WAIT + MINUTE)
    w.reconfigure(config(Route("team", group_by_all=True)))
    w.wait(INTERVAL)
    w.resolve("Down", instance="1")
    assert ("team", "resolved", "", "Down1") in w.wait(INTERVAL)
    w.reconfigure(by_name)
    w.wait(INTERVAL)
    w.fire("Down", instance="1")
    assert w.wait(INTERVAL) == [("team", "changed", "Down1 Down2", "")]


def test_what_groups_were_told_is_forgotten_five_days_after_they_are_gone(world: Worlds) -> None:
    """After that a way that comes back tells anew."""
    by_name = config()
    w = world(by_name)
    w.fire("Down", instance="1")
    w.wait(WAIT + MINUTE)
    w.reconfigure(config(Route("team", group_by_all=True, repeat_interval=1000 * HOUR)))
    w.wait(121 * HOUR)
    w.reconfigure(by_name)
    assert w.wait(INTERVAL) == [("team", "firing", "Down1", "")]


def test_an_alert_that_comes_back_before_its_end_was_told_goes_on(world: Worlds) -> None:
    """As if nothing had been, since nobody knows of its end."""
    w = world(config())
    w.fire("Down")
    w.wait(WAIT)
    w.resolve("Down")
    w.wait(MINUTE)
    w.fire("Down")
    assert w.wait(INTERVAL) == []
    assert [one.alert.name for one in w.dispatcher.status(w.now).alerts()] == ["Down"]


def test_a_clock_that_is_set_back_keeps_nobody_waiting(world: Worlds) -> None:
    """What joins a group, or ends in it, is told after one interval, not when the clock has come as far again."""
    w = world(config())
    w.fire("Down", instance="1")
    w.wait(WAIT)
    w.now -= 2 * HOUR
    w.fire("Down", instance="2")
    assert w.wait(INTERVAL) == [("team", "changed", "Down1 Down2", "")]
    w.now -= 2 * HOUR
    w.resolve("Down", instance="1")
    assert w.wait(INTERVAL) == [("team", "changed", "Down2", "Down1")]


def test_runbooks_run_once_when_an_alert_begins_to_fire(world: Worlds) -> None:
    """In one of its groups, and again when it comes back; not while it is silenced, and whatever the limit."""
    runbook = Runbook("restart", parse_matchers("alertname=Hung"), ("/bin/true",))
    routes = (Route("team", continues=True), Route("team", group_by=("alertname",), index=1))
    w = world(config(Route("team", children=routes), runbooks=(runbook,), storm_limit=1))
    silence = w.silence("alertname=Hung", lasts=HOUR)
    w.fire("Hung", "Other")
    assert [one.kind for one in w.sent if one.kind == "runbook"] == []
    w.wait(10 * MINUTE)
    w.dispatcher.expire(silence, w.now)
    w.wait(REPEAT)
    [run] = [one for one in w.sent if one.kind == "runbook"]
    assert (run.receiver, run.index, run.reason, [one.name for one in run.alerts]) == (
        "restart",
        0,
        "runbook",
        ["Hung"],
    )
    w.resolve("Hung")
    w.wait(HOUR)
    w.fire("Hung")
    w.wait(HOUR)
    assert [one.kind for one in w.sent].count("runbook") == 2


def test_time_is_told_when_there_is_something_to_do(world: Worlds) -> None:
    """The flush of a group; without any, the hourly tidying."""
    w = world(config())
    w.dispatcher.tick(w.now)
    assert w.dispatcher.due() == START + HOUR
    w.fire("Down")
    assert w.dispatcher.due() == START + WAIT
    assert w.wait(10 * SECOND) == []
