"""Range functions on arrays against the plain reference, and their edges."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirante.testing.memory_store import MemoryReader
from mirante.testing.series_notation import STALE
from tests.server.promql import reference
from tests.server.promql.queries import instant, one_row, ranged, reader_of, rows

Series = list[tuple[int, float]]

values = st.one_of(
    st.integers(0, 1_000_000).map(float),
    st.floats(-1e9, 1e9, allow_nan=False).filter(lambda value: value == 0 or abs(value) > 1e-6),
)


@st.composite
def a_series(draw: st.DrawFn) -> Series:
    """Samples at uneven times, some of them exactly on steps and on the edges of windows."""
    times = draw(st.lists(st.integers(0, 40).map(lambda n: n * 7_500), unique=True, max_size=25))
    points = [(time, draw(values)) for time in sorted(times)]
    if draw(st.booleans()):  # a counter with a reset now and then
        total, counter = 0.0, []
        for time, value in points:
            total = 0.0 if draw(st.integers(0, 5)) == 0 else total + abs(value)
            counter.append((time, total))
        points = counter
    return points


def answers(series: Series, expr: str, step: int) -> list[float | None]:
    """The evaluator's value at each step from 0 to 300 s."""
    reader = MemoryReader()
    reader.add({"__name__": "m_total"}, series)
    result = ranged(reader, expr, 0, 300_000, step)
    return one_row(result) if result.labels else [None] * len(result.times)


def close(got: float | None, wanted: float | None, size: float) -> bool:
    """Equal to nine digits, relative to the larger of the result and the samples."""
    if got is None or wanted is None or math.isnan(wanted):
        return got is wanted or (got is not None and wanted is not None and math.isnan(got))
    return math.isclose(got, wanted, rel_tol=1e-9, abs_tol=1e-9 * size)


@pytest.mark.parametrize("function", sorted(reference.FUNCTIONS))
@settings(max_examples=60, deadline=None)
@given(
    series=a_series(), span=st.sampled_from([7_500, 30_000, 61_000, 400_000]), step=st.sampled_from([15_000, 40_000])
)
def test_a_range_function_agrees_with_the_reference(function: str, series: Series, span: int, step: int) -> None:
    """Every window (t - span, t] gives what the definition says, nine digits of it."""
    got = answers(series, f"{function}(m_total[{span}ms])", step)
    size = max((abs(value) for _, value in series), default=0.0)
    if "stdvar" in function:
        size = size * size
    for number, value in enumerate(got):
        end = number * step
        window = [(time, sample) for time, sample in series if end - span < time <= end]
        assert close(value, reference.FUNCTIONS[function](window, end - span, end), size), (function, end, window)


@settings(max_examples=60, deadline=None)
@given(series=a_series(), q=st.floats(-0.5, 1.5))
def test_quantile_over_time_agrees_with_the_reference(series: Series, q: float) -> None:
    """Quantiles interpolate between the nearest ranks; outside [0, 1] they are infinite."""
    got = answers(series, f"quantile_over_time({q!r}, m_total[60s])", 20_000)
    for number, value in enumerate(got):
        end = number * 20_000
        window = [sample for time, sample in series if end - 60_000 < time <= end]
        assert close(value, reference.quantile(q, window), max(map(abs, window), default=0.0))


@settings(max_examples=60, deadline=None)
@given(series=a_series(), ahead=st.integers(-600, 600))
def test_predict_linear_agrees_with_the_reference(series: Series, ahead: int) -> None:
    """The line of least squares is read ``ahead`` seconds from the evaluation time."""
    got = answers(series, f"predict_linear(m_total[100s], {ahead})", 20_000)
    size = max((abs(value) for _, value in series), default=0.0)
    for number, value in enumerate(got):
        end = number * 20_000
        found = reference.line([(time, v) for time, v in series if end - 100_000 < time <= end], end)
        assert close(value, None if found is None else found[0] * ahead + found[1], size * 1000)


@settings(max_examples=60, deadline=None)
@given(series=a_series(), level=st.floats(0.01, 0.99), trend=st.floats(0.01, 0.99))
def test_double_exponential_smoothing_agrees_with_the_reference(series: Series, level: float, trend: float) -> None:
    """Both factors smooth as in the recurrence of Holt."""
    got = answers(series, f"double_exponential_smoothing(m_total[100s], {level!r}, {trend!r})", 20_000)
    size = max((abs(value) for _, value in series), default=0.0)
    for number, value in enumerate(got):
        end = number * 20_000
        window = [(time, sample) for time, sample in series if end - 100_000 < time <= end]
        assert close(value, reference.smoothed(window, level, trend), size)


@pytest.mark.parametrize(
    ("samples", "expr", "wanted"),
    [
        ([math.nan, 1, 2], "min_over_time(m[5m])", 1),
        ([math.nan, math.nan], "max_over_time(m[5m])", math.nan),
        ([math.inf, -math.inf], "sum_over_time(m[5m])", math.nan),
        ([1e308, 1e308], "avg_over_time(m[5m])", 1e308),
        ([1, 1e100, 1, -1e100], "sum_over_time(m[5m])", 2),
        ([0.1] * 5, "stddev_over_time(m[5m])", 0),
        ([math.inf, math.inf], "deriv(m[5m])", math.nan),
        ([3, 3, 3], "predict_linear(m[5m], 100)", 3),
        ([1, math.nan, 3], "quantile_over_time(0, m[5m])", math.nan),
        ([1, math.nan, 3], "quantile_over_time(1, m[5m])", 3),
        ([1, math.nan, 3], "mad_over_time(m[5m])", math.nan),
        ([0.0, -0.0, 0.0], "changes(m[5m])", 0),
        ([math.nan, math.nan, 1], "changes(m[5m])", 1),
        ([math.nan, 2, 1], "ts_of_max_over_time(m[5m])", 60),
    ],
)
def test_what_is_no_plain_number_is_treated_as_prometheus_does(samples: list[float], expr: str, wanted: float) -> None:
    """NaN, infinities, overflow and cancellation have defined answers."""
    got = one_row(instant(reader_of({"m": samples}), expr, 240_000))[0]
    assert close(got, float(wanted), 0)


def test_staleness_markers_are_in_no_window() -> None:
    """A range function does not see them, and a window of nothing else is empty."""
    reader = reader_of({"m_total": [0, 60, STALE, 180, STALE, STALE]})
    assert one_row(instant(reader, "count_over_time(m_total[10m])", 300_000)) == [3]
    assert one_row(instant(reader, "increase(m_total[4m])", 180_000)) == [180]
    assert rows(instant(reader, "count_over_time(m_total[2m])", 300_000)) == {}


def test_windows_are_open_on_the_left() -> None:
    """A sample exactly one range ago is outside, one exactly now inside."""
    reader = reader_of({"m": [1, 2, 4]})
    assert one_row(instant(reader, "sum_over_time(m[1m])", 60_000)) == [2]
    assert one_row(instant(reader, "sum_over_time(m[60001ms])", 60_000)) == [3]


def test_wide_windows_of_many_series_agree_with_narrow_reads() -> None:
    """The one search over all series finds each series' own samples, whatever its neighbours hold."""
    reader = MemoryReader()
    for number in range(50):
        reader.add({"__name__": "m", "n": str(number)}, [(t * 1000, float(number)) for t in range(number % 7)])
    counts = rows(instant(reader, "count_over_time(m[1h])", 60_000))
    assert {dict(key)["n"]: row[0] for key, row in counts.items()} == {str(n): n % 7 for n in range(50) if n % 7}
