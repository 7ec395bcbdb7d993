"""The WSGI middleware: the same content as the ASGI one, until the server closes the answer."""

from __future__ import annotations

import io
import threading
import wsgiref.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import httpx
import pytest
from opentelemetry import propagate
from opentelemetry.trace import get_current_span

from mirante._core.guard import REPORTER
from mirante.correlation import current
from mirante.correlation.propagator import B3Propagator
from mirante.integrations.wsgi import MiranteMiddleware
from mirante.metrics import Registry
from mirante.testing import capture
from tests.sdk.integrations.web import ERROR, PARENT_ID, TRACE_ID, TRACEPARENT, active, requests


def environ(path: str = "/", **variables: Any) -> dict[str, Any]:
    """What a server gives."""
    given: dict[str, Any] = {"PATH_INFO": path, "SERVER_PROTOCOL": "HTTP/1.1", **variables}
    wsgiref.util.setup_testing_defaults(given)
    return given


class Answer:
    """What an application answered."""

    def __init__(self, app: Any, given: dict[str, Any]) -> None:
        self.status = ""
        self.headers: dict[str, str] = {}
        self.parts = app(given, self._start)

    def _start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
        self.status, self.headers = status, dict(headers)


def hello(given: dict[str, Any], start_response: Any) -> Any:
    """An application."""
    start_response("200 OK", [("X-Own", "1")])
    return [b"hello"]


def observed(app: Any, **options: Any) -> MiranteMiddleware:
    """The application behind a middleware with metrics of its own."""
    return MiranteMiddleware(app, **{"registry": Registry(), **options})


def test_the_attributes_are_those_of_the_semantic_conventions() -> None:
    """With the parent of the headers, and the id of the request."""
    given = environ(
        "/items/1",
        SCRIPT_NAME="/shop",
        HTTP_HOST="shop.example:8080",
        HTTP_USER_AGENT="curl/8",
        REMOTE_ADDR="10.0.0.9",
        HTTP_TRACEPARENT=TRACEPARENT,
        HTTP_X_REQUEST_ID="r-1",
    )
    with capture() as captured:
        answer = Answer(observed(hello), given)
    (span,) = captured.spans
    assert (span.name, span.trace_id, span.parent_id) == ("GET", TRACE_ID, PARENT_ID)
    assert span.attributes == {
        "http.request.method": "GET",
        "url.path": "/shop/items/1",
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "server.address": "shop.example",
        "server.port": 8080,
        "client.address": "10.0.0.9",
        "user_agent.original": "curl/8",
        "http.response.status_code": 200,
    }
    assert answer.headers == {"X-Own": "1", "X-Request-ID": "r-1"}
    assert answer.parts == [b"hello"]  # the very list: a server takes the length from it


def test_an_environment_may_lack_almost_everything() -> None:
    """What is not told is not made up."""
    with capture() as captured:
        Answer(observed(hello), {"REQUEST_METHOD": "BREW", "PATH_INFO": "/ä".encode().decode("latin-1")})
        Answer(observed(hello), environ(HTTP_HOST=None, SERVER_NAME="10.0.0.1", SERVER_PORT="81") | {"HTTP_HOST": None})
    first, second = captured.spans
    assert (first.name, first.attributes["url.path"]) == ("HTTP", "/ä")
    assert "server.address" not in first.attributes
    assert (second.attributes["server.address"], second.attributes["server.port"]) == ("10.0.0.1", 81)


def test_a_stream_lasts_until_its_last_part() -> None:
    """What makes the parts runs in the request's context, and nothing of it stays with the server."""
    registry, inside = Registry(), []

    def stream(given: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        for part in (b"a", b"b"):
            inside.append((current().request_id, get_current_span().is_recording()))
            yield part

    with capture() as captured:
        answer = Answer(observed(stream, registry=registry), environ(HTTP_X_REQUEST_ID="r-1"))
        parts = iter(answer.parts)
        assert next(parts) == b"a"
        assert (captured.spans, active(registry), current().request_id) == ([], 1, None)
        assert list(parts) == [b"b"]
        assert len(captured.spans) == 1
        answer.parts.close()
    assert inside == [("r-1", True)] * 2
    assert (len(captured.spans), requests(registry), active(registry)) == (1, {("GET", "", "200"): 1}, 0)


def test_a_stream_that_nobody_reads_to_the_end_ends_when_it_is_closed() -> None:
    """So does one that cannot be closed itself."""
    closed: list[bool] = []

    class Parts:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"a"])

        def close(self) -> None:
            closed.append(get_current_span().is_recording())

    for parts in (Parts(), iter([b"a"])):

        def app(given: dict[str, Any], start_response: Any, parts: Any = parts) -> Any:
            start_response("200 OK", [])
            return parts

        with capture() as captured:
            Answer(observed(app), environ()).parts.close()
        assert len(captured.spans) == 1
    assert closed == [True]


def test_exceptions_are_errors_wherever_they_are_raised() -> None:
    """Before the answer and in the middle of a stream; they go on."""

    def at_once(given: dict[str, Any], start_response: Any) -> Any:
        raise LookupError("no")

    def later(given: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"a"
        raise LookupError("no")

    for app in (at_once, later):
        registry = Registry()
        with capture() as captured, pytest.raises(LookupError):
            list(Answer(observed(app, registry=registry), environ()).parts)
        (span,) = captured.spans
        assert (span.status_code, span.attributes["error.type"]) == (ERROR, "LookupError")
        assert (requests(registry), active(registry)) == ({("GET", "", "500"): 1}, 0)
        assert current().request_id is None


def test_a_file_is_left_to_the_server() -> None:
    """Which may have a quicker way than reading it."""

    def app(given: dict[str, Any], start_response: Any) -> Any:
        start_response("404 Not Found", [], None)
        return given["wsgi.file_wrapper"](io.BytesIO(b"a"))

    given = environ() | {"wsgi.file_wrapper": wsgiref.util.FileWrapper}
    with capture() as captured:
        answer = Answer(observed(app), given)
    assert type(answer.parts) is wsgiref.util.FileWrapper
    assert (len(captured.spans), captured.spans[0].status_code) == (1, 0)


def test_a_status_that_is_none_has_no_label() -> None:
    """The server will complain about it."""

    def app(given: dict[str, Any], start_response: Any) -> Any:
        start_response("oops", [])
        return []

    registry = Registry()
    Answer(observed(app, registry=registry), environ())
    assert requests(registry) == {("GET", "", ""): 1}


def test_excluded_paths_and_inner_middlewares_are_left_alone() -> None:
    """Nothing is done for them, or done twice."""
    registry = Registry()
    app = observed(observed(hello, registry=registry), registry=registry)
    with capture() as captured:
        assert Answer(app, environ("/healthz")).headers == {"X-Own": "1"}
        assert "X-Request-ID" in Answer(app, environ("/items")).headers
    assert len(captured.spans) == 1
    assert requests(registry) == {("GET", "", "200"): 1}


def test_faults_of_ours_do_not_cost_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither at the beginning nor at the end."""
    monkeypatch.delenv("MIRANTE_RAISE_FAULTS")
    before = REPORTER.counts.get("MiranteMiddleware", 0)
    registry = Registry()
    app = observed(hello, registry=registry, route=lambda given: str(given["no such thing"]))
    assert Answer(app, {"PATH_INFO": "/"}).parts == [b"hello"]
    assert Answer(app, environ()).parts == [b"hello"]
    assert REPORTER.counts["MiranteMiddleware"] >= before + 2
    assert requests(registry) == {("GET", "", "200"): 1}


def test_a_propagator_may_ask_for_all_names() -> None:
    """In the spelling of HTTP."""
    seen: list[list[str]] = []

    class Theirs(B3Propagator):
        @property
        def fields(self) -> set[str]:
            return {"x-theirs"}

        def extract(self, carrier: Any, context: Any = None, getter: Any = None) -> Any:
            seen.append(getter.keys(carrier))
            return context

    with capture():
        before = propagate.get_global_textmap()
        propagate.set_global_textmap(Theirs())
        Answer(observed(hello), environ(HTTP_X_THEIRS="1"))
        propagate.set_global_textmap(before)
    assert "x-theirs" in seen[0]


@contextmanager
def served(app: Any) -> Iterator[str]:
    """A real server."""

    class Quiet(WSGIRequestHandler):
        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    with make_server("127.0.0.1", 0, app, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_behind_a_real_server() -> None:
    """Lists keep their length, streams come whole, and every header goes both ways."""

    def app(given: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"list"] if given["PATH_INFO"] == "/list" else iter([b"st", b"ream"])

    with capture() as captured, served(observed(app)) as url:
        answers = [httpx.get(url + path, headers={"traceparent": TRACEPARENT}) for path in ("/list", "/stream")]
    assert [answer.text for answer in answers] == ["list", "stream"]
    assert answers[0].headers["content-length"] == "4"
    assert all(answer.headers["x-request-id"] for answer in answers)
    assert [span.trace_id for span in captured.spans] == [TRACE_ID] * 2
    assert captured.spans[0].attributes["network.protocol.version"] == "1.1"
