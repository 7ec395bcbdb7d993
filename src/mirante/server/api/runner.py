"""Runs blocking reads off the event loop: a bounded number at once, each with a deadline, ended with its client."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from starlette.requests import Request

from mirante.errors import QueryCanceledError, QueryTimeoutError
from mirante.server.store.api import QueryBudget

T = TypeVar("T")

_HANGUP_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """What every query may use at most.

    Attributes:
        timeout_ms: longest run, waiting for a place included; a request may ask for less.
        max_samples: samples held at once.
        max_concurrency: queries at once.
    """

    timeout_ms: int = 120_000
    max_samples: int = 50_000_000
    max_concurrency: int = 4


class QueryRunner:
    """The pool for queries.

    Args:
        limits: see QueryLimits.
        cancel: ends the query of that id in the engine; called when a client hung up or the deadline passed.
    """

    def __init__(self, limits: QueryLimits, cancel: Callable[[str], None]) -> None:
        self.limits = limits
        self._cancel = cancel
        self._pool = ThreadPoolExecutor(limits.max_concurrency, thread_name_prefix="mirante-query")
        self._running: dict[str, QueryBudget] = {}
        self._numbers = itertools.count(1)

    async def run(self, request: Request, read: Callable[[QueryBudget], T], timeout_ms: int | None = None) -> T:
        """Call ``read(budget)`` on a pool thread and wait for it, its deadline or the client's leaving.

        Raises:
            QueryTimeoutError: the deadline passed.
            QueryCanceledError: the client left, or the server is shutting down.
        """
        seconds = min(timeout_ms or self.limits.timeout_ms, self.limits.timeout_ms) / 1000
        budget = QueryBudget(
            deadline=time.monotonic() + seconds,
            max_samples=self.limits.max_samples,
            query_id=f"mirante-{os.getpid()}-{next(self._numbers)}",
        )
        self._running[budget.query_id] = budget
        work = asyncio.get_running_loop().run_in_executor(self._pool, _if_wanted, read, budget)
        try:
            return await self._watch(request, work, budget, seconds)
        finally:
            self._running.pop(budget.query_id, None)

    async def _watch(self, request: Request, work: asyncio.Future[T], budget: QueryBudget, seconds: float) -> T:
        while True:
            done, _ = await asyncio.wait({work}, timeout=_HANGUP_POLL_SECONDS)
            if done:
                return work.result()
            late = time.monotonic() > budget.deadline
            if late or await request.is_disconnected():
                self._give_up(budget, work)
                if late:
                    raise QueryTimeoutError(
                        f"query timed out after {seconds:g} s; "
                        "narrow it, or raise --query-timeout (or the timeout parameter)"
                    )
                raise QueryCanceledError("query was canceled: the client closed the connection")

    def _give_up(self, budget: QueryBudget, work: asyncio.Future[T]) -> None:
        budget.canceled = True
        work.add_done_callback(_take_exception)
        self._cancel(budget.query_id)

    def close(self) -> None:
        """Cancel what runs and wait for the threads: the engine must not be left in mid-query when the process ends."""
        for budget in list(self._running.values()):
            budget.canceled = True
            self._cancel(budget.query_id)
        self._pool.shutdown(wait=True)


def _if_wanted(read: Callable[[QueryBudget], T], budget: QueryBudget) -> T:
    if budget.canceled:
        raise QueryCanceledError("query was canceled before it started")
    return read(budget)


def _take_exception(work: asyncio.Future[T]) -> None:
    if not work.cancelled():
        work.exception()
