"""One envelope, and one place that turns exceptions into it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mirante import errors
from mirante.server.api.envelope import STREAM_BYTES, enveloped, success, success_json
from tests.server.asgi import Reply, call


def answer_to(error: Exception) -> Reply:
    """The reply of a handler that raises."""

    async def handler(_request: Request) -> Response:
        raise error

    return asyncio.run(call(Starlette(routes=[Route("/", enveloped(handler))]), "GET", "/"))


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (errors.BadQueryError("m", position=1), 400, "bad_data"),
        (errors.BadRequestError("m"), 400, "bad_data"),
        (errors.QueryLimitError("m"), 422, "execution"),
        (errors.QueryCanceledError("m"), 499, "canceled"),
        (errors.StoreError("m"), 500, "internal"),
        (errors.QueryTimeoutError("m"), 503, "timeout"),
    ],
)
def test_each_error_has_its_type_and_status(error: Exception, status: int, kind: str) -> None:
    """As Prometheus answers."""
    reply = answer_to(error)
    assert reply.status == status
    assert reply.json() == {"status": "error", "errorType": kind, "error": "m"}
    assert (reply.headers.get("retry-after") is not None) == (status == 503)


def test_a_fault_of_ours_is_an_internal_error_and_a_logged_traceback(caplog: pytest.LogCaptureFixture) -> None:
    """The caller gets a sentence, the log the rest."""
    with caplog.at_level(logging.ERROR):
        reply = answer_to(ZeroDivisionError("oops"))
    assert reply.status == 500
    assert reply.json()["error"] == "ZeroDivisionError: oops"
    assert "ZeroDivisionError" in caplog.text


def test_annotations_stand_beside_the_data_only_when_there_are_some() -> None:
    """Empty lists are left out, as in Prometheus."""
    assert success([b"[1]"]).body == b'{"status":"success","data":[1]}'
    assert (
        success([b"1"], warnings=["w"], infos=["i"]).body
        == b'{"status":"success","data":1,"warnings":["w"],"infos":["i"]}'
    )
    assert success_json({"a": None}).body == b'{"status":"success","data":{"a":null}}'


@pytest.mark.parametrize(("size", "told"), [(100, True), (STREAM_BYTES + 100, False), (5 * STREAM_BYTES, False)])
def test_a_large_answer_is_sent_while_it_is_written(size: int, told: bool) -> None:
    """It has no length before; of what comes after the first megabyte nothing is made before it is asked for."""
    made = 0

    def data() -> Iterator[bytes]:
        nonlocal made
        yield b"["
        for _ in range(size // 10):
            made += 10
            yield b"123456789,"
        yield b"0]"

    response = success(data(), warnings=["w"])
    assert made < STREAM_BYTES + STREAM_BYTES // 2

    async def handler(_request: Request) -> Response:
        return response

    reply = asyncio.run(call(Starlette(routes=[Route("/", handler)]), "GET", "/"))
    assert ("content-length" in reply.headers) is told
    assert len(reply.json()["data"]) == size // 10 + 1
    assert reply.json()["warnings"] == ["w"]
    assert reply.headers["content-type"] == "application/json"
