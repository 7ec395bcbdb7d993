"""``/api/v1/status``: what the store holds, where its series come from, and how the server was started.

Source: prometheus.io, "HTTP API", section "Status"; ``status/store`` is our own.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mirante.errors import BadRequestError
from mirante.formats.rfc3339 import rfc3339_nano
from mirante.server.api.envelope import enveloped, success_json
from mirante.server.api.parameters import Parameters
from mirante.server.api.runner import QueryRunner
from mirante.server.store.api import QueryBudget

MAX_LIMIT = 10_000
"""Most rows of a list, as in Prometheus."""


class UsageReader(Protocol):
    """What this API needs of the store."""

    def tsdb(self, limit: int, budget: QueryBudget) -> dict[str, Any]:
        """Prometheus's statistics of series."""
        ...

    def store(self, limit: int, budget: QueryBudget) -> dict[str, Any]:
        """What is on disk."""
        ...


class StatusApi:
    """The handlers.

    Args:
        usage: tells what the store holds.
        runner: the pool in which that is counted.
        config: the configuration file of scraping, or None where there is none.
        flags: every setting's value in force, by its flag.
        extra: what ``status/store`` tells besides.
        retention: the rules of retention in one line.
    """

    def __init__(
        self,
        usage: UsageReader,
        runner: QueryRunner,
        config: Path | None,
        flags: Mapping[str, str],
        extra: Callable[[], Mapping[str, Any]],
        retention: Callable[[], str],
    ) -> None:
        self._usage = usage
        self._runner = runner
        self._config = config
        self._flags = dict(flags)
        self._extra = extra
        self._retention = retention
        self._started = time.time()

    def routes(self) -> list[BaseRoute]:
        """Every path with its handler."""
        table = {
            "tsdb": self.tsdb,
            "store": self.store,
            "config": self.config,
            "flags": self.flags,
            "runtimeinfo": self.runtimeinfo,
        }
        return [Route(f"/api/v1/status/{path}", enveloped(handler), methods=["GET"]) for path, handler in table.items()]

    async def tsdb(self, request: Request) -> Response:
        """Counts of series by metric, label and value."""
        limit = await _limit(request)
        return success_json(await self._runner.run(request, lambda budget: self._usage.tsdb(limit, budget)))

    async def store(self, request: Request) -> Response:
        """Bytes and rows by signal, table, metric and service."""
        limit = await _limit(request)

        def read(budget: QueryBudget) -> dict[str, Any]:
            return {**self._usage.store(limit, budget), **self._extra()}

        return success_json(await self._runner.run(request, read))

    async def config(self, _request: Request) -> Response:
        """The configuration file of scraping, as it is now."""
        return success_json({"yaml": self._config.read_text(encoding="utf-8") if self._config else ""})

    async def flags(self, _request: Request) -> Response:
        """Every setting."""
        return success_json(self._flags)

    async def runtimeinfo(self, _request: Request) -> Response:
        """How the process is doing."""
        return success_json(
            {
                "startTime": rfc3339_nano(round(self._started * 1e9)),
                "CWD": str(Path.cwd()),
                "hostname": socket.gethostname(),
                "serverTime": rfc3339_nano(time.time_ns()),
                "corruptionCount": len((await run_in_threadpool(self._extra))["broken_parts"]),
                "goroutineCount": threading.active_count(),
                "GOMAXPROCS": os.cpu_count() or 1,
                "storageRetention": self._retention(),
            }
        )


async def _limit(request: Request) -> int:
    text = (await Parameters.of(request)).text("limit", "10")
    if not text.isdecimal() or not 1 <= int(text) <= MAX_LIMIT:
        raise BadRequestError(f"limit must be a positive number up to {MAX_LIMIT}")
    return int(text)
