"""Turns on call change by the clock on the wall."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from mirante.server.notify.model import OnCallOverride, OnCallSchedule
from mirante.server.notify.on_call import on_call

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
