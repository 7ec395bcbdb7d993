"""Errors of endpoints of our own, as ``application/problem+json``.

Source: RFC 9457.
"""

from __future__ import annotations

import logging

import orjson
from starlette.requests import Request
from starlette.responses import Response

from mirante.errors import BadRequestError, StoreError, StoreFullError
from mirante.server.api.envelope import Handler

log = logging.getLogger(__name__)

_TITLES = {
    400: "The request cannot be used",
    403: "Forbidden",
    404: "Not found",
    500: "A fault of the server",
    503: "Not possible at the moment",
}


def problem(status: int, detail: str) -> Response:
    """An error, in one sentence.

    Args:
        status: 400, 403, 404, 500 or 503.
        detail: what was wrong, and what to do.
    """
    body = orjson.dumps({"title": _TITLES[status], "status": status, "detail": detail})
    headers = {"Retry-After": "1"} if status == 503 else None
    return Response(body, status, headers=headers, media_type="application/problem+json")


def with_problems(handler: Handler) -> Handler:
    """Wrap a handler so that what it raises becomes such an error."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except BadRequestError as error:
            return problem(400, str(error))
        except StoreFullError as error:
            return problem(503, str(error))
        except StoreError as error:
            log.error("%s %s failed: %s", request.method, request.url.path, error)  # noqa: TRY400 - it says it all
            return problem(500, str(error))

    return answer
