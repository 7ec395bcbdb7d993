"""Who is on call."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from mirante.server.notify.model import OnCallSchedule


def on_call(schedule: OnCallSchedule, now: int) -> str:
    """The person whose turn it is.

    Turns change at the wall-clock time of the schedule's start, in its time zone, whatever the clocks are put to.
    Before the start the turns are counted backwards. Of several overrides the last one counts.

    Args:
        schedule: people and turns.
        now: milliseconds since 1970.

    Example:
        >>> weekly = OnCallSchedule("ops", ("ann", "bob"), datetime(2026, 1, 5, 9, tzinfo=UTC))
        >>> on_call(weekly, round(datetime(2026, 1, 12, 8, 59, tzinfo=UTC).timestamp() * 1000))
        'ann'
        >>> on_call(weekly, round(datetime(2026, 1, 12, 9, tzinfo=UTC).timestamp() * 1000))
        'bob'
    """
    return _overriding(schedule, now) or schedule.people[_turn(schedule, now) % len(schedule.people)]


class Handover(NamedTuple):
    """When somebody else comes on call.

    Attributes:
        at: when, milliseconds.
        person: who.
    """

    at: int
    person: str


def next_handover(schedule: OnCallSchedule, now: int) -> Handover | None:
    """Who is on call after whoever is now, and from when; None where nobody else ever is.

    Example:
        >>> weekly = OnCallSchedule("ops", ("ann", "bob"), datetime(1970, 1, 1, tzinfo=UTC))
        >>> next_handover(weekly, 0)
        Handover(at=604800000, person='bob')
    """
    person, at = on_call(schedule, now), now
    while changes := _changes(schedule, at):
        at = min(changes)
        if on_call(schedule, at) != person:
            return Handover(at, on_call(schedule, at))
    return None


def _changes(schedule: OnCallSchedule, after: int) -> list[int]:
    """Times at which somebody else may come on call, the first one among them; none where nobody ever does."""
    edges = [_milliseconds(edge) for one in schedule.overrides for edge in (one.start, one.end)]
    if len(set(schedule.people)) > 1 and _overriding(schedule, after) is None:
        days = timedelta(days=(_turn(schedule, after) + 1) * schedule.turn_days)
        turn = (schedule.start.replace(tzinfo=None) + days).replace(tzinfo=schedule.start.tzinfo)
        # Where the clock is put back, the wall-clock time is there twice.
        edges += [_milliseconds(turn), _milliseconds(turn.replace(fold=1))]
    return [edge for edge in edges if edge > after]


def _overriding(schedule: OnCallSchedule, now: int) -> str | None:
    at = _moment(now)
    return next((one.person for one in reversed(schedule.overrides) if one.start <= at < one.end), None)


def _turn(schedule: OnCallSchedule, now: int) -> int:
    # Both without their zone: a day is from one wall-clock time to the next, 23 or 25 hours at times.
    local = _moment(now).astimezone(schedule.start.tzinfo).replace(tzinfo=None)
    return (local - schedule.start.replace(tzinfo=None)) // timedelta(days=schedule.turn_days)


def _moment(milliseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


def _milliseconds(moment: datetime) -> int:
    return math.ceil(moment.timestamp() * 1000)
