"""A small shop: two web services and a worker, for the test of one story; one process or several.

Where the others are stands in the environment: BACK_URL, BROKER_URL.
"""

from __future__ import annotations

import logging
import os
from concurrent.futures import ThreadPoolExecutor

import httpx
import sqlalchemy
from celery import Celery
from fastapi import FastAPI
from sqlalchemy.pool import NullPool

from mirante.correlation import ContextExecutor
from mirante.logging import get_logger

log = get_logger("shop")
front, back = FastAPI(), FastAPI()
jobs = Celery("shop", broker=os.environ.get("BROKER_URL", "memory://"), set_as_current=False)
jobs.conf.update(task_default_queue="reservations", task_ignore_result=True)
jobs.conf.worker_proc_alive_timeout = (
    120.0  # on a slow machine; Celery would kill the pool's process after four seconds
)
engine = sqlalchemy.create_engine("sqlite://", poolclass=NullPool)


@front.get("/order/{item}")
async def order(item: str) -> dict[str, str]:
    """Asks the other service."""
    log.info("ordering", item=item)
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        answer = await client.get(f"{os.environ['BACK_URL']}/stock/{item}")
    return {"item": item, "stock": answer.json()["stock"]}


@back.get("/stock/{item}")
def stock(item: str) -> dict[str, str]:
    """Looks into the database, in a thread; counts in another one; leaves the rest to the worker."""
    log.info("looking up", item=item)
    with engine.connect() as connection:
        found = connection.execute(sqlalchemy.text("SELECT :item"), {"item": item}).scalar_one()
    with ContextExecutor(ThreadPoolExecutor(1)) as pool:
        pool.submit(count, item).result()
    reserve.delay(item)
    return {"stock": str(found)}


def count(item: str) -> None:
    """Logs by the standard library."""
    logging.getLogger("shop.count").warning("counted %s", item)


@jobs.task(name="shop.reserve", shared=False)  # type: ignore[untyped-decorator] # Celery has no types
def reserve(item: str) -> None:
    """The worker's part."""
    log.info("reserved", item=item)
