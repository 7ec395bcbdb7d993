"""What the doors of other systems take ends in the tables as rows, once."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cramjam
import pytest
from starlette.applications import Starlette

from mirante._core.model import MetricFamily, NativePoint
from mirante.formats.metric_family import CONTENT_TYPE, metric_family
from mirante.server.ingest import pushgateway
from mirante.server.ingest.counts import IngestCounts
from mirante.server.ingest.exchange import Bounds
from mirante.server.ingest.push_groups import PushGroups
from mirante.server.ingest.routes import routes
from mirante.server.promql.engine import Engine
from tests.server.asgi import call
from tests.server.ingest.test_loki import message
from tests.server.store.conftest import Store, budget, open_store

pytestmark = pytest.mark.slow

NOW = time.time_ns() // 10**9 * 10**9
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store for all tests; each uses names of its own."""
    opened = open_store(tmp_path_factory.mktemp("store"))
    yield opened
    opened.close()


def post(store: Store, path: str, body: bytes, content_type: str) -> None:
    """Send a body and have it loaded."""
    app = Starlette(routes=routes(store.log, Bounds()))
    reply = asyncio.run(call(app, "POST", path, body, {"content-type": content_type}))
    assert reply.status in {200, 204}, reply.text
    assert store.log.wait_until_loaded(60)


def logs(store: Store, service: str) -> list[dict[str, Any]]:
    """The log rows of a service."""
    sql = """SELECT Timestamp::String AS at, TraceId, SpanId, SeverityText, SeverityNumber, Body, ResourceAttributes,
        LogAttributes FROM otel_logs WHERE ServiceName = {service:String} ORDER BY at"""
    rows: list[dict[str, Any]] = store.engine.arrow(sql, {"service": service}).to_pylist()
    for row in rows:
        for name in ("ResourceAttributes", "LogAttributes"):
            row[name] = dict(row[name])
    return rows


@pytest.mark.parametrize("packed", [False, True], ids=["json", "protobuf"])
def test_loki(store: Store, packed: bool) -> None:
    """A push is rows of the table of logs, to the nanosecond."""
    service = f"loki-{packed}"
    metadata = {"trace_id": TRACE, "span_id": SPAN, "order": "7"}
    if packed:
        body = message(f'{{service_name="{service}", env="prod"}}', (NOW + 1, "level=error oh", metadata))
        post(store, "/loki/api/v1/push", bytes(cramjam.snappy.compress_raw(body)), "application/x-protobuf")
    else:
        stream = {"service_name": service, "env": "prod"}
        values = [[str(NOW + 1), "level=error oh", metadata]]
        body = json.dumps({"streams": [{"stream": stream, "values": values}]}).encode()
        post(store, "/loki/api/v1/push", body, "application/json")
    (row,) = logs(store, service)
    assert row.pop("at").endswith(".000000001")
    assert row == {
        "TraceId": TRACE, "SpanId": SPAN, "SeverityText": "error", "SeverityNumber": 17, "Body": "level=error oh",
        "ResourceAttributes": {"service.name": service, "env": "prod"}, "LogAttributes": {"order": "7"},
    }  # fmt: skip


def test_json_lines(store: Store) -> None:
    """A line is a row; its fields are attributes."""
    lines = [
        {
            "_time": NOW + 1,
            "_msg": "a",
            "service": "lines",
            "level": "warn",
            "n": {"x": 1.5, "y": [1, "b"]},
            "ok": True,
        },
        {"_time": NOW + 2, "_msg": {"un": "usual"}, "service": "lines"},
    ]
    body = "\n".join(map(json.dumps, lines)).encode()
    post(store, "/insert/jsonline", body, "application/stream+json")
    first, second = logs(store, "lines")
    assert (first["Body"], first["SeverityNumber"]) == ("a", 13)
    assert first["LogAttributes"] == {"level": "warn", "n.x": "1.5", "n.y": '[1,"b"]', "ok": "true"}
    assert (second["Body"], second["LogAttributes"]) == ("", {"_msg.un": "usual"})


def test_a_file_that_is_imported_twice_counts_once(store: Store) -> None:
    """The samples of the past are where their timestamps say, and every function sees each of them once."""
    start = NOW // 10**9 - 40 * 86_400
    lines = [f'imported_total{{i="{i}"}} {n} {start + n * 3600}' for i in range(3) for n in range(48)]
    body = ("# TYPE imported counter\n" + "\n".join(lines) + "\n# EOF\n").encode()
    for _ in range(2):
        post(store, "/api/v1/import/prometheus", body, "application/openmetrics-text")
    engine = Engine(store.reader)
    end = (start + 47 * 3600) * 1000
    for function, expected in {"count": 48, "sum": sum(range(48)), "last": 47, "avg": 23.5}.items():
        found = engine.instant(f"{function}_over_time(imported_total[3d])", end, budget())
        assert found.values.ravel().tolist() == [expected] * 3, function


def test_a_native_histogram_that_was_pushed(store: Store, tmp_path: Path) -> None:
    """PromQL sees it as long as its group is there, and not afterwards."""
    groups = PushGroups(tmp_path, store.log, interval=1e6)
    try:
        app = Starlette(routes=pushgateway.routes(groups, Bounds(), IngestCounts()))
        point = NativePoint({}, 0, 0.5, 1, 7.0, {1: 2, 3: 1}, {})
        body = metric_family(MetricFamily("pushed_native", "histogram", native=(point,)))
        engine = Engine(store.reader, histograms=store.reader)
        for method, expected in (("PUT", [4]), ("DELETE", [])):
            reply = asyncio.run(call(app, method, "/metrics/job/j", body, {"content-type": CONTENT_TYPE}))
            assert reply.status in {200, 202}, reply.text
            assert store.log.wait_until_loaded(60)
            now = time.time_ns() // 1_000_000 + 10
            found = engine.instant("pushed_native", now, budget()).histograms
            assert [one.count for series in found for one in series.histograms] == expected
    finally:
        groups.close()
