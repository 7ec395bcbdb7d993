"""Bodies of requests: bounded; those of our own endpoints JSON by type, which no page elsewhere can send unasked."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.requests import Request

from mirante.errors import BadRequestError

MAX_BYTES = 10 << 20
"""Largest body of an endpoint of our own."""


def media_type(request: Request) -> str:
    """The content type without its parameters."""
    return str(request.headers.get("content-type", "")).partition(";")[0].strip().lower()


async def read_body(request: Request, most: int = MAX_BYTES, what: str = "the body") -> bytes:
    """The body.

    Args:
        request: as it comes.
        most: bytes that it may have.
        what: how a refusal names it.

    Raises:
        BadRequestError: it is too large.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise BadRequestError(f"{what} is larger than {most} bytes")
    return bytes(body)


async def json_object(request: Request, known: set[str]) -> dict[str, Any]:
    """The body as a JSON object; without a body, an empty one.

    Raises:
        BadRequestError: it is none, or has a key that is not known.
    """
    if media_type(request) != "application/json":
        raise BadRequestError("the content type must be application/json")
    try:
        document = orjson.loads(await read_body(request) or b"{}")
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise BadRequestError("the body must be a JSON object")
    unknown = sorted(set(document) - known)
    if unknown:
        raise BadRequestError(f"unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}")
    return document
