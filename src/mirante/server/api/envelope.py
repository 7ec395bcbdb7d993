"""The Prometheus response envelope, and the one place that turns exceptions into it.

Source: prometheus.io, "HTTP API", section "Format overview".
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import chain

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from mirante.errors import (
    BadQueryError,
    BadRequestError,
    MiranteError,
    QueryCanceledError,
    QueryError,
    QueryTimeoutError,
    StoreBusyError,
    StoreFullError,
)

log = logging.getLogger(__name__)

Handler = Callable[[Request], Awaitable[Response]]

STATUS = {
    "bad_data": 400,
    "not_found": 404,
    "execution": 422,
    "canceled": 499,
    "internal": 500,
    "timeout": 503,
    "unavailable": 503,
}
"""Error types of the API and the status code of each."""

_KINDS: tuple[tuple[type[Exception], str], ...] = (
    (BadQueryError, "bad_data"),
    (BadRequestError, "bad_data"),
    (QueryTimeoutError, "timeout"),
    (QueryCanceledError, "canceled"),
    (QueryError, "execution"),
    (StoreFullError, "timeout"),
    (StoreBusyError, "timeout"),
    (MiranteError, "internal"),
)


STREAM_BYTES = 1 << 20
"""An answer of more is sent piece by piece while it is written; a smaller one says how long it is."""

_PIECE_BYTES = 1 << 18


def success(data: Iterable[bytes], *, warnings: Sequence[str] = (), infos: Sequence[str] = ()) -> Response:
    """Answer with the ``data`` that is JSON already, in pieces, and the annotations beside it.

    The first ``STREAM_BYTES`` are taken here and now; the rest, on a thread, as the client takes it.
    """
    pieces = _joined(_envelope(data, warnings, infos))
    head: list[bytes] = []
    size = 0
    for piece in pieces:
        head.append(piece)
        size += len(piece)
        if size > STREAM_BYTES:
            return StreamingResponse(chain(head, pieces), media_type="application/json")
    return Response(b"".join(head), media_type="application/json")


def _envelope(data: Iterable[bytes], warnings: Sequence[str], infos: Sequence[str]) -> Iterator[bytes]:
    yield b'{"status":"success","data":'
    yield from data
    for name, notes in (("warnings", warnings), ("infos", infos)):
        if notes:
            yield f',"{name}":'.encode() + orjson.dumps(list(notes))
    yield b"}"


def _joined(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces that are worth a journey between threads each."""
    held: list[bytes] = []
    size = 0
    for part in parts:
        held.append(part)
        size += len(part)
        if size >= _PIECE_BYTES:
            yield b"".join(held)
            held.clear()
            size = 0
    yield b"".join(held)


def success_json(data: object, *, warnings: Sequence[str] = ()) -> Response:
    """Answer with a plain value as ``data``."""
    return success([orjson.dumps(data)], warnings=warnings)


def failure(kind: str, message: str) -> Response:
    """Answer with an error of that type."""
    body = orjson.dumps({"status": "error", "errorType": kind, "error": message})
    headers = {"Retry-After": "1"} if kind == "timeout" else None  # what is turned off stays so
    return Response(body, status_code=STATUS[kind], media_type="application/json", headers=headers)


def enveloped(handler: Handler) -> Handler:
    """Wrap a handler so that whatever it raises becomes an enveloped error."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except Exception as error:
            kind = next((kind for known, kind in _KINDS if isinstance(error, known)), None)
            if kind is not None:
                return failure(kind, str(error))
            log.exception("%s %s failed", request.method, request.url.path)
            return failure("internal", f"{type(error).__name__}: {error}")

    return answer
