"""A server just started shows real telemetry, takes some from others, and answers wrong input with a sentence."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tests.peers import Peer, fetch, mirante, wait_for

pytestmark = pytest.mark.slow

PROTOBUF = {"Content-Type": "application/x-protobuf"}
REMOTE_WRITE = {**PROTOBUF, "Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "0.1.0"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """A server with nothing but its defaults."""
    with mirante(tmp_path_factory.mktemp("first-light")) as peer:
        yield peer


def test_the_host_and_the_server_itself_are_up_within_half_a_minute(server: Peer) -> None:
    """Two targets, without a word of configuration."""
    up = wait_for(lambda: len(got := server.query("up == 1")) >= 2 and got, seconds=30, what="two targets that are up")
    assert {series["metric"]["job"] for series in up} == {"host", "mirante"}


@pytest.mark.parametrize(
    "expression",
    [
        "sum by (cpu_mode) (rate(system_cpu_time_seconds_total[30s]))",
        "system_memory_usage_bytes / ignoring (system_memory_state) group_left () system_memory_limit_bytes",
        "system_filesystem_usage_bytes",
        "rate(system_network_io_bytes_total[30s])",
        "process_resident_memory_bytes{job='mirante'}",
        "histogram_quantile(0.95, sum by (le) (rate(http_server_request_duration_seconds_bucket{job='mirante'}[30s])))",
    ],
)
def test_what_the_page_draws_is_there(server: Peer, expression: str) -> None:
    """The metrics of the machine and of the server have values soon after the start."""
    wait_for(lambda: server.query(expression), seconds=60, what=expression)


def test_targets_tell_how_the_scrape_went(server: Peer) -> None:
    """As Prometheus's own endpoint has it."""
    wait_for(lambda: len(server.query("up == 1")) >= 2, what="both targets")
    active = server.get("/api/v1/targets")["data"]["activeTargets"]
    assert {(t["labels"]["job"], t["health"], t["lastError"]) for t in active} == {
        ("host", "up", ""),
        ("mirante", "up", ""),
    }


def test_an_application_of_two_lines_arrives(server: Peer) -> None:
    """What the README shows, in another process, until it can be queried."""
    code = (
        "import mirante; from mirante import metrics\n"
        f"mirante.configure(service_name='orders', endpoint='{server.url}')\n"
        "metrics.counter('orders_total', 'Orders', labels=('channel',)).labels('web').inc(3)\n"
    )
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
    assert time.monotonic() - began < 10
    got = wait_for(lambda: server.query("orders_total"), seconds=60, what="orders_total")
    assert got[0]["value"][1] == "3"
    assert got[0]["metric"]["job"] == "orders"
    assert got[0]["metric"]["channel"] == "web"


def test_metrics_pages_are_what_prometheus_reads(server: Peer) -> None:
    """Own metrics and those of the machine, each on its path."""
    for path, word in (
        ("/metrics", b"mirante_"),
        ("/metrics/prometheus", b"mirante_"),
        ("/metrics/host", b"system_cpu"),
    ):
        status, body = fetch(server.url + path)
        assert status == 200
        assert word in body
        assert b"# TYPE" in body


def test_health_and_build(server: Peer) -> None:
    """The paths that supervisors and Grafana ask."""
    assert fetch(f"{server.url}/-/healthy")[0] == 200
    assert fetch(f"{server.url}/-/ready")[0] == 200
    assert server.get("/api/v1/status/buildinfo")["data"]["version"]


def test_an_unknown_metric_is_an_empty_result(server: Peer) -> None:
    """No data is no error."""
    assert server.query("no_such_metric") == []
    assert server.get("/api/v1/series", **{"match[]": "no_such_metric"})["data"] == []


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("query?query=" + quote("rate(up[5m]"), ["parse error", "1:"]),
        ("query?query=" + quote("sum(rat(up[5m]))"), ["rat", "1:5"]),
        ("query?query=" + quote("rate(up)"), ["range vector", "1:"]),
        ("query?query=" + quote('{a=~"["}'), ["1:"]),
        ("query", ["query"]),
        ("query?query=up&time=noon", ['"time"', "noon"]),
        ("query_range?query=up&start=0&end=10&step=0", ["step", "positive"]),
        ("query_range?query=up&start=10&end=0&step=1", ["end timestamp must not be before start"]),
        ("query_range?query=up&start=0&end=100000&step=1", ["11,000"]),
        ("series", ["match[]"]),
        ("series?match[]=" + quote("{"), ["match[]"]),
        ("labels?limit=x", ["limit"]),
        ("targets?state=asleep", ["state"]),
    ],
)
def test_a_wrong_question_is_bad_data_with_a_sentence(server: Peer, path: str, words: list[str]) -> None:
    """400, the envelope, and where the mistake is."""
    status, body = fetch(f"{server.url}/api/v1/{path}")
    answer = json.loads(body)
    assert status == 400, answer
    assert (answer["status"], answer["errorType"]) == ("error", "bad_data")
    assert all(word in answer["error"] for word in words), answer["error"]


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/api/v1/write", b"not snappy at all", REMOTE_WRITE),
        ("/api/v1/write", b"", REMOTE_WRITE),
        ("/v1/metrics", b"\x0a\xff\xff\xff\x7f garbage", PROTOBUF),
        ("/v1/traces", b"\x0a\xff\xff\xff\x7f garbage", PROTOBUF),
        ("/v1/logs", b"{", {"Content-Type": "application/json"}),
        (
            "/v1/logs",
            gzip.compress(b"{}", mtime=0)[:-4],
            {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        ),
    ],
)
def test_a_broken_body_is_400_with_one_sentence(server: Peer, path: str, body: bytes, headers: dict[str, str]) -> None:
    """The sender learns what is wrong, without a traceback."""
    status, answer = fetch(server.url + path, data=body, headers=headers)
    assert status == 400, answer
    assert answer
    assert b"Traceback" not in answer


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/nowhere"])
def test_an_unknown_path_is_404(server: Peer, path: str) -> None:
    """Nothing pretends to be there."""
    assert fetch(server.url + path)[0] == 404


def test_a_traced_and_logging_application_is_taken_in(server: Peer) -> None:
    """OTLP/HTTP in JSON, as the specification's own examples have it, is acknowledged with an empty success."""
    now = time.time_ns()
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "orders"}}]}
    span = {"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "name": "GET /", "kind": 2,
            "startTimeUnixNano": str(now), "endTimeUnixNano": str(now + 1_000_000)}  # fmt: skip
    line = {"timeUnixNano": str(now), "severityText": "INFO", "body": {"stringValue": "hello"}}
    for path, payload in (
        ("/v1/traces", {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]}),
        ("/v1/logs", {"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": [line]}]}]}),
    ):
        status, answer = fetch(
            server.url + path, data=json.dumps(payload).encode(), headers={"Content-Type": "application/json"}
        )
        assert (status, json.loads(answer).get("partialSuccess", {})) == (200, {}), answer
