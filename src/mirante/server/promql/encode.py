"""Writes an answer as Prometheus's JSON. Arrow's C++ prints the numbers; where Go prints otherwise, they are mended.

Source: Prometheus ``web/api/v1/json_codec.go`` and ``util/jsonutil``: values are strings as ``go_float`` gives them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from mirante.formats.native_histogram import NativeHistogram
from mirante.server.promql.engine import Result
from mirante.server.promql.gofloat import go_float
from mirante.server.promql.matrix import Bools, Floats, Ints
from mirante.server.store.api import Labels, SampleBlock

POINTS_AT_ONCE = 100_000
"""Points of a wide answer that are text at the same time; a series is never divided."""


def encode(result: Result) -> bytes:
    """The whole ``data`` object of ``/api/v1/query`` and ``/api/v1/query_range``.

    Example:
        >>> import numpy as np
        >>> encode(Result("scalar", [{}], np.array([1500]), np.array([[2.0]]), np.array([[True]])))
        b'{"resultType":"scalar","result":[1.500,"2"]}'
    """
    return b"".join(pieces(result))


def pieces(result: Result, beside: Mapping[str, Any] | None = None) -> Iterator[bytes]:
    """The same bit by bit: as text a wide answer is many times as large as its matrix, and is never held as a whole.

    Args:
        result: the answer.
        beside: further members of the object, such as ``stats``.
    """
    yield b'{"resultType":"' + result.type.encode() + b'","result":'
    yield from _body(result)
    for name, value in (beside or {}).items():
        yield f',"{name}":'.encode() + orjson.dumps(value)
    yield b"}"


def _body(result: Result) -> Iterator[bytes]:
    moment = seconds(int(result.times[0])) if len(result.times) else ""
    if result.type == "string":
        yield b"[" + moment.encode() + b"," + orjson.dumps(result.text) + b"]"
    elif result.type == "scalar":
        yield f'[{moment},"{go_float(float(result.values[0, 0]))}"]'.encode()
    elif result.histograms:
        yield from _mixed(result)
    else:
        yield from _series(result.labels, *_points(result))


def _points(result: Result) -> tuple[str, Iterator[str]]:
    """The member in which the floats stand, and the JSON of each series' floats."""
    if result.type == "vector":
        return "value", _vector(result)
    return "values", _matrix(result) if result.samples is None else _raw(result.samples)


def _vector(result: Result) -> Iterator[str]:
    moment, values = seconds(int(result.times[0])), result.values[:, 0]
    for first in range(0, len(values), POINTS_AT_ONCE):
        for value in numbers(values[first : first + POINTS_AT_ONCE]).to_pylist():
            yield f'[{moment},"{value}"]'


def _matrix(result: Result) -> Iterator[str]:
    height, width = result.present.shape
    starts = _starts(result.times)
    block = max(1, POINTS_AT_ONCE // max(1, width))
    for first in range(0, height, block):
        present = result.present[first : first + block]
        offsets = np.concatenate([[0], np.cumsum(present.sum(axis=1))])
        columns = np.broadcast_to(np.arange(width), present.shape)
        yield from _rows(
            offsets, starts.take(pa.array(columns[present])), result.values[first : first + block][present]
        )


def _raw(samples: SampleBlock) -> Iterator[str]:
    offsets, first, height = samples.offsets, 0, len(samples.offsets) - 1
    while first < height:
        reach = int(np.searchsorted(offsets, offsets[first] + POINTS_AT_ONCE, "right")) - 1
        last = min(max(reach, first + 1), height)
        rows = slice(int(offsets[first]), int(offsets[last]))
        distinct, which = np.unique(samples.timestamps[rows], return_inverse=True)
        starts = _starts(distinct).take(pa.array(which))
        yield from _rows(offsets[first : last + 1] - offsets[first], starts, samples.values[rows])
        first = last


def _series(labels: Sequence[Labels], key: str, points: Iterator[str]) -> Iterator[bytes]:
    yield b"["
    for number, (row, text) in enumerate(zip(labels, points, strict=True)):
        yield b',{"metric":' if number else b'{"metric":'
        yield _metric(row)
        yield f',"{key}":{text}}}'.encode()
    yield b"]"


def _mixed(result: Result) -> Iterator[bytes]:
    """Series with floats, with native histograms, or with both."""
    key, points = _points(result)
    members: dict[bytes, list[str]] = {}
    for row, (labels, text) in enumerate(zip(result.labels, points, strict=True)):
        if result.samples is not None or result.present[row].any():
            members.setdefault(_metric(labels), []).append(f'"{key}":{text}')
    for one in result.histograms:
        each = [
            f"[{seconds(time)},{histogram_json(histogram)}]"
            for time, histogram in zip(one.times.tolist(), one.histograms, strict=True)
        ]
        text = each[0] if key == "value" else f"[{','.join(each)}]"
        members.setdefault(_metric(one.labels), []).append(f'"{key.replace("value", "histogram")}":{text}')
    ordered = sorted(members) if result.type == "matrix" else list(members)
    whole = (b'{"metric":' + metric + f",{','.join(members[metric])}}}".encode() for metric in ordered)
    yield b"[" + b",".join(whole) + b"]"


def _metric(labels: Labels) -> bytes:
    return orjson.dumps(dict(labels), option=orjson.OPT_SORT_KEYS)


def histogram_json(histogram: NativeHistogram) -> str:
    """A native histogram as Prometheus writes it: each bucket with what of its bounds it includes.

    Example:
        >>> print(histogram_json(NativeHistogram(3, 4.5, positive={1: 3})))
        {"count":"3","sum":"4.5","buckets":[[0,"1","2","3"]]}
    """
    buckets = [
        f'[{_INCLUDES[one.lower_inclusive, one.upper_inclusive]},"{go_float(one.lower)}","{go_float(one.upper)}",'
        f'"{go_float(float(one.count))}"]'
        for one in histogram.buckets()
    ]
    listed = f',"buckets":[{",".join(buckets)}]' if buckets else ""
    return f'{{"count":"{go_float(float(histogram.count))}","sum":"{go_float(histogram.sum)}"{listed}}}'


_INCLUDES = {(False, True): 0, (True, False): 1, (False, False): 2, (True, True): 3}


# Large strings: one series may have more than the 2 GiB that offsets of 32 bits reach.
_AROUND = (pa.scalar('"]', pa.large_string()), pa.scalar("", pa.large_string()))


def _starts(times: Ints) -> pa.LargeStringArray:
    """The JSON of a point up to its value, for each time."""
    return pa.array([f'[{seconds(time)},"' for time in times.tolist()], pa.large_string())


def _rows(offsets: Ints, starts: pa.LargeStringArray, values: Floats) -> Iterator[str]:
    """For each series the JSON of its points ``[[time,"value"],...]``."""
    points = pc.binary_join_element_wise(starts, numbers(values).cast(pa.large_string()), *_AROUND)
    lists = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), points)
    for row in pc.binary_join(lists, pa.scalar(",", pa.large_string())).to_pylist():
        yield f"[{row}]"


def seconds(milliseconds: int) -> str:
    """A time in seconds, with three decimals where it is no whole second.

    Example:
        >>> seconds(1500), seconds(-2000)
        ('1.500', '-2')
    """
    sign, size = ("-", -milliseconds) if milliseconds < 0 else ("", milliseconds)
    whole, fraction = divmod(size, 1000)
    return f"{sign}{whole}.{fraction:03d}" if fraction else f"{sign}{whole}"


_EXACT = float(2**53)


def numbers(values: Floats) -> pa.StringArray:
    """Each value as Go prints it: what ``go_float`` gives, for whole columns."""
    size = np.abs(values)
    texts = pc.cast(pa.array(values), pa.string())
    # From 1e10 on Arrow writes exponents, Go from 1e21; a whole number is printed as such as long as it is exact.
    with np.errstate(invalid="ignore"):
        whole = (size >= 1e10) & (size < _EXACT) & (values == np.trunc(values))
    if whole.any():
        texts = _replaced(texts, whole, pc.cast(pa.array(values[whole].astype(np.int64)), pa.string()))
    # Go's exponents have two digits at least.
    small = (size < 1e-6) & (size != 0)
    if small.any():
        padded = pc.replace_substring_regex(texts.filter(pa.array(small)), r"e-(\d)$", r"e-0\1")
        texts = _replaced(texts, small, padded)
    rest = ~np.isfinite(values) | ((size >= 1e10) & (size < 1e21) & ~whole)
    if rest.any():
        texts = _replaced(texts, rest, pa.array([go_float(value) for value in values[rest].tolist()], pa.string()))
    return texts


def _replaced(texts: pa.StringArray, where: Bools, by: pa.StringArray) -> pa.StringArray:
    return pc.replace_with_mask(texts, pa.array(where), by)
