"""Request parameters: from URL and form, in Prometheus's words when they are wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mirante.server.api.envelope import enveloped
from mirante.server.api.parameters import Parameters, parse_span, parse_time
from tests.server.asgi import call


def app(read: Callable[[Parameters], object]) -> Starlette:
    """An application that answers with what ``read`` makes of the parameters."""

    async def handler(request: Request) -> Response:
        return JSONResponse(read(await Parameters.of(request)))

    return Starlette(routes=[Route("/", enveloped(handler), methods=["GET", "POST"])])


def test_a_form_comes_before_the_url_and_repeated_names_keep_all_values() -> None:
    """As in Prometheus, the body wins and ``match[]`` may be given many times."""
    reply = asyncio.run(
        call(app(lambda p: [p.text("query"), list(p.all("m"))]), "POST", "/?query=url&m=3", b"query=form&m=1&m=2")
    )
    assert reply.json() == ["form", ["1", "2", "3"]]


def test_defaults_stand_in_for_what_was_not_given() -> None:
    """Missing and empty parameters take the default."""
    reply = asyncio.run(call(app(lambda p: [p.time("time", 7), p.duration("step", 8), p.limit()]), "GET", "/?time="))
    assert reply.json() == [7, 8, None]


@pytest.mark.parametrize(
    ("query", "read", "message"),
    [
        ("time=noon", lambda p: p.time("time"), 'invalid parameter "time": cannot parse "noon" to a valid timestamp'),
        ("", lambda p: p.time("start"), 'invalid parameter "start": cannot parse "" to a valid timestamp'),
        ("step=1x", lambda p: p.duration("step"), 'invalid parameter "step": cannot parse "1x" to a valid duration'),
        ("limit=-1", lambda p: p.limit(), 'invalid parameter "limit"'),
        ("limit=a", lambda p: p.limit(), 'invalid parameter "limit"'),
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_bad_data_with_its_name(
    query: str, read: Callable[[Parameters], object], message: str
) -> None:
    """The caller learns which parameter it was and what stood there."""
    reply = asyncio.run(call(app(read), "GET", f"/?{query}"))
    assert reply.status == 400
    assert reply.json()["errorType"] == "bad_data"
    assert reply.json()["error"].startswith(message)


@pytest.mark.parametrize(("body", "message"), [(b"q=" + b"x" * (11 << 20), "larger than"), (b"\xff", "not UTF-8")])
def test_a_form_that_cannot_be_read_is_bad_data(body: bytes, message: str) -> None:
    """Too large or not text: one sentence, no traceback."""
    reply = asyncio.run(call(app(lambda p: p.text("q")), "POST", "/", body))
    assert reply.status == 400
    assert message in reply.json()["error"]


@given(st.integers(-(10**13), 10**13))
def test_times_read_back_to_the_millisecond(ms: int) -> None:
    """Seconds with three decimals are exact."""
    assert parse_time(f"{ms / 1000:.3f}") == ms


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2026-01-02T03:04:05Z", 1767323045000),
        ("2026-01-02T03:04:05.678+01:00", 1767319445678),
        ("2026-01-02T03:04:05", 1767323045000),
    ],
)
def test_rfc_3339_times_are_taken(text: str, ms: int) -> None:
    """With a zone, or without one as UTC."""
    assert parse_time(text) == ms


@pytest.mark.parametrize("text", ["nan", "inf", "1e300", "2026-01-02", "", "Z"])
def test_what_is_no_time_is_refused(text: str) -> None:
    """A date alone, NaN and what no clock shows are errors."""
    with pytest.raises(ValueError, match="valid timestamp"):
        parse_time(text)


@pytest.mark.parametrize("text", ["nan", "1e300", "", "x"])
def test_what_is_no_span_is_refused(text: str) -> None:
    """Neither seconds nor a duration."""
    with pytest.raises(ValueError, match="valid duration"):
        parse_span(text)
