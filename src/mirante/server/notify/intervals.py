"""Time intervals: whether a time lies in one, and when that changes next.

Source: prometheus.io, "Alertmanager configuration", section ``time_interval``. Times of the day are those of a clock on
the wall: what the change to summer time leaves out does not happen, what the change back repeats happens twice.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from heapq import merge
from zoneinfo import ZoneInfo

from mirante.server.notify.model import TimeSpan

Ranges = tuple[tuple[int, int], ...]

_DAY_MINUTES = 1440
_FARTHEST_DAYS = 5 * 366


def zone_of(location: str) -> tzinfo | None:
    """A time zone by its IANA name; None for ``Local``, this machine's, and UTC for the empty string.

    Raises:
        ValueError: nobody knows it.

    Example:
        >>> print(zone_of("Europe/Lisbon"))
        Europe/Lisbon
    """
    if location in {"", "UTC"}:
        return UTC
    try:
        return None if location == "Local" else ZoneInfo(location)
    except (KeyError, ValueError, OSError):
        raise ValueError(f'unknown time zone "{location}" (write it like Europe/Lisbon)') from None


def contains(spans: Iterable[TimeSpan], at: int) -> bool:
    """Whether a time lies in any of the spans.

    Args:
        spans: of one named interval.
        at: milliseconds since 1970.

    Example:
        >>> nights = [TimeSpan(times=((0, 360),), weekdays=((1, 5),))]
        >>> contains(nights, 1_767_580_200_000)  # Monday 2026-01-05 02:30
        True
    """
    return any(_holds(span, _wall(at, zone_of(span.location))) for span in spans)


def next_change(spans: Sequence[TimeSpan], after: int) -> int | None:
    """When the answer of ``contains`` changes next; None when it stays for the next five years.

    Args:
        spans: of one named interval.
        after: milliseconds since 1970; the change comes later.

    Example:
        >>> next_change([TimeSpan(times=((540, 1020),))], after=0) == 9 * 3_600_000
        True
    """
    now = contains(spans, after)
    turns = merge(*(_turns(span, after) for span in spans))
    return next((turn for turn in turns if turn > after and contains(spans, turn) is not now), None)


def _wall(at: int, zone: tzinfo | None) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC).astimezone(zone)


def _holds(span: TimeSpan, moment: datetime) -> bool:
    minute = moment.hour * 60 + moment.minute
    in_time = not span.times or any(start <= minute < end for start, end in span.times)
    return in_time and _holds_on(span, moment.date())


def _holds_on(span: TimeSpan, day: date) -> bool:
    """Whether the conditions on the day hold."""
    return (
        _within(span.weekdays, day.isoweekday() % 7)
        and _within(span.months, day.month)
        and _within(span.years, day.year)
        and _within(_days_from_start(span.days, day), day.day)
    )


def _within(ranges: Ranges, number: int) -> bool:
    return not ranges or any(first <= number <= last for first, last in ranges)


def _days_from_start(ranges: Ranges, day: date) -> Ranges:
    """Days that count from the month's end as such that count from its start."""
    if not ranges:
        return ()
    length = monthrange(day.year, day.month)[1]
    return tuple(
        (first + length + 1 if first < 0 else first, last + length + 1 if last < 0 else last) for first, last in ranges
    )


def _turns(span: TimeSpan, after: int) -> Iterator[int]:
    """Every time from that day on at which the span may begin or end, in order."""
    zone = zone_of(span.location)
    today = _wall(after, zone).date()
    minutes = {0, *(minute for times in span.times for minute in times)}
    for number in range(_FARTHEST_DAYS):
        day = today + timedelta(days=number)
        wanted = minutes if _holds_on(span, day) else {0}
        turns = {turn for minute in wanted for turn in _instants(day, minute, zone)}
        yield from sorted(turns | set(_clock_changes(day, zone)))


def _instants(day: date, minute: int, zone: tzinfo | None) -> Iterator[int]:
    """When the clock on the wall shows that minute: twice where it is put back, near the change where it jumps over."""
    day += timedelta(days=minute // _DAY_MINUTES)
    hour, minute = divmod(minute % _DAY_MINUTES, 60)
    for fold in (0, 1):
        moment = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone, fold=fold)
        yield round(moment.timestamp() * 1000)


def _clock_changes(day: date, zone: tzinfo | None) -> Iterator[int]:
    """When the clock is put forward or back on that day."""
    before, after = min(_instants(day, 0, zone)), max(_instants(day, _DAY_MINUTES, zone))
    offset = _wall(before, zone).utcoffset()
    if _wall(after, zone).utcoffset() == offset:
        return
    while after - before > 1:
        middle = (before + after) // 2
        if _wall(middle, zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    yield after
