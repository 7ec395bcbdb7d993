"""The same pushes to a real Pushgateway and to a real server have the same effect."""

from __future__ import annotations

import json
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import prometheus_client as client
import pytest

from mirante._core.model import MetricFamily, Sample
from mirante.exporters.pushgateway import PushgatewayExporter
from mirante.formats.exposition_parser import parse
from mirante.formats.metric_family import CONTENT_TYPE as DELIMITED
from mirante.formats.metric_family import metric_family
from tests.peers import Peer, fetch, free_port, mirante, program, running, wait_for

pytestmark = pytest.mark.slow

TEXT = "text/plain; version=0.0.4"
HISTOGRAM = """# HELP h Took \\\\ long.
# TYPE h histogram
h_bucket{k="v",le="0.5"} 1
h_bucket{k="v",le="1"} 1
h_bucket{k="v",le="+Inf"} 2
h_sum{k="v"} 3.5
h_count{k="v"} 2
# TYPE s summary
s{quantile="0.9"} 1e-7
s_sum 12345678
s_count 3
"""


class Push(NamedTuple):
    """One request."""

    method: str
    path: str
    body: str | bytes = ""
    content_type: str = TEXT


FAMILY = MetricFamily("f", "gauge", "F.", samples=(Sample("f", {"k": "é"}, 1.5),))
PUSHES = [
    Push("PUT", "/metrics/job/a", "# TYPE c counter\nc 1\nu NaN\n"),
    Push("POST", "/metrics/job/a", HISTOGRAM),
    Push("POST", "/metrics/job/a", "c 2\n"),  # untyped now: the group's own family is replaced, and so is its type
    Push("PUT", "/metrics/job/a/instance/i/zone@base64/YS9i", 'c{instance="x",k=""} +Inf\n'),
    Push("PUT", "/metrics/job@base64/YS9i/empty@base64/=", metric_family(FAMILY), DELIMITED),
    Push("PUT", "/metrics/job/timed", "t 1 5\n"),
    Push("PUT", "/metrics/job/twice", 't{job="x"} 1\nt{job="y"} 2\n'),
    Push("PUT", "/metrics/job/typed", "# TYPE c gauge\nc 1\n"),
    Push("PUT", "/metrics/job/parts", "h_count 1\n"),
    Push("PUT", "/metrics/job/broken", "t{ 1\n"),
    Push("PUT", "/metrics/job/odd/label", "t 1\n"),
    Push("PUT", "/metrics/job/a/__x/y", "t 1\n"),
    Push("PUT", "/metrics/job/a/x@base64/!", "t 1\n"),
    Push("PUT", "/metrics/job/b", 'd{zone="z"} 1\n'),
    Push("PUT", "/metrics/job/b/zone/z", "d 2\n"),
    Push("PUT", "/metrics/job/b", ""),
    Push("PUT", "/metrics/job/b/zone/z", "d 3\n"),
    Push("DELETE", "/metrics/job/b/zone/z"),
    Push("DELETE", "/metrics/job/nobody"),
    Push("POST", "/metrics/job/b/", "e 1\n"),
]


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Peer, Peer]]:
    """The real one, and ours."""
    folder = tmp_path_factory.mktemp("peers")
    port = free_port()
    command = [
        program("prometheus-pushgateway"),
        f"--web.listen-address=127.0.0.1:{port}",
        f"--persistence.file={folder / 'pushgateway'}",
    ]
    with (
        running(command, f"http://127.0.0.1:{port}", "/-/ready", folder / "pushgateway.log") as real,
        mirante(folder, "--no-host-metrics") as ours,
    ):
        yield real, ours


def send(peer: Peer, push: Push) -> int:
    """Its answer's status."""
    body = push.body.encode() if isinstance(push.body, str) else push.body
    request = urllib.request.Request(  # noqa: S310 - loopback only
        peer.url + push.path, body, {"Content-Type": push.content_type}, method=push.method
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:  # noqa: S310 - loopback only
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


def normal(labels: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """Labels with bounds as numbers: the real one prints them in Go's way."""
    return tuple(
        sorted((name, repr(float(value)) if name in {"le", "quantile"} else value) for name, value in labels.items())
    )


Exposed = dict[tuple[str, tuple[tuple[str, str], ...]], str]


def exposed(peer: Peer, path: str) -> Exposed:
    """Samples of groups, those of the two times as whether they are set."""
    page = parse(fetch(peer.url + path)[1])
    return {
        (sample.name, normal(dict(sample.labels))): str(bool(sample.value))
        if sample.name.startswith("push_")
        else repr(sample.value)
        for sample in page.samples
        if "job" in sample.labels
    }


def types(peer: Peer, path: str, names: set[str]) -> dict[str, tuple[str, str]]:
    """Type and help of those families, the gateway's own words left out."""
    metadata = parse(fetch(peer.url + path)[1]).metadata
    return {name: (said.type, said.help) for name, said in metadata.items() if name in names and "push_" not in name}


def queried(peer: Peer) -> Exposed:
    """What PromQL sees now, in the shape of an exposition."""
    found = peer.query('{job!=""}')
    return {
        (metric.pop("__name__"), normal(metric)): value[1]
        for metric, value in ((dict(one["metric"]), one["value"]) for one in found)
    }


def agree(real: Peer, ours: Peer) -> None:
    """Expositions, API and queries say the same."""
    theirs = exposed(real, "/metrics")
    assert exposed(ours, "/metrics/pushgateway") == theirs
    names = {name for name, _ in theirs} | {"h", "s"}
    assert types(ours, "/metrics/pushgateway", names) == types(real, "/metrics", names)
    wanted = {(name, tuple(pair for pair in labels if pair[1])) for name, labels in theirs}
    wait_for(lambda: queried(ours).keys() == wanted, what="the series of all groups and no others")


def test_the_same_pushes_have_the_same_effect(peers: tuple[Peer, Peer]) -> None:
    """Statuses are the same one by one, and so is what is exposed, shown by the API and found by queries."""
    real, ours = peers
    for number, push in enumerate(PUSHES):
        assert send(ours, push) == send(real, push), push
        assert exposed(ours, "/metrics/pushgateway") == exposed(real, "/metrics"), (number, push)
    agree(real, ours)
    assert api(ours) == api(real)


def api(peer: Peer) -> list[Any]:
    """The groups of the API without times, in one order."""
    groups = peer.get("/api/v1/metrics")["data"]
    for group in groups:
        for name in ("push_time_seconds", "push_failure_time_seconds"):
            del group[name]
        for family in group.values():
            if isinstance(family, dict) and "metrics" in family:
                del family["time_stamp"]
                for metric in family["metrics"]:
                    for inner in metric.keys() & {"buckets", "quantiles"}:
                        metric[inner] = {float(bound): value for bound, value in metric[inner].items()}
                    metric["labels"] = normal(metric["labels"])
    return sorted(groups, key=lambda group: json.dumps(group["labels"], sort_keys=True))


def test_clients_push_to_both(peers: tuple[Peer, Peer]) -> None:
    """What prometheus_client and our own exporter push is the same on both."""
    registry = client.CollectorRegistry()
    client.Counter("orders", "Orders.", ["kind"], registry=registry).labels("a b").inc(3)
    client.Histogram("paid", "Paid.", registry=registry).observe(0.3)
    client.Summary("asked", "Asked.", registry=registry).observe(2)
    client.Enum("state", "State.", states=["on", "off"], registry=registry).state("off")
    small = client.CollectorRegistry()
    client.Gauge("last", "Last.", registry=small).set(5)
    for peer in peers:
        client.push_to_gateway(peer.url, "client", registry, {"path": "/data/é", "none": ""})
        client.pushadd_to_gateway(peer.url, "client", small, {"path": "/data/é", "none": ""})
        client.push_to_gateway(peer.url, "gone", small)
        client.delete_from_gateway(peer.url, "gone")
        exporter = PushgatewayExporter(peer.url, "own", {"instance": "1"})
        exporter.push([FAMILY])
        exporter.replace([MetricFamily("jobs", "counter", "Jobs.", samples=(Sample("jobs_total", {}, 2.0),))])
        exporter.close()
    real, ours = peers
    created = {key for key in exposed(real, "/metrics") if key[0].endswith("_created")}
    assert created
    agree(real, ours)


def test_groups_survive_a_restart(tmp_path: Path) -> None:
    """After SIGKILL the groups are there, and queries go on finding them."""
    with mirante(tmp_path, "--no-host-metrics") as peer:
        assert send(peer, PUSHES[1]) == 200
        before = fetch(f"{peer.url}/metrics/pushgateway")[1]
        peer.stop(signal.SIGKILL)
    with mirante(tmp_path, "--no-host-metrics") as peer:
        assert fetch(f"{peer.url}/metrics/pushgateway")[1] == before
        wait_for(lambda: peer.query("count_over_time(h_count[1h]) >= 2"), what="a sample of each life")
        assert send(peer, Push("DELETE", PUSHES[1].path)) == 202
        wait_for(lambda: not peer.query("h_count"), what="the end of the series")
