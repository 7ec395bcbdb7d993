"""Django: as an entry of MIDDLEWARE and process-wide, synchronous and asynchronous, with Django's own test clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import django
import pytest
from django.conf import settings
from django.core.handlers.base import BaseHandler
from django.core.signals import got_request_exception
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path, re_path

from mirante._core.guard import REPORTER
from mirante.correlation import current
from mirante.integrations import django as integration
from mirante.metrics import Registry
from mirante.testing import Capture, capture
from tests.sdk.integrations.web import ERROR, PARENT_ID, TRACE_ID, TRACEPARENT, active, requests

BY_HAND = override_settings(MIDDLEWARE=["mirante.integrations.django.MiranteMiddleware"])


def item(_request: HttpRequest, number: int) -> HttpResponseBase:
    """A view."""
    return JsonResponse({"item": number, "request": current().request_id})


async def later(_request: HttpRequest) -> HttpResponseBase:
    """An asynchronous view."""
    return JsonResponse({"request": current().request_id})


def broken(_request: HttpRequest) -> HttpResponseBase:
    """A view that fails."""
    raise LookupError("no")


def missing(_request: HttpRequest) -> HttpResponseBase:
    """A view that finds nothing."""
    raise Http404


def stream(request: HttpRequest) -> HttpResponseBase:
    """A view that streams, and may fail in the middle of it."""

    def parts() -> Iterator[str]:
        yield "a"
        if "fail" in request.GET:
            raise LookupError("no")
        yield str(current().request_id)

    return StreamingHttpResponse(parts())


async def astream(request: HttpRequest) -> HttpResponseBase:
    """The same, asynchronously."""

    async def parts() -> AsyncIterator[str]:
        yield "a"
        if "fail" in request.GET:
            raise LookupError("no")
        yield "b"

    return StreamingHttpResponse(parts())


urlpatterns = [
    path("items/<int:number>", item),
    path("later", later),
    path("broken", broken),
    path("missing", missing),
    path("stream", stream),
    path("astream", astream),
    re_path(r"^old/(?P<number>\d+)$", item),
    path("metrics", integration.metrics_endpoint),
]


@pytest.fixture(scope="module", autouse=True)
def configured() -> None:
    """A project without a database, of which this module is the URL configuration."""
    if not settings.configured:
        settings.configure(SECRET_KEY="not secret", ALLOWED_HOSTS=["*"], DEBUG=False, LOGGING_CONFIG=None)  # noqa: S106
        django.setup()


@pytest.fixture(autouse=True)
def urls(configured: None) -> Iterator[None]:
    """Whatever another test has configured."""
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=[], ALLOWED_HOSTS=["*"]):
        yield


@pytest.fixture
def registry() -> Iterator[Registry]:
    """Every handler is observed."""
    made = Registry()
    integration.install(made)
    yield made
    integration.uninstall()


def get(url: str, **headers: str) -> Any:
    """Ask Django's own client; its answer has a status, headers and a content."""
    return Client(raise_request_exception=False).get(url, headers=headers)


def aget(url: str, **headers: str) -> Any:
    """The same through the asynchronous handler."""
    return asyncio.run(AsyncClient(raise_request_exception=False).get(url, headers=headers))


def errors(captured: Capture) -> list[tuple[str, int, object, int]]:
    """What every span says of an error."""
    return [
        (span.name, span.status_code, span.attributes.get("error.type"), len(span.events)) for span in captured.spans
    ]


@pytest.mark.parametrize("ask", [get, aget])
def test_every_request_has_its_span_metrics_and_id(ask: Any, registry: Registry) -> None:
    """By the template of its route, in both kinds of handlers."""
    with capture() as captured:
        answers = [
            ask("/items/7", traceparent=TRACEPARENT, **{"x-request-id": "r-1"}),
            ask("/later"),
            ask("/old/7"),
            ask("/nowhere"),
        ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 404]
    assert answers[0].json() == {"item": 7, "request": "r-1"}
    assert answers[0].headers["X-Request-ID"] == "r-1"
    assert answers[1].json() == {"request": answers[1].headers["X-Request-ID"]}
    assert [span.name for span in captured.spans] == [
        "GET /items/<int:number>", "GET /later", "GET /^old/(?P<number>\\d+)$", "GET",
    ]  # fmt: skip
    first = captured.spans[0]
    assert (first.trace_id, first.parent_id, first.status_code) == (TRACE_ID, PARENT_ID, 0)
    assert first.attributes["url.path"] == "/items/7"
    assert first.attributes["url.scheme"] == "http"
    assert first.attributes["client.address"] == "127.0.0.1"
    assert requests(registry)["GET", "/items/<int:number>", "200"] == 1
    assert active(registry) == 0


@pytest.mark.parametrize("ask", [get, aget])
@pytest.mark.parametrize("way", ["installed", "by hand"])
def test_the_exception_behind_a_500_is_on_the_span(ask: Any, way: str) -> None:
    """Django has made an answer of it."""
    with capture() as captured:
        if way == "installed":
            integration.install(Registry())
            answer = ask("/broken")
            integration.uninstall()
        else:
            with BY_HAND:
                answer = ask("/broken")
    assert (answer.status_code, "X-Request-ID" in answer.headers) == (500, True)
    assert errors(captured) == [("GET /broken", ERROR, "LookupError", 1)]


@pytest.mark.parametrize("ask", [get, aget])
def test_an_exception_that_stands_for_an_answer_is_none(ask: Any) -> None:
    """Such as "not found"."""
    with BY_HAND, capture() as captured:
        assert ask("/missing").status_code == 404
    assert errors(captured) == [("GET /missing", 0, None, 0)]


def test_streams_last_to_their_end(registry: Registry) -> None:
    """What makes them runs inside the request."""
    with capture() as captured:
        answer = get("/stream", **{"x-request-id": "r-1"})
        assert captured.spans == []
        assert b"".join(answer.streaming_content) == b"ar-1"
        answer.close()
        assert [span.name for span in captured.spans] == ["GET /stream"]
        answer = get("/stream?fail")
        with pytest.raises(LookupError):
            list(answer.streaming_content)
    assert errors(captured)[1] == ("GET /stream", ERROR, "LookupError", 1)


def test_asynchronous_streams_too(registry: Registry) -> None:
    """Whether read to the end, failing or given up."""

    async def ask(url: str) -> bytes:
        answer: Any = await AsyncClient().get(url)
        try:
            return b"".join([part async for part in answer.streaming_content])
        finally:
            answer.close()

    async def give_up() -> None:
        answer: Any = await AsyncClient().get("/astream")
        answer.close()

    with capture() as captured:
        assert asyncio.run(ask("/astream")) == b"ab"
        with pytest.raises(LookupError):
            asyncio.run(ask("/astream?fail"))
        asyncio.run(give_up())
    assert [one[2] for one in errors(captured)] == [None, "LookupError", None]


@pytest.mark.parametrize("ask", [get, aget])
def test_as_an_entry_of_middleware(ask: Any) -> None:
    """Alone, and doing nothing where the handlers are observed already."""
    with BY_HAND, capture() as captured:
        assert ask("/items/7").headers["X-Request-ID"]
        integration.install(Registry())
        assert ask("/items/7").headers["X-Request-ID"]
        integration.uninstall()
    assert [span.name for span in captured.spans] == ["GET /items/<int:number>"] * 2


def test_handlers_from_before_are_observed_and_uninstalling_lets_them_go() -> None:
    """The very functions are back, and no receiver stays."""
    client = Client()
    client.get("/later")
    originals = {name: vars(BaseHandler)[name] for name in ("get_response", "get_response_async")}
    receivers = list(got_request_exception.receivers)
    with capture() as captured:
        integration.install(Registry())
        integration.install(Registry())
        assert "X-Request-ID" in client.get("/later").headers
        integration.uninstall()
        integration.uninstall()
        assert "X-Request-ID" not in client.get("/later").headers
    assert len(captured.spans) == 1
    assert {name: vars(BaseHandler)[name] for name in originals} == originals
    assert list(got_request_exception.receivers) == receivers


@pytest.mark.parametrize("ask", [get, aget])
def test_what_leaves_django_itself_is_an_error(ask: Any, registry: Registry) -> None:
    """As from a middleware of old that is no function."""

    def failing(_get_response: Any) -> Any:
        raise LookupError("no")

    handler = BaseHandler()
    request = HttpRequest()
    request.method, request.path = "GET", "/x"
    request.META = {"REQUEST_METHOD": "GET"}
    with override_settings(MIDDLEWARE=[]), capture() as captured:
        handler._middleware_chain = failing
        with pytest.raises(LookupError):
            handler.get_response(request) if ask is get else asyncio.run(handler.get_response_async(request))
    assert errors(captured) == [("GET", ERROR, "LookupError", 1)]


def test_excluded_paths_are_left_alone(registry: Registry) -> None:
    """The view of the metrics is one."""
    with capture() as captured:
        answer = get("/metrics")
    assert (answer.status_code, "X-Request-ID" in answer.headers) == (200, False)
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert captured.spans == []


def test_a_fault_of_ours_does_not_cost_the_answer(monkeypatch: pytest.MonkeyPatch, registry: Registry) -> None:
    """It is reported, and the view answers."""
    monkeypatch.delenv("MIRANTE_RAISE_FAULTS")
    before = REPORTER.counts.get("MiranteMiddleware", 0)

    class Odd(HttpRequest):  # type: ignore[misc] # Django ships no types
        method = "GET"
        path = "/later"
        META: Any = {}  # noqa: RUF012 - Django's own name

    handler = BaseHandler()
    handler._middleware_chain = lambda _request: HttpResponse("ok")
    assert handler.get_response(Odd()).content == b"ok"
    assert REPORTER.counts["MiranteMiddleware"] == before + 1


def test_an_exception_that_belongs_to_no_request_is_nobody_s(registry: Registry) -> None:
    """Signals are anybody's to send."""
    got_request_exception.send(sender=None)
    got_request_exception.send(sender=None, request=HttpRequest())
    try:
        broken(HttpRequest())
    except LookupError:
        got_request_exception.send(sender=None, request=HttpRequest())
    assert requests(registry) == {}
