"""When everything breaks at once, what is told in a minute stays bounded, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mirante.server.notify.model import EscalationLevel, EscalationPolicy, Route
from tests.server.notify.world import HOUR, INTERVAL, MINUTE, WAIT, World, config, receiver

Worlds = Callable[..., World]
NAMES = tuple(f"Down{number}" for number in range(7))


def per_minute(w: World) -> dict[int, int]:
    """How many messages were decided in each minute."""
    counts: dict[int, int] = {}
    for one in w.sent:
        counts[one.created_at // MINUTE] = counts.get(one.created_at // MINUTE, 0) + 1
    return counts


def test_what_is_held_back_is_told_in_the_next_minutes(world: Worlds) -> None:
    """First come, first told; the next message tells how many others were withheld."""
    w = world(config(storm_limit=3))
    w.fire(*NAMES)
    w.wait(4 * MINUTE)
    assert [one.alerts[0].name for one in w.sent] == list(NAMES)
    assert list(per_minute(w).values()) == [3, 3, 1]
    assert [one.held_back for one in w.sent] == [0, 0, 0, 3, 0, 0, 0]


def test_what_resolves_while_it_is_held_back_is_told_to_nobody(world: Worlds) -> None:
    """It is counted, so that somebody looks."""
    w = world(config(storm_limit=2))
    w.fire(*NAMES[:4])
    w.wait(WAIT)
    w.resolve(NAMES[2], NAMES[3])
    w.wait(MINUTE)
    w.fire("Other")
    w.wait(WAIT)
    assert [(one.alerts[0].name, one.held_back) for one in w.sent] == [("Down0", 0), ("Down1", 0), ("Other", 2)]


def test_resolutions_are_held_back_and_not_lost(world: Worlds) -> None:
    """An alert stays in its group until its end was told."""
    w = world(config(storm_limit=3))
    w.fire(*NAMES)
    w.wait(4 * MINUTE)
    w.resolve(*NAMES)
    w.wait(2 * INTERVAL)
    ends = [one for one in w.sent if one.reason == "resolved"]
    assert sorted(one.alerts[0].name for one in ends) == list(NAMES)
    assert max(per_minute(w).values()) == 3
    assert w.dispatcher.status(w.now).groups() == []


def test_a_level_is_held_back_as_a_whole(world: Worlds) -> None:
    """Nobody of it is told twice; its end is held back as well."""
    policy = EscalationPolicy("p", (EscalationLevel(10 * MINUTE, ("lead", "boss")),))
    route = Route("team", group_by=("alertname",), escalation="p", group_interval=HOUR)
    people = (receiver("team"), receiver("lead"), receiver("boss"))
    settings = config(route, *people, escalations={"p": policy}, storm_limit=2)
    w = world(settings)
    w.fire(*NAMES[:3])
    w.wait(20 * MINUTE)
    told = [(one.receiver, one.alerts[0].name) for one in w.sent if one.level]
    assert sorted(told) == sorted((who, name) for name in NAMES[:3] for who in ("lead", "boss"))
    w.reconfigure(replace(settings, storm_limit=1))
    w.resolve(NAMES[0])
    w.wait(2 * HOUR)
    ends = [one.receiver for one in w.sent if one.reason == "resolved"]
    assert ends == ["team", "lead", "boss"]


def test_acknowledgements_are_never_held_back(world: Worlds) -> None:
    """Somebody waits for them."""
    w = world(config(None, receiver("team", "slack"), storm_limit=1))
    w.fire("Down")
    w.wait(WAIT)
    w.dispatcher.acknowledge([w.id("Down")], "ann", "", w.now)
    assert w.wait(1) == [("team", "acknowledged", "Down", "")]


def test_the_count_survives_a_restart(world: Worlds, tmp_path: object) -> None:
    """What was told in this minute counts, and what was withheld is remembered."""
    w = world(config(storm_limit=3), f"{tmp_path}/alerting.sqlite")
    w.fire(*NAMES)
    w.wait(WAIT)
    w.restart()
    assert w.wait(MINUTE - WAIT - 1) == []
    w.wait(3 * MINUTE)
    assert [one.held_back for one in w.sent] == [0, 0, 0, 3, 0, 0, 0]
