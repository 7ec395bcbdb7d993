"""What only a face has: registries, timers, files, servers and pushing, in prometheus_client's words."""

from __future__ import annotations

import asyncio
import gzip
import http.server
import socket
import ssl
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, cast
from urllib.error import HTTPError, URLError

import httpx
import prometheus_client as theirs
import pytest
from prometheus_client.core import GaugeMetricFamily as TheirGaugeMetricFamily

from mirante import metrics
from mirante._core.guard import REPORTER
from mirante.compat import prometheus_client as pc
from mirante.compat.prometheus_client import asgi, core, exposition, registry
from mirante.compat.prometheus_client.openmetrics import exposition as openmetrics
from mirante.metrics import MetricFamily, Registry, Sample
from tests import peers


class Fixed:
    """A collector that gives what it was made with, and counts how often it was asked."""

    def __init__(self, *families: Any) -> None:
        self.families, self.asked = families, 0

    def collect(self) -> Iterator[Any]:
        """As a collector does."""
        self.asked += 1
        yield from self.families


class Described(Fixed):
    """One that tells its names beforehand."""

    def describe(self) -> Iterator[Any]:
        """As some collectors do."""
        yield from self.families


def shown(shown_registry: Any = None) -> str:
    """The text exposition."""
    return pc.generate_latest(shown_registry).decode()


def gauge(name: str = "up", value: float = 1.0) -> core.GaugeMetricFamily:
    """A family with one sample."""
    return core.GaugeMetricFamily(name, "x", value=value)


def test_the_process_registry_is_mirantes_own() -> None:
    """Metrics declared in either spelling meet in one exposition, and a name is taken for both."""
    counter = pc.Counter("compat_jobs", "Jobs.")
    other = metrics.counter("compat_other", "Others.")
    try:
        assert "compat_jobs_total 0.0" in metrics.REGISTRY.expose().decode()
        assert pc.REGISTRY.get_sample_value("compat_other_total") == 0.0
        with pytest.raises(registry.DuplicateTimeseries) as caught:
            pc.Gauge("compat_other", "Taken.")
        assert caught.value.duplicates == {"compat_other"}
    finally:
        pc.REGISTRY.unregister(counter)
        metrics.REGISTRY.unregister(other)
    assert "compat_jobs" not in shown(pc.REGISTRY)


def test_calls_may_be_awaited() -> None:
    """Moved code may become asynchronous."""
    counter = pc.Counter("a", "x", registry=None)

    async def main() -> None:
        await counter.inc()

    asyncio.run(main())
    assert counter.value == 1.0


def test_custom_collectors_are_found_twice_only_where_they_are_described() -> None:
    """By describe(), or by collect() where the registry asks so; otherwise names are unknown."""
    plain, asking = pc.CollectorRegistry(), pc.CollectorRegistry(auto_describe=True)
    plain.register(Fixed(gauge()))
    asking.register(Fixed(gauge()))
    plain.register(Fixed(gauge("other")))
    with pytest.raises(registry.DuplicateTimeseries):
        asking.register(Fixed(gauge()))
    described = Described(core.CounterMetricFamily("jobs", "x", value=1))
    plain.register(described)
    with pytest.raises(registry.DuplicateTimeseries, match="jobs_total"):
        pc.Gauge("jobs_total", "x", registry=plain)
    assert described.asked == 0
    plain.unregister(described)
    pc.Gauge("jobs_total", "x", registry=plain)
    with pytest.raises(KeyError):
        plain.unregister(described)


def test_collectors_of_the_real_library_and_of_mirante_are_taken() -> None:
    """Third-party collectors go on importing prometheus_client; mirante's own give its own families."""
    everything = pc.CollectorRegistry()
    everything.register(Fixed(TheirGaugeMetricFamily("theirs", "x", value=2)))
    everything.register(Fixed(MetricFamily("own", "gauge", samples=(Sample("own", {}, 3.0),))))
    assert everything.get_sample_value("theirs") == 2.0
    assert everything.get_sample_value("own") == 3.0
    assert everything.get_sample_value("own", {"a": "b"}) is None


def test_a_collector_that_raises_is_reported_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under its own name; the others are exposed."""
    monkeypatch.delenv("MIRANTE_RAISE_FAULTS")  # or faults are raised again
    monkeypatch.setattr(REPORTER, "counts", {})

    class Broken:
        def collect(self) -> Iterator[Any]:
            raise OSError

    everything = pc.CollectorRegistry()
    everything.register(Broken())
    everything.register(Fixed(gauge()))
    assert shown(everything).endswith("up 1.0\n")
    assert REPORTER.counts == {"collector Broken": 1}


def test_a_gauge_histogram_is_exposed_as_gauges() -> None:
    """The text format has no type for it, and a histogram must not fall."""
    everything = pc.CollectorRegistry()
    family = core.GaugeHistogramMetricFamily("wait", "x", labels=["q"])
    family.add_metric(["a"], [("1", 2), ("+Inf", 3)], 4.5)
    everything.register(Fixed(family))
    everything.register(Fixed(core.GaugeHistogramMetricFamily("sole", "x", buckets=[("+Inf", 3)], gsum_value=1)))
    lines = shown(everything).splitlines()
    assert "sole_gcount 3.0" in lines
    assert {"# TYPE wait_bucket gauge", "# TYPE wait_gcount gauge", "# TYPE wait_gsum gauge"} <= set(lines)
    assert 'wait_bucket{q="a",le="1"} 2.0' in lines
    assert 'wait_gsum{q="a"} 4.5' in lines


def test_restricted_registries_ask_only_whom_they_need() -> None:
    """By names of samples; collectors without known names only where the registry says so."""
    everything = pc.CollectorRegistry(target_info={"env": "x"}, support_collectors_without_names=True)
    pc.Counter("jobs", "x", registry=everything).inc()
    pc.Histogram("wait", "x", registry=everything).observe(1)
    slow, nameless = Described(gauge("slow")), Fixed(gauge("nameless"))
    everything.register(slow)
    everything.register(nameless)
    some = shown(everything.restricted_registry(["jobs_total", "wait_count", "target_info", "absent"]))
    assert [line for line in some.splitlines() if not line.startswith("#")] == [
        'target_info{env="x"} 1.0', *sorted(["jobs_total 1.0", "wait_count 1.0"], key=some.index),
    ]  # fmt: skip
    assert (slow.asked, nameless.asked) == (0, 1)
    assert "slow 1.0" in shown(everything.restricted_registry(["slow"]))
    plain = pc.CollectorRegistry()
    plain.register(nameless)
    assert shown(plain.restricted_registry(["nameless"])) == ""


def test_target_info_can_be_taken_out() -> None:
    """None and nothing both mean that there is none."""
    everything = pc.CollectorRegistry(target_info={"env": "x"})
    everything.set_target_info(None)
    assert everything.get_target_info() is None
    assert shown(everything) == ""


def test_timers_tell_their_duration_and_learn_labels_late() -> None:
    """As a block, as a decorator, and for every kind that has them."""
    wait = pc.Histogram("wait", "x", ["code"], registry=None)
    with wait.time() as timer:
        cast("Any", timer).labels(code="200")
    assert cast("Any", timer).duration == wait.sum
    size = pc.Summary("size", "x", registry=None)

    @size.time()
    def work() -> int:
        return 3

    assert (work(), work(), size.count) == (3, 3, 2)
    with wait.labels("500").time() as bound:
        assert cast("Any", bound).duration is None
    assert wait.count == 2
    last = pc.Gauge("last", "x", registry=None)
    with last.time() as timer:
        pass
    assert cast("Any", timer).duration == last.value


def test_families_can_be_compared_and_read() -> None:
    """In the tests of collectors."""
    assert gauge() == gauge()
    assert gauge() != gauge(value=2)
    assert gauge() != 1
    assert "up" in repr(gauge())
    stamps = [core.Timestamp(1, 1), core.Timestamp(0, 5)]
    assert min(stamps) == core.Timestamp(0, 5)


def test_created_series_do_not_exist() -> None:
    """Turning them off is what is; turning them on says so."""
    pc.disable_created_metrics()
    with pytest.warns(UserWarning, match="no _created series"):
        pc.enable_created_metrics()


def test_names_of_the_newer_kind_go_out_as_asked() -> None:
    """Underscores unless the reader takes UTF-8; there are no other schemes."""
    everything = pc.CollectorRegistry()
    pc.Gauge("http.up", "x", registry=everything).set(1)
    assert "http_up 1.0" in shown(everything)
    assert b'{"http.up"} 1.0' in pc.generate_latest(everything, escaping="allow-utf-8")
    assert b'{"http.up"} 1.0' in openmetrics.generate_latest(everything, escaping="allow-utf-8")
    with pytest.raises(ValueError, match="escaping must be"):
        pc.generate_latest(everything, escaping="dots")


def test_a_textfile_changes_as_a_whole(tmp_path: Path) -> None:
    """Nothing else is left beside it, also when it cannot be written."""
    everything = pc.CollectorRegistry()
    pc.Gauge("raid_status", "1 if RAID array is okay", registry=everything).set(1)
    file = tmp_path / "raid.prom"
    pc.write_to_textfile(str(file), everything)
    pc.write_to_textfile(str(file), everything, tmpdir=str(tmp_path))
    assert file.read_bytes() == pc.generate_latest(everything)
    with pytest.raises(OSError, match="."):
        pc.write_to_textfile(str(tmp_path / "no" / "raid.prom"), everything)
    assert [*tmp_path.iterdir()] == [file]


@pytest.fixture
def served() -> Iterator[tuple[pc.CollectorRegistry, int]]:
    """A registry and the port on which it is shown."""
    everything = pc.CollectorRegistry()
    pc.Counter("jobs", "x", registry=everything).inc()
    pc.Gauge("depth", "x", registry=everything).set(2)
    server, thread = pc.start_http_server(0, "127.0.0.1", everything)
    yield everything, server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


def ask(port: int, method: str, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """One request."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, headers=headers)
    reply = connection.getresponse()
    body = reply.read()
    connection.close()
    return reply.status, dict(reply.getheaders()), body


def test_the_server_answers_as_documented(served: tuple[pc.CollectorRegistry, int]) -> None:
    """Any path; formats and compression as accepted; the other methods as they are told."""
    everything, port = served
    status, headers, body = ask(port, "GET", "/any/path")
    assert (status, headers["Content-Type"], body) == (200, pc.CONTENT_TYPE_LATEST, pc.generate_latest(everything))
    _, headers, body = ask(port, "GET", "/", Accept="application/openmetrics-text", **{"Accept-Encoding": "gzip"})
    assert headers["Content-Type"] == openmetrics.CONTENT_TYPE_LATEST
    assert gzip.decompress(body) == openmetrics.generate_latest(everything)
    assert ask(port, "GET", "/?name[]=depth")[2] == b"# HELP depth x\n# TYPE depth gauge\ndepth 2.0\n"
    assert ask(port, "GET", "/favicon.ico")[::2] == (200, b"")
    status, headers, body = ask(port, "OPTIONS", "/")
    assert (status, headers["Allow"], body) == (200, "OPTIONS,GET", b"")
    status, headers, body = ask(port, "POST", "/")
    assert (status, headers["Allow"]) == (405, "OPTIONS,GET")
    assert body == b"# HTTP 405 Method Not Allowed: POST; use OPTIONS or GET\n"


def test_the_real_server_gives_the_same_statuses() -> None:
    """prometheus_client's own, asked the same."""
    server, thread = theirs.start_http_server(0, "127.0.0.1", theirs.CollectorRegistry())
    ours, our_thread = pc.start_http_server(0, "127.0.0.1", pc.CollectorRegistry())
    try:
        for method, path in (("GET", "/"), ("GET", "/favicon.ico"), ("OPTIONS", "/"), ("PUT", "/"), ("HEAD", "/")):
            here, there = ask(ours.server_port, method, path), ask(server.server_port, method, path)
            assert (here[0], here[2], here[1].get("Allow")) == (there[0], there[2], there[1].get("Allow"))
    finally:
        for one, its_thread in ((server, thread), (ours, our_thread)):
            one.shutdown()
            one.server_close()
            its_thread.join()


def test_ipv6_addresses_are_served() -> None:
    """The address family follows from the address."""
    server, thread = pc.start_http_server(0, "::1", pc.CollectorRegistry())
    with urllib.request.urlopen(f"http://[::1]:{server.server_port}/", timeout=60) as reply:
        assert reply.read() == b""
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_handler_for_the_standard_librarys_server() -> None:
    """MetricsHandler, bound to a registry."""
    everything = pc.CollectorRegistry()
    pc.Gauge("depth", "x", registry=everything).set(2)
    server = http.server.HTTPServer(("127.0.0.1", 0), pc.MetricsHandler.factory(everything))
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    assert ask(server.server_port, "GET", "/metrics?a=b")[2] == pc.generate_latest(everything)
    thread.join()
    server.server_close()


def test_compression_can_be_turned_off_and_mirantes_registries_are_taken() -> None:
    """In WSGI applications."""
    app = pc.make_wsgi_app(Registry(), disable_compression=True)
    seen: list[Any] = []
    environ = {"REQUEST_METHOD": "GET", "HTTP_ACCEPT_ENCODING": "gzip"}
    assert list(app(environ, lambda *args: seen.append(args))) == [b""]
    assert "Content-Encoding" not in dict(seen[0][1])
    assert shown(Fixed(gauge())) == shown(Fixed(gauge()))


def test_an_asgi_application() -> None:
    """By a real ASGI client, asynchronous gauges included; it serves nothing but HTTP."""
    everything = pc.CollectorRegistry()

    async def depth() -> float:
        return 5.0

    async def main() -> httpx.Response:
        pc.Gauge("depth", "x", registry=everything).set_function(depth)
        pc.Gauge("other", "x", registry=everything)
        transport = httpx.ASGITransport(app=cast("Any", asgi.make_asgi_app(everything)))
        async with httpx.AsyncClient(transport=transport, base_url="http://a") as client:
            return await client.get("/metrics", params={"name[]": "depth"})

    assert asyncio.run(main()).text == "# HELP depth x\n# TYPE depth gauge\ndepth 5.0\n"
    with pytest.raises(ValueError, match="not websocket"):
        asyncio.run(cast("Any", pc.make_asgi_app())({"type": "websocket"}, None, None))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate of 127.0.0.1, signed by itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    make = [peers.program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    subprocess.run([*make, "-keyout", key, "-out", cert, "-days", "2", *name], check=True, capture_output=True)
    return cert, key


@pytest.mark.parametrize("skip", [True, False], ids=["unverified", "verified"])
def test_tls_on_both_sides(certificate: tuple[str, str], *, skip: bool) -> None:
    """The server may demand a client's certificate, and the handler that pushes may show one."""
    cert, key = certificate
    server, thread = pc.start_http_server(
        0, "127.0.0.1", pc.CollectorRegistry(), cert, key, cert, None, client_auth_required=True
    )
    url = f"https://127.0.0.1:{server.server_port}/"
    cafile = None if skip else cert
    exposition.tls_auth_handler(url, "GET", 10, [], b"", cert, key, cafile, insecure_skip_verify=skip)()
    with pytest.raises(URLError):
        urllib.request.urlopen(url, timeout=60)
    server.shutdown()
    server.server_close()
    thread.join()


def test_tls_without_clients_certificates(certificate: tuple[str, str], tmp_path: Path) -> None:
    """HTTPS alone; a certificate that is not there is an error, and the port is free again."""
    cert, key = certificate
    server, thread = pc.start_http_server(0, "127.0.0.1", pc.CollectorRegistry(), cert, key)
    context = ssl.create_default_context(cafile=cert)
    with urllib.request.urlopen(f"https://127.0.0.1:{server.server_port}/", timeout=60, context=context) as reply:
        assert reply.status == 200
    server.shutdown()
    server.server_close()
    thread.join()
    with pytest.raises(FileNotFoundError):
        pc.start_http_server(0, "127.0.0.1", pc.CollectorRegistry(), str(tmp_path / "none"), key)


class Receiver(http.server.BaseHTTPRequestHandler):
    """Keeps what it is sent; /moved leads elsewhere, /refused refuses."""

    seen: list[tuple[str, str, dict[str, str], bytes]]

    def _take(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.seen.append((self.command, self.path, dict(self.headers), body))
        moved = self.path.startswith("/moved")
        self.send_response(302 if moved else 400 if self.path.startswith("/refused") else 202)
        if moved:
            self.send_header("Location", self.path.removeprefix("/moved"))
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_PUT = do_POST = do_DELETE = _take  # noqa: N815 - the standard library's names

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@contextmanager
def receiving() -> Iterator[tuple[str, list[tuple[str, str, dict[str, str], bytes]]]]:
    """Where to push, and what came."""
    seen: list[tuple[str, str, dict[str, str], bytes]] = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Receiver,), {"seen": seen}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}", seen
    server.shutdown()
    server.server_close()
    thread.join()


def pushes(module: Any, to: str, everything: Any) -> None:
    """The documented calls."""

    def authenticated(url: str, method: str, timeout: float, headers: Any, data: bytes) -> Any:
        return module.exposition.basic_auth_handler(url, method, timeout, headers, data, "foobar", "secret123")

    module.push_to_gateway(to, job="batchA", registry=everything)
    module.pushadd_to_gateway(f"http://{to}/", job="batchB", registry=everything, grouping_key={"b": 1, "a": "x/y"})
    module.push_to_gateway(to, job="batchA", registry=everything, handler=authenticated, compression="gzip")
    module.push_to_gateway(to, "b", everything, handler=module.exposition.basic_auth_handler)
    module.delete_from_gateway(to, job="batchA", grouping_key={"a": ""})
    through = module.exposition.passthrough_redirect_handler
    module.push_to_gateway(f"{to}/moved", "batchA", everything, {"a": "b"}, 10, through)


def test_pushing_makes_the_same_requests() -> None:
    """Methods, paths, authentication and compression are those of prometheus_client; the bodies say the same."""
    with receiving() as (to, seen):
        for module in (theirs, pc):
            everything = module.CollectorRegistry()
            module.Gauge("job_last_success_unixtime", "Last time", registry=everything).set(7)
            pushes(module, to, everything)
    half = len(seen) // 2

    def told(request: tuple[str, str, dict[str, str], bytes]) -> tuple[object, ...]:
        method, path, headers, body = request
        text = gzip.decompress(body) if headers.get("Content-Encoding") else body
        return method, path, headers.get("Authorization"), headers["Content-Type"], text

    assert [*map(told, seen[half:])] == [*map(told, seen[:half])]
    assert len(seen) == 14


def test_a_failed_push_is_an_os_error() -> None:
    """Refused, redirected without leave, or nobody there."""
    with receiving() as (to, _seen):
        with pytest.raises(HTTPError, match="400"):
            pc.push_to_gateway(f"{to}/refused", "a", pc.CollectorRegistry())
        with pytest.raises(HTTPError, match="302"):
            pc.push_to_gateway(f"{to}/moved", "a", pc.CollectorRegistry())
    with pytest.raises(OSError, match="refused"):
        pc.push_to_gateway(to, "a", None)


def test_the_instance_is_this_hosts_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or loopback, where there is no way to other hosts."""
    assert list(pc.instance_ip_grouping_key()) == ["instance"]

    class Unroutable(socket.socket):
        def connect(self, _address: object) -> None:
            raise OSError

    monkeypatch.setattr(socket, "socket", Unroutable)
    assert pc.instance_ip_grouping_key() == {"instance": "127.0.0.1"}


@pytest.mark.slow
def test_a_real_gateway_takes_the_documented_push(tmp_path: Path) -> None:
    """And shows it under its job, until it is deleted."""
    port = peers.free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        peers.program("prometheus-pushgateway"), f"--web.listen-address=127.0.0.1:{port}", "--persistence.file=",
    ]  # fmt: skip
    with peers.running(command, url, "/-/ready", tmp_path / "log"):
        everything = pc.CollectorRegistry()
        pc.Gauge("job_last_success_unixtime", "Last time", registry=everything).set(7)
        pc.push_to_gateway(f"127.0.0.1:{port}", job="batchA", registry=everything)
        line = b'job_last_success_unixtime{instance="",job="batchA"} 7'
        assert line in peers.fetch(f"{url}/metrics")[1]
        pc.delete_from_gateway(f"127.0.0.1:{port}", job="batchA")
        assert line not in peers.fetch(f"{url}/metrics")[1]
