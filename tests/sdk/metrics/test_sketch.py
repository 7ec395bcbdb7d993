"""Quantiles are within the stated relative error, and of the stated past."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirante.metrics.sketch import RELATIVE_ERROR, SlidingSketch, bin_of, value_of
from mirante.testing.clock import FakeClock

NUMBERS = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300)


@given(NUMBERS.filter(lambda value: abs(value) > 1e-12))
def test_a_bin_stands_for_its_values_within_the_error(value: float) -> None:
    """For every number that does not count as zero."""
    assert value_of(bin_of(value)) == pytest.approx(value, rel=RELATIVE_ERROR * 1.0001)


@given(NUMBERS, NUMBERS)
def test_bins_are_in_the_order_of_values(a: float, b: float) -> None:
    """So that ranks can be counted over bins."""
    low, high = sorted((a, b))
    assert bin_of(low) <= bin_of(high)


@given(st.lists(NUMBERS, min_size=1, max_size=200), st.floats(0, 1))
def test_a_quantile_is_near_a_value_of_that_rank(values: list[float], rank: float) -> None:
    """Against sorting them all."""
    sketch = SlidingSketch(60, 5, FakeClock())
    for value in values:
        sketch.add(value)
    exact = sorted(values)[int(rank * (len(values) - 1))]
    assert sketch.quantiles([rank])[0] == pytest.approx(exact, rel=RELATIVE_ERROR * 1.0001, abs=1e-12)


def test_zero_and_infinities_have_a_place() -> None:
    """Zero is exact; infinities are the greatest numbers there are."""
    assert value_of(bin_of(0.0)) == 0.0
    assert value_of(bin_of(1e-13)) == 0.0
    assert value_of(bin_of(math.inf)) > 1e308
    assert value_of(bin_of(-math.inf)) < -1e308


def test_values_are_forgotten_in_steps() -> None:
    """A value counts for at least four fifths of the time, and for no longer than all of it."""
    clock = FakeClock(0.0)
    sketch = SlidingSketch(50.0, 5, clock)
    sketch.add(1.0)
    clock.advance(15)
    sketch.add(100.0)
    clock.advance(30)
    assert sketch.quantiles([0.0])[0] == pytest.approx(1.0, rel=0.01)
    clock.advance(5)
    assert sketch.quantiles([0.0])[0] == pytest.approx(100.0, rel=0.01)
    clock.advance(1000)
    assert math.isnan(sketch.quantiles([0.0])[0])
    sketch.add(7.0)
    assert sketch.quantiles([0.0, 1.0]) == pytest.approx([7.0, 7.0], rel=0.01)


def test_of_two_threads_that_rotate_at_once_one_does() -> None:
    """The second finds the time already moved on, and forgets nothing."""

    class Interrupting(FakeClock):
        """Lets another caller in at the moment in which time is read the second time."""

        def monotonic(self) -> float:
            self.reads += 1
            if self.reads == 2:
                sketch.add(2.0)
            return self.now

        reads = 100

    clock = Interrupting(0.0)
    sketch = SlidingSketch(50.0, 5, clock)
    sketch.add(1.0)
    clock.advance(10)
    clock.reads = 0
    sketch.add(3.0)
    assert sketch.quantiles([0.0, 0.5, 1.0]) == pytest.approx([1.0, 2.0, 3.0], rel=0.01)
