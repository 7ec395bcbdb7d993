"""requests: one client span a request, on its way the headers, in the end the duration."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
import requests.adapters
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import context as otel_context
from opentelemetry import propagate

from mirante.correlation import bind
from mirante.correlation.propagator import propagator
from mirante.integrations import _http
from mirante.integrations import requests as integration
from mirante.integrations._http import redacted
from mirante.integrations._operation import SUPPRESS, SUPPRESS_HTTP
from mirante.metrics import Histogram
from mirante.tracing import AlwaysOff, Tracer
from tests.peers import free_port
from tests.sdk.integrations.recording import CLIENT, Counted, Web, exception_texts, header, recording, web

COUNT = "http_client_request_duration_seconds_count"


@pytest.fixture
def peer() -> Iterator[Web]:
    """A real HTTP server."""
    with web() as peer:
        yield peer


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Installed for each test, with the usual headers."""
    monkeypatch.setattr(propagate, "_HTTP_TEXT_FORMAT", propagator("tracecontext,baggage"))
    integration.install()
    yield
    integration.uninstall()


def test_a_request_is_one_client_span_by_the_conventions(peer: Web) -> None:
    """Name, kind, attributes and parent; the server saw this very span, and the request id."""
    counted = Counted(COUNT)
    with recording() as spans, Tracer().start_span("op"), bind(request_id="r-1"):
        assert requests.get(f"{peer.url}/a/200?color=blue", timeout=30).ok
    span, op = spans
    assert (span.name, span.kind.value, span.parent_id) == ("GET", CLIENT, op.span_id)
    assert span.attributes == {
        "http.request.method": "GET",
        "server.address": "127.0.0.1",
        "server.port": peer.port,
        "url.full": f"{peer.url}/a/200?color=blue",
        "http.response.status_code": 200,
    }
    assert (span.status_code, span.scope.name) == (0, "mirante.integrations.requests")
    assert (peer.seen[0]["traceparent"], peer.seen[0]["x-request-id"]) == (header(span), "r-1")
    labels = {"http_request_method": "GET", "http_response_status_code": "200", "error_type": ""}
    assert counted(server_address="127.0.0.1", server_port=str(peer.port), **labels) == 1


@pytest.mark.parametrize("status", [404, 503])
def test_an_error_status_makes_the_span_an_error(peer: Web, status: int) -> None:
    """4xx and 5xx are errors of a client's span, told by the status alone."""
    counted = Counted(COUNT)
    with recording() as spans:
        requests.get(f"{peer.url}/{status}", timeout=30)
    assert (spans[0].status_code, spans[0].status_message) == (2, "")
    assert spans[0].attributes["error.type"] == str(status)
    assert counted(http_response_status_code=str(status), error_type=str(status), server_port=str(peer.port)) == 1


def test_a_failure_is_recorded_without_secrets() -> None:
    """The library's messages quote the URL: credentials and tokens in them are hidden too."""
    port = free_port()
    counted = Counted(COUNT)
    with recording() as spans, pytest.raises(requests.ConnectionError):
        requests.get(f"http://me:hunter2@127.0.0.1:{port}/?token=hunter3&page=2", timeout=30)
    (span,) = spans
    assert span.attributes["url.full"] == f"http://REDACTED:REDACTED@127.0.0.1:{port}/?token=REDACTED&page=2"
    assert span.attributes["error.type"] == "requests.exceptions.ConnectionError"
    assert span.status_code == 2
    assert [event.name for event in span.events] == ["exception"]
    assert "token=REDACTED&page=2" in " ".join(exception_texts(span))
    assert not [text for text in exception_texts(span) if "hunter" in text]
    assert counted(error_type="requests.exceptions.ConnectionError", server_port=str(port)) == 1


def test_each_request_of_a_redirect_is_a_span_with_its_own_header(peer: Web) -> None:
    """Over the wire there were two."""
    with recording() as spans:
        requests.get(f"{peer.url}/302", timeout=30)
    assert [span.attributes["http.response.status_code"] for span in spans] == [302, 200]
    assert [seen["traceparent"] for seen in peer.seen] == [header(span) for span in spans]


def test_an_unknown_method_does_not_become_a_name(peer: Web) -> None:
    """Whatever a program sends, names and labels stay few."""
    with recording() as spans:
        requests.request("BREW", peer.url, timeout=30)
    assert spans[0].name == "HTTP"
    assert spans[0].attributes["http.request.method"] == "_OTHER"
    assert spans[0].attributes["http.request.method_original"] == "BREW"


@pytest.mark.parametrize("key", [SUPPRESS, SUPPRESS_HTTP], ids=["all", "http"])
def test_where_recording_is_suppressed_nothing_is_recorded_or_added(peer: Web, key: str) -> None:
    """Mirante's own deliveries, and requests that somebody above records already."""
    counted = Counted(COUNT)
    token = otel_context.attach(otel_context.set_value(key, True))
    try:
        with recording() as spans, bind(request_id="r-1"):
            requests.get(peer.url, timeout=30)
    finally:
        otel_context.detach(token)
    assert (spans, counted(server_port=str(peer.port))) == ([], 0)
    assert not {"traceparent", "x-request-id"} & peer.seen[0].keys()


def test_urllib3_below_is_told_that_the_request_is_recorded(peer: Web) -> None:
    """OpenTelemetry's instrumentation of urllib3 would look at this key."""
    told: list[object] = []

    class Adapter(requests.adapters.HTTPAdapter):
        def cert_verify(self, *args: object, **kwargs: object) -> None:
            told.append(otel_context.get_value(SUPPRESS_HTTP))

    session = requests.Session()
    session.mount("http://", Adapter())
    with recording() as spans, session:
        session.get(peer.url, timeout=30)
    assert (told, len(spans)) == ([True], 1)
    assert otel_context.get_value(SUPPRESS_HTTP) is None


def test_unsampled_requests_are_counted_and_hand_the_decision_on(peer: Web) -> None:
    """No span, but the metric, and a header that says "not sampled"."""
    counted = Counted(COUNT)
    with recording(AlwaysOff()) as spans:
        requests.get(peer.url, timeout=30)
    assert (spans, counted(server_port=str(peer.port))) == ([], 1)
    assert peer.seen[0]["traceparent"].endswith("-02")


def test_the_callers_own_request_id_stays(peer: Web) -> None:
    """What is said in code wins."""
    with bind(request_id="r-1"):
        requests.get(peer.url, timeout=30, headers={"X-Request-ID": "mine"})
    assert peer.seen[0]["x-request-id"] == "mine"


def test_uninstalling_puts_the_very_function_back(peer: Web) -> None:
    """Twice on and twice off is once on and once off; a session made before is recorded as long as it is on."""
    integration.uninstall()
    original = requests.adapters.HTTPAdapter.send
    session = requests.Session()
    integration.install()
    integration.install()
    assert requests.adapters.HTTPAdapter.send is not original
    with recording() as spans, session:
        session.get(peer.url, timeout=30)
        integration.uninstall()
        integration.uninstall()
        session.get(peer.url, timeout=30)
    assert len(spans) == 1
    assert requests.adapters.HTTPAdapter.send is original


def test_a_url_that_cannot_be_read_is_left_to_the_library(peer: Web) -> None:
    """The error is requests' own; the span has no address."""
    request = requests.Request("GET", peer.url).prepare()
    request.url = "http://[oops/"
    with recording() as spans, requests.Session() as session, pytest.raises(ValueError, match="IPv6"):
        session.get_adapter("http://").send(request)
    assert (spans[0].attributes["server.address"], spans[0].attributes["server.port"]) == ("", 0)


def test_faults_of_telemetry_never_reach_the_caller(peer: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """The request is answered whatever breaks in recording it."""

    class Broken(Histogram):
        def labels(self, *values: object, **named: object) -> object:  # type: ignore[override]
            raise RuntimeError("broken")

    def no_headers(_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.delenv("MIRANTE_RAISE_FAULTS", raising=False)
    monkeypatch.setattr(_http, "duration", lambda: Broken("broken_seconds"))
    monkeypatch.setattr(propagate, "inject", no_headers)
    with recording() as spans:
        assert requests.get(peer.url, timeout=30).status_code == 200
    assert len(spans) == 1


SECRET = st.text("abcXYZ019-_.~%", min_size=4).map(lambda text: f"s3cr3t{text}")


@given(st.sampled_from(_http.SENSITIVE), SECRET, SECRET, SECRET, st.text("abc/", max_size=5))
def test_no_secret_of_a_url_stays(key: str, value: str, user: str, password: str, path: str) -> None:
    """Credentials and the values of sensitive parameters, wherever in a text the URL stands."""
    url = f"https://{user}:{password}@shop.example/{path}?page=2&{key}={value}&size=3#end"
    seen = redacted(f"cannot fetch {url}")
    assert "s3cr3t" not in seen
    assert seen == f"cannot fetch https://REDACTED:REDACTED@shop.example/{path}?page=2&{key}=REDACTED&size=3#end"


@pytest.mark.parametrize("url", ["http://shop.example/a@b?monkey=1&q=x@y", "no url at all", "http://h:80/?k=1"])
def test_urls_without_secrets_stay_as_they_are(url: str) -> None:
    """Only what is sensitive is hidden."""
    assert redacted(url) == url
