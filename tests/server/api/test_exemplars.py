"""Exemplars over the real store, beside what a real Prometheus answers to the same bodies."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import cramjam
import pytest
from starlette.applications import Starlette

from mirante._core.model import Exemplar
from mirante.errors import QueryLimitError
from mirante.formats import remote_write
from mirante.server.api.exemplars import ExemplarsApi
from mirante.server.api.runner import QueryLimits, QueryRunner
from mirante.server.store.api import Matcher, QueryBudget
from mirante.server.store.client import Engine
from mirante.server.store.migrations import migrate
from mirante.server.store.reader import StoreReader
from mirante.server.store.writer import LogOptions, LogWriter
from tests.peers import fetch, free_port, program, running, wait_for
from tests.server.asgi import Reply, call

NOW = time.time_ns() // 1_000_000_000
LABELS = {
    "a": {"__name__": "seconds_bucket", "le": "1", "job": "a"},
    "b": {"__name__": "seconds_bucket", "le": "1", "job": "b"},
    "none": {"__name__": "seconds_sum", "job": "a"},
}
FIRST, SECOND = ({"trace_id": "abc", "span_id": "7"}, 0.25, NOW - 60), ({"trace_id": "def"}, 0.5, NOW - 1.5)
OTHER = ({"trace_id": "ghi"}, 2.0, NOW - 30.0)


def body(name: str, *exemplars: tuple[dict[str, str], float, float]) -> bytes:
    """A series with a sample and those exemplars."""
    fields = [remote_write.exemplar(Exemplar(*one), 0) for one in exemplars]
    return remote_write.series(remote_write.labels(LABELS[name]), remote_write.sample(1.0, NOW * 1000), *fields)


BODIES = [
    body("a", FIRST),
    body("b", OTHER) + body("none"),
    body("a", FIRST, SECOND),  # an exemplar comes again until there is a newer one
]


class Api:
    """The handler over a store."""

    def __init__(self, reader: StoreReader) -> None:
        self.reader = reader
        self.runner = QueryRunner(QueryLimits(), lambda _: None)
        self._app = Starlette(routes=ExemplarsApi(reader, self.runner).routes())

    def ask(self, given: Mapping[str, object], *, post: bool = False) -> Reply:
        """One request."""
        text, path = urlencode(given), "/api/v1/query_exemplars"
        if post:
            return asyncio.run(call(self._app, "POST", path, text.encode()))
        return asyncio.run(call(self._app, "GET", f"{path}?{text}"))

    def data(self, query: str, **given: object) -> Any:
        """The data of an answer."""
        reply = self.ask({"query": query, **given})
        assert reply.status == 200, reply.text
        return reply.json()["data"]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """It has the bodies."""
    folder = tmp_path_factory.mktemp("exemplars")
    engine = Engine(f"chdb://{folder}")
    migrate(engine)
    log = LogWriter(engine, folder / "log", LogOptions(interval=0))
    for one in BODIES:
        log.append("remote_write", [one])
    assert log.wait_until_loaded(60)
    made = Api(StoreReader(engine))
    yield made
    made.runner.close()
    log.close(10)
    engine.close()


def shown(name: str, *exemplars: tuple[dict[str, str], float, float]) -> dict[str, Any]:
    """What is to be answered for a series."""
    each = [{"labels": labels, "value": f"{value:g}", "timestamp": at} for labels, value, at in exemplars]
    return {"seriesLabels": LABELS[name], "exemplars": each}


def test_exemplars_of_the_series_that_an_expression_reads(api: Api) -> None:
    """By series in the order of labels, by time in a series, each once, by GET and POST."""
    query = "histogram_quantile(0.9, sum by (le) (rate(seconds_bucket[5m]))) / on () sum(seconds_sum)"
    assert api.data(query) == [shown("a", FIRST, SECOND), shown("b", OTHER)]
    assert api.ask({"query": query}, post=True).json()["data"] == api.data(query)
    assert api.data('seconds_bucket{job="b"} + seconds_bucket{job="b"}') == [shown("b", OTHER)]


def test_both_ends_of_the_time_range_count(api: Api) -> None:
    """What is on them is inside; a series with nothing inside is not in the answer."""
    assert api.data("seconds_bucket", start=NOW - 60, end=NOW - 30) == [shown("a", FIRST), shown("b", OTHER)]
    assert api.data("seconds_bucket", start=NOW - 59.999, end=NOW - 30.001) == []


def test_where_there_is_nothing_the_answer_is_an_empty_list(api: Api) -> None:
    """No selector, no series, no exemplar."""
    for query in ("1 + 1", "nothing", "seconds_sum"):
        assert api.data(query) == []


@pytest.mark.parametrize(
    "given",
    [{}, {"query": "sum("}, {"query": "up", "start": "x"}, {"query": "up", "start": 2, "end": 1}],
)
def test_wrong_parameters_are_bad_data(api: Api, given: dict[str, object]) -> None:
    """As everywhere."""
    reply = api.ask(given)
    assert (reply.status, reply.json()["errorType"]) == (400, "bad_data")


def test_more_exemplars_than_the_limit_of_samples_are_refused(api: Api) -> None:
    """With the way out."""
    budget = QueryBudget(deadline=time.monotonic() + 60, max_samples=2)
    found = api.reader.series([Matcher("__name__", "=", "seconds_bucket")], 0, NOW * 1000, budget)
    with pytest.raises(QueryLimitError, match="more than 2 exemplars"):
        api.reader.exemplars(found, 0, NOW * 1000, budget)


@pytest.mark.slow
def test_prometheus_answers_the_same(api: Api, tmp_path: Path) -> None:
    """To the same bodies and questions."""
    config, port = tmp_path / "prometheus.yml", free_port()
    config.write_text("global: {}\n")
    command = [
        program("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'data'}",
        "--web.enable-remote-write-receiver", "--enable-feature=exemplar-storage",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with running(command, f"http://127.0.0.1:{port}", "/-/ready", tmp_path / "log") as peer:
        headers = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}
        for one in BODIES:
            packed = bytes(cramjam.snappy.compress_raw(one))
            status, text = fetch(f"{peer.url}/api/v1/write", data=packed, headers=headers)
            assert status == 204, text
        for query in ("seconds_bucket", "rate(seconds_bucket[5m]) > 0 or seconds_sum", 'seconds_bucket{job!="a"}'):
            for given in ({"start": NOW - 600, "end": NOW}, {"start": NOW - 60, "end": NOW - 30}):
                path = f"{peer.url}/api/v1/query_exemplars?{urlencode({'query': query, **given})}"
                theirs = wait_for(lambda path=path: json.loads(fetch(path)[1])["data"], what="exemplars")
                assert api.data(query, **given) == theirs
