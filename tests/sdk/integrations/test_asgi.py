"""The middleware's figures are true and bounded, and never in the way of the application."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from typing import Any

import fastapi
import httpx
import pytest
from fastapi import APIRouter, FastAPI
from fastapi.responses import StreamingResponse
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from mirante._core.guard import REPORTER
from mirante.formats.exposition import OPENMETRICS_CONTENT_TYPE, TEXT_CONTENT_TYPE
from mirante.integrations.asgi import MetricsEndpoint, MiranteMiddleware, metrics_endpoint
from mirante.integrations.fastapi import instrument
from mirante.integrations.routes import route_template
from mirante.metrics import REGISTRY, Registry, counter

Seen = dict[tuple[str, ...], int]


def requests(registry: Registry) -> Seen:
    """How many requests by method, route and status."""
    histogram = registry.get("http_server_request_duration_seconds")
    assert histogram is not None
    return {child.label_values: sum(child.counts) for child in histogram.children()}


def active(registry: Registry) -> float:
    """Requests in flight."""
    gauge = registry.get("http_server_active_requests")
    assert gauge is not None
    return float(sum(child.value for child in gauge.children()))


async def ask(app: Any, *calls: tuple[str, str], root_path: str = "", **options: Any) -> list[httpx.Response]:
    """Send requests to the application without a network."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, root_path=root_path)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return [await client.request(method, path, **options) for method, path in calls]


def measure(app: Any, *calls: tuple[str, str], root_path: str = "") -> Seen:
    """What the middleware makes of those requests to a Starlette or FastAPI application."""
    registry = Registry()
    app.add_middleware(MiranteMiddleware, registry=registry)
    asyncio.run(ask(app, *calls, root_path=root_path))
    assert active(registry) == 0
    return requests(registry)


async def hello(request: Request) -> Response:
    """An endpoint."""
    return PlainTextResponse("hello")


def mounts() -> Starlette:
    """Applications inside applications, with parameters on the way."""
    inner = Starlette(routes=[Route("/in/{b:int}", hello)])
    routes = [
        Route("/a/{x}", hello),
        Route("/files/{path:path}", hello),
        Mount("/tenants/{tenant}", app=inner),
        Mount("/numbers/{n:int}", app=inner),
        Mount("/deep/{p:path}/end", app=inner),
        Mount("/plain", routes=[Route("/static", hello)]),
        Mount("/assets", app=StaticFiles(directory="/")),
    ]
    return Starlette(routes=routes)


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/a/1", "/a/{x}"),
        ("/a/a", "/a/{x}"),
        ("/files/x/y/z", "/files/{path}"),
        ("/tenants/7/in/3", "/tenants/{tenant}/in/{b}"),
        ("/tenants/in/in/3", "/tenants/{tenant}/in/{b}"),
        ("/tenants/tenants/in/3", "/{tenant}/{tenant}/in/{b}"),
        ("/numbers/5/in/007", "/numbers/{n}/in/{b}"),
        ("/numbers/005/in/3", "/in/{b}"),
        ("/deep/x/y/end/in/3", "/in/{b}"),
        ("/plain/static", "/plain/static"),
        ("/assets/no/such/file", "/assets/{path}"),
        ("/nowhere/1", ""),
    ],
)
def test_the_route_is_its_whole_template(path: str, route: str) -> None:
    """Mounts included; where a value cannot be found in the path, the route's own part alone, and never the path."""
    ((labels, count),) = measure(mounts(), ("GET", path)).items()
    assert (labels[1], count) == (route, 1)


def fastapi_app() -> FastAPI:
    """Routers inside routers, and a mounted application."""
    app, outer, inner, mounted = FastAPI(), APIRouter(prefix="/v1"), APIRouter(prefix="/shop"), FastAPI()

    @inner.get("/items/{item}")
    def item(item: int) -> int:
        if item == 13:
            raise ValueError("unlucky")
        if item == 14:
            raise HTTPException(418)
        return item

    mounted.include_router(inner)
    outer.include_router(inner)
    app.include_router(outer)
    app.include_router(inner, prefix="/tenants/{tenant}")
    app.mount("/mounted", mounted)
    app.mount("/static", StaticFiles(directory="/"))
    app.add_route("/plain/{x}/y", hello)
    app.add_route("/rest/{path:path}", hello)
    return app


@pytest.mark.parametrize(
    ("call", "labels"),
    [
        (("GET", "/v1/shop/items/1"), ("GET", "/v1/shop/items/{item}", "200")),
        (("GET", "/v1/shop/items/x"), ("GET", "/v1/shop/items/{item}", "422")),
        (("GET", "/v1/shop/items/13"), ("GET", "/v1/shop/items/{item}", "500")),
        (("GET", "/v1/shop/items/14"), ("GET", "/v1/shop/items/{item}", "418")),
        (("POST", "/v1/shop/items/1"), ("POST", "/v1/shop/items/{item}", "405")),
        (("GET", "/tenants/acme/shop/items/1"), ("GET", "/tenants/{tenant}/shop/items/{item}", "200")),
        (("GET", "/mounted/shop/items/1"), ("GET", "/mounted/shop/items/{item}", "200")),
        (("GET", "/static/no/such/file"), ("GET", "/static/{path}", "404")),
        (("GET", "/plain/a/y"), ("GET", "/plain/{x}/y", "200")),
        (("GET", "/rest/a/y"), ("GET", "", "200")),
        (("GET", "/openapi.json"), ("GET", "/openapi.json", "200")),
        (("GET", "/no/such/place"), ("GET", "", "404")),
        (("BREW", "/no/such/place"), ("_OTHER", "", "404")),
    ],
)
def test_requests_are_told_apart_by_method_route_and_status(call: tuple[str, str], labels: tuple[str, ...]) -> None:
    """With FastAPI: included routers, validation, exceptions, wrong methods, unknown methods and places."""
    assert measure(fastapi_app(), call) == {labels: 1}


def test_a_prefix_of_the_server_is_no_part_of_the_route() -> None:
    """Whether the server leaves it in the path or not."""
    for path in ("/api/a/1", "/a/1"):
        assert measure(mounts(), ("GET", path), root_path="/api") == {("GET", "/a/{x}", "200"): 1}
    path, route = "/api/tenants/7/in/3", "/tenants/{tenant}/in/{b}"
    assert measure(mounts(), ("GET", path), root_path="/api") == {("GET", route, "200"): 1}


def test_many_paths_are_one_series() -> None:
    """The reason for all this."""
    calls = [("GET", f"/a/{n}") for n in range(50)] + [("GET", f"/nowhere/{n}") for n in range(50)]
    assert measure(mounts(), *calls) == {("GET", "/a/{x}", "200"): 50, ("GET", "", "404"): 50}


def run(app: Any, *, scope: dict[str, Any] | None = None, registry: Registry) -> list[Any]:
    """One request to a bare ASGI application behind the middleware."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    given = {"type": "http", "method": "GET", "path": "/", "headers": [], **(scope or {})}
    asyncio.run(asyncio.wait_for(MiranteMiddleware(app, registry=registry)(given, receive, send), 5))
    return sent


def answering(status: int, then: BaseException | None = None) -> Callable[..., Awaitable[None]]:
    """An application that starts an answer, and may fail in the middle of it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        if then:
            raise then
        await send({"type": "http.response.body", "body": b"b"})

    return app


def test_streams_are_timed_to_their_end() -> None:
    """While they last they count as active; what is sent passes through unchanged."""
    registry, during = Registry(), []
    app = FastAPI()
    app.add_middleware(MiranteMiddleware, registry=registry)

    async def slowly() -> Any:
        yield b"a"
        during.append(active(registry))
        await asyncio.sleep(0.05)
        yield b"b"

    @app.get("/stream")
    def stream() -> StreamingResponse:
        return StreamingResponse(slowly())

    (response,) = asyncio.run(ask(app, ("GET", "/stream")))
    assert response.content == b"ab"
    assert during == [1]
    histogram = registry.get("http_server_request_duration_seconds")
    assert histogram is not None
    assert histogram.children()[0].snapshot()[1] >= 0.05


def test_an_exception_in_the_middle_of_an_answer_counts_as_500() -> None:
    """The client saw 200, but did not get what it asked for; the exception goes on."""
    registry = Registry()
    with pytest.raises(ValueError, match="half way"):
        run(answering(200, ValueError("half way")), registry=registry)
    assert requests(registry) == {("GET", "", "500"): 1}
    assert active(registry) == 0


def test_a_canceled_request_has_no_status() -> None:
    """It is nobody's error, unless an answer had begun."""
    registry = Registry()

    async def canceled(scope: Any, receive: Any, send: Any) -> None:
        raise asyncio.CancelledError

    for app in (canceled, answering(200, asyncio.CancelledError())):
        with pytest.raises(asyncio.CancelledError):
            run(app, registry=registry)
    assert requests(registry) == {("GET", "", ""): 1, ("GET", "", "200"): 1}
    assert active(registry) == 0


def test_what_the_application_sends_is_not_changed() -> None:
    """Message by message; a status that HTTP does not have becomes no label value."""
    registry = Registry()
    assert [message["type"] for message in run(answering(999), registry=registry)] == [
        "http.response.start", "http.response.body", "http.response.body",
    ]  # fmt: skip
    assert requests(registry) == {("GET", "", ""): 1}


def test_what_is_not_http_passes_through() -> None:
    """Lifespan and websockets are not requests."""
    registry, seen = Registry(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    for kind in ("lifespan", "websocket"):
        run(app, scope={"type": kind}, registry=registry)
    assert seen == ["lifespan", "websocket"]
    assert requests(registry) == {}


def test_a_route_of_an_unknown_kind_does_not_cost_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault is reported."""
    monkeypatch.delenv("MIRANTE_RAISE_FAULTS")
    registry = Registry()
    before = REPORTER.counts.get("MiranteMiddleware", 0)

    class Route:
        @property
        def path_format(self) -> str:
            raise ValueError("no such thing")

    assert len(run(answering(200), scope={"route": Route()}, registry=registry)) == 3
    assert REPORTER.counts["MiranteMiddleware"] == before + 1
    assert active(registry) == 0


def test_a_route_that_does_not_match_its_own_path_gives_its_own_part() -> None:
    """As when a middleware has rewritten the path."""
    (route,) = Starlette(routes=[Route("/a/{x}", hello)]).routes
    scope = {"path": "/else/where", "route": route, "path_params": {}}
    assert route_template(scope) == route_template({**scope, "app_root_path": ""}) == "/a/{x}"


async def scrape(app: Any, method: str = "GET", **headers: str) -> httpx.Response:
    """Ask for the metrics."""
    (response,) = await ask(app, (method, "/metrics"), headers={"accept-encoding": "identity", **headers})
    return response


def endpoint() -> Any:
    """An application that exposes one counter."""
    registry = Registry()
    counter("c", "C.", registry=registry).inc()
    app = Starlette()
    app.add_route("/metrics", MetricsEndpoint(registry))  # type: ignore[arg-type] # ASGI applications serve too
    return app


def test_the_endpoint_answers_in_the_format_asked_for() -> None:
    """Prometheus text, or OpenMetrics."""
    plain = asyncio.run(scrape(endpoint()))
    assert plain.headers["content-type"] == TEXT_CONTENT_TYPE
    assert plain.text == "# HELP c_total C.\n# TYPE c_total counter\nc_total 1.0\n"
    openmetrics = asyncio.run(scrape(endpoint(), accept="application/openmetrics-text; version=1.0.0"))
    assert openmetrics.headers["content-type"] == OPENMETRICS_CONTENT_TYPE
    assert openmetrics.text.endswith("# EOF\n")


def test_the_endpoint_compresses() -> None:
    """When the client can read it."""
    response = asyncio.run(scrape(endpoint(), **{"accept-encoding": "gzip"}))
    assert response.headers["content-encoding"] == "gzip"
    assert response.text.endswith("c_total 1.0\n")
    assert "accept-encoding" in response.headers["vary"].lower()
    assert gzip.decompress(gzip.compress(response.content)) == response.content


def test_the_endpoint_answers_head_and_refuses_to_be_written_to() -> None:
    """As RFC 9110 says."""
    head = asyncio.run(scrape(endpoint(), "HEAD"))
    assert (head.status_code, head.content, head.headers["content-type"]) == (200, b"", TEXT_CONTENT_TYPE)
    post = asyncio.run(scrape(endpoint(), "POST"))
    assert (post.status_code, post.headers["allow"]) == (405, "GET, HEAD")


def test_fastapi_in_one_call() -> None:
    """Middleware and endpoint, once; the endpoint is no part of the API's documentation, and nothing to be measured."""
    registry = Registry()
    app = fastapi_app()
    instrument(app, registry=registry)
    instrument(app, registry=registry)
    asyncio.run(ask(app, ("GET", "/v1/shop/items/1"), ("GET", "/metrics")))
    assert requests(registry) == {("GET", "/v1/shop/items/{item}", "200"): 1}
    text = asyncio.run(scrape(app)).text
    assert 'http_route="/v1/shop/items/{item}",http_response_status_code="200"' in text
    assert "/metrics" not in app.openapi()["paths"]


def test_metrics_that_are_pushed_need_no_endpoint() -> None:
    """``metrics_path=None``."""
    app = fastapi.FastAPI()
    instrument(app, registry=Registry(), metrics_path=None)
    assert asyncio.run(scrape(app)).status_code == 404


def test_the_ready_made_endpoint_exposes_the_process_s_own_metrics() -> None:
    """It is an ASGI application as well as a route's endpoint."""
    counter("test_of_the_ready_made_endpoint", registry=REGISTRY).inc()
    (response,) = asyncio.run(ask(metrics_endpoint, ("GET", "/")))
    assert "test_of_the_ready_made_endpoint_total 1.0" in response.text
