"""Flask: route templates, exceptions and streams, by hand and process-wide."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import flask
import pytest
from flask import Flask, Response
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from mirante.correlation import current
from mirante.integrations import flask as integration
from mirante.metrics import REGISTRY, Registry
from mirante.testing import capture
from tests.sdk.integrations.web import ERROR, PARENT_ID, TRACE_ID, TRACEPARENT, requests


def shop() -> Flask:
    """An application."""
    app = Flask("shop")

    @app.get("/items/<int:item>")
    def item(item: int) -> dict[str, Any]:
        return {"item": item, "request": current().request_id}

    @app.get("/broken")
    def broken() -> str:
        raise LookupError("no")

    @app.get("/stream")
    def stream() -> Response:
        def parts() -> Iterator[str]:
            yield "a"
            yield str(current().request_id)

        return Response(parts())

    return app


@pytest.fixture
def installed() -> Iterator[None]:
    """Every application is observed."""
    integration.install()
    yield
    integration.uninstall()


def test_routes_are_templates() -> None:
    """Of what no route took nothing is told but that."""
    app, registry = shop(), Registry()
    integration.instrument(app, registry=registry)
    client = app.test_client()
    with capture() as captured:
        answer = client.get("/items/7", buffered=True, headers={"traceparent": TRACEPARENT})
        client.get("/nowhere/7", buffered=True)
        client.post("/items/7", buffered=True)
    assert answer.json == {"item": 7, "request": answer.headers["X-Request-ID"]}
    assert [span.name for span in captured.spans] == ["GET /items/<int:item>", "GET", "POST"]
    assert (captured.spans[0].trace_id, captured.spans[0].parent_id) == (TRACE_ID, PARENT_ID)
    assert requests(registry) == {
        ("GET", "/items/<int:item>", "200"): 1,
        ("GET", "", "404"): 1,
        ("POST", "", "405"): 1,
    }


def test_the_exception_behind_a_500_is_on_the_span() -> None:
    """Flask has made an answer of it, or lets it through."""
    app = shop()
    integration.instrument(app, registry=Registry())
    with capture() as captured:
        answer = app.test_client().get("/broken", buffered=True)
        app.testing = True
        with pytest.raises(LookupError):
            app.test_client().get("/broken", buffered=True)
    assert (answer.status_code, "X-Request-ID" in answer.headers) == (500, True)
    for span in captured.spans:
        assert (span.name, span.status_code, span.attributes["error.type"]) == ("GET /broken", ERROR, "LookupError")
        assert [event.name for event in span.events] == ["exception"]


def test_streams_run_inside_the_request() -> None:
    """To their end."""
    app = shop()
    integration.instrument(app, registry=Registry())
    with capture() as captured:
        answer = app.test_client().get("/stream", buffered=True, headers={"X-Request-ID": "r-1"})
        assert answer.text == "ar-1"
    assert [span.name for span in captured.spans] == ["GET /stream"]


def test_the_metrics_are_exposed_and_left_out_of_themselves() -> None:
    """Unless nobody wants them."""
    app, registry = shop(), Registry()
    integration.instrument(app, registry=registry)
    integration.instrument(app, registry=registry)
    client = app.test_client()
    client.get("/items/1", buffered=True)
    assert (
        'http_route="/items/<int:item>",http_response_status_code="200"' in client.get("/metrics", buffered=True).text
    )
    assert requests(registry) == {("GET", "/items/<int:item>", "200"): 1}
    silent = shop()
    integration.instrument(silent, registry=Registry(), metrics_path=None)
    assert silent.test_client().get("/metrics", buffered=True).status_code == 404


def test_a_mounted_application_s_prefix_belongs_to_the_route() -> None:
    """As other applications have the same routes."""
    outer, registry = shop(), Registry()
    outer.wsgi_app = DispatcherMiddleware(outer.wsgi_app, {"/admin": shop()})  # type: ignore[method-assign] # as documented
    integration.instrument(outer, registry=registry)
    assert outer.test_client().get("/admin/items/7", buffered=True).status_code == 200
    assert requests(registry) == {("GET", "/admin/items/<int:item>", "200"): 1}


def test_process_wide_every_application_is_observed_once(installed: None) -> None:
    """Those made before and after, and one that was instrumented by hand only by that."""
    integration.install()
    by_hand, registry = shop(), Registry()
    integration.instrument(by_hand, registry=registry)
    with capture() as captured:
        for app in (shop(), by_hand):
            assert app.test_client().get("/items/7", buffered=True).status_code == 200
            assert app.test_client().get("/broken", buffered=True).status_code == 500
        assert captured.metric("http_server_request_duration_seconds_count", http_route="/items/<int:item>") == 1
    assert [span.name for span in captured.spans] == ["GET /items/<int:item>", "GET /broken"] * 2
    assert [len(span.events) for span in captured.spans] == [0, 1] * 2
    assert requests(registry) == {("GET", "/items/<int:item>", "200"): 1, ("GET", "/broken", "500"): 1}
    assert REGISTRY.get("http_server_request_duration_seconds") is not None


def test_uninstalling_puts_back_what_was_there() -> None:
    """The very function, and no receiver stays."""
    original = vars(Flask)["__call__"]
    receivers = dict(flask.got_request_exception.receivers)
    integration.install()
    assert vars(Flask)["__call__"] is not original
    integration.uninstall()
    integration.uninstall()
    assert vars(Flask)["__call__"] is original
    assert flask.got_request_exception.receivers == receivers
    with capture() as captured:
        assert "X-Request-ID" not in shop().test_client().get("/items/7", buffered=True).headers
    assert captured.spans == []


def test_exceptions_of_unobserved_requests_are_nobody_s(installed: None) -> None:
    """Of excluded paths, for instance."""
    app = Flask("probe")

    @app.get("/healthz")
    def health() -> str:
        raise LookupError("no")

    with capture() as captured:
        assert app.test_client().get("/healthz", buffered=True).status_code == 500
    assert captured.spans == []
