"""Functions that read seconds since the Unix epoch as a UTC date."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from mirante.server.promql.matrix import Floats

_Moments = npt.NDArray[np.datetime64]


def _part(unit: str, of: str) -> Callable[[_Moments], Floats]:
    def part(moments: _Moments) -> Floats:
        larger = moments.astype(f"datetime64[{of}]")
        return np.asarray(moments.astype(f"datetime64[{unit}]") - larger, dtype=np.float64)

    return part


def _day_of_week(moments: _Moments) -> Floats:
    # The epoch was a Thursday; Sunday is 0.
    return ((moments.astype("datetime64[D]").astype(np.int64) + 4) % 7).astype(np.float64)


def _days_in_month(moments: _Moments) -> Floats:
    month = moments.astype("datetime64[M]")
    days = (month + 1).astype("datetime64[D]") - month.astype("datetime64[D]")
    return np.asarray(days, dtype=np.float64)


_PARTS: Mapping[str, Callable[[_Moments], Floats]] = {
    "day_of_month": lambda moments: _part("D", "M")(moments) + 1,
    "day_of_week": _day_of_week,
    "day_of_year": lambda moments: _part("D", "Y")(moments) + 1,
    "days_in_month": _days_in_month,
    "hour": _part("h", "D"),
    "minute": _part("m", "h"),
    "month": lambda moments: _part("M", "Y")(moments) + 1,
    "year": lambda moments: moments.astype("datetime64[Y]").astype(np.float64) + 1970,
}


def _of_seconds(part: Callable[[_Moments], Floats]) -> Callable[[Floats], Floats]:
    def function(values: Floats) -> Floats:
        usable = np.isfinite(values) & (np.abs(values) < 2**53)
        moments = np.where(usable, values, 0.0).astype(np.int64).astype("datetime64[s]")
        return np.where(usable, part(moments), np.nan)

    return function


TIME_FUNCTIONS: Mapping[str, Callable[[Floats], Floats]] = {name: _of_seconds(part) for name, part in _PARTS.items()}
