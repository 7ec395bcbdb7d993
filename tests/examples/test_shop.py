"""The example shop works: it sells, it fails as its README says, and its visitors come and go."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from fastapi import FastAPI

from examples.shop import database as database_module
from examples.shop import load, outside, service
from examples.shop.database import Database, OutOfStockError
from examples.shop.load import Visitors, rate_at
from tests.peers import free_port, mirante, running, wait_for
from tests.server.asgi import Reply, call
from tests.server.scrape.parts import serving
from tests.waiting import eventually

JSON = {"content-type": "application/json"}


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """A shop's database that was just made."""
    return Database(tmp_path / "shop.db")


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    """A shop."""
    return service.create_app(tmp_path / "shop.db", seed=1)


def dice() -> random.Random:
    """The same chance in every run."""
    return random.Random(1)  # noqa: S311 - nothing secret


def ask(app: FastAPI, method: str, url: str, **body: Any) -> Reply:
    """One request."""
    return asyncio.run(call(app, method, url, json.dumps(body).encode() if body else b"", JSON))


def outcomes(payment: str, outcome: str) -> float:
    """The counter of orders."""
    return service.ORDERS.labels(payment, outcome).value


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """A payment provider that always answers, at once."""

    async def pay(*_: object) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr(outside, "pay", pay)


@pytest.mark.usefixtures("provider")
def test_an_order_is_taken_counted_and_found_again(app: FastAPI) -> None:
    """Search, order, look it up; the counters moved by what was sold."""
    cheapest = ask(app, "GET", "/products?words=lamp").json()[0]
    before, taken = outcomes("card", "placed"), service.REVENUE.labels(cheapest["category"]).value
    placed = ask(app, "POST", "/orders", product=cheapest["id"], quantity=2)
    assert placed.status == 201
    assert placed.json()["total_cents"] == 2 * cheapest["price_cents"]
    assert ask(app, "GET", f"/orders/{placed.json()['id']}").json() == placed.json()
    assert ask(app, "GET", f"/products/{cheapest['id']}").json()["stock"] == cheapest["stock"] - 2
    assert outcomes("card", "placed") - before == 1
    revenue = service.REVENUE.labels(cheapest["category"]).value - taken
    assert revenue == pytest.approx(2 * cheapest["price_cents"] / 100)
    (line,) = ask(app, "GET", "/reports/sales").json()
    assert (line["category"], line["orders"]) == (cheapest["category"], 1)


@pytest.mark.usefixtures("provider")
def test_what_is_not_there_is_not_sold(app: FastAPI, database: Database) -> None:
    """Unknown things are 404; an empty shelf is 409, and filled for the next visitor."""
    for method, url in (("GET", "/products/99999"), ("GET", "/orders/99999"), ("POST", "/orders")):
        assert ask(app, method, url, product=99999).status == 404
    product = database.product(1)
    assert product is not None
    while (left := database.product(1)) and left.stock >= 50:
        database.place(product, 50, "card")
    assert ask(app, "POST", "/orders", product=1, quantity=50).status == 409
    assert ask(app, "POST", "/orders", product=1, quantity=50).status == 201


def test_a_payment_that_fails_is_502(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is counted, and nothing leaves the shelf."""

    async def pay(*_: object) -> None:
        await asyncio.sleep(0)
        raise outside.ProviderError("closed")

    monkeypatch.setattr(outside, "pay", pay)
    before, shelf = outcomes("wallet", "payment_failed"), ask(app, "GET", "/products/3").json()
    assert ask(app, "POST", "/orders", product=3, payment="wallet").status == 502
    assert outcomes("wallet", "payment_failed") - before == 1
    assert ask(app, "GET", "/products/3").json() == shelf


def test_slow_recommendations_are_504(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits longer than a moment; usually they come."""
    assert len(ask(app, "GET", "/products/5/recommendations").json()) == 3
    monkeypatch.setattr(outside, "WAIT_SECONDS", 0.0)
    assert ask(app, "GET", "/products/5/recommendations").status == 504


@pytest.mark.parametrize(("now", "share", "middle"), [(10.0, 1 / 3, 0.24), (100.0, 1 / 12, 0.06)])
def test_the_provider_is_worse_in_an_incident(now: float, share: float, middle: float) -> None:
    """It fails once in three times, otherwise once in twelve, and takes four times as long."""
    chance = dice()
    courses = [outside.course_of_payment("card", now, chance) for _ in range(4000)]
    assert sum(fails for _, fails in courses) / 4000 == pytest.approx(share, rel=0.15)
    assert sorted(seconds for seconds, _ in courses)[2000] == pytest.approx(middle, rel=0.1)


def test_old_orders_are_forgotten(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A demo that runs for weeks stays small."""
    monkeypatch.setattr(database_module, "MAX_ORDERS", 3)
    product = database.product(1)
    assert product is not None
    numbers = [database.place(product, 1, "card").id for _ in range(5)]
    assert [database.order(number) is not None for number in numbers] == [False, False, True, True, True]
    with pytest.raises(OutOfStockError):
        database.place(product, 10_000, "card")


def test_stock_is_watched(app: FastAPI, database: Database) -> None:
    """The gauge is what the shelves hold."""

    async def main() -> None:
        async with app.router.lifespan_context(app):
            await eventually(lambda: service.STOCK.labels("toys").value)

    asyncio.run(main())
    assert {c: service.STOCK.labels(c).value for c in database_module.CATEGORIES} == database.stock()


def test_visitors_come_in_waves() -> None:
    """The rate swings around its average, with a rush in each wave."""
    rates = [rate_at(second, 10.0) for second in range(240)]
    assert min(rates) == pytest.approx(4.0, abs=0.1)
    assert 20 < max(rates) <= 32
    assert rate_at(30, 10) == pytest.approx(rate_at(270, 10))


@pytest.mark.parametrize("rate", [0.0, -1.0, 201.0])
def test_the_rate_is_bounded(rate: float) -> None:
    """An example is no weapon."""
    with pytest.raises(ValueError, match="the rate must be above 0 and at most 200 a second"):
        Visitors("http://127.0.0.1:1", rate, dice())


def test_a_shop_that_hangs_gets_no_more_than_so_many_visitors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Further ones are turned away at the door, and all leave at the end."""
    monkeypatch.setattr(load, "MAX_UNDER_WAY", 5)
    requests = []

    async def hang(request: web.Request) -> web.Response:
        requests.append(request)
        await asyncio.Event().wait()
        return web.Response()

    async def main() -> Visitors:
        async with serving(hang) as address:
            visitors = Visitors(f"http://{address}", 200, dice())
            coming = asyncio.create_task(visitors.come())
            await eventually(lambda: visitors.answers[-1] >= 3)
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
            return visitors

    assert asyncio.run(main()).answers.keys() == {-1}
    assert len(requests) == 5


def test_a_shop_that_is_closed_is_counted_as_no_answer() -> None:
    """Visitors do not stop coming."""

    async def main() -> int:
        visitors = Visitors(f"http://127.0.0.1:{free_port()}", 200, dice())
        coming = asyncio.create_task(visitors.come())
        await eventually(lambda: visitors.answers[0] >= 3)
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)
        return visitors.answers[0]

    assert asyncio.run(main()) >= 3


@pytest.mark.slow
def test_the_shops_telemetry_reaches_a_real_server(tmp_path: Path) -> None:
    """The demo as ``make demo`` runs it, beside a server: requests by route and status, and the shop's own metrics."""
    port = free_port()
    shop = f"http://127.0.0.1:{port}"
    with mirante(tmp_path) as server:
        command = [sys.executable, "-m", "examples.shop", "--endpoint", server.url, "--port", str(port), "--rate", "60"]
        with running(command, shop, "/health", tmp_path / "shop.log") as demo:
            routes = 'count(count by (http_route) (http_server_request_duration_seconds_count{job="shop"}))'
            wait_for(lambda: (found := server.query(routes)) and float(found[0]["value"][1]) >= 6, what="six routes")
            wait_for(lambda: server.query('shop_orders_total{outcome="placed"}'), what="orders")
            wait_for(lambda: server.query("shop_stock_units{category='toys'} > 0"), what="stock")
            buckets = 'rate(http_server_request_duration_seconds_bucket{job="shop"}[1m])'
            p95 = f"histogram_quantile(0.95, sum by (le) ({buckets}))"
            wait_for(lambda: [r for r in server.query(p95) if float(r["value"][1]) > 0], what="a 95th percentile")
            assert demo.stop(signal.SIGINT) == 0
    assert "answers by status" in (tmp_path / "shop.log").read_text()


@pytest.mark.slow
def test_the_demo_starts_a_server_of_its_own_and_ends(tmp_path: Path) -> None:
    """``--with-server`` and ``--duration``: everything ends by itself, with exit code 0."""
    command = [sys.executable, "-m", "examples.shop", "--with-server", "--duration", "2",
               "--endpoint", f"http://127.0.0.1:{free_port()}", "--port", str(free_port())]  # fmt: skip
    environment = {**os.environ, "MIRANTE_DATA": str(tmp_path / "data")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "its telemetry is on" in done.stdout
    assert "answers by status: {200:" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("module", ["load", "service"])
def test_nothing_stays_behind(tmp_path: Path, module: str) -> None:
    """When whoever started a part is killed, the part ends too."""
    extra = [] if module == "load" else ["--port", str(free_port()), "--database", str(tmp_path / "shop.db")]
    starter = (
        "import subprocess, sys, time;p = subprocess.Popen(sys.argv[1:]); print(p.pid, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", starter, sys.executable, "-m", f"examples.shop.{module}", *extra, "--parent"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        wait_for(lambda: Path(f"/proc/{child}/cmdline").read_bytes(), what="the part")
        parent.kill()
        wait_for(lambda: gone(child), seconds=60, what="the part to end")


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_rate_beyond_bounds_is_said_on_the_command_line() -> None:
    """Exit code 2 and one line."""
    command = [sys.executable, "-m", "examples.shop.load", "--rate", "1000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.endswith("error: the rate must be above 0 and at most 200 a second\n")
