"""Remote write: what a receiver gets, the fall back to 1.0, and a real Prometheus."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import cramjam
import pytest

from mirante._core.protocols import Exportable
from mirante._core.record import Metric
from mirante.errors import ConfigError, DeclarationError, DeliveryError
from mirante.exporters import RemoteWriteExporter
from mirante.metrics import Registry, counter, histogram
from mirante.telemetry import Aggregate, MetricsCollector
from tests import peers
from tests.formats.test_remote_write2 import read as read2
from tests.sdk.exporters.receiver import Answer, Receiver, receiving
from tests.sdk.telemetry.support import FakeClock
from tests.write_request import read

WRITTEN = {"X-Prometheus-Remote-Write-Samples-Written": "1"}
NOW_MS = 1_700_000_000_000


def exporter(receiver: Receiver, **more: object) -> RemoteWriteExporter:
    """To that receiver, at a fixed time."""
    return RemoteWriteExporter(receiver.url, clock=FakeClock(), **more)  # type: ignore[arg-type] # as given


def body(receiver: Receiver, number: int = 0) -> bytes:
    """What came, uncompressed."""
    return bytes(cramjam.snappy.decompress_raw(receiver.requests[number].body))


def at(second: float) -> datetime:
    """A time of 2023."""
    return datetime.fromtimestamp(1_690_000_000 + second, UTC)


def test_a_batch_is_one_request_of_the_first_version() -> None:
    """With the headers that it asks for, samples by time, and the labels of the process on every series."""
    registry = Registry()
    counter("jobs_total", "Jobs.", registry=registry).inc(3)
    batch: list[Exportable] = [
        Metric("t", 2.0, at(2)),
        Metric("t", 1.0, at(1)),
        Metric("t", 9.0, at(2.0001)),
        *registry.collect(),
    ]
    with receiving() as receiver:
        out = exporter(receiver, labels={"job": "orders"}, headers={"X-Scope-OrgID": "7"})
        out.export(batch)
        out.close()
        written = read([body(receiver)])
        headers = receiver.requests[0].headers
    assert written.of("t", job="orders") == [(1_690_000_001_000, 1.0), (1_690_000_002_000, 9.0)]
    assert written.of("jobs_total", job="orders") == [(NOW_MS, 3.0)]
    assert headers["Content-Type"] == "application/x-protobuf"
    assert headers["Content-Encoding"] == "snappy"
    assert headers["X-Prometheus-Remote-Write-Version"] == "0.1.0"
    assert headers["User-Agent"].startswith("mirante/")
    assert headers["X-Scope-OrgID"] == "7"


def test_the_second_version_where_the_receiver_knows_it() -> None:
    """Which it shows by saying how much it wrote."""
    with receiving(Answer(204, WRITTEN), Answer(204, WRITTEN)) as receiver:
        out = exporter(receiver, version="2.0")
        for _ in range(2):
            out.export([Metric("t", 2.0, at(2))])
        out.close()
        ((labels, series, _, _),) = read2(body(receiver, 1))
        headers = receiver.requests[1].headers
    assert (labels, [(s.timestamp, s.value) for s in series.samples]) == ({"__name__": "t"}, [(1_690_000_002_000, 2.0)])
    assert headers["Content-Type"] == "application/x-protobuf;proto=io.prometheus.write.v2.Request"
    assert headers["X-Prometheus-Remote-Write-Version"] == "2.0.0"
    assert out.version == "2.0"


@pytest.mark.parametrize("answer", [Answer(415), Answer(204)])
def test_a_receiver_that_does_not_know_the_second_gets_the_first(answer: Answer) -> None:
    """The same batch at once, and every one after it."""
    with receiving(answer) as receiver:
        out = exporter(receiver, version="2.0")
        for value in (1.0, 2.0):
            out.export([Metric("t", value, at(value))])
        out.close()
        versions = [one.headers["X-Prometheus-Remote-Write-Version"] for one in receiver.requests]
        written = read([body(receiver, 1), body(receiver, 2)])
    assert versions == ["2.0.0", "0.1.0", "0.1.0"]
    assert [value for _, value in written.of("t")] == [1.0, 2.0]


def test_a_fault_of_the_receiver_is_no_reason_to_fall_back() -> None:
    """It may pass."""
    with receiving(Answer(503, {"Retry-After": "3"})) as receiver:
        out = exporter(receiver, version="2.0")
        with pytest.raises(DeliveryError) as caught:
            out.export([Metric("t", 2.0, at(2))])
        out.close()
    assert (caught.value.permanent, caught.value.retry_after) == (False, 3.0)
    assert out.version == "2.0"


def test_nothing_is_not_sent() -> None:
    """No request without samples."""
    with receiving() as receiver:
        exporter(receiver).export([])
        assert receiver.requests == []


def test_settings_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Version, address and the package for compression."""
    url = "http://127.0.0.1:9090/api/v1/write"
    with pytest.raises(DeclarationError, match=r"version must be 1.0 or 2.0, not '3'"):
        RemoteWriteExporter(url, version="3")  # type: ignore[arg-type] # what is tested
    with pytest.raises(ConfigError, match="expected a URL"):
        RemoteWriteExporter("127.0.0.1:9090")
    monkeypatch.setitem(sys.modules, "cramjam", None)
    with pytest.raises(ConfigError, match=r'needs the package cramjam: pip install "mirante\[remote-write\]"'):
        RemoteWriteExporter(url)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[peers.Peer]:
    """A real Prometheus that receives remote write and scrapes nothing."""
    folder: Path = tmp_path_factory.mktemp("prometheus")
    (folder / "prometheus.yml").write_text("")
    port = peers.free_port()
    command = [
        peers.program("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--web.enable-remote-write-receiver",
    ]
    with peers.running(command, f"http://127.0.0.1:{port}", "/-/ready", folder / "log") as peer:
        yield peer


@pytest.mark.slow
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_a_real_prometheus_takes_a_pipeline(prometheus: peers.Peer, version: str) -> None:
    """Prometheus 2.42 does not know 2.0, so that it gets 1.0 after the first attempt."""
    labels = {"job": f"pipeline-{version}"}
    out = RemoteWriteExporter(prometheus.url + "/api/v1/write", version=version, labels=labels)  # type: ignore[arg-type] # a literal
    with MetricsCollector(stages=[Aggregate(quantiles=[0.5])], exporter=out) as collector:
        for seconds in (1.0, 2.0, 3.0):
            collector.record("response.time", seconds, tags={"http.route": "/"})
    found = prometheus.query(f'{{job="pipeline-{version}", http_route="/"}}')
    values = {one["metric"]["__name__"]: float(one["value"][1]) for one in found}
    assert values.pop("response_time") == pytest.approx(2.0, rel=0.01)
    assert values == {
        "response_time_count": 3,
        "response_time_sum": 6,
        "response_time_min": 1,
        "response_time_max": 3,
        "response_time_last": 3,
    }
    assert out.version == "1.0"


@pytest.mark.slow
def test_a_real_prometheus_takes_a_registry_and_many_samples_of_a_series(prometheus: peers.Peer) -> None:
    """Histograms keep their buckets; a thousand samples of one series arrive in order."""
    registry = Registry()
    histogram("seconds", "Time.", buckets=[1.0], registry=registry).observe(0.5)
    out = RemoteWriteExporter(prometheus.url + "/api/v1/write", labels={"job": "registry"})
    out.export(list(registry.collect()))
    began = time.time() - 10
    points = [Metric("many", n, datetime.fromtimestamp(began + n / 200, UTC)) for n in range(1000)]
    out.export(points[500:] + points[:500])
    out.close()
    assert {one["metric"]["le"] for one in prometheus.query('seconds_bucket{job="registry"}')} == {"1.0", "+Inf"}
    (count,) = prometheus.query('count_over_time(many{job="registry"}[1m])')
    assert count["value"][1] == "1000"


@pytest.mark.slow
def test_a_real_prometheus_says_what_it_refuses(prometheus: peers.Peer) -> None:
    """A sample that is far too old cannot be helped by trying again."""
    out = RemoteWriteExporter(prometheus.url + "/api/v1/write")
    out.export([Metric("old", 1.0, datetime.now(UTC))])
    with pytest.raises(DeliveryError, match="answered 400") as caught:
        out.export([Metric("old", 1.0, datetime(2020, 1, 1, tzinfo=UTC))])
    out.close()
    assert caught.value.permanent
