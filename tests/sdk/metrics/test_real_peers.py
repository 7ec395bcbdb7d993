"""Expositions before the real judges: promtool and a scraping Prometheus."""

from __future__ import annotations

import math
import subprocess
from pathlib import Path

import pytest

from mirante import metrics
from mirante.exporters.prometheus import start_http_server
from mirante.metrics import Registry
from tests.peers import free_port, program, running, wait_for

pytestmark = pytest.mark.slow


def everything() -> Registry:
    """One metric of each type, with awkward label values."""
    registry = Registry()
    metrics.counter("jobs_total", "Jobs done.", ["kind"], registry=registry).labels('a"\\\n').inc(2, {"trace_id": "1"})
    metrics.gauge("depth_bytes", "Depth.", registry=registry).set(math.inf)
    metrics.histogram("latency_seconds", "Latency.", registry=registry, native_factor=1.1).observe(0.3)
    metrics.summary("wait_seconds", "Wait.", registry=registry).observe(2)
    metrics.info("build", "Build.", registry=registry).info({"version": "1"})
    metrics.stateset("worker_state", "State.", registry=registry, states=["idle", "busy"]).state("busy")
    return registry


def test_promtool_finds_nothing_to_say() -> None:
    """Format, names and help texts pass its check."""
    done = subprocess.run(
        [program("promtool"), "check", "metrics"], input=everything().expose(), capture_output=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


@pytest.mark.parametrize(("flag", "native"), [("exemplar-storage", False), ("native-histograms", True)])
def test_prometheus_scrapes_us(tmp_path: Path, flag: str, native: bool) -> None:
    """OpenMetrics with exemplars, or protobuf with native histograms, as it asks for; every series arrives."""
    server, port = start_http_server(0, registry=everything()), free_port()
    config = tmp_path / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s}\nscrape_configs:\n  - job_name: a\n"
        f"    static_configs: [{{targets: ['127.0.0.1:{server.port}']}}]\n"
    )
    command = [
        program("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--enable-feature={flag}",
    ]
    try:
        with running(command, f"http://127.0.0.1:{port}", "/-/ready", tmp_path / "log") as peer:
            wait_for(lambda: peer.query("jobs_total"), what="the first scrape")
            [jobs] = peer.query("jobs_total")
            assert (jobs["metric"]["kind"], jobs["value"][1]) == ('a"\\\n', "2")
            assert peer.query("depth_bytes")[0]["value"][1] == "+Inf"
            assert peer.query("wait_seconds_count")[0]["value"][1] == "1"
            assert peer.query("build_info")[0]["metric"]["version"] == "1"
            assert peer.query('worker_state{worker_state="busy"}')[0]["value"][1] == "1"
            if native:
                assert peer.query("histogram_count(latency_seconds)")[0]["value"][1] == "1"
                assert peer.query("histogram_sum(latency_seconds)")[0]["value"][1] == "0.3"
            else:
                assert peer.query('latency_seconds_bucket{le="0.25"}')[0]["value"][1] == "0"
                found = peer.get("/api/v1/query_exemplars", query="jobs_total", start=0, end=4e9)["data"]
                assert found[0]["exemplars"][0]["labels"] == {"trace_id": "1"}
    finally:
        server.close()
