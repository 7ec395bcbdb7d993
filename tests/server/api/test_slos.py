"""``/api/v1/slos`` and ``/runbooks``."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette

from mirante.server.api import runbooks
from mirante.server.api.runner import QueryLimits, QueryRunner
from mirante.server.api.slos import SlosApi
from mirante.server.promql.engine import Engine
from mirante.server.slo.model import Share, Slo
from mirante.testing.memory_store import MemoryReader
from tests.server.asgi import Reply, call

SHOP = Slo(
    "up", "shop", 99.0, Share("up == bool 0"), description="it is up", labels={"team": "a"}, source="s.yml, line 2"
)
BANK = Slo("paid", "bank", 99.9, Share("paid == bool 0"), source="s.yml, line 9")


@pytest.fixture
def app() -> Iterator[Starlette]:
    """Two objectives; of one there are series, for two groups."""
    reader = MemoryReader()
    mine = {"service": "shop", "slo": "up", "team": "a"}
    for job, bad in {"x": 0.005, "y": 0.02}.items():
        for name, value in {
            "slo:sli_error:ratio_rate5m": bad * 2,
            "slo:sli_error:ratio_rate30d": bad,
            "slo:period_error_budget_remaining:ratio": 1 - bad / 0.01,
            "slo:period_burn_rate:ratio": bad / 0.01,
            "slo:current_burn_rate:ratio": bad / 0.005,
        }.items():
            reader.add({"__name__": name, "job": job, **mine}, [(1_000_000, value)])
    runner = QueryRunner(QueryLimits(), lambda _: None)
    yield Starlette(routes=SlosApi(lambda: (SHOP, BANK), Engine(reader), runner).routes())
    runner.close()


def get(app: Starlette, path: str) -> Reply:
    """One request."""
    return asyncio.run(call(app, "GET", path))


def test_each_objective_is_told_with_its_states(app: Starlette) -> None:
    """One for each group of series; none where nothing was recorded."""
    shop, bank = get(app, "/api/v1/slos?time=1000").json()["data"]["slos"]
    states = shop.pop("states")
    assert shop == {
        "name": "up", "service": "shop", "description": "it is up", "objective": 0.99, "window": "30d",
        "labels": {"team": "a"}, "source": "s.yml, line 2",
    }  # fmt: skip
    assert [state["labels"] for state in states] == [{"job": "x"}, {"job": "y"}]
    first = states[0]
    assert (first["sli"], first["errorBudgetRemaining"]) == (0.995, 0.5)
    assert (first["currentBurnRate"], first["periodBurnRate"]) == (1.0, 0.5)
    assert first["burnRates"] == pytest.approx({"5m": 1.0, "30d": 0.5})
    assert (bank["name"], bank["states"]) == ("paid", [])


@pytest.mark.parametrize(("query", "names"), [("service=bank", ["paid"]), ("service=none", []), ("", ["up", "paid"])])
def test_those_of_a_service_can_be_asked_for(app: Starlette, query: str, names: list[str]) -> None:
    """At the present time where none is given."""
    assert [slo["name"] for slo in get(app, f"/api/v1/slos?{query}").json()["data"]["slos"]] == names


def test_runbooks_are_listed_and_shown(tmp_path: Path) -> None:
    """And nothing else of the file system is."""
    (tmp_path / "A.md").write_text("# Ä")
    (tmp_path / "b.txt").write_text("no")
    app = Starlette(routes=runbooks.routes(tmp_path))
    assert get(app, "/runbooks").text == "/runbooks/A.md\n"
    page = get(app, "/runbooks/A.md")
    assert (page.status, page.text, page.headers["content-type"]) == (200, "# Ä", "text/plain; charset=utf-8")
    assert [get(app, f"/runbooks/{name}").status for name in ("b.txt", "B.md", "%2e%2e")] == [404, 404, 404]
