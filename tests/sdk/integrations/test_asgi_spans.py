"""The middleware's spans and request ids: by the semantic conventions, one for each request, never in the way."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import pytest
from opentelemetry import baggage, propagate
from opentelemetry.propagators.textmap import TextMapPropagator, default_getter, default_setter
from opentelemetry.trace import SpanKind, get_current_span
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

import mirante
from mirante._core.guard import REPORTER
from mirante.correlation import current
from mirante.correlation.propagator import propagator
from mirante.errors import ConfigError
from mirante.integrations.asgi import MiranteMiddleware
from mirante.metrics import Registry
from mirante.testing import capture
from mirante.tracing import PROVIDER, AlwaysOff, ParentBased, Pipeline, Span, SpanLimits, TraceIdRatio
from tests.sdk.integrations.web import ERROR, PARENT_ID, TRACE_ID, TRACEPARENT, active, exchange, http, requests

SERVER = SpanKind.SERVER


async def ok(scope: Any, receive: Any, send: Any) -> None:
    """An application."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1")]})
    await send({"type": "http.response.body", "body": b"ok"})


def observed(app: Any, **options: Any) -> MiranteMiddleware:
    """The application behind a middleware with metrics of its own."""
    return MiranteMiddleware(app, **{"registry": Registry(), **options})


def request_id(sent: list[dict[str, Any]]) -> str:
    """The one in the answer."""
    (value,) = [value for name, value in sent[0]["headers"] if name == b"x-request-id"]
    return bytes(value).decode()


def test_the_attributes_are_those_of_the_semantic_conventions() -> None:
    """Of a request with all that one can have."""
    scope = {
        **http("/items/1", host="shop.example:8080", user_agent="curl/8"),
        "client": ("10.0.0.9", 5000),
        "scheme": "https",
    }
    with capture() as captured:
        exchange(observed(ok), scope)
    (span,) = captured.spans
    assert (span.name, span.kind, span.parent_id, span.status_code) == ("GET", SERVER, 0, 0)
    assert span.attributes == {
        "http.request.method": "GET",
        "url.path": "/items/1",
        "url.scheme": "https",
        "network.protocol.version": "1.1",
        "server.address": "shop.example",
        "server.port": 8080,
        "client.address": "10.0.0.9",
        "user_agent.original": "curl/8",
        "http.response.status_code": 200,
    }


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("shop.example", ("shop.example", 80)),
        ("[::1]:99", ("::1", 99)),
        ("[::1]", ("::1", 80)),
        ("no port:x", (None, None)),
        (":80", (None, None)),
        (None, ("127.0.0.1", 8000)),
    ],
)
def test_the_address_is_what_the_client_asked_for(host: str | None, expected: tuple[str | None, int | None]) -> None:
    """The server's own only where the client says nothing; nothing at all where it says nonsense."""
    scope = {**http(**({"host": host} if host else {})), "server": ("127.0.0.1", 8000)}
    with capture() as captured:
        exchange(observed(ok), scope)
    (span,) = captured.spans
    assert (span.attributes.get("server.address"), span.attributes.get("server.port")) == expected


def test_a_server_on_a_unix_socket_has_no_port() -> None:
    """As ASGI says it."""
    with capture() as captured:
        exchange(observed(ok), {**http(), "server": ("/run/app.sock", None)})
    assert captured.spans[0].attributes["server.address"] == "/run/app.sock"
    assert "server.port" not in captured.spans[0].attributes


def test_what_clients_may_choose_is_remembered_within_bounds() -> None:
    """Thousands of different hosts, and very long names, are told apart as well."""
    app = observed(ok)
    with capture() as captured:
        for number in range(1100):
            exchange(app, http(host=f"h{number}", user_agent="a" * (number % 2 * 600)))
    assert [span.attributes["server.address"] for span in captured.spans] == [f"h{number}" for number in range(1100)]


def test_an_unknown_method_is_told_apart_without_naming_anything_by_it() -> None:
    """Its name is the client's to choose."""
    with capture() as captured:
        exchange(observed(ok), http(method="BREW"))
    (span,) = captured.spans
    assert span.name == "HTTP"
    assert span.attributes["http.request.method"] == "_OTHER"
    assert span.attributes["http.request.method_original"] == "BREW"


def test_the_parent_is_in_the_headers() -> None:
    """Trace, baggage and tracestate go on in the code inside."""
    inside: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        inside.append((get_current_span().get_span_context(), baggage.get_all()))
        await ok(scope, receive, send)

    with capture() as captured:
        exchange(observed(app), http(traceparent=TRACEPARENT, tracestate="a=1", baggage="tenant=acme"))
    (span,) = captured.spans
    assert (span.trace_id, span.parent_id, span.parent_is_remote) == (TRACE_ID, PARENT_ID, True)
    ((context, carried),) = inside
    assert (context.trace_id, context.span_id) == (TRACE_ID, span.span_id)
    assert context.trace_state.to_header() == "a=1"
    assert carried == {"tenant": "acme"}


@pytest.mark.parametrize(
    "headers",
    [
        [(b"traceparent", b"nonsense")],
        [(b"traceparent", TRACEPARENT.encode()), (b"traceparent", TRACEPARENT.encode())],
        [(b"x-other", b"1")],
    ],
)
def test_a_malformed_parent_begins_a_trace(headers: list[tuple[bytes, bytes]]) -> None:
    """So do two of them."""
    with capture() as captured:
        exchange(observed(ok), {**http(), "headers": headers})
    assert (captured.spans[0].parent_id, captured.spans[0].trace_id == TRACE_ID) == (0, False)


def test_a_parent_that_was_not_sampled_is_followed() -> None:
    """The request is measured and has its id, but no span is recorded; its trace goes on."""
    inside: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        inside.append(get_current_span().get_span_context())
        await ok(scope, receive, send)

    registry = Registry()
    with capture() as captured:
        PROVIDER.pipeline = Pipeline(captured.spans.append)
        sent = exchange(observed(app, registry=registry), http(traceparent=TRACEPARENT[:-2] + "00"))
    assert captured.spans == []
    assert (inside[0].trace_id, inside[0].trace_flags) == (TRACE_ID, 0)
    assert request_id(sent)
    assert requests(registry) == {("GET", "", "200"): 1}


@pytest.mark.parametrize("parent", [None, TRACEPARENT])
@pytest.mark.parametrize(
    "pipeline",
    [
        {},
        {"limits": SpanLimits(attributes=None)},
        {"limits": SpanLimits(attributes=5)},
        {"limits": SpanLimits(value_length=3)},
        {"sampler": TraceIdRatio(1)},
    ],
)
def test_limits_and_samplers_hold_as_for_every_span(pipeline: dict[str, Any], parent: str | None) -> None:
    """The short way and the long way to a span lead to the same."""
    started: list[Span] = []
    spans: list[Span] = []
    with capture():
        PROVIDER.pipeline = Pipeline(spans.append, on_start=started.append, **pipeline)
        exchange(observed(ok), http(host="shop", **({"traceparent": parent} if parent else {})))
    (span,) = spans
    assert started == [span]
    limits = PROVIDER.pipeline.limits if not pipeline else pipeline.get("limits", SpanLimits())
    assert len(span.attributes) <= (limits.attributes or 128)
    assert span.attributes["http.request.method"] == "GET"[: limits.value_length]
    assert span.parent_id == (PARENT_ID if parent else 0)
    assert span.parent_is_remote == bool(parent)
    assert span.scope.name == "mirante.integrations"
    assert span.end_time is not None
    assert span.end_time >= span.start_time


def test_with_tracing_off_the_rest_goes_on() -> None:
    """No pipeline, and one that leaves all out."""
    registry = Registry()
    with capture():
        for pipeline in (None, Pipeline(sampler=ParentBased(AlwaysOff()))):
            PROVIDER.pipeline = pipeline
            assert request_id(exchange(observed(ok, registry=registry), http()))
    assert requests(registry) == {("GET", "", "200"): 2}


def test_an_exception_is_an_error_with_all_that_is_known_of_it() -> None:
    """Its type, its message as an event, and a status of 500."""

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise LookupError("not there")

    with capture() as captured, pytest.raises(LookupError):
        exchange(observed(broken), http())
    (span,) = captured.spans
    assert (span.status_code, span.status_message) == (ERROR, "LookupError: not there")
    assert span.attributes["http.response.status_code"] == 500
    assert span.attributes["error.type"] == "LookupError"
    assert [event.name for event in span.events] == ["exception"]


@pytest.mark.parametrize(("status", "error"), [(500, "500"), (503, "503"), (404, None), (302, None)])
def test_server_errors_are_errors_and_client_errors_are_not(status: int, error: str | None) -> None:
    """As the conventions say for servers."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status})
        await send({"type": "http.response.body"})

    with capture() as captured:
        exchange(observed(app), http())
    (span,) = captured.spans
    assert (span.status_code, span.attributes.get("error.type")) == (ERROR if error else 0, error)
    assert span.events == ()


def test_a_canceled_request_is_no_error() -> None:
    """Its span tells that it was, and goes out."""

    async def canceled(scope: Any, receive: Any, send: Any) -> None:
        raise asyncio.CancelledError

    with capture() as captured, pytest.raises(asyncio.CancelledError):
        exchange(observed(canceled), http())
    (span,) = captured.spans
    assert (span.status_code, "http.response.status_code" in span.attributes) == (0, False)
    assert [event.name for event in span.events] == ["request canceled"]


def test_the_request_id_comes_from_the_request_or_is_given() -> None:
    """It is bound inside, and in the answer, beside the application's own headers."""
    inside: list[str | None] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        inside.append(current().request_id)
        await ok(scope, receive, send)

    given = exchange(observed(app), http(x_request_id="r-1"))
    first, second = exchange(observed(app), http()), exchange(observed(app), http())
    assert request_id(given) == "r-1"
    assert (b"x-own", b"1") in given[0]["headers"]
    assert inside == ["r-1", request_id(first), request_id(second)]
    assert request_id(first) != request_id(second)
    assert current().request_id is None


@pytest.mark.parametrize("given", ["", "a\nb", "x" * 129, '"quoted"', "ä"])
def test_a_request_id_that_could_do_harm_is_replaced(given: str) -> None:
    """In a header, or on a log line."""
    assert len(request_id(exchange(observed(ok), http(x_request_id=given)))) == 32


def test_an_answer_that_is_sent_again_is_not_changed() -> None:
    """An application may keep its messages, and have no headers at all."""
    start = {"type": "http.response.start", "status": 200}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start)
        await send({"type": "http.response.body"})

    sent = [exchange(observed(app), http())[0] for _ in range(2)]
    assert start == {"type": "http.response.start", "status": 200}
    assert [len(message["headers"]) for message in sent] == [1, 1]


def starlette(**routes: Any) -> Starlette:
    """An application with those endpoints."""
    return Starlette(routes=[Route(f"/{name}", endpoint) for name, endpoint in routes.items()])


def test_streams_end_with_their_last_byte_and_background_tasks_come_after() -> None:
    """The span is out before the background task runs, and was not while the stream lasted."""
    ended: list[int] = []
    with capture() as captured:

        async def parts() -> Any:
            yield b"a"
            ended.append(len(captured.spans))
            yield b"b"

        async def task() -> None:
            ended.append(len(captured.spans))

        async def stream(_request: Request) -> Response:
            return StreamingResponse(parts(), background=BackgroundTask(task))

        sent = exchange(observed(starlette(stream=stream)), http("/stream"))
    assert b"".join(message.get("body", b"") for message in sent) == b"ab"
    assert ended == [0, 1]
    assert [span.name for span in captured.spans] == ["GET /stream"]


def test_the_exception_behind_a_500_is_on_the_span() -> None:
    """Even where the framework has answered by itself before the exception goes on."""

    async def broken(_request: Request) -> Response:
        raise ValueError("no")

    app = observed(starlette(broken=broken))
    sent: list[Any] = []

    async def keep(message: Any) -> None:
        sent.append(message)

    with capture() as captured, pytest.raises(ValueError, match="no"):
        asyncio.run(app(http("/broken"), None, keep))  # type: ignore[arg-type] # nothing is received
    assert (sent[0]["status"], bool(request_id(sent))) == (500, True)
    (span,) = captured.spans
    assert (span.name, span.attributes["error.type"], span.events[0].name) == ("GET /broken", "ValueError", "exception")


def test_trailers_belong_to_the_answer() -> None:
    """The span ends after them."""
    seen: list[int] = []
    with capture() as captured:

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": True})
            await send({"type": "http.response.body"})
            seen.append(len(captured.spans))
            await send({"type": "http.response.trailers", "headers": []})

        exchange(observed(app), http())
    assert (seen, len(captured.spans)) == ([0], 1)


def test_log_lines_and_exemplars_carry_the_trace() -> None:
    """What is written inside belongs to the request."""
    registry = Registry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        logging.getLogger("shop").warning("sold out")
        await ok(scope, receive, send)

    with capture() as captured:
        list(registry.collect())
        middleware = observed(app, registry=registry)
        exchange(middleware, http())
        registry.get("http_server_request_duration_seconds").children()  # type: ignore[union-attr] # arms exemplars
        sent = exchange(middleware, http(x_request_id="r-2"))
    first, second = captured.spans
    line = captured.log("sold out", request_id="r-2")
    assert (line["trace_id"], line["span_id"]) == (f"{second.trace_id:032x}", f"{second.span_id:016x}")
    assert request_id(sent) == "r-2"
    histogram = registry.get("http_server_request_duration_seconds")
    assert histogram is not None
    (child,) = histogram.children()
    traces = {example.labels["trace_id"] for example in child.examples.values()}
    assert traces <= {f"{first.trace_id:032x}", f"{second.trace_id:032x}"}
    assert traces


def test_names_and_attributes_that_the_application_gives_stay() -> None:
    """And a span that it has ended is ended."""

    async def named(_request: Request) -> Response:
        get_current_span().update_name("my name")
        get_current_span().set_attribute("order", 7)
        return PlainTextResponse("ok")

    async def ended(_request: Request) -> Response:
        get_current_span().end()
        return PlainTextResponse("ok")

    app = observed(starlette(named=named, ended=ended))
    with capture() as captured:
        exchange(app, http("/named"))
        exchange(app, http("/ended"))
    assert [(span.name, span.attributes.get("order")) for span in captured.spans] == [("my name", 7), ("GET", None)]


def test_excluded_paths_are_left_alone() -> None:
    """Mirante's own endpoints by default; given ones in their place."""
    for excluded, seen in ((None, ["/x", "/internal/a"]), ("^/x$,internal", ["/metrics"]), ([], None), ("none", None)):
        registry = Registry()
        app = observed(ok, registry=registry, excluded=excluded)
        with capture() as captured:
            for path in ("/x", "/internal/a", "/metrics"):
                assert len(exchange(app, http(path))) == 2
        paths = [span.attributes["url.path"] for span in captured.spans]
        assert paths == (["/x", "/internal/a", "/metrics"] if seen is None else seen)
        assert sum(requests(registry).values()) == len(paths)


def test_the_setting_names_excluded_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """By mirante's variable or OpenTelemetry's; what is no regular expression there is told and ignored."""
    for variable, value, count in (
        ("MIRANTE_WEB_EXCLUDED_URLS", "^/x", 0),
        ("OTEL_PYTHON_EXCLUDED_URLS", "x$", 0),
        ("OTEL_PYTHON_EXCLUDED_URLS", "(", 1),
    ):
        with monkeypatch.context() as patched, capture() as captured:
            patched.setenv(variable, value)
            exchange(observed(ok), http("/x"))
        assert len(captured.spans) == count
    with pytest.raises(ConfigError, match="web_excluded_urls"):
        observed(ok, excluded="(")
    monkeypatch.setenv("MIRANTE_WEB_EXCLUDED_URLS", "(")
    with pytest.raises(ConfigError, match="is no regular expression"):
        observed(ok)


def test_configure_names_excluded_paths() -> None:
    """Until it is disabled."""
    mirante.configure(service_name="test", web_excluded_urls="^/x$", integrations="none")
    try:
        with capture() as captured:
            exchange(observed(ok), http("/x"))
        assert captured.spans == []
    finally:
        mirante.disable()
    with capture() as captured:
        exchange(observed(ok), http("/x"))
    assert len(captured.spans) == 1


def test_one_inside_another_does_nothing() -> None:
    """Once is enough; and what is no request passes through."""
    registry = Registry()
    app = observed(observed(ok, registry=registry), registry=registry)
    with capture() as captured:
        sent = exchange(app, http())
        assert exchange(app, {**http(), "type": "something new"})
    assert (len(captured.spans), requests(registry)) == (1, {("GET", "", "200"): 1})
    assert request_id(sent)


def test_a_span_that_another_instrumentation_has_open_is_not_doubled() -> None:
    """Ids and metrics are still mirante's."""
    registry = Registry()
    with capture() as captured:
        tracer = PROVIDER.get_tracer("another")
        with tracer.start_as_current_span("GET /theirs", kind=SERVER):
            assert request_id(exchange(observed(ok, registry=registry), http()))
        with tracer.start_as_current_span("client"):
            exchange(observed(ok, registry=registry), http())
    assert [span.name for span in captured.spans] == ["GET /theirs", "GET", "client"]
    assert requests(registry) == {("GET", "", "200"): 2}


class Theirs(TextMapPropagator):
    """A propagator that nobody knows."""

    def extract(self, carrier: Any, context: Any = None, getter: Any = default_getter) -> Any:
        """Reads one header, and all names."""
        assert "x-theirs" in getter.keys(carrier)
        (value,) = getter.get(carrier, "X-Theirs")
        return baggage.set_baggage("theirs", value, context)

    def inject(self, carrier: Any, context: Any = None, setter: Any = default_setter) -> None:
        """Writes nothing."""

    @property
    def fields(self) -> set[str]:
        """The header."""
        return {"x-theirs"}


def test_other_propagators_are_asked_too() -> None:
    """B3 in all its spellings, and those that nobody knows."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((baggage.get_all(), get_current_span().get_span_context().trace_id))
        await ok(scope, receive, send)

    middleware = observed(app)
    with capture():
        before = propagate.get_global_textmap()
        propagate.set_global_textmap(Theirs())
        exchange(middleware, http(x_theirs="1"))
        propagate.set_global_textmap(propagator("b3"))
        exchange(middleware, http(x_b3_traceid=f"{7:032x}", x_b3_spanid=f"{8:016x}", x_b3_sampled="1"))
        propagate.set_global_textmap(before)
    assert seen[0][0] == {"theirs": "1"}
    assert seen[1][1] == 7


def test_a_fault_of_ours_does_not_cost_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is reported, and the application runs as if nothing had been there."""
    monkeypatch.delenv("MIRANTE_RAISE_FAULTS")
    before = REPORTER.counts.get("MiranteMiddleware", 0)
    assert exchange(observed(ok), {"type": "http", "path": "/", "method": "GET"})[0]["headers"] == [(b"x-own", b"1")]
    assert REPORTER.counts["MiranteMiddleware"] == before + 1


async def talk(socket: WebSocket) -> None:
    """A websocket endpoint that ends in one of the usual ways."""
    way = socket.path_params["way"]
    if way == "refuse":
        await socket.close()
    elif way == "deny":
        await socket.send_denial_response(PlainTextResponse("no", status_code=429))
    else:
        await socket.accept()
        await socket.send_text(str(current().request_id))
        if way == "fail":
            raise ValueError("no")
        if way == "leave":
            raise WebSocketDisconnect(1001)
        await socket.close()


@pytest.mark.parametrize(
    ("way", "status", "error"),
    [
        ("talk", 101, None),
        ("leave", 101, None),
        ("fail", 101, "ValueError"),
        ("refuse", 403, None),
        ("deny", 429, None),
    ],
)
def test_a_websocket_is_one_span(way: str, status: int, error: str | None) -> None:
    """From the handshake to the end, with the handshake's status; what either side meant to do is no error."""
    registry = Registry()
    app = observed(Starlette(routes=[WebSocketRoute("/ws/{way}", talk)]), registry=registry)
    scope = {**http(f"/ws/{way}"), "type": "websocket", "scheme": "ws", "extensions": {"websocket.http.response": {}}}
    scope["method"] = "no such thing for websockets"
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def keep(message: Any) -> None:
        sent.append(message)

    with capture() as captured, contextlib.suppress(ValueError, WebSocketDisconnect):
        asyncio.run(app(scope, receive, keep))
    (span,) = captured.spans
    assert (span.name, span.attributes["http.response.status_code"]) == ("WS /ws/{way}", status)
    assert (span.attributes["url.scheme"], span.attributes["http.request.method"]) == ("ws", "GET")
    assert span.attributes.get("error.type") == error
    assert (span.status_code == ERROR) == bool(error)
    assert requests(registry) == {}
    if status == 101:
        assert sent[1]["text"] == request_id(sent)


def test_a_websocket_that_fails_before_the_handshake_is_a_500() -> None:
    """As the server will answer."""

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("no")

    registry = Registry()
    with capture() as captured, pytest.raises(ValueError, match="no"):
        exchange(observed(broken, registry=registry), {**http("/ws"), "type": "websocket"})
    assert captured.spans[0].attributes["http.response.status_code"] == 500
    assert active(registry) == 0
