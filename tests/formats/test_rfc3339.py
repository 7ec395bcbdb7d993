"""Times as Go's programs write them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirante.formats.rfc3339 import NEVER, rfc3339, rfc3339_nano

moments = st.integers(-62_135_596_800_000, 253_402_300_799_999).filter(bool)


@given(moments)
def test_a_time_reads_back(milliseconds: int) -> None:
    """To the millisecond, before 1970 and in years of few digits too; a fraction does not end in 0."""
    text = rfc3339(milliseconds)
    since = datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)
    assert (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000 == milliseconds
    assert not text.endswith("0Z") or "." not in text


@given(moments)
def test_milliseconds_and_nanoseconds_agree(milliseconds: int) -> None:
    """The same moment is the same text."""
    assert rfc3339(milliseconds) == rfc3339_nano(milliseconds * 1_000_000)


def test_no_time_is_zero_time() -> None:
    """Go's programs write it for a time that is not set."""
    assert rfc3339(0) == rfc3339_nano(0) == NEVER


@pytest.mark.parametrize("milliseconds", [-62_135_596_800_001, 253_402_300_800_000])
def test_what_is_in_no_year_is_refused(milliseconds: int) -> None:
    """RFC 3339 has years of four digits."""
    with pytest.raises(OverflowError):
        rfc3339(milliseconds)
