"""Durations as Prometheus writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirante.formats.duration import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("0", 0), ("0s", 0), ("15s", 15_000), ("5m", 300_000), ("1h30m", 5_400_000), ("1d", 86_400_000),
     ("1y2w3d4h5m6s7ms", 33_019_506_007)],
)  # fmt: skip
def test_known_spellings(text: str, milliseconds: int) -> None:
    """Every unit has its length; several stand from large to small."""
    assert parse_duration(text) == milliseconds


@pytest.mark.parametrize("text", ["", "5", "m", "1s1h", "1m1m", "-5s", "1.5s", "5 m", "5M", "٣s", "5s\n"])
def test_what_is_no_duration_is_refused_with_its_text(text: str) -> None:
    """A number without a unit, a wrong order, fractions and blanks are errors."""
    with pytest.raises(ValueError, match="not a valid duration"):
        parse_duration(text)


@given(st.integers(0, 10**14))
def test_printing_and_parsing_are_inverse(milliseconds: int) -> None:
    """Whatever is printed reads back as the same length."""
    assert parse_duration(format_duration(milliseconds)) == milliseconds


def test_weeks_are_used_only_when_they_come_out_even() -> None:
    """Eight days read better than a week and a day."""
    assert [format_duration(n * 86_400_000) for n in (7, 8, 365)] == ["1w", "8d", "1y"]
