"""A real Prometheus that reads from a real server: by remote read, and by scraping what is federated."""

from __future__ import annotations

import time
from collections.abc import Iterator

import cramjam
import pytest

from mirante.server.promql.syntax import layout
from tests.peers import Peer, fetch, free_port, mirante, program, running, wait_for
from tests.write_request import write_request

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """With ten minutes of a counter that two instances had."""
    with mirante(tmp_path_factory.mktemp("read"), "--no-host-metrics") as peer:
        now = time.time_ns() // 15_000_000_000 * 15_000
        times = [now - ago for ago in range(600_000, -1, -15_000)]
        series = [
            (
                {"__name__": "jobs_total", "instance": name},
                [(at, float(n * (number + 1))) for n, at in enumerate(times)],
            )
            for number, name in enumerate("ab")
        ]
        body = bytes(cramjam.snappy.compress_raw(write_request(series)))
        headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
        assert fetch(peer.url + "/api/v1/write", data=body, headers=headers)[0] == 204
        wait_for(lambda: len(peer.query("jobs_total")) == 2, what="the samples")
        yield peer


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory, server: Peer) -> Iterator[Peer]:
    """It has nothing of its own."""
    folder, port = tmp_path_factory.mktemp("prometheus"), free_port()
    target = server.url.removeprefix("http://")
    config = folder / "prometheus.yml"
    config.write_text(f"""
global: {{scrape_interval: 1s}}
remote_read: [{{url: "{server.url}/api/v1/read", read_recent: true}}]
scrape_configs:
  - job_name: federation
    honor_labels: true
    honor_timestamps: false
    metrics_path: /federate
    params: {{"match[]": ['{{__name__="jobs_total"}}']}}
    metric_relabel_configs:
      - {{source_labels: [__name__], regex: jobs_total, target_label: __name__, replacement: federated_total}}
    static_configs: [{{targets: ["{target}"]}}]
""")
    command = [
        program("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with running(command, f"http://127.0.0.1:{port}", "/-/ready", folder / "prometheus.log") as peer:
        yield peer


def test_prometheus_answers_from_what_it_reads_here(server: Peer, prometheus: Peer) -> None:
    """The same numbers as our own, for values, rates and matchers of every kind."""
    at = time.time()
    for expression in ("jobs_total", "rate(jobs_total[5m])", 'sum(jobs_total{instance=~"a|b",instance!="c"})'):
        ours = {str(one["metric"]): float(one["value"][1]) for one in server.query(expression, time=at)}
        theirs = {str(one["metric"]): float(one["value"][1]) for one in prometheus.query(expression, time=at)}
        assert ours == pytest.approx(theirs, rel=1e-9)
        assert ours


def test_prometheus_scrapes_what_is_federated(prometheus: Peer) -> None:
    """With the labels that the series have here."""
    wait_for(lambda: len(prometheus.query("federated_total")) == 2, what="a scrape of the federation")
    found = {one["metric"]["instance"]: float(one["value"][1]) for one in prometheus.query("federated_total")}
    assert found == {"a": 40.0, "b": 80.0}


@pytest.mark.parametrize(
    "expression",
    [
        "up",
        'sum by(job)(rate(http_requests_total{code=~"5.."}[5m]))/sum by(job)(rate(http_requests_total[5m]))',
        "a+b*c^2",
        "histogram_quantile(0.9,sum by(le,job)(rate(http_duration_seconds_bucket[5m]))) > on(job) group_left() x",
        "x offset 5m @ end()",
        "max_over_time(rate(x[5m])[1h:1m])",
        "-x == bool 1",
    ],
)
def test_expressions_are_laid_out_as_prometheus_does(prometheus: Peer, expression: str) -> None:
    """Its own printer is the judge."""
    assert layout(expression) == prometheus.get("/api/v1/format_query", query=expression)["data"]
