"""Remote read: what another Prometheus asks, and the bytes that it gets."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette

from mirante.formats.remote_write import STALE_NAN, TIMES
from mirante.server.api.remote_read import RemoteRead
from mirante.server.api.runner import QueryLimits, QueryRunner
from mirante.server.store.protos import Proto
from mirante.testing.memory_store import MemoryReader
from tests.server.asgi import Reply, call
from tests.write_request import bits

Matcher = tuple[int, str, str]
EQUAL, NOT_EQUAL, MATCHES, NOT_MATCHES = range(4)


@cache
def request_class() -> Any:
    """The question, from Prometheus's public description."""
    return Proto(
        """message ReadRequest { repeated Query queries = 1; repeated int64 accepted_response_types = 2; }
        message Query { int64 start_timestamp_ms = 1; int64 end_timestamp_ms = 2; repeated LabelMatcher matchers = 3; }
        message LabelMatcher { int64 type = 1; string name = 2; string value = 3; }"""
    ).message_class()


@cache
def response_class() -> Any:
    """The answer."""
    return Proto(
        """message ReadResponse { repeated QueryResult results = 1; }
        message QueryResult { repeated TimeSeries timeseries = 1; }
        message TimeSeries { repeated Label labels = 1; repeated Sample samples = 2; }
        message Label { string name = 1; string value = 2; }
        message Sample { double value = 1; int64 timestamp = 2; }"""
    ).message_class()


def question(*queries: tuple[int, int, Sequence[Matcher]]) -> bytes:
    """A packed request; the types of answers that are accepted are Prometheus's own."""
    request = request_class()()
    request.accepted_response_types.extend([1, 0])
    for start, end, matchers in queries:
        query = request.queries.add(start_timestamp_ms=start, end_timestamp_ms=end)
        for kind, name, value in matchers:
            query.matchers.add(type=kind, name=name, value=value)
    return bytes(cramjam.snappy.compress_raw(request.SerializeToString()))


def ask(reader: MemoryReader, body: bytes, limits: QueryLimits | None = None) -> Reply:
    """One request."""
    runner = QueryRunner(limits or QueryLimits(), lambda _: None)
    try:
        return asyncio.run(call(Starlette(routes=RemoteRead(reader, runner).routes()), "POST", "/api/v1/read", body))
    finally:
        runner.close()


def read(reply: Reply) -> list[dict[tuple[tuple[str, str], ...], list[tuple[int, float]]]]:
    """Samples by sorted labels, for each query."""
    assert reply.status == 200, reply.text
    response = response_class().FromString(bytes(cramjam.snappy.decompress_raw(reply.body)))
    return [
        {
            tuple((label.name, label.value) for label in series.labels): [
                (s.timestamp, s.value) for s in series.samples
            ]
            for series in result.timeseries
        }
        for result in response.results
    ]


def test_every_query_gets_its_series() -> None:
    """Both ends belong to the range; a series without a sample in it is left out; labels are sorted."""
    reader = MemoryReader()
    for job in ("a", "b"):
        reader.add({"__name__": "up", "job": job}, [(TIMES.start + t, float(t)) for t in range(5)])
    first, second, third = read(
        ask(
            reader,
            question(
                (TIMES.start + 1, TIMES.start + 3, [(EQUAL, "__name__", "up"), (NOT_EQUAL, "job", "b")]),
                (TIMES.start + 5, TIMES.start + 9, [(MATCHES, "job", "a|b")]),
                (TIMES.start, TIMES.start, [(NOT_MATCHES, "job", "a")]),
            ),
        )
    )
    assert first == {(("__name__", "up"), ("job", "a")): [(TIMES.start + t, float(t)) for t in (1, 2, 3)]}
    assert second == {}
    assert third == {(("__name__", "up"), ("job", "b")): [(TIMES.start, 0.0)]}


@given(
    st.lists(
        st.tuples(st.one_of(st.integers(0, 5000), st.integers(TIMES.start, TIMES.stop)), st.floats(width=64)),
        min_size=1, max_size=20, unique_by=lambda sample: sample[0],
    )
)  # fmt: skip
def test_samples_arrive_bit_by_bit(samples: list[tuple[int, float]]) -> None:
    """Whatever their times and values."""
    reader = MemoryReader()
    samples = sorted([*samples, (TIMES.stop + 1, STALE_NAN)])
    reader.add({"__name__": "up"}, samples)
    (found,) = read(ask(reader, question((0, TIMES.stop + 1, [(EQUAL, "__name__", "up")]))))
    ((_, arrived),) = found.items()
    assert [(time, bits(value)) for time, value in arrived] == [(time, bits(value)) for time, value in samples]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"nonsense", "not valid snappy"),
        (bytes(cramjam.snappy.compress_raw(b"\xff\xff")), "no prometheus.ReadRequest"),
        (question((0, 1, [(7, "a", "b")])), "a matcher of type 7 is not known"),
        (b"x" * ((1 << 20) + 1), "larger than 1048576 bytes"),
        (bytes(cramjam.snappy.compress_raw(b"x" * ((1 << 20) + 1))), "larger than 1048576 bytes"),
    ],
)
def test_a_request_that_is_wrong_is_told(body: bytes, words: str) -> None:
    """In plain text, with 400."""
    reply = ask(MemoryReader(), body)
    assert reply.status == 400
    assert words in reply.text


def test_an_answer_past_the_limit_is_refused() -> None:
    """It says how to raise it."""
    reader = MemoryReader()
    reader.add({"__name__": "up"}, [(t, 1.0) for t in range(20)])
    limits = replace(QueryLimits(), max_samples=10)
    reply = ask(reader, question((0, 30, [(EQUAL, "__name__", "up")])), limits)
    assert (reply.status, "--query-max-samples" in reply.text) == (400, True)
