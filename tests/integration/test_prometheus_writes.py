"""The real Prometheus scrapes itself and a node exporter, writes to us, and both give the same answers."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers import Peer, free_port, mirante, program, running, wait_for

pytestmark = pytest.mark.slow

SCRAPE_SECONDS = 1
COLLECT_SECONDS = float(os.environ.get("MIRANTE_TEST_COLLECT_SECONDS", "85"))
QUERIES = (
    "prometheus_http_requests_total",
    "rate(prometheus_http_requests_total[1m])",
    "increase(prometheus_http_requests_total[30s])",
    "sum by (handler) (rate(prometheus_http_requests_total[1m]))",
    "sum by (handler) (prometheus_http_requests_total)",
    "node_cpu_seconds_total",
    "sum without (cpu) (rate(node_cpu_seconds_total[30s]))",
    "1 - avg(rate(node_cpu_seconds_total{mode='idle'}[1m])) by (instance)",
    "histogram_quantile(0.9, prometheus_http_request_duration_seconds_bucket)",
    "histogram_quantile(0.9, sum by (le, handler) (rate(prometheus_http_response_size_bytes_bucket[1m])))",
    "node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes",
    "avg_over_time(node_load1[30s])",
    "max_over_time(go_goroutines[30s]) - min_over_time(go_goroutines[30s])",
    "count by (job) (up == 1)",
    "go_goroutines offset 20s",
    "irate(prometheus_tsdb_head_samples_appended_total[20s])",
    "topk(3, prometheus_http_requests_total)",
    "prometheus_http_requests_total / on (instance) group_left () process_start_time_seconds",
)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Peer, Peer]]:
    """Prometheus and mirante, after a minute of remote write."""
    prometheus, exporter = program("prometheus"), program("prometheus-node-exporter")
    folder: Path = tmp_path_factory.mktemp("remote-write")
    node, own = free_port(), free_port()
    node_url, own_url = f"http://127.0.0.1:{node}", f"http://127.0.0.1:{own}"
    with (
        mirante(folder, "--no-host-metrics") as ours,
        running([exporter, f"--web.listen-address=127.0.0.1:{node}"], node_url, "/metrics", folder / "node.log"),
    ):
        config = folder / "prometheus.yml"
        config.write_text(
            f"global: {{scrape_interval: {SCRAPE_SECONDS}s, scrape_timeout: 1s}}\n"
            f"remote_write: [{{url: '{ours.url}/api/v1/write', queue_config: {{batch_send_deadline: 1s}}}}]\n"
            "scrape_configs:\n"
            f"- {{job_name: prometheus, static_configs: [{{targets: ['127.0.0.1:{own}']}}]}}\n"
            f"- {{job_name: node, static_configs: [{{targets: ['127.0.0.1:{node}']}}]}}\n"
        )
        flags = [f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}"]
        with running(
            [prometheus, *flags, f"--web.listen-address=127.0.0.1:{own}"], own_url, "/-/ready", folder / "p.log"
        ) as theirs:
            deadline = time.monotonic() + COLLECT_SECONDS
            while time.monotonic() < deadline:  # requests that the histograms count, answered by a real clock
                theirs.query("up")
                time.sleep(0.2)
            yield theirs, ours


def between_scrapes(theirs: Peer) -> list[float]:
    """Three times that no sample of any target lies on, nor a multiple of ten seconds before.

    Prometheus 2 counts a sample on the left edge of a window, Prometheus 3 and we do not. The windows end well after
    its start, because it writes to others only what it scraped after it had opened its log.
    """
    now = int(time.time()) - 3
    stamps = {float(s["value"][0]) for s in theirs.query("timestamp(up)", time=now)}
    offsets = {round(float(s["value"][1]) % 1, 3) for s in theirs.query("timestamp(up)", time=now)}
    assert stamps
    free = next(f / 10 for f in range(10) if all(abs(f / 10 - o) > 0.02 for o in offsets))
    return [now - back + free for back in (0, 5, 11)]


@pytest.mark.parametrize("expression", QUERIES)
def test_both_give_the_same_values(pair: tuple[Peer, Peer], expression: str) -> None:
    """Same series, same values within 1e-9, at the same timestamps."""
    theirs, ours = pair
    for at in between_scrapes(theirs):
        expected = {frozenset(s["metric"].items()): float(s["value"][1]) for s in theirs.query(expression, time=at)}
        assert expected, f"Prometheus itself has nothing for {expression} at {at}"

        def caught_up(at: float = at, expected: object = expected) -> bool:
            return same(ours, expression, at, expected)

        wait_for(
            caught_up,
            seconds=10,
            what=f"the same answer to {expression} at {at}: {difference(ours, expression, at, expected)}",
        )


def same(ours: Peer, expression: str, at: float, expected: object) -> bool:
    """Whether our answer equals theirs."""
    return not difference(ours, expression, at, expected)


def difference(ours: Peer, expression: str, at: float, expected: object) -> str:
    """What differs, in words; empty when nothing does."""
    assert isinstance(expected, dict)
    got = {frozenset(s["metric"].items()): float(s["value"][1]) for s in ours.query(expression, time=at)}
    if got.keys() != expected.keys():
        there, here = list(expected.keys() - got.keys())[:3], list(got.keys() - expected.keys())[:3]
        return f"series only there: {there}, only here: {here}"
    wrong = [(dict(k), v, expected[k]) for k, v in got.items() if not close(v, expected[k])]
    return str(wrong[:3]) if wrong else ""


def close(a: float, b: float) -> bool:
    """Equal within 1e-9 relative; NaN equals NaN."""
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12) or (math.isnan(a) and math.isnan(b))


def test_a_range_gives_the_same_matrix(pair: tuple[Peer, Peer]) -> None:
    """The range form agrees point by point."""
    theirs, ours = pair
    end = between_scrapes(theirs)[0]
    ask: dict[str, str | float] = {
        "query": "sum by (job) (rate(process_cpu_seconds_total[20s]))",
        "start": end - 30,
        "end": end,
        "step": 5,
    }
    expected, got = (peer.get("/api/v1/query_range", **ask)["data"]["result"] for peer in (theirs, ours))
    assert len(expected) == 2
    for theirs_row, ours_row in zip(expected, got, strict=True):
        assert theirs_row["metric"] == ours_row["metric"]
        for (t1, v1), (t2, v2) in zip(theirs_row["values"], ours_row["values"], strict=True):
            assert t1 == t2
            assert close(float(v1), float(v2)), (t1, v1, v2)


def test_metadata_of_the_sender_is_kept(pair: tuple[Peer, Peer]) -> None:
    """Type and help of a written metric can be asked for."""
    _, ours = pair
    got = wait_for(
        lambda: ours.get("/api/v1/metadata", metric="go_goroutines")["data"].get("go_goroutines"),
        seconds=90,
        what="metadata, which Prometheus sends once a minute",
    )
    assert got[0]["type"] == "gauge"
    assert "goroutines" in got[0]["help"]


def test_series_and_labels_agree(pair: tuple[Peer, Peer]) -> None:
    """The same label values and series, asked for the last minutes."""
    theirs, ours = pair
    now = time.time()
    ask: dict[str, str | float] = {"start": now - 60, "end": now, "match[]": "node_cpu_seconds_total"}
    for path in ("/api/v1/label/mode/values", "/api/v1/labels"):
        assert theirs.get(path, **ask)["data"] == ours.get(path, **ask)["data"]

    def sets(peer: Peer) -> set[frozenset[tuple[str, str]]]:
        return {frozenset(labels.items()) for labels in peer.get("/api/v1/series", **ask)["data"]}

    assert sets(theirs) == sets(ours)
