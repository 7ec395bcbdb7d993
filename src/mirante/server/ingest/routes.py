"""The receivers over HTTP. A body is read within bounds, and checked and stored in a worker thread."""

from __future__ import annotations

from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from mirante.errors import StoreError, StoreFullError
from mirante.server.ingest.counts import IngestCounts
from mirante.server.ingest.exchange import Bounds, Refusal, Reply, Request
from mirante.server.ingest.otlp import SIGNALS, OtlpReceiver, refuse
from mirante.server.ingest.remote_write import RemoteWriteReceiver
from mirante.server.store.api import BodyLog

RETRY_AFTER = 5
"""Seconds that a sender is asked to wait when there is no room."""


class _Endpoint:
    """One path: the transport's side of a receiver."""

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
        self._counts = counts

    async def handle(self, http: HttpRequest) -> Response:
        headers = http.headers
        request = Request(b"", headers.get("content-type", ""), headers.get("content-encoding", ""))
        try:
            request = request._replace(body=await self._body(http))
            reply = await run_in_threadpool(self._receive, request)
        except Refusal as error:
            reply = self._refused(request, error.status, error.sentence)
        except StoreFullError as error:
            reply = self._unavailable(request, f"There is no room to store it: {error}.")
        except StoreError as error:
            reply = self._unavailable(request, f"It cannot be stored now: {error}.")
        self._counts.request(self._name, reply.status)
        extra = {"Retry-After": str(RETRY_AFTER)} if reply.status == 503 else None
        return Response(reply.body, reply.status, media_type=reply.content_type or None, headers=extra)

    def _unavailable(self, request: Request, sentence: str) -> Reply:
        return self._refused(request, 503, sentence)

    async def _body(self, http: HttpRequest) -> bytes:
        """The packed body; unpacked it can only be larger, so its limit holds here too."""
        parts: list[bytes] = []
        size = 0
        try:
            async for part in http.stream():
                size += len(part)
                if size > self._limit:
                    raise Refusal(413, f"The body has more than {self._limit} bytes; send smaller requests.")
                parts.append(part)
        except ClientDisconnect:
            raise Refusal(400, "The connection was closed before the body was complete.") from None
        return b"".join(parts)


def _plain(_: Request, status: int, sentence: str) -> Reply:
    return Reply(status, f"{sentence}\n".encode(), "text/plain")


def routes(log: BodyLog, bounds: Bounds | None = None, counts: IngestCounts | None = None) -> list[Route]:
    """``/api/v1/write`` and ``/v1/{metrics,traces,logs}``.

    Args:
        log: where checked bodies go.
        bounds: sizes and times that are acceptable.
        counts: the receivers' own metrics.
    """
    bounds, counts = bounds or Bounds(), counts or IngestCounts()
    remote_write = RemoteWriteReceiver(log, bounds, counts)
    made = [
        Route(
            "/api/v1/write",
            _Endpoint("remote_write", remote_write.receive, _plain, bounds, counts).handle,
            methods=["POST"],
        )
    ]
    for signal in SIGNALS:
        receiver = OtlpReceiver(signal, log, bounds, counts)
        endpoint = _Endpoint(f"otlp_{signal}", receiver.receive, refuse, bounds, counts)
        made.append(Route(f"/v1/{signal}", endpoint.handle, methods=["POST"]))
    return made
