"""Go's ``time.Time`` and ``time.Duration``: their methods, and layouts such as ``2006-01-02 15:04:05 MST``.

Source: pkg.go.dev/time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import ClassVar
from zoneinfo import ZoneInfo

from mirante.server.gotemplate.values import Struct

_SECOND, _MILLISECOND, _DAY = 1_000_000_000, 1_000_000, 86_400 * 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ZERO = -62_135_596_800 * _SECOND
"""Go's zero time, the beginning of the year 1."""
_LAYOUT = re.compile(
    r"January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|002|0[1-6]|15|1|2006|2|(?<=_)2006|__2|_2(?!006)|3|4|5|PM|pm"
    r"|[-Z]07(?:00(?:00)?|:00(?::00)?)?|[.,](?:0+|9+)(?![0-9])"
)


class Duration(int):
    """A ``time.Duration``, in nanoseconds."""

    go_type: ClassVar[str] = "time.Duration"
    go_methods: ClassVar[Mapping[str, str]] = {
        "Hours": "hours",
        "Microseconds": "microseconds",
        "Milliseconds": "milliseconds",
        "Minutes": "minutes",
        "Nanoseconds": "nanoseconds",
        "Round": "round_to",
        "Seconds": "seconds",
        "String": "text",
        "Truncate": "truncate_to",
    }

    def hours(self) -> float:
        """In hours."""
        return self / (3600 * _SECOND)

    def minutes(self) -> float:
        """In minutes."""
        return self / (60 * _SECOND)

    def seconds(self) -> float:
        """In seconds."""
        return self / _SECOND

    def milliseconds(self) -> int:
        """In whole milliseconds."""
        return _quotient(self, _MILLISECOND)

    def microseconds(self) -> int:
        """In whole microseconds."""
        return _quotient(self, 1000)

    def nanoseconds(self) -> int:
        """In nanoseconds."""
        return int(self)

    def truncate_to(self, unit: int) -> Duration:
        """Cut to a multiple of a number of nanoseconds."""
        return self if unit <= 0 else Duration(_quotient(self, unit) * unit)

    def round_to(self, unit: int) -> Duration:
        """The nearest multiple of a number of nanoseconds."""
        if unit <= 0:
            return self
        size = (abs(self) + unit // 2) // unit * unit
        return Duration(-size if self < 0 else size)

    def text(self) -> str:
        """As Go prints it.

        Example:
            >>> Duration(5_400_000_000_000).text(), Duration(1_500_000).text(), Duration(0).text()
            ('1h30m0s', '1.5ms', '0s')
        """
        size, sign = abs(int(self)), "-" if self < 0 else ""
        if size == 0:
            return "0s"
        for unit, name in ((1, "ns"), (1000, "µs"), (_MILLISECOND, "ms")):
            if size < unit * 1000:
                return f"{sign}{_decimal(size, unit)}{name}"
        minutes, rest = divmod(size, 60 * _SECOND)
        hours, minutes = divmod(minutes, 60)
        lead = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
        return f"{sign}{lead}{_decimal(rest, _SECOND)}s"


def _quotient(number: int, unit: int) -> int:
    """Division that rounds towards zero, as Go's does."""
    return -(-number // unit) if number < 0 else number // unit


def _decimal(number: int, unit: int) -> str:
    whole, part = divmod(number, unit)
    fraction = str(part).zfill(len(str(unit)) - 1).rstrip("0") if part else ""
    return f"{whole}.{fraction}" if fraction else str(whole)


class Month(int):
    """A ``time.Month``."""

    go_type: ClassVar[str] = "time.Month"
    go_methods: ClassVar[Mapping[str, str]] = {"String": "text"}

    def text(self) -> str:
        """Its name."""
        return _MONTHS[self - 1]


class Weekday(int):
    """A ``time.Weekday``; Sunday is 0."""

    go_type: ClassVar[str] = "time.Weekday"
    go_methods: ClassVar[Mapping[str, str]] = {"String": "text"}

    def text(self) -> str:
        """Its name."""
        return _WEEKDAYS[self]


_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December")  # fmt: skip
_WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")


class Time(Struct):
    """A ``time.Time``.

    Args:
        nanoseconds: since 1970.
        zone: in which it is shown.
    """

    __slots__ = ("nanoseconds", "zone")
    go_type = "time.Time"
    go_methods: ClassVar[Mapping[str, str]] = {
        "Add": "add",
        "AddDate": "add_date",
        "After": "after",
        "Before": "before",
        "Day": "day",
        "Equal": "equal",
        "Format": "format",
        "Hour": "hour",
        "IsZero": "is_zero",
        "Local": "utc",
        "Minute": "minute",
        "Month": "month",
        "Nanosecond": "nanosecond",
        "Second": "second",
        "String": "text",
        "Sub": "sub",
        "Truncate": "truncate_to",
        "UTC": "utc",
        "Unix": "unix",
        "UnixMicro": "unix_micro",
        "UnixMilli": "unix_milli",
        "UnixNano": "unix_nano",
        "Weekday": "weekday",
        "Year": "year",
        "YearDay": "year_day",
    }

    def __init__(self, nanoseconds: int, zone: tzinfo = UTC) -> None:
        self.nanoseconds, self.zone = nanoseconds, zone

    @classmethod
    def of_ms(cls, milliseconds: int) -> Time:
        """A time in milliseconds since 1970."""
        return cls(milliseconds * _MILLISECOND)

    def within(self, name: str) -> Time:
        """The same time shown in an IANA time zone.

        Raises:
            ValueError: there is no such zone.
        """
        try:
            zone = UTC if name in {"", "UTC"} else ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            raise ValueError(f'unknown time zone "{name}"; write it like Europe/Lisbon') from None
        return Time(self.nanoseconds, zone)

    def _local(self) -> datetime:
        try:
            return (_EPOCH + timedelta(seconds=self.nanoseconds // _SECOND)).astimezone(self.zone)
        except (OverflowError, ValueError):
            raise ValueError("the time is not within the years 1 to 9999") from None

    def add(self, duration: Duration) -> Time:
        """Later by a duration."""
        return Time(self.nanoseconds + duration, self.zone)

    def add_date(self, years: int, months: int, days: int) -> Time:
        """Later by years, months and days of the calendar."""
        local = self._local()
        whole = (local.year + years) * 12 + local.month - 1 + months
        try:
            first = local.replace(year=whole // 12, month=whole % 12 + 1, day=1)
            moved = first + timedelta(days=local.day - 1 + days)
        except (OverflowError, ValueError):
            raise ValueError("the time is not within the years 1 to 9999") from None
        seconds = (moved - _EPOCH) // timedelta(seconds=1)
        return Time(seconds * _SECOND + self.nanoseconds % _SECOND, self.zone)

    def sub(self, other: Time) -> Duration:
        """How much later it is than another."""
        return Duration(self.nanoseconds - other.nanoseconds)

    def truncate_to(self, unit: Duration) -> Time:
        """Cut to a multiple of a duration since the year 1."""
        return self if unit <= 0 else Time(self.nanoseconds - (self.nanoseconds - _ZERO) % unit, self.zone)

    def after(self, other: Time) -> bool:
        """Whether it is later than another."""
        return self.nanoseconds > other.nanoseconds

    def before(self, other: Time) -> bool:
        """Whether it is earlier than another."""
        return self.nanoseconds < other.nanoseconds

    def equal(self, other: Time) -> bool:
        """Whether it is the same instant as another."""
        return self.nanoseconds == other.nanoseconds

    def is_zero(self) -> bool:
        """Whether it is Go's zero time."""
        return self.nanoseconds == _ZERO

    def utc(self) -> Time:
        """The same time in UTC; there is no other local time here."""
        return Time(self.nanoseconds)

    def unix(self) -> int:
        """Seconds since 1970."""
        return self.nanoseconds // _SECOND

    def unix_milli(self) -> int:
        """Milliseconds since 1970."""
        return self.nanoseconds // _MILLISECOND

    def unix_micro(self) -> int:
        """Microseconds since 1970."""
        return self.nanoseconds // 1000

    def unix_nano(self) -> int:
        """Nanoseconds since 1970."""
        return self.nanoseconds

    def year(self) -> int:
        """The year."""
        return self._local().year

    def month(self) -> Month:
        """The month."""
        return Month(self._local().month)

    def day(self) -> int:
        """Day of the month."""
        return self._local().day

    def hour(self) -> int:
        """Hour of the day."""
        return self._local().hour

    def minute(self) -> int:
        """Minute of the hour."""
        return self._local().minute

    def second(self) -> int:
        """Second of the minute."""
        return self._local().second

    def nanosecond(self) -> int:
        """Nanosecond of the second."""
        return self.nanoseconds % _SECOND

    def weekday(self) -> Weekday:
        """Day of the week."""
        return Weekday(self._local().isoweekday() % 7)

    def year_day(self) -> int:
        """Day of the year."""
        return self._local().timetuple().tm_yday

    def text(self) -> str:
        """As Go prints it."""
        return self.format("2006-01-02 15:04:05.999999999 -0700 MST")

    def format(self, layout: str) -> str:
        """By a layout: how it would write 15:04:05 on Monday, January 2, 2006.

        Example:
            >>> Time(1_700_000_000_120_000_000).format("Mon Jan _2 3:04PM 2006 .000 -07:00")
            'Tue Nov 14 10:13PM 2023 .120 +00:00'
        """
        local, nanosecond = self._local(), self.nanosecond()
        return _LAYOUT.sub(lambda found: _formatted(found[0], local, nanosecond), layout)


def _formatted(code: str, local: datetime, nanosecond: int) -> str:
    if code[0] in ".,":
        digits = f"{nanosecond:09}"
        fraction = digits[: len(code) - 1].ljust(len(code) - 1, "0")
        fraction = fraction.rstrip("0") if code[1] == "9" else fraction
        return code[0] + fraction if fraction else ""
    if code[0] in "-Z" and len(code) > 1:
        return _offset(code, local)
    return _CODES[code](local)


def _offset(code: str, local: datetime) -> str:
    total = round((local.utcoffset() or timedelta()).total_seconds())
    if code[0] == "Z" and total == 0:
        return "Z"
    sign, size = "-" if total < 0 else "+", abs(total)
    parts = [f"{size // 3600:02}", f"{size // 60 % 60:02}", f"{size % 60:02}"]
    count = len(code.replace(":", "")) // 2
    return sign + (":" if ":" in code else "").join(parts[:count])


_CODES: Mapping[str, Callable[[datetime], str]] = {
    "January": lambda t: _MONTHS[t.month - 1],
    "Jan": lambda t: _MONTHS[t.month - 1][:3],
    "Monday": lambda t: _WEEKDAYS[t.isoweekday() % 7],
    "Mon": lambda t: _WEEKDAYS[t.isoweekday() % 7][:3],
    "MST": lambda t: t.tzname() or "UTC",
    "002": lambda t: f"{t.timetuple().tm_yday:03}",
    "01": lambda t: f"{t.month:02}",
    "02": lambda t: f"{t.day:02}",
    "03": lambda t: f"{(t.hour + 11) % 12 + 1:02}",
    "04": lambda t: f"{t.minute:02}",
    "05": lambda t: f"{t.second:02}",
    "06": lambda t: f"{t.year % 100:02}",
    "15": lambda t: f"{t.hour:02}",
    "1": lambda t: str(t.month),
    "2006": lambda t: f"{t.year:04}",
    "2": lambda t: str(t.day),
    "__2": lambda t: f"{t.timetuple().tm_yday:3}",
    "_2": lambda t: f"{t.day:2}",
    "3": lambda t: str((t.hour + 11) % 12 + 1),
    "4": lambda t: str(t.minute),
    "5": lambda t: str(t.second),
    "PM": lambda t: "PM" if t.hour >= 12 else "AM",
    "pm": lambda t: "pm" if t.hour >= 12 else "am",
}
