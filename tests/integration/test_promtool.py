"""The real promtool asks a real server, and so do dashboards."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from urllib.parse import urlencode
from urllib.request import urlopen

import cramjam
import pytest

from tests.peers import Peer, fetch, mirante, program, wait_for
from tests.write_request import write_request

pytestmark = pytest.mark.slow

NOW = time.time_ns() // 15_000_000_000 * 15


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """With ten minutes of two counters."""
    with mirante(tmp_path_factory.mktemp("promtool"), "--no-host-metrics") as peer:
        times = [(NOW - ago) * 1000 for ago in range(600, -1, -15)]
        body = write_request(
            ({"__name__": "jobs_total", "instance": name}, [(at, float(n)) for n, at in enumerate(times)])
            for name in "ab"
        )
        headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
        assert (
            fetch(f"{peer.url}/api/v1/write", data=bytes(cramjam.snappy.compress_raw(body)), headers=headers)[0] == 204
        )
        wait_for(lambda: len(peer.query("jobs_total", time=NOW)) == 2, what="the samples")
        yield peer


def promtool(*arguments: str) -> str:
    """What it prints; it must be content."""
    done = subprocess.run([program("promtool"), *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def test_instant_queries(server: Peer) -> None:
    """As text and as JSON."""
    asked = ["query", "instant", f"--time={NOW}", server.url, "sum(jobs_total)"]
    assert promtool(*asked) == f"{{}} => 80 @[{NOW}]\n"
    told = json.loads(promtool("query", "instant", "--format=json", *asked[2:]))
    assert told == [{"metric": {}, "value": [NOW, "80"]}]


def test_range_queries(server: Peer) -> None:
    """Every step of them."""
    printed = promtool(
        "query", "range", f"--start={NOW - 60}", f"--end={NOW}", "--step=30s", server.url, 'jobs_total{instance="a"}'
    )
    points = [f"36 @[{NOW - 60}]", f"38 @[{NOW - 30}]", f"40 @[{NOW}]"]
    assert printed.splitlines() == ['jobs_total{instance="a"} =>', *points]


def test_series(server: Peer) -> None:
    """By selectors."""
    printed = promtool("query", "series", "--match=jobs_total", f"--start={NOW - 600}", f"--end={NOW}", server.url)
    assert printed.splitlines() == ['{__name__="jobs_total", instance="a"}', '{__name__="jobs_total", instance="b"}']


def test_label_values(server: Peer) -> None:
    """One a line."""
    assert promtool("query", "labels", server.url, "instance").split() == ["a", "b"]


def test_metrics_are_well_formed(server: Peer) -> None:
    """Our own page for Prometheus passes its linter."""
    page = fetch(f"{server.url}/metrics/prometheus")[1]
    done = subprocess.run(
        [program("promtool"), "check", "metrics"], input=page, capture_output=True, timeout=120, check=False
    )
    assert b"error while linting" not in done.stderr, done.stderr


def test_what_dashboards_ask_besides_is_answered(server: Peer) -> None:
    """Empty lists where there is nothing yet."""
    answers = {path: server.get(f"/api/v1/{path}") for path in ("rules", "alerts", "query_exemplars?query=jobs_total")}
    assert all(answer["status"] == "success" for answer in answers.values())
    assert [answer["data"] for answer in answers.values()] == [{"groups": []}, {"alerts": []}, []]
    assert server.get("/api/v1/alertmanagers")["data"]["activeAlertmanagers"] == []


def test_a_wide_answer_comes_whole(server: Peer) -> None:
    """It is sent in pieces, through everything that stands between the query and the client."""
    copies = (f'label_replace(jobs_total, "copy", "{number}", "", "")' for number in range(4))
    asked = {"query": " or ".join(copies), "start": NOW - 600, "end": NOW, "step": 0.06}
    with urlopen(f"{server.url}/api/v1/query_range?{urlencode(asked)}", timeout=120) as reply:  # noqa: S310 - loopback only
        assert reply.headers["Content-Length"] is None
        data = json.load(reply)["data"]
    assert [len(series["values"]) for series in data["result"]] == [10_001] * 8
    assert {series["values"][-1][1] for series in data["result"]} == {"40"}
