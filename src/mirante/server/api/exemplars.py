"""``/api/v1/query_exemplars``: the exemplars of the series that an expression reads.

Source: prometheus.io, "HTTP API", section "Querying exemplars".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mirante.server.api.envelope import enveloped, success_json
from mirante.server.api.expressions import expression_of
from mirante.server.api.parameters import Parameters
from mirante.server.api.runner import QueryRunner
from mirante.server.api.selectors import selectors_in
from mirante.server.promql.encode import seconds
from mirante.server.promql.gofloat import go_float
from mirante.server.promql.parse import parse
from mirante.server.promql.plan import Selector
from mirante.server.store.api import ExemplarPoint, ExemplarReader, Labels, Matcher, QueryBudget, SeriesSet

_DAY = 86_400_000


class ExemplarSource(ExemplarReader, Protocol):
    """What this API needs of the store: exemplars, and the series that have them."""

    def series(self, matchers: Sequence[Matcher], start: int, end: int, budget: QueryBudget) -> SeriesSet:
        """See MetricReader."""
        ...


class ExemplarsApi:
    """The handler.

    Args:
        source: where exemplars are.
        runner: the pool in which they are read.
    """

    def __init__(self, source: ExemplarSource, runner: QueryRunner) -> None:
        self._source = source
        self._runner = runner

    def routes(self) -> list[BaseRoute]:
        """Its path."""
        return [Route("/api/v1/query_exemplars", enveloped(self.query), methods=["GET", "POST"])]

    async def query(self, request: Request) -> Response:
        """Exemplars by series, in the order of labels; what stands around the selectors does not count."""
        given = await Parameters.of(request)
        start, end = given.range()
        selectors = list(selectors_in(parse(expression_of(given))))
        return success_json(await self._runner.run(request, lambda budget: self._read(selectors, start, end, budget)))

    def _read(self, selectors: Sequence[Selector], start: int, end: int, budget: QueryBudget) -> list[dict[str, Any]]:
        found: dict[int, tuple[Labels, Sequence[ExemplarPoint]]] = {}
        for matchers in dict.fromkeys(selector.matchers for selector in selectors):
            # An exemplar may be older than the samples that it came with, and series are found by the days of samples.
            series = self._source.series(matchers, start, end + _DAY, budget)
            points = self._source.exemplars(series, start, end, budget)
            found.update(zip(series.ids.tolist(), zip(series.labels, points, strict=True), strict=True))
        held = sorted((one for one in found.values() if one[1]), key=lambda one: sorted(one[0].items()))
        return [{"seriesLabels": _sorted(labels), "exemplars": [*map(_shown, points)]} for labels, points in held]


def _shown(point: ExemplarPoint) -> dict[str, Any]:
    time = orjson.Fragment(seconds(point.timestamp))
    return {"labels": _sorted(point.labels), "value": go_float(point.value), "timestamp": time}


def _sorted(labels: Labels) -> dict[str, str]:
    return dict(sorted(labels.items()))
