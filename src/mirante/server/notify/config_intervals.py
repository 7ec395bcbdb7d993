"""Reads ``time_intervals``.

Source: prometheus.io, "Alertmanager configuration", section ``time_interval``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping

from mirante.server.notify import config_values as read
from mirante.server.notify.intervals import Ranges, zone_of
from mirante.server.notify.model import TimeSpan
from mirante.server.yaml_reader import Section, Value

_WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
           "december")  # fmt: skip
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|(24):(00)")
_SHORTEST_MONTH = 28

Intervals = Mapping[str, tuple[TimeSpan, ...]]


def read_intervals(value: Value) -> Intervals:
    """The named intervals of a list."""
    return read.named(value, lambda section, _: _read_spans(section))


def _read_spans(section: Section) -> tuple[TimeSpan, ...]:
    spans = section.take("time_intervals", lambda v: tuple(map(_read_span, read.sections(v))), ())
    section.finish()
    return spans


def _read_span(section: Section) -> TimeSpan:
    span = TimeSpan(
        times=section.take("times", _read_times, ()),
        weekdays=section.take("weekdays", lambda v: _read_ranges(v, _weekday), ()),
        days=section.take("days_of_month", _read_days, ()),
        months=section.take("months", lambda v: _read_ranges(v, _month), ()),
        years=section.take("years", lambda v: _read_ranges(v, _whole), ()),
        location=section.take("location", read_zone, ""),
    )
    section.finish()
    return span


def read_zone(value: Value) -> str:
    """The name of a time zone that this machine knows."""
    name = read.text(value)
    try:
        zone_of(name)
    except ValueError as error:
        value.fail(str(error))
    return name


def _read_times(value: Value) -> Ranges:
    return tuple(map(_read_time_range, read.sections(value)))


def _read_time_range(section: Section) -> tuple[int, int]:
    start, end = (section.take(key, _read_time, None) for key in ("start_time", "end_time"))
    section.finish()
    if start is None or end is None:
        section.value.fail("both start_time and end_time must be given")
    if start >= end:
        section.value.fail(
            "start_time must be before end_time; a night is two ranges, one up to 24:00 and one from 00:00"
        )
    return start, end


def _read_time(value: Value) -> int:
    found = _TIME.fullmatch(read.text(value))
    if found is None:
        value.fail(f'expected a time such as 09:00, at most 24:00, got "{read.text(value)}"')
    return int(found[1] or found[3]) * 60 + int(found[2] or found[4])


def _read_ranges(value: Value, member: Callable[[Value, str], int]) -> Ranges:
    return tuple(_read_range(item, member) for item in value.items())


def _read_range(value: Value, member: Callable[[Value, str], int]) -> tuple[int, int]:
    ends = read.text(value).lower().split(":")
    if len(ends) > 2:
        value.fail(f'expected one value or a range such as {ends[0]}:{ends[1]}, got "{read.text(value)}"')
    first, last = member(value, ends[0]), member(value, ends[-1])
    if first > last and not (member is _day and last < 0):
        value.fail(f'the end of the range "{read.text(value)}" is before its start; write two ranges instead')
    return first, last


def _read_days(value: Value) -> Ranges:
    days = _read_ranges(value, _day)
    for item, (first, last) in zip(value.items(), days, strict=True):
        if first < 0 < last:
            item.fail("the end must count from the month's end too (be negative) where the start does")
        in_shortest = [day + _SHORTEST_MONTH if day < 0 else day for day in (first, last)]
        if in_shortest[0] > in_shortest[1]:
            item.fail(f'the end of the range "{read.text(item)}" is before its start in some months')
    return days


def _weekday(value: Value, name: str) -> int:
    return _index(value, name, _WEEKDAYS, "weekday")


def _month(value: Value, name: str) -> int:
    return (
        _whole(value, name) if re.fullmatch(r"[+-]?\d+", name, re.ASCII) else _index(value, name, _MONTHS, "month") + 1
    )


def _day(value: Value, text: str) -> int:
    day = _whole(value, text)
    if not 1 <= abs(day) <= 31:
        value.fail(f"{day} is no day of a month: they are 1 to 31, or -1 to -31 from its end")
    return day


def _whole(value: Value, text: str) -> int:
    if not re.fullmatch(r"[+-]?\d{1,9}", text, re.ASCII):
        value.fail(f'expected a whole number, got "{text}"')
    return int(text)


def _index(value: Value, name: str, names: tuple[str, ...], what: str) -> int:
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
        value.fail(f'"{name}" is not a {what}' + (f'; did you mean "{close[0]}"?' if close else ""))
    return names.index(name)
