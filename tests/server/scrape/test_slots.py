"""Every target has its own place in the interval."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mirante.server.scrape.slots import next_slot, scrape_time

TIMES = st.integers(0, 2**62)
INTERVALS = st.integers(1_000_000, 10**13)


@given(TIMES, INTERVALS, TIMES)
def test_the_next_slot_is_ahead_by_at_most_an_interval(now: int, interval: int, place: int) -> None:
    """It is always later than now, and at the same place of every interval."""
    slot = next_slot(now, interval, place)
    assert 0 < slot - now <= interval
    assert (slot - place) % interval == 0


@given(TIMES, INTERVALS, st.integers(0, 10**7))
def test_a_start_that_is_hardly_late_has_the_slots_time(slot: int, interval: int, late: int) -> None:
    """Up to 2 ms, or a hundredth of a short interval; later it has its own."""
    expected = slot if late <= min(2_000_000, interval // 100) else slot + late
    assert scrape_time(slot + late, slot, interval) == expected


def test_a_start_before_the_slot_has_its_own_time() -> None:
    """A sample never has a time that is not there yet."""
    assert scrape_time(99, 100, 10**9) == 99
