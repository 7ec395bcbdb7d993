"""A receiver over HTTP: a body is read within bounds, and checked and stored in a worker thread."""

from __future__ import annotations

from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from mirante.errors import StoreError, StoreFullError
from mirante.server.ingest.counts import IngestCounts
from mirante.server.ingest.exchange import Bounds, Refusal, Reply, Request

RETRY_AFTER = 5
"""Seconds that a sender is asked to wait when there is no room."""


def head(http: HttpRequest) -> Request:
    """The request without its body."""
    headers = http.headers
    return Request(
        b"",
        headers.get("content-type", ""),
        headers.get("content-encoding", ""),
        http.method,
        http.scope["path"],
        dict(http.query_params),
    )


class Endpoint:
    """One path: the transport's side of a receiver.

    Args:
        name: the receiver's, in its metrics.
        receive: takes a request, in a worker thread.
        refused: words a refusal as the protocol wants it.
        bounds: sizes that are acceptable.
        counts: the receivers' own metrics.
    """

    def __init__(
        self,
        name: str,
        receive: Callable[[Request], Reply],
        refused: Callable[[Request, int, str], Reply],
        bounds: Bounds,
        counts: IngestCounts,
    ) -> None:
        self._name = name
        self._receive = receive
        self._refused = refused
        self._limit = bounds.max_body
        self._in_flight = bounds.in_flight
        self._counts = counts

    async def handle(self, http: HttpRequest) -> Response:
        """Answer one request."""
        request = head(http)
        parts: list[bytes] = []
        wait: int | None = None
        try:
            await self._read(http, parts)
            request = request._replace(body=b"".join(parts))
            reply = await run_in_threadpool(self._receive, request)
        except Refusal as error:
            wait = error.retry_after
            reply = self._refused(request, error.status, error.sentence)
        except StoreFullError as error:
            reply = self._unavailable(request, f"There is no room to store it: {error}.")
        except StoreError as error:
            reply = self._unavailable(request, f"It cannot be stored now: {error}.")
        finally:
            self._in_flight.release(sum(map(len, parts)))
        self._counts.request(self._name, reply.status)
        headers = dict(reply.headers)
        if reply.status == 503 or wait is not None:
            headers["Retry-After"] = str(wait or RETRY_AFTER)
        return Response(reply.body, reply.status, media_type=reply.content_type or None, headers=headers)

    def _unavailable(self, request: Request, sentence: str) -> Reply:
        return self._refused(request, 503, sentence)

    async def _read(self, http: HttpRequest, parts: list[bytes]) -> None:
        """The packed body; unpacked it can only be larger, so its limit holds here too."""
        size = 0
        try:
            async for part in http.stream():
                size += len(part)
                if size > self._limit:
                    raise Refusal(413, f"The body has more than {self._limit} bytes; send smaller requests.")
                self._in_flight.take(len(part))
                parts.append(part)
        except ClientDisconnect:
            raise Refusal(400, "The connection was closed before the body was complete.") from None


def plain(_: Request, status: int, sentence: str) -> Reply:
    """A refusal as a line of text."""
    return Reply(status, f"{sentence}\n".encode(), "text/plain")
