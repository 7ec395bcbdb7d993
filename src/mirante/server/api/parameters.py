"""Parameters of a Prometheus request: from the URL or the form body, parsed and refused in Prometheus's words."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import parse_qs

from starlette.requests import Request

from mirante.errors import BadRequestError
from mirante.formats.duration import parse_duration
from mirante.server.api.body import read_body

MAX_FORM_BYTES = 10 << 20
"""Largest form body that is read; Prometheus uses the same limit."""

_FAR = 1 << 52
_MAX_MS = 1 << 53  # beyond this a float no longer tells neighbouring milliseconds apart


class Parameters:
    """The decoded parameters of one request, each possibly given several times."""

    def __init__(self, values: Mapping[str, Sequence[str]]) -> None:
        self._values = values

    @classmethod
    async def of(cls, request: Request) -> Parameters:
        """Read the URL, and for POST and PUT the form body, which comes first where both name a parameter.

        Raises:
            BadRequestError: the form is too large or not UTF-8.
        """
        values = parse_qs(request.url.query, keep_blank_values=True)
        if request.method in {"POST", "PUT"}:
            for name, more in parse_qs(await _form(request), keep_blank_values=True).items():
                values[name] = more + values.get(name, [])
        return cls(values)

    def all(self, name: str) -> Sequence[str]:
        """Every value given for the parameter."""
        return self._values.get(name, ())

    def text(self, name: str, default: str = "") -> str:
        """The first value, or the default."""
        values = self._values.get(name)
        return values[0] if values else default

    def time(self, name: str, default: int | None = None) -> int:
        """A time in milliseconds, from seconds since the epoch or RFC 3339.

        Raises:
            BadRequestError: it is neither, or missing without a default.
        """
        text = self.text(name)
        if not text and default is not None:
            return default
        return _refuse_as(name, parse_time, text)

    def range(self) -> tuple[int, int]:
        """The ``start`` and ``end`` parameters in milliseconds; what is not given is no bound.

        Raises:
            BadRequestError: one of them is no time, or they are the wrong way round.
        """
        start, end = self.time("start", 0), self.time("end", _FAR)
        if end < start:
            raise BadRequestError('invalid parameter "end": end timestamp must not be before start time')
        return start, end

    def duration(self, name: str, default: int | None = None) -> int:
        """Milliseconds from seconds as a number or a Prometheus duration.

        Raises:
            BadRequestError: it is neither, or missing without a default.
        """
        text = self.text(name)
        if not text and default is not None:
            return default
        return _refuse_as(name, parse_span, text)

    def limit(self) -> int | None:
        """The ``limit`` parameter; 0 or nothing means no limit."""
        text = self.text("limit", "0")
        if not text.isdecimal():
            raise BadRequestError('invalid parameter "limit": limit must be a whole number, 0 for no limit')
        return int(text) or None


async def _form(request: Request) -> str:
    body = await read_body(request, MAX_FORM_BYTES, "error parsing form values: the form")
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise BadRequestError("error parsing form values: the form is not UTF-8") from None


def _refuse_as(name: str, parse: Callable[[str], int], text: str) -> int:
    try:
        return parse(text)
    except ValueError as error:
        raise BadRequestError(f'invalid parameter "{name}": {error}') from None


def parse_time(text: str) -> int:
    """Milliseconds since the epoch from ``1700000000.123`` or ``2026-01-02T03:04:05Z``.

    Raises:
        ValueError: it is neither, or out of range.

    Example:
        >>> parse_time("1.5"), parse_time("1970-01-01T00:00:02Z")
        (1500, 2000)
    """
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            moment = None
        if moment is None or "T" not in text:
            raise ValueError(f'cannot parse "{text}" to a valid timestamp') from None
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not math.isfinite(seconds) or abs(seconds * 1000) > _MAX_MS:
        raise ValueError(f'cannot parse "{text}" to a valid timestamp')
    return round(seconds * 1000)


def parse_span(text: str) -> int:
    """Milliseconds from ``15``, ``0.5`` or ``1m30s``.

    Raises:
        ValueError: it is neither, or out of range.

    Example:
        >>> parse_span("0.5"), parse_span("1m30s")
        (500, 90000)
    """
    try:
        seconds = float(text)
    except ValueError:
        try:
            return parse_duration(text)
        except ValueError:
            raise ValueError(f'cannot parse "{text}" to a valid duration') from None
    if not math.isfinite(seconds) or abs(seconds * 1000) > _MAX_MS:
        raise ValueError(f'cannot parse "{text}" to a valid duration. It overflows int64')
    return round(seconds * 1000)


def now_ms() -> int:
    """The present, in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
