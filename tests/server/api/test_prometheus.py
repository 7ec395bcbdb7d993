"""Prometheus's HTTP API over a store in memory: parameters, answers, errors."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from starlette.applications import Starlette

from mirante.formats.exposition_parser import Metadata
from mirante.server.api.prometheus import PrometheusApi
from mirante.server.api.runner import QueryLimits, QueryRunner
from mirante.server.promql.engine import Engine
from mirante.testing.memory_store import MemoryReader
from tests.server.asgi import Reply, call

START = 1_000


class Targets:
    """Two pools with a target each, and a dropped one."""

    def targets(self) -> dict[str, Any]:
        """As the scraper tells."""
        return {
            "activeTargets": [{"scrapePool": "a"}, {"scrapePool": "b"}],
            "droppedTargets": [{"discoveredLabels": {}, "scrapePool": "a"}],
        }

    def scrape_pools(self) -> list[str]:
        """Both."""
        return ["a", "b"]

    def target_metadata(self) -> Iterator[tuple[dict[str, str], dict[str, Metadata]]]:
        """Of two targets."""
        yield {"job": "a", "instance": "a:1"}, {"up": Metadata("gauge", "It is up."), "x": Metadata("counter", "", "s")}
        yield {"job": "b"}, {"up": Metadata("gauge")}


class Api:
    """The API over three series with a sample every second."""

    def __init__(self) -> None:
        reader = MemoryReader()
        for job in ("a", "b", "c"):
            labels = {"__name__": "up", "job": job, "instance": f"{job}:1"}
            reader.add(labels, [(START * 1000 + t * 1000, float(t)) for t in range(60)])
        self.ready = True
        self.runner = QueryRunner(QueryLimits(), lambda _: None)
        api = PrometheusApi(Engine(reader), reader, self.runner, Targets(), lambda: self.ready)
        self._app = Starlette(routes=api.routes())

    def get(self, path: str, body: bytes | None = None) -> Reply:
        return asyncio.run(call(self._app, "GET" if body is None else "POST", path, body or b""))

    def data(self, path: str, body: bytes | None = None) -> Any:
        reply = self.get(path, body)
        assert reply.status == 200, reply.text
        return reply.json()["data"]


@pytest.fixture
def api() -> Iterator[Api]:
    """The API, its pool closed afterwards."""
    made = Api()
    yield made
    made.runner.close()


def test_an_instant_query_by_get_and_post_gives_the_same(api: Api) -> None:
    """A vector with a time and a printed value."""
    asked = f"query={quote('sum(up)')}&time={START + 10}"
    expected = {"resultType": "vector", "result": [{"metric": {}, "value": [START + 10, "30"]}]}
    assert api.data(f"/api/v1/query?{asked}") == expected
    assert api.data("/api/v1/query", asked.encode()) == expected
    assert api.data("/api/v1/query?query=1%2B1&timeout=5s")["resultType"] == "scalar"


def test_a_range_query_gives_a_matrix(api: Api) -> None:
    """Every step between start and end, both included."""
    data = api.data(f"/api/v1/query_range?query=sum(up)&start={START}&end={START + 20}&step=10")
    assert data == {
        "resultType": "matrix",
        "result": [{"metric": {}, "values": [[START, "0"], [START + 10, "30"], [START + 20, "60"]]}],
    }


def test_annotations_stand_beside_the_data(api: Api) -> None:
    """A rate of what does not look like a counter is told as information."""
    reply = api.get(f"/api/v1/query?query={quote('rate(up[10s])')}&time={START + 20}").json()
    assert "might not be a counter" in reply["infos"][0]


def test_series_labels_and_values(api: Api) -> None:
    """With any of several selectors, each series once, cut to the limit with a warning."""
    both = "match[]=" + quote('up{job=~"a|b"}') + "&match[]=" + quote('up{job="a"}')
    assert [labels["job"] for labels in api.data(f"/api/v1/series?{both}")] == ["a", "b"]
    assert api.data("/api/v1/labels") == ["__name__", "instance", "job"]
    assert api.data(f"/api/v1/label/job/values?{both}") == ["a", "b"]
    cut = api.get("/api/v1/label/job/values?limit=2").json()
    assert (cut["data"], cut["warnings"]) == (["a", "b"], ["results truncated due to limit"])
    assert api.data("/api/v1/metadata") == {}


def test_targets_by_state_and_pool(api: Api) -> None:
    """As Prometheus filters them."""
    assert len(api.data("/api/v1/targets")["activeTargets"]) == 2
    assert api.data("/api/v1/targets?state=active")["droppedTargets"] == []
    assert api.data("/api/v1/targets?state=dropped")["activeTargets"] == []
    assert api.data("/api/v1/targets?scrapePool=b")["activeTargets"] == [{"scrapePool": "b"}]
    assert api.data("/api/v1/targets?scrapePool=b")["droppedTargets"] == []
    assert api.data("/api/v1/scrape_pools") == {"scrapePools": ["a", "b"]}


def test_metadata_of_targets(api: Api) -> None:
    """By target and by metric; the metric's name is left out where it was asked for."""
    of_a, x, of_b = api.data("/api/v1/targets/metadata")
    target = {"instance": "a:1", "job": "a"}
    assert of_a == {"target": target, "metric": "up", "type": "gauge", "help": "It is up.", "unit": ""}
    assert x == {"target": target, "metric": "x", "type": "counter", "help": "", "unit": "s"}
    assert of_b["target"] == {"job": "b"}
    assert api.data("/api/v1/targets/metadata?metric=x") == [
        {"target": target, "type": "counter", "help": "", "unit": "s"}
    ]
    match = quote('{job=~"b.*"}')
    assert api.data(f"/api/v1/targets/metadata?match_target={match}") == [of_b]
    assert api.data("/api/v1/targets/metadata?limit=1") == [of_a]


def test_readiness_follows_the_server(api: Api) -> None:
    """Healthy means that the process lives, ready that it takes requests."""
    assert api.get("/-/healthy").status == 200
    assert api.get("/-/ready").status == 200
    api.ready = False
    assert (api.get("/-/ready").status, api.get("/-/healthy").status) == (503, 200)
    assert api.data("/api/v1/status/buildinfo")["version"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("query", 'invalid parameter "query": it is missing or empty'),
        ("query?query=%20", 'invalid parameter "query": it is missing or empty'),
        ("query?query=sum(", "1:5: parse error: "),
        ("query?query=up&timeout=-1", 'invalid parameter "timeout"'),
        ("query_range?query=up&start=0&end=1", 'invalid parameter "step"'),
        ("query_range?query=up&start=0&end=1&step=-1", 'invalid parameter "step": zero or negative'),
        ("query_range?query=up&start=2&end=1&step=1", 'invalid parameter "end": end timestamp must not be before'),
        ("query_range?query=up&start=0&end=11001&step=1", "exceeded maximum resolution of 11,000 points"),
        ("series", "no match[] parameter provided"),
        ("series?match[]=up%5B5m%5D", 'invalid parameter "match[]": "up[5m]" is no plain selector'),
        ("series?match[]=%7B", 'invalid parameter "match[]": 1:'),
        ("labels?start=2&end=1", 'invalid parameter "end"'),
        ("targets?state=x", 'invalid parameter "state"'),
        ("targets/metadata?match_target=%7B", 'invalid parameter "match_target": 1:'),
        ("targets/metadata?match_target=sum(up)", 'invalid parameter "match_target": "sum(up)" is no plain selector'),
    ],
)
def test_a_wrong_question_is_bad_data(api: Api, path: str, message: str) -> None:
    """With the parameter and, for an expression, the position."""
    reply = api.get(f"/api/v1/{path}")
    assert (reply.status, reply.json()["errorType"]) == (400, "bad_data")
    assert reply.json()["error"].startswith(message)
