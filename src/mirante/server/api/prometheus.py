"""Prometheus's HTTP API v1: queries, series, labels, metadata, targets, status.

Source: prometheus.io, "HTTP API".
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from mirante.errors import BadRequestError
from mirante.server.api import expressions
from mirante.server.api.envelope import Handler, enveloped, success, success_json
from mirante.server.api.expressions import expression_of
from mirante.server.api.federate import Federation
from mirante.server.api.parameters import Parameters, now_ms
from mirante.server.api.remote_read import RemoteRead
from mirante.server.api.runner import QueryRunner
from mirante.server.api.selectors import selectors_of
from mirante.server.api.targets import TargetLister, TargetsApi
from mirante.server.api.telling import Telling, truncated
from mirante.server.promql.encode import pieces
from mirante.server.promql.engine import Engine, Result
from mirante.server.store.api import Labels, Matcher, MetricReader, QueryBudget

MAX_POINTS = 11_000
"""Most steps of a range query, as in Prometheus."""


class PrometheusApi:
    """The handlers of ``/api/v1`` and ``/-/``.

    Args:
        engine: answers PromQL.
        reader: finds series and labels.
        runner: the pool in which both run.
        targets: lists what is scraped.
        ready: tells whether the server takes requests.
    """

    def __init__(
        self,
        engine: Engine,
        reader: MetricReader,
        runner: QueryRunner,
        targets: TargetLister,
        ready: Callable[[], bool],
    ) -> None:
        self._engine = engine
        self._reader = reader
        self._runner = runner
        self._targets = TargetsApi(targets)
        self._ready = ready

    def routes(self) -> list[BaseRoute]:
        """Every path with its handler."""
        both, get = ["GET", "POST"], ["GET"]
        table: list[tuple[str, Handler, list[str]]] = [
            ("query", self.query, both),
            ("query_range", self.query_range, both),
            ("series", self.series, both),
            ("labels", self.labels, both),
            ("label/{name}/values", self.label_values, get),
            ("metadata", self.metadata, get),
            ("status/buildinfo", self.buildinfo, get),
        ]
        api = [Route(f"/api/v1/{path}", enveloped(handler), methods=methods) for path, handler, methods in table]
        return [
            *api,
            *expressions.routes(),
            *Federation(self._engine, self._runner).routes(),
            *RemoteRead(self._reader, self._runner).routes(),
            *self._targets.routes(),
            Route("/-/healthy", self.healthy, methods=["GET", "HEAD"]),
            Route("/-/ready", self.readiness, methods=["GET", "HEAD"]),
        ]

    async def query(self, request: Request) -> Response:
        """Evaluate an expression at one time."""
        given = await Parameters.of(request)
        expression, at, lookback = expression_of(given), given.time("time", now_ms()), _lookback(given)
        return await self._evaluate(
            request, given, lambda budget: self._engine.instant(expression, at, budget, lookback_ms=lookback)
        )

    async def query_range(self, request: Request) -> Response:
        """Evaluate an expression at every step of a range."""
        given = await Parameters.of(request)
        expression, (start, end), lookback = expression_of(given), _required_range(given), _lookback(given)
        step = given.duration("step")
        if step <= 0:
            raise BadRequestError(
                'invalid parameter "step": zero or negative query resolution step widths are not accepted. '
                "Try a positive integer"
            )
        if (end - start) // step + 1 > MAX_POINTS:
            raise BadRequestError(
                f"exceeded maximum resolution of {MAX_POINTS:,} points per timeseries. "
                "Try decreasing the query resolution (?step=XX)"
            )
        return await self._evaluate(
            request,
            given,
            lambda budget: self._engine.range(expression, start, end, step, budget, lookback_ms=lookback),
        )

    async def _evaluate(self, request: Request, given: Parameters, ask: Callable[[QueryBudget], Result]) -> Response:
        limit, told = given.limit(), Telling.of(given)
        asked = time.perf_counter()

        def answer(budget: QueryBudget) -> Response:
            # On the query's own thread: writing an answer takes as long as computing it.
            told.begin(budget, asked)
            result, more = truncated(ask(budget), limit)
            data = pieces(result, told.end(budget))
            return success(data, warnings=[*result.warnings, *more], infos=result.infos)

        return await self._runner.run(request, answer, _timeout(given))

    async def series(self, request: Request) -> Response:
        """Label sets of the series that match any of the selectors."""
        given = await Parameters.of(request)
        if not given.all("match[]"):
            raise BadRequestError("no match[] parameter provided")
        sets, (start, end), limit = _matchers(given), given.range(), given.limit()

        def read(budget: QueryBudget) -> list[Labels]:
            found: dict[int, Labels] = {}
            for matchers in sets:
                block = self._reader.series(matchers, start, end, budget)
                found.update(zip(block.ids.tolist(), block.labels, strict=True))
            return sorted(found.values(), key=lambda labels: sorted(labels.items()))

        return _limited(await self._runner.run(request, read), limit)

    async def labels(self, request: Request) -> Response:
        """Names of all labels."""
        given = await Parameters.of(request)
        sets, (start, end), limit = _matchers(given), given.range(), given.limit()
        names = await self._runner.run(request, lambda budget: self._reader.label_names(sets, start, end, budget))
        return _limited(names, limit)

    async def label_values(self, request: Request) -> Response:
        """Values of one label."""
        given = await Parameters.of(request)
        sets, (start, end), limit = _matchers(given), given.range(), given.limit()
        name = request.path_params["name"]
        values = await self._runner.run(
            request, lambda budget: self._reader.label_values(name, sets, start, end, budget)
        )
        return _limited(values, limit)

    async def metadata(self, request: Request) -> Response:
        """Type, help and unit of metrics."""
        given = await Parameters.of(request)
        metric, limit = given.text("metric") or None, given.limit()
        return success_json(await self._runner.run(request, lambda _: self._reader.metadata(metric, limit)))

    async def buildinfo(self, _request: Request) -> Response:
        """Version of the server."""
        return success_json(
            {
                "version": version("mirante"),
                "revision": "",
                "branch": "",
                "buildUser": "",
                "buildDate": "",
                "goVersion": f"{platform.python_implementation().lower()}{'.'.join(map(str, sys.version_info[:3]))}",
            }
        )

    async def healthy(self, _request: Request) -> Response:
        """The process lives."""
        return PlainTextResponse("Mirante is healthy.\n")

    async def readiness(self, _request: Request) -> Response:
        """It takes requests."""
        if self._ready():
            return PlainTextResponse("Mirante is ready.\n")
        return PlainTextResponse("Mirante is starting or stopping.\n", status_code=503, headers={"Retry-After": "1"})


def _timeout(given: Parameters) -> int | None:
    timeout = given.duration("timeout", 0)
    if timeout < 0:
        raise BadRequestError('invalid parameter "timeout": it must be above zero')
    return timeout or None


def _lookback(given: Parameters) -> int | None:
    lookback = given.duration("lookback_delta", 0)
    if lookback < 0:
        raise BadRequestError('invalid parameter "lookback_delta": it must be above zero')
    return lookback or None


def _required_range(given: Parameters) -> tuple[int, int]:
    start, end = given.time("start"), given.time("end")
    if end < start:
        raise BadRequestError('invalid parameter "end": end timestamp must not be before start time')
    return start, end


def _matchers(given: Parameters) -> list[Sequence[Matcher]]:
    return [selector.matchers for selector in selectors_of(given)]


def _limited(rows: Sequence[Any], limit: int | None) -> Response:
    if limit is not None and len(rows) > limit:
        return success_json(rows[:limit], warnings=["results truncated due to limit"])
    return success_json(rows)
