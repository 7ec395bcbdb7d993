"""Time intervals: which times lie in them, over changes of the clock and ends of months, and when that changes."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirante.server.notify.intervals import Ranges, contains, next_change, zone_of
from mirante.server.notify.model import TimeSpan

MINUTE, DAY = 60_000, 86_400_000
LISBON = ZoneInfo("Europe/Lisbon")  # forward at 01:00 on 2026-03-29, back at 02:00 on 2026-10-25
ZONES = ("", "Europe/Lisbon", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia")


def ranges(first: int, last: int) -> st.SearchStrategy[Ranges]:
    """One or two ranges between two numbers, or none."""
    one = st.tuples(st.integers(first, last), st.integers(first, last)).map(lambda ends: (min(ends), max(ends)))
    return st.lists(one, max_size=2).map(tuple)


SPANS = st.builds(
    TimeSpan,
    times=ranges(0, 1440),
    weekdays=ranges(0, 6),
    days=ranges(1, 31) | ranges(-31, -1),
    months=ranges(1, 12),
    years=st.just(()) | ranges(2025, 2027),
    location=st.sampled_from(ZONES),
)
TIMES = st.integers(*(round(datetime(year, 1, 1, tzinfo=UTC).timestamp()) // 60 for year in (2025, 2028))).map(
    lambda minute: minute * MINUTE
)


def at(text: str, zone: ZoneInfo | None = None, fold: int = 0) -> int:
    """Milliseconds of a time as clocks show it."""
    return round(datetime.fromisoformat(text).replace(tzinfo=zone or UTC, fold=fold).timestamp() * 1000)


@pytest.mark.parametrize(
    ("span", "time", "inside"),
    [
        (TimeSpan(), "2026-01-05T00:00", True),
        (TimeSpan(times=((540, 1020),)), "2026-01-05T09:00", True),
        (TimeSpan(times=((540, 1020),)), "2026-01-05T17:00", False),
        (TimeSpan(times=((540, 1020),)), "2026-01-05T16:59:59.999", True),
        (TimeSpan(times=((1320, 1440),)), "2026-01-05T23:59:59", True),
        (TimeSpan(weekdays=((0, 0),)), "2026-01-04T12:00", True),
        (TimeSpan(weekdays=((1, 5),)), "2026-01-04T12:00", False),
        (TimeSpan(weekdays=((1, 5),)), "2026-01-09T12:00", True),
        (TimeSpan(days=((-1, -1),)), "2026-02-28T12:00", True),
        (TimeSpan(days=((-1, -1),)), "2028-02-28T12:00", False),
        (TimeSpan(days=((-3, -1),)), "2026-04-28T12:00", True),
        (TimeSpan(days=((29, 31),)), "2026-02-28T12:00", False),
        (TimeSpan(days=((1, 31),)), "2026-02-28T12:00", True),
        (TimeSpan(days=((-31, -1),)), "2026-02-01T12:00", True),
        (TimeSpan(days=((15, -1),)), "2026-02-14T12:00", False),
        (TimeSpan(days=((15, -1),)), "2026-02-28T12:00", True),
        (TimeSpan(months=((3, 5),)), "2026-05-31T23:59", True),
        (TimeSpan(months=((3, 5),)), "2026-06-01T00:00", False),
        (TimeSpan(years=((2020, 2026),)), "2026-12-31T23:59", True),
        (TimeSpan(years=((2020, 2025),)), "2026-01-01T00:00", False),
        (TimeSpan(weekdays=((1, 1),), times=((0, 60),)), "2026-01-05T00:30", True),
        (TimeSpan(weekdays=((1, 1),), times=((0, 60),)), "2026-01-06T00:30", False),
        (TimeSpan(times=((600, 660),), location="Asia/Kathmandu"), "2026-01-05T04:15", True),
        (TimeSpan(times=((600, 660),), location="Asia/Kathmandu"), "2026-01-05T04:14", False),
    ],
)
def test_a_time_is_inside_or_not(span: TimeSpan, time: str, *, inside: bool) -> None:
    """Starts belong to it, ends do not; days may count from the month's end."""
    assert contains([span], at(time)) is inside


def test_one_span_of_several_is_enough() -> None:
    """And none is never."""
    spans = [TimeSpan(weekdays=((0, 0),)), TimeSpan(months=((1, 1),))]
    assert contains(spans, at("2026-01-05T00:00"))
    assert contains(spans, at("2026-03-01T00:00"))
    assert not contains(spans, at("2026-03-02T00:00"))
    assert not contains([], 0)
    assert next_change([], 0) is None


def test_an_hour_that_the_clock_leaves_out_does_not_happen() -> None:
    """The change to summer time ends what the next hour would have ended."""
    span = TimeSpan(times=((30, 90),), location="Europe/Lisbon")
    start = at("2026-03-29T00:30", LISBON)
    assert next_change([span], start - 1) == start
    assert next_change([span], start) == at("2026-03-29T01:00") == start + 30 * MINUTE
    skipped = TimeSpan(times=((60, 120),), location="Europe/Lisbon")
    assert next_change([skipped], start) == at("2026-03-30T01:00", LISBON)


def test_an_hour_that_the_clock_repeats_happens_twice() -> None:
    """As a clock on the wall has it."""
    span = TimeSpan(times=((90, 120),), location="Europe/Lisbon")
    first, second = (at("2026-10-25T01:30", LISBON, fold) for fold in (0, 1))
    assert second - first == 60 * MINUTE
    assert next_change([span], first - DAY + 31 * MINUTE) == first
    assert next_change([span], first) == first + 30 * MINUTE
    assert next_change([span], first + 30 * MINUTE) == second
    assert next_change([span], second) == second + 30 * MINUTE


def test_what_stays_for_years_has_no_next_change() -> None:
    """A change in four years is found."""
    assert next_change([TimeSpan()], 0) is None
    assert next_change([TimeSpan(years=((2030, 2030),))], at("2026-06-01T00:00")) == at("2030-01-01T00:00")
    assert next_change([TimeSpan(years=((2040, 2040),))], at("2026-06-01T00:00")) is None


def test_this_machines_zone_is_one_too() -> None:
    """Whatever it is; what nobody knows is refused."""
    noon = datetime(2026, 1, 5, 12, 0)  # noqa: DTZ001 - the local clock is meant
    span = TimeSpan(times=((720, 721),), location="Local")
    assert zone_of("Local") is None
    assert contains([span], round(noon.timestamp() * 1000))
    assert next_change([span], round(noon.timestamp() * 1000)) == round(noon.timestamp() * 1000) + MINUTE
    for name in ("Nowhere", "../etc", "/etc/localtime", "europe/nowhere"):
        with pytest.raises(ValueError, match="unknown time zone"):
            zone_of(name)


@settings(max_examples=60, deadline=None)
@given(st.lists(SPANS, min_size=1, max_size=2), TIMES)
def test_the_next_change_is_the_first_one(spans: list[TimeSpan], after: int) -> None:
    """Minute by minute for two days nothing changes before it, and at it everything does."""
    now, change = contains(spans, after), next_change(spans, after)
    end = after + 2 * DAY
    if change is not None:
        assert change > after
        assert contains(spans, change) is not now
        assert contains(spans, change - 1) is now
        end = min(end, change)
    assert all(contains(spans, time) is now for time in range(after, end, 7 * MINUTE))
