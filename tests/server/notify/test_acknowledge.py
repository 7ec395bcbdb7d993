"""Who takes an alert on stops its repetitions and its escalation, until it resolves."""

from __future__ import annotations

from collections.abc import Callable

from mirante.server.notify.matchers import parse_matchers
from mirante.server.notify.model import Route
from tests.server.notify.world import HOUR, INTERVAL, MINUTE, REPEAT, WAIT, World, config, receiver

Worlds = Callable[..., World]


def acknowledge(w: World, name: str, until: int | None = None, **labels: str) -> list[str]:
    """Ann takes an alert on."""
    return w.dispatcher.acknowledge([w.id(name, **labels)], "ann", "on it", w.now, until)


def test_an_acknowledged_alert_is_not_repeated(world: Worlds) -> None:
    """Its resolution is told."""
    w = world(config())
    w.fire("Down")
    w.wait(WAIT)
    assert acknowledge(w, "Down") == [w.id("Down")]
    [status] = w.dispatcher.status(w.now).alerts()
    assert status.acknowledgement is not None
    assert (status.acknowledgement.author, status.acknowledgement.comment) == ("ann", "on it")
    assert w.wait(2 * REPEAT) == []
    w.resolve("Down")
    assert w.wait(INTERVAL) == [("team", "resolved", "", "Down")]


def test_another_alert_of_the_group_is_told_and_repeated(world: Worlds) -> None:
    """The one that is taken on is told of beside it."""
    w = world(config())
    w.fire("Down", instance="1")
    w.wait(WAIT)
    acknowledge(w, "Down", instance="1")
    w.fire("Down", instance="2")
    assert w.wait(INTERVAL) == [("team", "changed", "Down1 Down2", "")]
    assert w.wait(REPEAT) == [("team", "repeat", "Down1 Down2", "")]


def test_an_alert_that_is_taken_on_before_it_was_told_is_told_to_nobody(world: Worlds) -> None:
    """Somebody knows of it already."""
    w = world(config())
    w.fire("Down")
    acknowledge(w, "Down")
    assert w.wait(REPEAT) == []
    w.resolve("Down")
    assert w.wait(INTERVAL) == []


def test_an_acknowledgement_ends_with_its_alert(world: Worlds) -> None:
    """When the alert fires again nobody has taken it on."""
    w = world(config())
    w.fire("Down")
    w.wait(WAIT)
    acknowledge(w, "Down")
    w.resolve("Down")
    w.wait(INTERVAL)
    w.fire("Down")
    assert w.wait(WAIT) == [("team", "firing", "Down", "")]
    assert w.dispatcher.status(w.now).alerts()[0].acknowledgement is None


def test_a_snoozed_alert_is_told_again_when_its_time_is_over(world: Worlds) -> None:
    """At once, and repeated from then on."""
    w = world(config())
    w.fire("Down")
    w.wait(WAIT)
    acknowledge(w, "Down", until=w.now + HOUR)
    assert w.wait(HOUR - 1) == []
    assert w.dispatcher.status(w.now).alerts()[0].acknowledgement is not None
    assert w.dispatcher.status(w.now + 1).alerts()[0].acknowledgement is None
    assert w.wait(1) == [("team", "repeat", "Down", "")]
    assert w.wait(REPEAT) == [("team", "repeat", "Down", "")]


def test_a_snooze_that_outlives_its_alert_tells_nothing(world: Worlds) -> None:
    """Not even when both end at the same moment."""
    w = world(config())
    w.fire("Down", "Slow")
    w.wait(WAIT)
    until = w.now + HOUR
    acknowledge(w, "Down", until=until)
    acknowledge(w, "Slow", until=until)
    w.forget("Down")
    w.wait(MINUTE)
    w.resolve("Slow")
    w.dispatcher.tick(w.now)
    assert sorted(w.wait(2 * HOUR)) == [("team", "resolved", "", "Down"), ("team", "resolved", "", "Slow")]


def test_an_end_and_the_end_of_a_snooze_at_one_moment_are_one_end(world: Worlds) -> None:
    """The alert has ended, so nobody is told of it again."""
    w = world(config(Route("team")))
    w.fire("Down")
    w.fire("Slow")
    w.wait(WAIT)
    w.forget("Down")
    ends_at = w.dispatcher.status(w.now).alerts()[0].alert.ends_at
    acknowledge(w, "Down", until=ends_at)
    w.wait(ends_at - w.now + 1)
    assert [one.alert.name for one in w.dispatcher.status(w.now).alerts()] == ["Slow"]
    assert [one.reason for one in w.sent] == ["firing"]


def test_an_acknowledgement_can_be_taken_back(world: Worlds) -> None:
    """Then people are told again; one that is not there cannot."""
    w = world(config())
    w.fire("Down")
    w.wait(WAIT)
    acknowledge(w, "Down")
    assert w.dispatcher.unacknowledge([w.id("Down"), w.id("Slow")], w.now) == [w.id("Down")]
    assert w.wait(1) == [("team", "repeat", "Down", "")]


def test_only_what_fires_can_be_taken_on(world: Worlds) -> None:
    """Unknown and ended alerts cannot; alerts are found by matchers."""
    w = world(config())
    w.fire("Down", "Slow", job="api")
    w.resolve("Slow", job="api")
    ids = w.dispatcher.matching(parse_matchers("job=api"), w.now)
    assert ids == [w.id("Down", job="api")]
    assert w.dispatcher.acknowledge([*ids, w.id("Slow", job="api"), "x"], "ann", "", w.now) == ids


def test_chat_is_told_who_takes_an_alert_on_and_trackers_when_none_is_open(world: Worlds) -> None:
    """A tracker keeps one incident for the group: it is taken on when nothing of it is open any more."""
    w = world(config(None, receiver("team", "slack", "pagerduty", "opsgenie", "webhook")))
    w.fire("Down", instance="1")
    w.fire("Down", instance="2")
    w.wait(WAIT)
    w.sent.clear()
    acknowledge(w, "Down", instance="1")
    assert w.wait(1) == [("team", "acknowledged", "Down1", "")]
    assert [one.kind for one in w.sent] == ["slack"]
    w.sent.clear()
    acknowledge(w, "Down", instance="2")
    assert w.wait(1) == [("team", "acknowledged", "Down2", "")] * 3
    assert {one.kind for one in w.sent} == {"slack", "pagerduty", "opsgenie"}
    assert {(one.author, one.comment) for one in w.sent} == {("ann", "on it")}


def test_who_was_not_told_of_an_alert_is_not_told_of_its_acknowledgement(world: Worlds) -> None:
    """Nor who is not a receiver any more."""
    w = world(config(None, receiver("team", "slack")))
    w.fire("Down")
    acknowledge(w, "Down")
    assert w.wait(1) == []
    w.fire("Slow")
    w.wait(WAIT)
    w.reconfigure(config(None, receiver("other", "slack")))
    acknowledge(w, "Slow")
    assert w.wait(1) == []
