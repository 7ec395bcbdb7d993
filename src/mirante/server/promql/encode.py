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
from mirante.server.store.api import Labels


def encode(result: Result, beside: Mapping[str, Any] | None = None) -> bytes:
    """The bytes of the ``data`` object of ``/api/v1/query`` and ``/api/v1/query_range``.

    Args:
        result: the answer.
        beside: further members of the object, such as ``stats``.

    Example:
        >>> import numpy as np
        >>> encode(Result("scalar", [{}], np.array([1500]), np.array([[2.0]]), np.array([[True]])))
        b'{"resultType":"scalar","result":[1.500,"2"]}'
    """
    more = [f',"{name}":'.encode() + orjson.dumps(value) for name, value in (beside or {}).items()]
    return b"".join([b'{"resultType":"', result.type.encode(), b'","result":', *_body(result), *more, b"}"])


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


def _points(result: Result) -> tuple[str, Sequence[str]]:
    """The member in which the floats stand, and the JSON of each series' floats."""
    if result.type == "vector":
        moment, values = seconds(int(result.times[0])), numbers(result.values[:, 0]).to_pylist()
        return "value", [f'[{moment},"{value}"]' for value in values]
    if result.samples is not None:
        offsets, times, floats = result.samples.offsets, result.samples.timestamps, result.samples.values
        distinct, which = np.unique(times, return_inverse=True)
        return "values", _rows(offsets, distinct, which, floats)
    present = result.present
    offsets = np.concatenate([[0], np.cumsum(present.sum(axis=1))])
    columns = np.broadcast_to(np.arange(present.shape[1]), present.shape)
    return "values", _rows(offsets, result.times, columns[present], result.values[present])


def _series(labels: Sequence[Labels], key: str, points: Sequence[str]) -> Iterator[bytes]:
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


# Large strings: an answer may have more than the 2 GiB that offsets of 32 bits reach.
_AROUND = (pa.scalar('"]', pa.large_string()), pa.scalar("", pa.large_string()))


def _rows(offsets: Ints, times: Ints, which: Ints, values: Floats) -> Sequence[str]:
    """For each series the JSON of its points ``[[time,"value"],...]``; point i is at ``times[which[i]]``."""
    starts = pa.array([f'[{seconds(time)},"' for time in times.tolist()], pa.large_string()).take(pa.array(which))
    points = pc.binary_join_element_wise(starts, numbers(values).cast(pa.large_string()), *_AROUND)
    lists = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), points)
    joined = pc.binary_join(lists, pa.scalar(",", pa.large_string())).to_pylist()
    return [f"[{row}]" for row in joined]


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
