"""What the store says of itself is what was written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette

from mirante.server.api.runner import QueryLimits, QueryRunner
from mirante.server.api.status import StatusApi
from mirante.server.keeping import flags_of
from mirante.server.settings import ServerSettings
from mirante.server.store.usage import StoreUsage
from tests.server.asgi import Reply, call
from tests.server.store.bodies import log_body, span_body
from tests.server.store.conftest import NOW, Store, body, budget, open_store

DAY = 86_400_000


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Three metrics of today, one of yesterday, logs and spans of two services."""
    store = open_store(tmp_path_factory.mktemp("used"))
    store.write("remote_write", body("old", at=NOW - DAY, job="gone"))
    store.write("remote_write", *(body("many", float(i), job="a", instance=f"host-{i}") for i in range(5)))
    store.write("remote_write", *(body("few", float(i), at=NOW + i, job="a") for i in range(9)))
    store.write("otlp_logs", *(log_body("x", NOW, service=name) for name in ("a", "a", "b")))
    store.write("otlp_traces", span_body("s", NOW, service="b"))
    yield store
    store.close()


def test_cardinality_in_prometheus_shape(full: Store) -> None:
    """Of the newest day: by metric, label and pair, the largest first, cut at the limit."""
    found = StoreUsage(full.engine).tsdb(2, budget())
    head = found["headStats"]
    assert (head["numSeries"], head["maxTime"]) == (6, NOW + 8)
    assert head["numLabelPairs"] == 2 + 1 + 5
    assert found["seriesCountByMetricName"] == [{"name": "many", "value": 5}, {"name": "few", "value": 1}]
    assert found["labelValueCountByLabelName"] == [{"name": "instance", "value": 5}, {"name": "__name__", "value": 2}]
    assert found["memoryInBytesByLabelName"][0] == {"name": "instance", "value": 30}
    assert found["seriesCountByLabelValuePair"][0] == {"name": "job=a", "value": 6}


def test_usage_by_signal_metric_and_service(full: Store) -> None:
    """Rows are exact; bytes add up to what is on disk."""
    found = StoreUsage(full.engine).store(10, budget())
    metrics = found["signals"]["metrics"]
    assert (metrics["oldest_day"] < metrics["newest_day"], found["tables"]["samples"]["rows"]) == (True, 15)
    assert found["signals"]["logs"]["rows"] == 3
    assert found["bytes"] == sum(table["bytes"] for table in found["tables"].values())
    assert [(one["name"], one["series"], one["samples"]) for one in found["metrics"]] == [("few", 1, 9), ("many", 5, 5)]
    assert [(one["service"], one["rows"]) for one in found["services"]["logs"]] == [("a", 2), ("b", 1)]
    assert [one["service"] for one in found["services"]["traces"]] == ["b"]
    assert found["tables"]["metric_metadata" if "metric_metadata" in found["tables"] else "samples"]["parts"] > 0
    assert found["tables"]["schema_migrations"]["oldest_day"] is None


def test_an_empty_store_says_so(full: Store) -> None:
    """Signals without data are shown with nothing."""
    from mirante.server.store import usage

    assert usage._summed([]) == {
        "bytes": 0, "uncompressed_bytes": 0, "compression": 1.0, "rows": 0, "parts": 0, "oldest_day": None,
        "newest_day": None,
    }  # fmt: skip
    assert usage._with_bytes([{"rows": 3}], None) == [{"rows": 3, "bytes": 0}]


async def _get(full: Store, path: str, config: Path | None = None) -> Reply:
    runner = QueryRunner(QueryLimits(), full.engine.cancel)
    settings = ServerSettings()
    api = StatusApi(
        StoreUsage(full.engine),
        runner,
        config,
        flags_of(settings),
        lambda: {"broken_parts": [{"name": "x"}]},
        lambda: "for ever",
    )
    try:
        return await call(Starlette(routes=api.routes()), "GET", f"/api/v1/status/{path}")
    finally:
        runner.close()


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_paths_answer_in_the_envelope(full: Store, tmp_path: Path, anyio_backend: str) -> None:
    """As Prometheus's do, with its limits."""
    (tmp_path / "prometheus.yml").write_text("scrape_configs: []\n")
    assert (await _get(full, "tsdb?limit=1")).json()["data"]["headStats"]["numSeries"] == 6
    assert (await _get(full, "store")).json()["data"]["broken_parts"] == [{"name": "x"}]
    assert (await _get(full, "config", tmp_path / "prometheus.yml")).json()["data"] == {"yaml": "scrape_configs: []\n"}
    assert (await _get(full, "config")).json()["data"] == {"yaml": ""}
    flags = (await _get(full, "flags")).json()["data"]
    assert (flags["admin-api"], flags["port"]) == ("false", "8503")
    runtime = (await _get(full, "runtimeinfo")).json()["data"]
    assert (runtime["corruptionCount"], runtime["storageRetention"]) == (1, "for ever")
    for limit in ("0", "10001", "x"):
        refused = await _get(full, f"tsdb?limit={limit}")
        assert (refused.status, "limit must be" in refused.text) == (400, True)
