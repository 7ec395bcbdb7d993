"""When groups are evaluated."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mirante.server.rules.evaluation import RuleOptions
from mirante.server.rules.group import Group
from mirante.server.rules.model import RuleGroup
from mirante.server.rules.rounds import PLACES, Member, Place, Round, by_place, next_time, place_in
from tests.server.rules.parts import MINUTE, Memory


def member(name: str, interval: int = MINUTE, query_offset: int = 0) -> Member:
    """A group without rules."""
    spec = RuleGroup(name, "f", (), interval=interval, query_offset=query_offset)
    return Member(Group(spec, Memory(), RuleOptions()))


@given(now=st.integers(0, 10**13), interval=st.integers(1, 10**7), name=st.text(max_size=5))
def test_a_group_has_its_own_place_in_the_interval(now: int, interval: int, name: str) -> None:
    """The next time is after now, at most an interval away, and always as far behind a multiple of the interval."""
    place = Place(interval, place_in(RuleGroup(name, "f", ()), interval), 0)
    found = next_time(now, place)
    assert now < found <= now + interval
    assert found % interval == place.offset < interval


def test_groups_of_one_place_are_a_round() -> None:
    """Some hundred groups fall on a handful of places; other intervals and offsets are other rounds."""
    groups = [member(f"g{number}") for number in range(200)]
    others = [member("a", interval=30_000), member("b", query_offset=1_000)]
    found = by_place([*groups, *others])
    assert len(found) == PLACES + 2
    assert sum(map(len, found.values())) == 202


def test_times_that_were_slept_over_are_counted_as_missed() -> None:
    """After a pause the newest time is evaluated, once, and the others are missed; a clock set back makes none due."""
    one = member("g")
    plan = Round(Place(MINUTE, 0, 0), 5 * MINUTE, lambda _: Memory(), [one])
    assert plan.due(5 * MINUTE - 1) is None
    assert plan.due(5 * MINUTE) == 5 * MINUTE
    assert plan.due(5 * MINUTE) is None
    assert plan.due(9 * MINUTE + 1) == 9 * MINUTE
    assert (one.group.counts.missed, one.group.counts.iterations, plan.next) == (3, 3, 10 * MINUTE)
    assert plan.due(2 * MINUTE + 5) is None
    assert plan.next == 3 * MINUTE
