"""Pushing to a Pushgateway: its paths, its methods, and a real one."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirante._core.record import Metric
from mirante.errors import ConfigError, DeclarationError, DeliveryError
from mirante.exporters import PushgatewayExporter
from mirante.metrics import MetricFamily, Registry, Sample, counter, gauge, histogram
from mirante.telemetry import Aggregate, MetricsCollector
from tests import peers
from tests.sdk.exporters.receiver import receiving

LABEL = st.from_regex(r"[a-z]{1,5}", fullmatch=True).filter(lambda name: name != "job")


@pytest.mark.parametrize(
    ("job", "key", "path"),
    [
        ("titan", {}, "/metrics/job/titan"),
        ("titan", {"name": "Ωδή"}, "/metrics/job/titan/name/%CE%A9%CE%B4%CE%AE"),
        ("cleaner", {"path": "/srv/tmp"}, "/metrics/job/cleaner/path@base64/L3Nydi90bXA="),
        ("a/b", {"empty": ""}, "/metrics/job@base64/YS9i/empty@base64/="),
        ("a b", {"dot": ".", "up": ".."}, "/metrics/job/a%20b/dot@base64/Lg==/up@base64/Li4="),
    ],
)
def test_the_grouping_key_becomes_the_path(job: str, key: dict[str, str], path: str) -> None:
    """Base64 where a value would not survive in a path."""
    assert PushgatewayExporter("127.0.0.1:9091", job, key).path == path


@given(st.text(min_size=1), st.dictionaries(LABEL, st.text()))
def test_any_grouping_key_can_be_read_from_the_path(job: str, key: dict[str, str]) -> None:
    """Whatever its values are; a lone surrogate becomes a question mark."""
    parts = PushgatewayExporter("127.0.0.1:9091", job, key).path.split("/")[2:]
    read = {}
    for name, value in zip(parts[::2], parts[1::2], strict=True):
        label, _, form = name.partition("@")
        read[label] = urlsafe_b64decode(value if len(value) > 1 else "").decode() if form else unquote(value)
    assert read == {n: v.encode("utf-8", "replace").decode() for n, v in {"job": job, **key}.items()}


@pytest.mark.parametrize("key", [{"job": "x"}, {"1a": "x"}, {"a-b": "x"}, {"__a": "x"}, {"": "x"}])
def test_a_label_that_cannot_be_in_a_grouping_key_is_refused(key: dict[str, str]) -> None:
    """Where it is written."""
    with pytest.raises(DeclarationError, match="cannot be a label of the grouping key"):
        PushgatewayExporter("127.0.0.1:9091", "a", key)


def test_the_timeout_can_be_shortened() -> None:
    """As it is when the process ends."""
    exporter = PushgatewayExporter("127.0.0.1:9", "job", timeout=7.0)
    exporter.timeout = 1.5
    assert exporter.timeout == 1.5


def test_job_and_address_are_checked() -> None:
    """An empty job is invalid; the scheme may be left out."""
    with pytest.raises(DeclarationError, match="job must not be empty"):
        PushgatewayExporter("127.0.0.1:9091", "")
    with pytest.raises(ConfigError, match="expected a URL"):
        PushgatewayExporter("ftp://127.0.0.1", "a")


def test_each_operation_has_its_method() -> None:
    """PUT for the group, POST for names, DELETE; the body is text without timestamps."""
    metric = Metric("temperature.outside", 1.5, datetime(2026, 1, 1, tzinfo=UTC), {"room": "a"})
    with receiving() as receiver:
        gateway = PushgatewayExporter(receiver.url, "j")
        gateway.push([MetricFamily("a", "counter", "A.", samples=(Sample("a_total", {}, 3.0, 17.0),))])
        gateway.replace([metric])
        gateway.export([metric, metric])
        gateway.delete()
        gateway.close()
        got = receiver.requests
    assert [(one.method, one.path) for one in got] == [
        ("PUT", "/metrics/job/j"),
        ("POST", "/metrics/job/j"),
        ("POST", "/metrics/job/j"),
        ("DELETE", "/metrics/job/j"),
    ]
    assert got[0].body == b"# HELP a_total A.\n# TYPE a_total counter\na_total 3.0\n"
    assert got[1].body.splitlines()[1:] == [b"# TYPE temperature_outside gauge", b'temperature_outside{room="a"} 1.5']
    assert got[2].body == got[1].body
    assert got[0].headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert got[3].body == b""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[peers.Peer]:
    """A real Pushgateway."""
    folder: Path = tmp_path_factory.mktemp("pushgateway")
    port = peers.free_port()
    command = [
        peers.program("prometheus-pushgateway"), f"--web.listen-address=127.0.0.1:{port}", "--persistence.file=",
    ]  # fmt: skip
    with peers.running(command, f"http://127.0.0.1:{port}", "/-/ready", folder / "log") as peer:
        yield peer


def group(gateway: peers.Peer, job: str) -> dict[str, float]:
    """What the gateway exposes of a job, by series as it writes them."""
    text = peers.fetch(gateway.url + "/metrics")[1].decode()
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if f'job="{job}"' in line]
    return {series: float(value) for series, value in lines if not series.startswith("push_")}


@pytest.mark.slow
def test_a_real_gateway_takes_a_registry(gateway: peers.Peer) -> None:
    """A push replaces the group, replace only the same names, delete all."""
    registry = Registry()
    counter("jobs_total", "Jobs.", registry=registry).inc(3)
    histogram("seconds", "Time.", buckets=[1.0], registry=registry).observe(0.5)
    key = {"path": "/srv/tmp", "empty": "", "dots": "..", "name": "Προμηθεύς"}
    exporter = PushgatewayExporter(gateway.url, "cleaner/1", key)
    exporter.push(registry)
    found = group(gateway, "cleaner/1")
    labels = 'dots="..",empty="",instance="",job="cleaner/1",name="Προμηθεύς",path="/srv/tmp"'
    assert found[f"jobs_total{{{labels}}}"] == 3
    assert found[f'seconds_bucket{{{labels},le="1"}}'] == 1

    other = Registry()
    gauge("temperature", "T.", registry=other).set(20)
    exporter.replace(other)
    assert len(group(gateway, "cleaner/1")) == len(found) + 1
    exporter.push(other)
    assert list(group(gateway, "cleaner/1").values()) == [20]
    exporter.delete()
    peers.wait_for(lambda: not group(gateway, "cleaner/1"), what="the group to be deleted")
    exporter.close()


@pytest.mark.slow
def test_a_real_gateway_takes_a_pipeline(gateway: peers.Peer) -> None:
    """Summaries arrive as gauges."""
    exporter = PushgatewayExporter(gateway.url, "pipeline")
    with MetricsCollector(stages=[Aggregate(quantiles=[0.5])], exporter=exporter) as collector:
        for seconds in (1.0, 2.0, 3.0):
            collector.record("response.time", seconds, tags={"http.route": "/"})
    found = {series.split("{")[0]: value for series, value in group(gateway, "pipeline").items()}
    assert found.pop("response_time") == pytest.approx(2.0, rel=0.01)
    assert found == {
        "response_time_count": 3,
        "response_time_sum": 6,
        "response_time_min": 1,
        "response_time_max": 3,
        "response_time_last": 3,
    }


@pytest.mark.slow
def test_a_real_gateway_says_what_it_refuses(gateway: peers.Peer) -> None:
    """And that trying again is no use."""
    exporter = PushgatewayExporter(gateway.url, "wrong")
    twice = Sample("a", {"job": "x"}, 1.0), Sample("a", {"job": "y"}, 2.0)
    with pytest.raises(DeliveryError, match="answered 400") as caught:
        exporter.push([MetricFamily("a", "gauge", samples=twice)])
    exporter.close()
    assert caught.value.permanent
