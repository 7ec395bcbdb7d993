"""Charts as text."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from mirante.cli.plot import chart, scale, short, span

points = st.lists(st.tuples(st.floats(-1e9, 1e9), st.floats(width=64)), max_size=30).map(sorted)


@given(st.lists(points, max_size=4), st.integers(1, 40), st.integers(1, 12))
def test_a_chart_is_as_large_as_asked(lines: list[list[tuple[float, float]]], width: int, height: int) -> None:
    """Whatever the values; every line with a finite value has a dot, unless another covers it."""
    rows = chart(lines, width, height)
    assert [len(row) for row in rows] == [width] * height
    assert len({len(text) for text in scale(lines, height)}) == 1
    finite = any(math.isfinite(value) for line in lines for _, value in line)
    assert any(cell.text != chr(0x2800) for row in rows for cell in row) == finite
    assert all((cell.line >= 0) == (cell.text != chr(0x2800)) for row in rows for cell in row)


def test_a_line_rises_from_the_lower_left_to_the_upper_right() -> None:
    """Gaps between neighbouring columns are filled; the later line is on top where two meet."""
    rows = chart([[(0, 0.0), (1, 3.0)]], 1, 1)
    assert rows[0][0].text == chr(0x2800 + 0x40 + 0x20 + 0x10 + 0x08)
    assert chart([[(0, 1.0)], [(0, 1.0)]], 1, 1)[0][0].line == 1


def test_a_flat_line_is_in_the_middle() -> None:
    """And its label too."""
    rows = chart([[(at, 5.0) for at in range(10)]], 5, 3)
    assert [any(cell.line == 0 for cell in row) for row in rows] == [False, True, False]
    assert scale([[(0, 5.0)]], 3) == ["5", "5", "5"]


def test_times_have_their_dates_where_they_differ() -> None:
    """Else the clock alone."""
    assert len(span([[(0, 1.0), (60, 1.0)]], 40)) == 40
    assert span([[(0, 1.0), (60, 1.0)]], 40).count(":") == 4
    assert span([[(0, 1.0), (400_000, 1.0)]], 40).count("-") == 4


def test_numbers_are_short() -> None:
    """With the letter of their thousand."""
    assert [short(value) for value in (0.0, 999.0, -1500.0, 1e15, math.inf, -math.inf)] == [
        "0", "999", "-1.5k", "1e+15", "+Inf", "-Inf",
    ]  # fmt: skip
