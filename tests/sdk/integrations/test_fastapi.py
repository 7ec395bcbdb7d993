"""Starlette and FastAPI by hand and process-wide, beside what FastAPI and OpenTelemetry do themselves; real servers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from opentelemetry import propagate
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from mirante.integrations import fastapi, starlette
from mirante.integrations.asgi import MiranteMiddleware
from mirante.metrics import Registry
from mirante.testing import capture
from tests.peers import free_port, wait_for
from tests.sdk.integrations.web import PARENT_ID, TRACE_ID, TRACEPARENT, exchange, http, requests


async def item(_request: Request) -> Response:
    """An endpoint."""
    return PlainTextResponse("item")


def of_starlette() -> Starlette:
    """An application."""
    return Starlette(routes=[Route("/items/{item}", item)])


def of_fastapi() -> FastAPI:
    """The same with FastAPI."""
    app = FastAPI()

    @app.get("/items/{item}")
    async def read(item: int) -> int:
        return item

    @app.get("/broken")
    async def broken() -> int:
        raise LookupError("no")

    return app


BOTH = [(starlette, of_starlette, Starlette), (fastapi, of_fastapi, FastAPI)]


def header_names(sent: list[dict[str, Any]]) -> set[bytes]:
    """Of an answer."""
    return {name for name, _ in sent[0]["headers"]}


@pytest.mark.parametrize(("integration", "make", "kind"), BOTH)
def test_process_wide_every_application_is_observed(integration: ModuleType, make: Any, kind: Any) -> None:
    """Those made before and after; uninstalling puts back the very function."""
    before, original = make(), vars(kind)["__call__"]
    integration.install()
    integration.install()
    with capture() as captured:
        for app in (before, make()):
            assert b"x-request-id" in header_names(exchange(app, http("/items/7")))
        assert captured.metric("http_server_request_duration_seconds_count", http_route="/items/{item}") == 2
        integration.uninstall()
        integration.uninstall()
        assert vars(kind)["__call__"] is original
    with capture() as later:
        assert b"x-request-id" not in header_names(exchange(before, http("/items/7")))
    assert [span.name for span in captured.spans] == ["GET /items/{item}"] * 2
    assert [span for span in later.spans if span.scope.name.startswith("mirante")] == []


@pytest.mark.parametrize(("integration", "make", "kind"), BOTH)
def test_what_is_instrumented_by_hand_is_observed_once(integration: ModuleType, make: Any, kind: Any) -> None:
    """With its own registry, whatever else is installed: before its first request or after, as often as one likes."""
    registry, late = Registry(), Registry()
    with capture() as captured:
        starlette.install()
        fastapi.install()
        try:
            app = make()
            integration.instrument(app, registry=registry)
            integration.instrument(app, registry=registry)
            started = make()
            asyncio.run(started(http("/nowhere"), None, _swallow))
            integration.instrument(started, registry=late, metrics_path=None)
            wrapped = MiranteMiddleware(make(), registry=Registry())
            for one in (app, started, wrapped):
                captured.clear()
                assert b"x-request-id" in header_names(exchange(one, http("/items/7")))
                assert [span.name for span in captured.spans] == ["GET /items/{item}"]
        finally:
            fastapi.uninstall()
            starlette.uninstall()
    assert requests(registry) == requests(late) == {("GET", "/items/{item}", "200"): 1}


async def _swallow(_message: Any) -> None:
    """Nobody listens."""


@pytest.mark.parametrize("way", ["installed", "by hand", "add_middleware"])
def test_what_fastapi_records_itself_is_not_there_twice(way: str) -> None:
    """With a global provider newer versions make spans and metrics of their own; mirante's are in their place."""
    app = of_fastapi()
    if way == "by hand":
        fastapi.instrument(app, registry=Registry())
    elif way == "add_middleware":
        app.add_middleware(MiranteMiddleware, registry=Registry())
    with capture() as captured:
        if way == "installed":
            fastapi.install()
        try:
            sent = exchange(app, http("/items/7", traceparent=TRACEPARENT))
        finally:
            fastapi.uninstall()
    assert b"x-request-id" in header_names(sent)
    servers = [span for span in captured.spans if span.name == "GET /items/{item}"]
    assert [(span.trace_id, span.parent_id) for span in servers] == [(TRACE_ID, PARENT_ID)]
    if way != "add_middleware":  # there FastAPI's own comes first, and mirante adds none
        assert captured.spans == servers


def test_the_answer_to_an_exception_has_the_request_id_too() -> None:
    """It is made outside of all middlewares but the outermost."""
    app = of_fastapi()
    fastapi.instrument(app, registry=Registry())
    sent: list[Any] = []

    async def keep(message: Any) -> None:
        sent.append(message)

    with capture() as captured, pytest.raises(LookupError):
        asyncio.run(app(http("/broken"), None, keep))  # type: ignore[arg-type] # nothing is received
    assert sent[0]["status"] == 500
    assert b"x-request-id" in header_names(sent)
    assert [(span.name, span.attributes["error.type"]) for span in captured.spans] == [("GET /broken", "LookupError")]


def test_applications_inside_applications_are_one_request() -> None:
    """Mounted ones, when every application is observed."""
    app = Starlette(routes=[Mount("/inner", app=of_starlette())])
    starlette.install()
    try:
        with capture() as captured:
            exchange(app, http("/inner/items/7"))
    finally:
        starlette.uninstall()
    assert [span.name for span in captured.spans] == ["GET /inner/items/{item}"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_opentelemetry_instruments_is_left_to_it() -> None:
    """One span for the request, which is its instrumentation's."""
    app = of_fastapi()
    fastapi.install()
    try:
        with capture() as captured:
            FastAPIInstrumentor.instrument_app(app, exclude_spans=["send", "receive"])
            exchange(app, {**http("/items/7"), "query_string": b"", "server": ("127.0.0.1", 80), "root_path": ""})
            FastAPIInstrumentor.uninstrument_app(app)
    finally:
        fastapi.uninstall()
    kinds = [span.scope.name for span in captured.spans]
    assert kinds == ["opentelemetry.instrumentation.fastapi"]


@contextmanager
def served(app: Any) -> Iterator[str]:
    """A real server."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        wait_for(lambda: server.started, what="uvicorn to start")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.mark.slow
def test_a_request_through_two_services_is_one_trace() -> None:
    """Over real HTTP, by the traceparent header; each has its own span, the second below the first."""
    with capture() as captured:
        fastapi.install()
        try:
            with served(of_fastapi()) as second:
                front = FastAPI()

                @front.get("/front/{number}")
                async def forward(number: int) -> Any:
                    headers: dict[str, str] = {}
                    propagate.inject(headers)
                    async with httpx.AsyncClient() as client:
                        return (await client.get(f"{second}/items/{number}", headers=headers)).json()

                with served(front) as first:
                    answer = httpx.get(f"{first}/front/7", headers={"traceparent": TRACEPARENT, "x-request-id": "r-1"})
        finally:
            fastapi.uninstall()
    assert (answer.json(), answer.headers["x-request-id"]) == (7, "r-1")
    outer, inner = captured.span("GET /front/{number}"), captured.span("GET /items/{item}")
    assert (outer.trace_id, outer.parent_id) == (inner.trace_id, PARENT_ID) == (TRACE_ID, PARENT_ID)
    assert inner.parent_id == outer.span_id
    assert inner.attributes["server.port"] == int(second.rpartition(":")[2])
    assert inner.attributes["client.address"] == "127.0.0.1"
