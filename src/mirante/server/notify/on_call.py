"""Who is on call."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

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
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=now)
    for override in reversed(schedule.overrides):
        if override.start <= at < override.end:
            return override.person
    # Both without their zone: a day is from one wall-clock time to the next, 23 or 25 hours at times.
    local = at.astimezone(schedule.start.tzinfo).replace(tzinfo=None)
    turns = (local - schedule.start.replace(tzinfo=None)) // timedelta(days=schedule.turn_days)
    return schedule.people[turns % len(schedule.people)]
