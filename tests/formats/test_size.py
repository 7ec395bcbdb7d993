"""Sizes as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirante.formats.size import format_size, parse_size


@pytest.mark.parametrize(
    ("text", "count"), [("0", 0), ("512MB", 512 << 20), (" 1.5 GiB ", 3 << 29), ("2t", 2 << 40), ("7B", 7)]
)
def test_sizes(text: str, count: int) -> None:
    """Powers of 1024, with and without the i."""
    assert parse_size(text) == count


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "1XB", "1 i", "1iB", "1,5GB", "1e9"])
def test_what_is_no_size(text: str) -> None:
    """It is quoted, with an example of one."""
    with pytest.raises(ValueError, match="not a valid size: .*512MB"):
        parse_size(text)


@given(st.integers(0, 1 << 62))
def test_what_is_printed_can_be_read(count: int) -> None:
    """To a twentieth."""
    assert parse_size(format_size(count)) == pytest.approx(count, rel=0.06, abs=1)
