"""Times as Go's programs write them: RFC 3339, in UTC, with no more digits than needed.

Source: pkg.go.dev/time, ``RFC3339Nano``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

NEVER = "0001-01-01T00:00:00Z"
"""Go's zero time, which stands for none."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rfc3339(milliseconds: int) -> str:
    """A time in milliseconds since 1970; NEVER for 0.

    Raises:
        OverflowError: it is not in the years 1 to 9999.

    Example:
        >>> rfc3339(1_700_000_000_120), rfc3339(0)
        ('2023-11-14T22:13:20.12Z', '0001-01-01T00:00:00Z')
    """
    return rfc3339_nano(milliseconds * 1_000_000)


def rfc3339_nano(nanoseconds: int) -> str:
    """A time in nanoseconds since 1970; NEVER for 0.

    Raises:
        OverflowError: it is not in the years 1 to 9999.

    Example:
        >>> rfc3339_nano(1_700_000_000_000_000_001)
        '2023-11-14T22:13:20.000000001Z'
    """
    if not nanoseconds:
        return NEVER
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    fraction = f".{rest:09d}".rstrip("0").rstrip(".")
    whole = (_EPOCH + timedelta(seconds=seconds)).isoformat().removesuffix("+00:00")
    return f"{whole}{fraction}Z"
