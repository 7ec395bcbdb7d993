"""httpx: one client span a request, of sync and async clients, over every transport."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

import httpx
import pytest
from opentelemetry import context as otel_context
from opentelemetry import propagate

from mirante.correlation import bind
from mirante.correlation.propagator import propagator
from mirante.integrations import httpx as integration
from mirante.integrations._operation import SUPPRESS
from mirante.tracing import AlwaysOff, Tracer
from tests.peers import free_port
from tests.sdk.integrations.recording import CLIENT, Counted, Web, exception_texts, header, recording, web

COUNT = "http_client_request_duration_seconds_count"


@pytest.fixture(scope="module")
def peer() -> Iterator[Web]:
    """A real HTTP server."""
    with web() as peer:
        yield peer


@pytest.fixture(autouse=True)
def headers(monkeypatch: pytest.MonkeyPatch, peer: Web) -> None:
    """The usual ones, and none seen so far."""
    monkeypatch.setattr(propagate, "_HTTP_TEXT_FORMAT", propagator("tracecontext,baggage"))
    peer.seen.clear()


@pytest.fixture
def installed() -> Iterator[None]:
    """Installed for the whole process."""
    integration.install()
    yield
    integration.uninstall()


def sync_get(url: str, **options: Any) -> int:
    """By a client's own connection."""
    with httpx.Client(trust_env=False, **options) as client:
        return client.get(url, timeout=30).status_code


def async_get(url: str, **options: Any) -> int:
    """The same asynchronously."""

    async def get() -> int:
        async with httpx.AsyncClient(trust_env=False, **options) as client:
            return (await client.get(url, timeout=30)).status_code

    return asyncio.run(get())


both = pytest.mark.parametrize("get", [sync_get, async_get])


@both
def test_a_request_is_one_client_span_by_the_conventions(installed: None, peer: Web, get: Any) -> None:
    """Name, kind, attributes and parent; the server saw this very span, and the request id."""
    counted = Counted(COUNT)
    with recording() as spans, Tracer().start_span("op"), bind(request_id="r-1"):
        assert get(f"{peer.url}/a/200?color=blue&sig=s3cr3t") == 200
    span, op = spans
    assert (span.name, span.kind.value, span.parent_id) == ("GET", CLIENT, op.span_id)
    assert span.attributes == {
        "http.request.method": "GET",
        "server.address": "127.0.0.1",
        "server.port": peer.port,
        "url.full": f"{peer.url}/a/200?color=blue&sig=REDACTED",
        "http.response.status_code": 200,
    }
    assert (span.status_code, span.scope.name) == (0, "mirante.integrations.httpx")
    assert (peer.seen[0]["traceparent"], peer.seen[0]["x-request-id"]) == (header(span), "r-1")
    assert counted(http_request_method="GET", server_port=str(peer.port), http_response_status_code="200") == 1


@both
def test_failures_and_error_statuses_are_errors(installed: None, peer: Web, get: Any) -> None:
    """A refused connection with its exception, and a 503."""
    with recording() as spans:
        with pytest.raises(httpx.ConnectError):
            get(f"http://127.0.0.1:{free_port()}/")
        assert get(f"{peer.url}/503") == 503
    refused, unavailable = spans
    assert (refused.status_code, unavailable.status_code) == (2, 2)
    assert refused.attributes["error.type"] == "httpx.ConnectError"
    assert "http.response.status_code" not in refused.attributes
    assert "httpx.ConnectError" in exception_texts(refused)
    assert unavailable.attributes["error.type"] == "503"


@both
def test_each_request_of_a_redirect_is_a_span_with_its_own_header(installed: None, peer: Web, get: Any) -> None:
    """Over the wire there were two."""
    with recording() as spans:
        assert get(f"{peer.url}/302", follow_redirects=True) == 200
    assert [span.attributes["http.response.status_code"] for span in spans] == [302, 200]
    assert [seen["traceparent"] for seen in peer.seen] == [header(span) for span in spans]


@both
def test_where_recording_is_suppressed_nothing_is_recorded_or_added(installed: None, peer: Web, get: Any) -> None:
    """Mirante's own deliveries make no spans."""
    token = otel_context.attach(otel_context.set_value(SUPPRESS, True))
    try:
        with recording() as spans:
            get(peer.url)
    finally:
        otel_context.detach(token)
    assert spans == []
    assert "traceparent" not in peer.seen[0]


def test_a_cancelled_request_ends_its_span_as_an_error(installed: None) -> None:
    """The exception is control flow and not recorded; that there was no answer is."""
    reached = asyncio.Event()

    async def never(scope: Any, receive: Any, send: Any) -> None:
        reached.set()
        await asyncio.Event().wait()

    async def main() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(never)) as client:
            task = asyncio.create_task(client.get("http://shop.example/"))
            await reached.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    with recording() as spans:
        asyncio.run(main())
    assert spans[0].attributes["error.type"] == "asyncio.exceptions.CancelledError"
    assert (spans[0].status_code, list(spans[0].events)) == (2, [])


def test_an_application_in_this_process_is_called_within_the_span(installed: None, peer: Web) -> None:
    """ASGI and WSGI transports: what the application does, its own requests too, is inside."""

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            await client.get(peer.url, timeout=30)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def wsgi(environ: Any, start_response: Any) -> Iterable[bytes]:
        with Tracer().start_span("inside"):
            start_response("204 No Content", [])
        return [b""]

    async def main() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(asgi)) as client:
            await client.get("http://shop.example/")

    with recording() as spans, httpx.Client(transport=httpx.WSGITransport(wsgi)) as client:
        asyncio.run(main())
        client.get("http://shop.example/")
    below, above, inside, around = spans
    assert (below.parent_id, inside.parent_id) == (above.span_id, around.span_id)
    assert (below.attributes["server.address"], above.attributes["server.address"]) == ("127.0.0.1", "shop.example")


def test_one_client_of_any_transport_can_be_instrumented(peer: Web) -> None:
    """Only that client, also by its mounts, and together with install() still one span a request."""

    class Retrying(httpx.BaseTransport):
        def __init__(self) -> None:
            self.below = httpx.HTTPTransport()

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            return self.below.handle_request(request)

        def close(self) -> None:
            self.below.close()

    client = httpx.Client(transport=Retrying(), mounts={"http://mounted.example": _answers(), "all://none": None})
    with recording() as spans, client, httpx.Client(trust_env=False) as other:
        integration.instrument(client)
        integration.instrument(client)
        client.get(peer.url, timeout=30)
        client.get("http://mounted.example/")
        other.get(peer.url, timeout=30)
        assert len(spans) == 2
        integration.install()
        client.get(peer.url, timeout=30)
        assert len(spans) == 3
        integration.uninstall()
        integration.uninstrument(client)
        integration.uninstrument(client)
        client.get(peer.url, timeout=30)
    assert len(spans) == 3
    assert [seen.get("traceparent") for seen in peer.seen] == [header(spans[0]), None, header(spans[2]), None]


def _answers() -> httpx.MockTransport:
    return httpx.MockTransport(lambda request: httpx.Response(204, request=request))


def test_an_asynchronous_client_can_be_instrumented() -> None:
    """The same for the other kind."""

    async def main() -> None:
        async with httpx.AsyncClient(transport=_answers()) as client:
            integration.instrument(client)
            await client.get("http://shop.example:8080/")

    with recording() as spans:
        asyncio.run(main())
    assert [span.attributes["server.port"] for span in spans] == [8080]


def test_an_instrumented_client_lives_no_longer_for_it() -> None:
    """Nothing keeps a client that its owner has forgotten."""
    client = httpx.Client(transport=_answers())
    integration.instrument(client)
    gone = weakref.ref(client)
    del client
    gc.collect()
    assert gone() is None


@both
def test_uninstalling_puts_the_very_functions_back(peer: Web, get: Any) -> None:
    """And the requests are no longer recorded."""
    owners = httpx.HTTPTransport, httpx.AsyncHTTPTransport, httpx.ASGITransport, httpx.WSGITransport
    before = [dict(vars(owner)) for owner in owners]
    integration.install()
    integration.install()
    integration.uninstall()
    assert [dict(vars(owner)) for owner in owners] == before
    with recording() as spans:
        get(peer.url)
    assert spans == []


def test_unsampled_requests_are_counted_and_hand_the_decision_on(installed: None, peer: Web) -> None:
    """No span, but the metric, and a header that says "not sampled"."""
    counted = Counted(COUNT)
    with recording(AlwaysOff()) as spans:
        sync_get(peer.url)
    assert (spans, counted(server_port=str(peer.port))) == ([], 1)
    assert peer.seen[0]["traceparent"].endswith("-02")
