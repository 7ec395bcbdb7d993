"""A program without a web server exposes its metrics all the same."""

from __future__ import annotations

import gzip
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from mirante.exporters import MetricsServer, start_http_server
from mirante.formats.exposition import OPENMETRICS_CONTENT_TYPE, TEXT_CONTENT_TYPE
from mirante.metrics import Registry, counter


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    """One that exposes a counter on a free port."""
    registry = Registry()
    counter("jobs", "Jobs.", registry=registry).inc()
    server = start_http_server(0, registry=registry)
    yield server
    server.close()


def get(server: MetricsServer, path: str = "/metrics", **headers: str) -> tuple[str, bytes]:
    """Content type and body."""
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", headers=headers)
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - http
        return response.headers["Content-Type"], response.read()


@pytest.mark.parametrize("path", ["/metrics", "/", "/metrics?x=1"])
def test_metrics_are_served(server: MetricsServer, path: str, capsys: pytest.CaptureFixture[str]) -> None:
    """At the usual path and at the root; the host's standard error stays as it was."""
    assert get(server, path) == (
        TEXT_CONTENT_TYPE,
        b"# HELP jobs_total Jobs.\n# TYPE jobs_total counter\njobs_total 1.0\n",
    )
    assert capsys.readouterr() == ("", "")


def test_format_and_compression_are_agreed(server: MetricsServer) -> None:
    """As on the ASGI endpoint."""
    kind, body = get(server, accept="application/openmetrics-text", **{"accept-encoding": "gzip"})
    assert kind == OPENMETRICS_CONTENT_TYPE
    assert gzip.decompress(body).endswith(b"jobs_total 1.0\n# EOF\n")


def test_other_paths_say_where_the_metrics_are(server: MetricsServer) -> None:
    """With 404."""
    with pytest.raises(urllib.error.HTTPError, match="the metrics are at /metrics") as caught:
        get(server, "/elsewhere")
    assert caught.value.code == 404
    caught.value.close()


def test_a_used_port_is_the_callers_to_know(server: MetricsServer) -> None:
    """A declaration that cannot work raises where it is written."""
    with pytest.raises(OSError, match="in use"):
        start_http_server(server.port)


def test_nothing_is_left_after_closing() -> None:
    """Neither thread nor socket."""
    before = set(threading.enumerate())
    server = start_http_server(0, registry=Registry())
    get(server)
    server.close()
    with pytest.raises(urllib.error.URLError):
        get(server)
    # The thread of the request ends by itself; that of the server is waited for.
    assert not [thread for thread in set(threading.enumerate()) - before if thread.name == "mirante-exposition"]
