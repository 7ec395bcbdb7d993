"""Remote read: raw samples for another Prometheus.

The answer is of the type SAMPLES, which every reader takes. Source: prometheus.io, "Remote Read API"; Prometheus
``prompb/remote.proto``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import cramjam
import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from mirante.errors import BadRequestError, MiranteError, QueryLimitError
from mirante.formats.protobuf import blob
from mirante.formats.remote_write import TIMES, labels, sample
from mirante.server.api.body import read_body
from mirante.server.api.runner import QueryRunner
from mirante.server.store.api import Matcher, MatchOp, MetricReader, QueryBudget, SampleBlock
from mirante.server.store.protos import Parsed, Proto

_PROTO = """
message ReadRequest { repeated Query queries = 1; }
message Query { int64 start_timestamp_ms = 1; int64 end_timestamp_ms = 2; repeated LabelMatcher matchers = 3; }
message LabelMatcher { int64 type = 1; string name = 2; string value = 3; }
"""
_OPERATORS: tuple[MatchOp, ...] = ("=", "!=", "=~", "!~")
_MAX_BYTES = 1 << 20
_HEADERS = {"Content-Encoding": "snappy"}


class RemoteRead:
    """The endpoint.

    Args:
        reader: finds series and samples.
        runner: the pool in which it does.
    """

    def __init__(self, reader: MetricReader, runner: QueryRunner) -> None:
        self._reader = reader
        self._runner = runner

    def routes(self) -> list[BaseRoute]:
        """Its path."""
        return [Route("/api/v1/read", self.answer, methods=["POST"])]

    async def answer(self, request: Request) -> Response:
        """Answer one request; what is wrong is told in plain text, as Prometheus does."""
        try:
            queries = _queries(await _body(request))
            body = await self._runner.run(request, lambda budget: self._read(queries, budget))
        except MiranteError as error:
            return PlainTextResponse(f"{error}\n", 400 if isinstance(error, ValueError | QueryLimitError) else 503)
        return Response(body, media_type="application/x-protobuf", headers=_HEADERS)

    def _read(self, queries: Sequence[Parsed], budget: QueryBudget) -> bytes:
        left = budget.max_samples
        parts = []
        for query in queries:
            found = self._reader.series(
                [_matcher(one) for one in query.matchers], query.start_timestamp_ms, query.end_timestamp_ms, budget
            )
            block = self._reader.samples(found, query.start_timestamp_ms - 1, query.end_timestamp_ms, budget)
            left -= len(block.values)
            if left < 0:
                raise QueryLimitError(
                    f"the answer has more than the limit of {budget.max_samples} samples; ask for fewer series or a "
                    "shorter time, or raise --query-max-samples"
                )
            rows = zip(found.labels, _samples(block), strict=True)
            series = (blob(1, labels(pairs) + data) for pairs, data in rows if data)
            parts.append(blob(1, b"".join(series)))
        return bytes(cramjam.snappy.compress_raw(b"".join(parts)))


@cache
def _request_class() -> type[Parsed]:
    return Proto(_PROTO).message_class()


async def _body(request: Request) -> bytes:
    packed = await read_body(request, _MAX_BYTES, "the request")
    try:
        if cramjam.snappy.decompress_raw_len(packed) > _MAX_BYTES:
            raise BadRequestError(f"the request is larger than {_MAX_BYTES} bytes")
        return bytes(cramjam.snappy.decompress_raw(packed))
    except cramjam.DecompressionError as error:
        raise BadRequestError(f"the request is not valid snappy: {error}") from None


def _queries(body: bytes) -> Sequence[Parsed]:
    try:
        found: Sequence[Parsed] = _request_class().FromString(body).queries
    except DecodeError as error:
        raise BadRequestError(f"the request is no prometheus.ReadRequest: {error}") from None
    for query in found:
        for one in query.matchers:
            if not 0 <= one.type < len(_OPERATORS):
                raise BadRequestError(f"a matcher of type {one.type} is not known")
    return found


def _matcher(one: Parsed) -> Matcher:
    return Matcher(one.name, _OPERATORS[one.type], one.value)


def _samples(block: SampleBlock) -> Iterator[bytes]:
    """The ``samples`` fields of each series, staleness markers as they are."""
    times, values = block.timestamps, block.values
    if len(times) and TIMES.start <= times.min() and times.max() < TIMES.stop:
        whole = _fixed(times, values).tobytes()
        for first, last in zip(block.offsets[:-1].tolist(), block.offsets[1:].tolist(), strict=True):
            yield whole[first * _SIZE : last * _SIZE]
        return
    for first, last in zip(block.offsets[:-1].tolist(), block.offsets[1:].tolist(), strict=True):
        pairs = zip(values[first:last].tolist(), times[first:last].tolist(), strict=True)
        yield b"".join(sample(value, time) for value, time in pairs)


_SIZE = 18


def _fixed(times: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """Samples of one length: tag and length, tag and value, tag and a varint of six bytes."""
    rows = np.empty((len(times), _SIZE), dtype=np.uint8)
    rows[:, :3] = 0x12, 0x10, 0x09
    rows[:, 3:11] = np.ascontiguousarray(values, dtype="<f8").view(np.uint8).reshape(-1, 8)
    rows[:, 11] = 0x10
    shifted = times[:, None] >> np.arange(0, 42, 7)
    rows[:, 12:] = (shifted & 0x7F) | np.array([0x80] * 5 + [0])
    return rows
