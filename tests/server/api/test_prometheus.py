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


def test_a_limit_cuts_an_answer_and_says_so(api: Api) -> None:
    """Vectors, matrices and raw samples; what fits is not touched."""
    for asked in (
        f"query?query=up&time={START + 9}",
        f"query?query={quote('up[5s]')}&time={START + 9}",
        f"query_range?query=up&start={START}&end={START + 9}&step=3",
    ):
        whole, cut = api.get(f"/api/v1/{asked}&limit=3").json(), api.get(f"/api/v1/{asked}&limit=2").json()
        assert "warnings" not in whole
        assert cut["warnings"] == ["results truncated due to limit"]
        assert cut["data"]["result"] == whole["data"]["result"][:2]
    assert len(api.data(f"/api/v1/query?query=1&time={START}&limit=1")["result"]) == 2


def test_the_look_back_can_be_given(api: Api) -> None:
    """Half a minute after the last sample it decides whether there is a value."""
    asked = f"/api/v1/query?query={quote('count(up)')}&time={START + 89}"
    assert api.data(asked)["result"][0]["value"] == [START + 89, "3"]
    assert api.data(f"{asked}&lookback_delta=30s")["result"] == []
    assert api.data(f"{asked}&lookback_delta=31s")["result"] != []
    assert api.get(f"{asked}&lookback_delta=-1").json()["errorType"] == "bad_data"


def test_statistics_are_given_when_asked_for(api: Api) -> None:
    """As Prometheus names them."""
    told = api.data(f"/api/v1/query?query={quote('rate(up[10s])')}&time={START + 20}&stats=all")["stats"]
    # Ten samples of each of three series, and their values.
    assert told["samples"] == {"totalQueryableSamples": 33, "peakSamples": 33}
    assert 0 <= told["timings"]["evalTotalTime"] <= told["timings"]["execTotalTime"]
    assert "stats" not in api.data("/api/v1/query?query=1")


def test_an_answer_explains_how_it_was_found(api: Api) -> None:
    """Its nodes, one inside the other, with time, series and points."""
    asked = f"query={quote('sum by (job) (up) + on (job) up')}&start={START}&end={START + 9}&step=3"
    told = api.data(f"/api/v1/query_range?{asked}&explain=1")["explain"]
    assert told["node"] == "query"
    (plus,) = told["parts"]
    assert [plus["node"], *(part["node"] for part in plus["parts"])] == ["+ on (job)", "sum by (job)", "up"]
    assert (plus["series"], plus["points"]) == (3, 12)
    assert plus["milliseconds"] >= plus["parts"][0]["milliseconds"]
    assert api.get("/api/v1/query?query=1&explain=yes").json()["errorType"] == "bad_data"


@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        ("sum by(job)(rate(x[5m]))/2", "sum by (job) (rate(x[5m])) / 2"),
        ("x @ -5", "x @ -5"),
        (" up ", "up"),
    ],
)
def test_expressions_are_laid_out(api: Api, expression: str, shown: str) -> None:
    """What the printer would change in meaning stays as it was."""
    assert api.data(f"/api/v1/format_query?query={quote(expression)}") == shown


def test_what_is_no_expression_is_not_laid_out(api: Api) -> None:
    """The error is that of a query."""
    for path in ("format_query", "parse_query"):
        assert api.get(f"/api/v1/{path}?query=sum(").json()["errorType"] == "bad_data"
        assert api.get(f"/api/v1/{path}").json()["errorType"] == "bad_data"


def test_a_tree_has_every_part_of_its_expression(api: Api) -> None:
    """As Prometheus names them."""

    def tree(expression: str) -> Any:
        return api.data("/api/v1/parse_query", f"query={quote(expression)}".encode())

    selector = tree('x{a!="b"} offset 1m @ end()')
    assert selector == {
        "type": "vectorSelector", "name": "x", "offset": 60_000, "timestamp": None, "startOrEnd": "end",
        "matchers": [{"name": "__name__", "value": "x", "type": "="}, {"name": "a", "value": "b", "type": "!="}],
    }  # fmt: skip
    call = tree("rate(x[5m] @ 2)")
    assert (call["type"], call["func"]["name"], call["func"]["argTypes"]) == ("call", "rate", ["matrix"])
    assert (call["args"][0]["range"], call["args"][0]["timestamp"]) == (300_000, 2000)
    binary = tree("a / on (b) group_left (c) d")
    matching = {"card": "many-to-one", "labels": ["b"], "on": True, "include": ["c"]}
    assert (binary["op"], binary["matching"], binary["bool"]) == ("/", matching, False)
    assert tree("a + on (b) fill (0) c")["matching"]["fillValues"] == {"lhs": 0.0, "rhs": 0.0}
    assert tree("1 == bool 2")["matching"] is None
    aggregation = tree("topk without (a) (3, -x)")
    assert (aggregation["param"]["val"], aggregation["grouping"], aggregation["without"]) == ("3", ["a"], True)
    assert aggregation["expr"]["type"] == "unaryExpr"
    subquery = tree('count_values("v", x)[1h:5m] offset 1m')
    assert (subquery["range"], subquery["step"], subquery["offset"]) == (3_600_000, 300_000, 60_000)
    assert subquery["expr"]["param"] == {"type": "stringLiteral", "val": "v"}


def test_federation_gives_the_newest_samples(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """With their own times, once each; an empty instance where a series has none; stale and old ones not at all."""
    monkeypatch.setattr("mirante.server.api.federate.now_ms", lambda: (START + 70) * 1000)
    both = "match[]=" + quote('up{job="a"}') + "&match[]=" + quote('{job=~"a|b"}')
    page = api.get(f"/federate?{both}")
    assert page.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert page.text == (
        "# TYPE up untyped\n"
        f'up{{instance="a:1",job="a"}} 59 {(START + 59) * 1000}\n'
        f'up{{instance="b:1",job="b"}} 59 {(START + 59) * 1000}\n'
    )
    assert api.get("/federate").text == ""
    refused = api.get(f"/federate?match[]={quote('sum(up)')}")
    assert (refused.status, refused.text[:29]) == (400, 'invalid parameter "match[]": ')


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
