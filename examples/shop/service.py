"""The shop's web service: FastAPI, SQLite and the telemetry that an application adds for itself.

Run it alone with ``python -m examples.shop.service``. What concerns mirante is ``configure``, the middleware and the
five metrics below; the rest is an ordinary web service.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import uvicorn
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

import mirante
from examples.shop import outside
from examples.shop.database import PRODUCTS, Database, OutOfStockError
from examples.shop.parent import parent_gone
from mirante import metrics
from mirante.integrations.asgi import MiranteMiddleware

ORDERS = metrics.counter("shop_orders_total", "Orders by payment method and outcome.", labels=("payment", "outcome"))
REVENUE = metrics.counter("shop_revenue_euros_total", "Money taken.", labels=("category",))
ORDER_VALUE = metrics.histogram("shop_order_value_euros", "Value of an order.", buckets=(5, 10, 20, 50, 100, 200, 500))
PAYMENT_SECONDS = metrics.histogram(
    "shop_payment_duration_seconds", "How long the payment provider took.", labels=("payment",)
)
STOCK = metrics.gauge("shop_stock_units", "Things on the shelves.", labels=("category",))

STOCK_SECONDS = 5.0


class Basket(BaseModel):
    """What a visitor orders."""

    product: int
    quantity: int = Field(1, ge=1, le=50)
    payment: Literal["card", "wallet", "invoice"] = "card"


class Shop:
    """The handlers, and what they share."""

    def __init__(self, database: Database, dice: random.Random) -> None:
        self._database, self._dice = database, dice

    def find(self, words: str = "") -> list[dict[str, Any]]:
        """Search the catalogue."""
        return [product._asdict() for product in self._database.search(words)]

    def product(self, number: int) -> dict[str, Any]:
        """Show one product."""
        found = self._database.product(number)
        if found is None:
            raise HTTPException(404, "there is no such product")
        return found._asdict()

    async def recommendations(self, number: int) -> list[int]:
        """Show what else one might like, from a neighbour that is slow at times."""
        try:
            return await outside.recommend(number, PRODUCTS, self._dice)
        except TimeoutError:
            raise HTTPException(504, "recommendations took too long") from None

    async def place(self, basket: Basket) -> dict[str, Any]:
        """Pay and take from the shelf."""
        product = await asyncio.to_thread(self._database.product, basket.product)
        if product is None:
            raise HTTPException(404, "there is no such product")
        try:
            with PAYMENT_SECONDS.labels(basket.payment).time():
                await outside.pay(basket.payment, self._dice)
            order = await asyncio.to_thread(self._database.place, product, basket.quantity, basket.payment)
        except outside.ProviderError as error:
            ORDERS.labels(basket.payment, "payment_failed").inc()
            raise HTTPException(502, str(error)) from None
        except OutOfStockError:
            ORDERS.labels(basket.payment, "out_of_stock").inc()
            raise HTTPException(409, "there are not that many left") from None
        ORDERS.labels(basket.payment, "placed").inc()
        REVENUE.labels(product.category).inc(order.total_cents / 100)
        ORDER_VALUE.observe(order.total_cents / 100)
        return order._asdict()

    def order(self, number: int) -> dict[str, Any]:
        """Show an order."""
        found = self._database.order(number)
        if found is None:
            raise HTTPException(404, "there is no such order")
        return found._asdict()

    def sales(self) -> list[dict[str, Any]]:
        """Report the sales; slow, as such reports are."""
        return [{"category": c, "orders": n, "euros": cents / 100} for c, n, cents in self._database.sales_report()]

    async def watch_stock(self) -> None:
        """Keep the stock's gauge true."""
        while True:
            for category, units in (await asyncio.to_thread(self._database.stock)).items():
                STOCK.labels(category).set(units)
            await asyncio.sleep(STOCK_SECONDS)


def create_app(database: Path, seed: int | None = None) -> FastAPI:
    """The application, with its data in that file."""
    shop = Shop(Database(database), random.Random(seed))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        watching = asyncio.create_task(shop.watch_stock())
        yield
        watching.cancel()

    app = FastAPI(title="shop", lifespan=lifespan)
    app.add_middleware(MiranteMiddleware)
    app.get("/health")(lambda: {"status": "open"})
    app.get("/products")(shop.find)
    app.get("/products/{number}")(shop.product)
    app.get("/products/{number}/recommendations")(shop.recommendations)
    app.post("/orders", status_code=201)(shop.place)
    app.get("/orders/{number}")(shop.order)
    app.get("/reports/sales")(shop.sales)
    return app


async def _leave_with(parent: int) -> None:
    await parent_gone(parent)
    os.kill(os.getpid(), signal.SIGTERM)


async def _serve(app: FastAPI, port: int, parent: int) -> None:
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning"))
    watching = asyncio.create_task(_leave_with(parent))
    await server.serve()
    watching.cancel()


def main() -> None:
    """Serve until told to stop, or until the parent is gone."""
    parser = argparse.ArgumentParser(prog="python -m examples.shop.service", description="The example shop.")
    parser.add_argument("--endpoint", default="http://127.0.0.1:8503", help="the mirante server")
    parser.add_argument("--port", type=int, default=8600, help="where the shop answers")
    parser.add_argument("--database", type=Path, default=Path("shop.db"), help="its SQLite file")
    parser.add_argument("--parent", type=int, default=0, help="a process whose end is ours too")
    options = parser.parse_args()
    mirante.configure(service_name="shop", endpoint=options.endpoint, export_interval=5)
    asyncio.run(_serve(create_app(options.database), options.port, options.parent))


if __name__ == "__main__":
    main()
