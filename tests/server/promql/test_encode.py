"""Answers as JSON: the bytes, and numbers as Go prints them."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mirante.server.promql.encode import encode, numbers, pieces, seconds
from mirante.server.promql.engine import Result, ResultType
from mirante.server.promql.gofloat import go_decimal, go_float
from mirante.server.store.api import SampleBlock
from tests.server.promql.queries import instant, ranged, reader_of


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (0.1, "0.1"),
        (1e-6, "0.000001"),
        (9.99e-7, "9.99e-07"),
        (1e-7, "1e-07"),
        (5e-324, "5e-324"),
        (1e10, "10000000000"),
        (12345678901.5, "12345678901.5"),
        (2.0**60, "1152921504606847000"),
        (1e20, "100000000000000000000"),
        (2e23, "2e+23"),
        (1e21, "1e+21"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (math.nan, "NaN"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
    ],
)
def test_numbers_are_printed_as_prometheus_prints_them(value: float, text: str) -> None:
    """Decimals from 1e-6 to below 1e21, else exponents of two digits; the fast way and the slow one agree."""
    assert go_float(value) == text
    assert numbers(np.array([value])).to_pylist() == [text]


@settings(max_examples=300)
@given(hnp.arrays(np.uint64, st.integers(1, 40)))
@example(np.array([1e9, 1e10, 1e15, 2.0**53, 1e16, 1e-5, 1e-10]).view(np.uint64))
def test_columns_of_numbers_agree_with_the_slow_formatter(bits: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> None:
    """Any bit pattern of a float."""
    values = bits.view(np.float64)
    assert numbers(values).to_pylist() == [go_float(value) for value in values.tolist()]


@given(st.one_of(st.integers(-(10**25), 10**25).map(float), st.floats(1e-12, 1e25)))
def test_what_is_printed_reads_back_as_the_same_number(value: float) -> None:
    """Both formats are the shortest that are exact."""
    assert float(numbers(np.array([value])).to_pylist()[0]) == value
    assert float(go_decimal(value)) == value
    assert "e" not in go_decimal(value)


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "0"), (1000, "1"), (1500, "1.500"), (1_700_000_000_007, "1700000000.007"), (-1, "-0.001"), (-2000, "-2")],
)
def test_times_are_seconds_with_three_decimals_or_none(milliseconds: int, text: str) -> None:
    """As Prometheus writes them."""
    assert seconds(milliseconds) == text


def test_a_vector() -> None:
    """Labels sorted, one value each."""
    reader = reader_of({"m": [1.5]})
    reader.add({"__name__": "m", "z": "1", "a": 'quo"te'}, [(0, 2.0)])
    assert encode(instant(reader, "m", 500)) == (
        b'{"resultType":"vector","result":[{"metric":{"__name__":"m"},"value":[0.500,"1.5"]}'
        b',{"metric":{"__name__":"m","a":"quo\\"te","z":"1"},"value":[0.500,"2"]}]}'
    )


def test_a_matrix_leaves_out_what_is_not_there() -> None:
    """Steps without a sample have no point; a series without any is not in the result."""
    result = ranged(reader_of({"m": [1, None, None, None, None, None, None, 8]}), "m", 0, 420_000, 210_000)
    assert encode(result) == (
        b'{"resultType":"matrix","result":[{"metric":{"__name__":"m"},"values":[[0,"1"],[210,"1"],[420,"8"]]}]}'
    )
    assert encode(ranged(reader_of({"m": [1]}), "m > 5", 0, 1000, 1000)) == b'{"resultType":"matrix","result":[]}'


def test_raw_samples_keep_their_own_times() -> None:
    """A range selector asked as an instant query."""
    reader = reader_of({"a": [1, 2], "b": [None, 3]})
    assert json.loads(encode(instant(reader, "{__name__=~'.'}[5m]", 60_000))) == {
        "resultType": "matrix",
        "result": [
            {"metric": {"__name__": "a"}, "values": [[0, "1"], [60, "2"]]},
            {"metric": {"__name__": "b"}, "values": [[60, "3"]]},
        ],
    }


@pytest.mark.parametrize(
    ("expr", "data"),
    [
        ("1 / 0", b'{"resultType":"scalar","result":[2,"+Inf"]}'),
        ("'é'", '{"resultType":"string","result":[2,"é"]}'.encode()),
    ],
)
def test_scalars_and_strings(expr: str, data: bytes) -> None:
    """A pair of time and value."""
    assert encode(instant(reader_of({}), expr, 2000)) == data


def test_an_empty_vector() -> None:
    """Is an empty list."""
    assert encode(instant(reader_of({}), "m")) == b'{"resultType":"vector","result":[]}'


@settings(max_examples=50)
@given(data=st.data())
def test_every_point_of_a_matrix_is_where_it_belongs(data: st.DataObject) -> None:
    """Whatever is missing, a decoder finds each present value at its time, and nothing else."""
    shape = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 6)))
    values = data.draw(hnp.arrays(np.float64, shape, elements=st.floats(allow_nan=False, allow_infinity=False)))
    present = data.draw(hnp.arrays(np.bool_, shape))
    times = 1_700_000_000_000 + 15_250 * np.arange(shape[1])
    labels = [{"n": str(number)} for number in range(shape[0])]
    answer = json.loads(encode(Result("matrix", labels, times, values, present)))
    for row, series in enumerate(answer["result"]):
        wanted = [
            (time / 1000, value) for time, value in zip(times[present[row]], values[row][present[row]], strict=True)
        ]
        assert [(time, float(text)) for time, text in series["values"]] == wanted


def test_a_series_without_samples_in_a_block() -> None:
    """Offsets may be equal: the series has no points."""
    block = SampleBlock(np.array([0, 0, 1]), np.array([1000]), np.array([2.0]))
    nothing = np.empty((0, 1))
    result = Result("matrix", [{"a": "1"}, {"a": "2"}], np.array([1000]), nothing, nothing > 0, samples=block)
    assert [series["values"] for series in json.loads(encode(result))["result"]] == [[], [[1, "2"]]]


@settings(max_examples=100)
@given(
    counts=st.lists(st.integers(0, 7), max_size=6),
    at_once=st.integers(1, 9),
    form=st.sampled_from(["raw", "matrix", "vector"]),
)
def test_where_an_answer_is_divided_makes_no_difference(counts: list[int], at_once: int, form: str) -> None:
    """However few points are text at the same time, the bytes are the same."""
    labels = [{"n": str(number)} for number in range(len(counts))]
    times = 1000 * np.arange(7)
    if form == "raw":
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        moments = np.concatenate([times[:count] for count in counts] or [times[:0]])
        block = SampleBlock(offsets, moments, moments / 7)
        result = Result("matrix", labels, times[:1], np.empty((0, 1)), np.empty((0, 1), np.bool_), samples=block)
    else:
        width = 1 if form == "vector" else 7
        present = np.arange(width) < np.array(counts, np.int64).reshape(-1, 1)
        kind: ResultType = "vector" if form == "vector" else "matrix"
        result = Result(kind, labels, times[:width], np.arange(present.size).reshape(present.shape) / 7, present)
    whole = encode(result)
    assert [len(one.get("values", [1])) for one in json.loads(whole)["result"]] == (
        [1] * len(counts) if form == "vector" else counts
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mirante.server.promql.encode.POINTS_AT_ONCE", at_once)
        assert b"".join(pieces(result)) == whole
