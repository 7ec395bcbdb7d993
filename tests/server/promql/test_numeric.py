"""Sums over many rows keep what single additions would lose."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mirante.server.promql.numeric import compensated, sum_rows


@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 300),
    columns=st.sampled_from([1, 7, 2_000]),
    spread=st.sampled_from([0, 10, 30]),
)
def test_a_sum_of_any_shape_is_exact_to_its_last_digit(seed: int, rows: int, columns: int, spread: int) -> None:
    """However many rows are added at a time, the answer is the true sum, rounded."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(rows, columns)) * 10.0 ** random.integers(-spread, spread + 1, (rows, columns))
    got = compensated(*sum_rows(values[low : low + 64] for low in range(0, len(values), 64)))
    for column in {0, columns // 2, columns - 1}:
        whole = values[:, column].tolist()
        # What the rounding lost is itself a plain sum, so cancellation may cost its last digits, not the answer's.
        slack = 1e-25 * math.fsum(map(abs, whole))
        assert math.isclose(got[column], math.fsum(whole), rel_tol=4e-16, abs_tol=slack)


def test_infinities_and_nan_stay_what_they_are() -> None:
    """In any of the parts that are added on their own."""
    values = np.ones((200, 2_000))
    values[150, 0], values[10, 1], values[190, 1], values[77, 2] = np.inf, np.inf, -np.inf, np.nan
    got = compensated(*sum_rows(values[low : low + 64] for low in range(0, len(values), 64)))
    assert got[0] == np.inf
    assert np.isnan(got[1])
    assert np.isnan(got[2])
    assert (got[3:] == 200).all()
