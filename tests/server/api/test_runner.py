"""The query pool: deadlines, clients that leave, a clean end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mirante.errors import QueryCanceledError
from mirante.server.api.envelope import enveloped
from mirante.server.api.runner import QueryLimits, QueryRunner
from mirante.server.store.api import QueryBudget
from tests.server.asgi import Reply, call


class Pool:
    """A runner whose cancel is recorded and releases whoever waits for it."""

    def __init__(self, **limits: int) -> None:
        self.canceled: list[str] = []
        self.released = threading.Event()
        self.started = threading.Event()
        self.runner = QueryRunner(QueryLimits(**limits), self.cancel)

    def cancel(self, query_id: str) -> None:
        self.canceled.append(query_id)
        self.released.set()

    def hang(self, budget: QueryBudget) -> str:
        """A read that ends only when the engine is told to cancel it."""
        self.started.set()
        assert self.released.wait(60)
        if budget.canceled:
            raise QueryCanceledError("ended by the engine")
        return "done"

    def app(self, read: Callable[[QueryBudget], Any], timeout_ms: int | None = None) -> Starlette:
        async def handler(request: Request) -> Response:
            return JSONResponse(await self.runner.run(request, read, timeout_ms))

        return Starlette(routes=[Route("/", enveloped(handler))])


def test_the_answer_and_the_error_of_a_read_reach_the_caller() -> None:
    """The pool adds nothing of its own."""
    pool = Pool()
    assert asyncio.run(call(pool.app(lambda b: [b.max_samples, b.query_id != ""]), "GET", "/")).json() == [
        50_000_000,
        True,
    ]

    def fail(_budget: QueryBudget) -> None:
        raise QueryCanceledError("no")

    assert asyncio.run(call(pool.app(fail), "GET", "/")).json()["error"] == "no"
    pool.runner.close()


def test_a_late_query_is_canceled_in_the_engine_and_answers_timeout() -> None:
    """The request's own timeout may only shorten the limit."""
    pool = Pool()
    reply = asyncio.run(call(pool.app(pool.hang, timeout_ms=50), "GET", "/"))
    assert (reply.status, reply.json()["errorType"]) == (503, "timeout")
    assert "--query-timeout" in reply.json()["error"]
    assert len(pool.canceled) == 1
    pool.runner.close()


def test_a_client_that_leaves_cancels_its_query_in_the_engine() -> None:
    """Nobody computes what nobody will read."""
    pool = Pool()

    async def main() -> Reply:
        gone = asyncio.Event()
        request = asyncio.create_task(call(pool.app(pool.hang), "GET", "/", hang_up=gone))
        await asyncio.to_thread(pool.started.wait, 5)
        gone.set()
        return await request

    assert asyncio.run(main()).status == 499
    assert len(pool.canceled) == 1
    pool.runner.close()


def test_closing_cancels_what_runs_and_waits_for_it() -> None:
    """No thread is left inside the engine when the process ends, and what waited never starts."""
    pool = Pool(max_concurrency=1)

    async def main() -> list[Reply]:
        app = pool.app(pool.hang)
        requests = [asyncio.create_task(call(app, "GET", "/")) for _ in range(2)]
        await asyncio.to_thread(pool.started.wait, 5)
        await asyncio.to_thread(pool.runner.close)
        return await asyncio.gather(*requests)

    assert [reply.status for reply in asyncio.run(main())] == [499, 499]


@pytest.mark.parametrize("asked", [1, 10**9])
def test_a_request_cannot_ask_for_more_time_than_the_limit(asked: int) -> None:
    """The smaller of the two deadlines holds."""
    pool = Pool(timeout_ms=30)
    assert asyncio.run(call(pool.app(pool.hang, timeout_ms=asked), "GET", "/")).status == 503
    pool.runner.close()
