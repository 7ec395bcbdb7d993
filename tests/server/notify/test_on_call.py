"""Turns on call change by the clock on the wall."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from mirante.server.notify.model import OnCallOverride, OnCallSchedule
from mirante.server.notify.on_call import Handover, next_handover, on_call

LISBON = ZoneInfo("Europe/Lisbon")
WEEKLY = OnCallSchedule("ops", ("ann", "bob", "cid"), datetime(2026, 3, 23, 9, tzinfo=LISBON))


def at(moment: datetime) -> int:
    """Milliseconds since 1970."""
    return round(moment.timestamp() * 1000)


def test_a_turn_begins_at_the_same_time_of_the_day_in_summer() -> None:
    """Clocks went forward on 2026-03-29, so this turn is an hour shorter."""
    change = at(datetime(2026, 3, 30, 9, tzinfo=LISBON))
    assert change == at(datetime(2026, 3, 30, 8, tzinfo=UTC))
    assert [on_call(WEEKLY, change - 1), on_call(WEEKLY, change)] == ["ann", "bob"]


def test_an_override_takes_the_place_of_a_turn() -> None:
    """From its start until before its end; of several the last one."""
    start = datetime(2026, 3, 24, 9, tzinfo=LISBON)
    longer = OnCallOverride("bob", start, start + timedelta(days=2))
    within = OnCallOverride("cid", start + timedelta(days=1), start + timedelta(days=2))
    schedule = OnCallSchedule("ops", WEEKLY.people, WEEKLY.start, overrides=(longer, within))
    hours = (-1, 0, 23, 24, 47, 48)
    found = [on_call(schedule, at(start + timedelta(hours=hour))) for hour in hours]
    assert found == ["ann", "bob", "bob", "cid", "cid", "ann"]


@given(st.integers(-800, 800), st.integers(1, 14), st.sampled_from([UTC, LISBON, ZoneInfo("America/St_Johns")]))
def test_turns_follow_one_another_for_ever(days: int, length: int, zone: ZoneInfo) -> None:
    """At the wall-clock time of the start every day belongs to the turn in which it is counted; before it too."""
    schedule = OnCallSchedule("ops", ("ann", "bob", "cid"), datetime(2026, 3, 23, 9, tzinfo=zone), length)
    wall = datetime(2026, 3, 23, 9) + timedelta(days=days)  # noqa: DTZ001 - a clock on a wall
    assert on_call(schedule, at(wall.replace(tzinfo=zone))) == schedule.people[days // length % 3]


def test_the_next_one_is_told_across_turns_and_overrides() -> None:
    """A turn that an override hides is not told; who follows themselves is not told either."""
    start = datetime(2026, 3, 24, 9, tzinfo=LISBON)
    two_weeks = OnCallOverride("dan", start, start + timedelta(days=14))
    schedule = OnCallSchedule("ops", WEEKLY.people, WEEKLY.start, overrides=(two_weeks,))
    assert next_handover(schedule, at(WEEKLY.start)) == Handover(at(start), "dan")
    assert next_handover(schedule, at(start)) == Handover(at(start + timedelta(days=14)), "cid")
    assert next_handover(OnCallSchedule("ops", ("ann", "ann"), WEEKLY.start), at(start)) is None


DAYS = st.integers(-20, 60)
OVERRIDES = st.lists(st.tuples(st.sampled_from(["ann", "bob", "dan"]), DAYS, st.integers(1, 30)), max_size=4)


@given(DAYS, st.integers(1, 9), st.lists(st.sampled_from(["ann", "bob", "cid"]), min_size=1, max_size=5), OVERRIDES)
def test_nobody_else_is_on_call_before_the_handover(
    days: int, length: int, people: list[str], overrides: list[tuple[str, int, int]]
) -> None:
    """Looked at twice a day, it is the first time at which somebody else is."""

    def after(count: float) -> datetime:
        return WEEKLY.start + timedelta(days=count)

    changed = tuple(OnCallOverride(who, after(first), after(first + lasts)) for who, first, lasts in overrides)
    schedule = OnCallSchedule("ops", tuple(people), WEEKLY.start, length, changed)
    looks = [at(after(days + half / 2)) for half in range(400)]
    person = on_call(schedule, looks[0])
    found = next_handover(schedule, looks[0])
    expected = next((Handover(one, on_call(schedule, one)) for one in looks if on_call(schedule, one) != person), None)
    assert found == expected
