"""``/federate``: the newest samples of chosen series, as a page that another Prometheus scrapes.

Source: prometheus.io, "Federation".
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mirante.errors import MiranteError
from mirante.formats.exposition import series
from mirante.server.api.parameters import Parameters, now_ms
from mirante.server.api.runner import QueryRunner
from mirante.server.api.selectors import selectors_of
from mirante.server.promql.engine import Engine
from mirante.server.promql.gofloat import go_float
from mirante.server.promql.plan import Selector
from mirante.server.store.api import QueryBudget

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Newest = dict[tuple[tuple[str, str], ...], tuple[int, float]]
"""Time in milliseconds and value by sorted labels."""


class Federation:
    """The page.

    Args:
        engine: finds newest samples.
        runner: the pool in which it does.
    """

    def __init__(self, engine: Engine, runner: QueryRunner) -> None:
        self._engine = engine
        self._runner = runner

    def routes(self) -> list[BaseRoute]:
        """Its path."""
        return [Route("/federate", self.page, methods=["GET", "HEAD"])]

    async def page(self, request: Request) -> Response:
        """The samples that match any ``match[]``; Prometheus answers with plain text also when it refuses."""
        try:
            selectors = selectors_of(await Parameters.of(request))
            text = await self._runner.run(request, lambda budget: self._write(selectors, budget))
        except MiranteError as error:
            return Response(f"{error}\n", 400 if isinstance(error, ValueError) else 503, media_type="text/plain")
        return Response(text, media_type=CONTENT_TYPE)

    def _write(self, selectors: list[Selector], budget: QueryBudget) -> str:
        found: Newest = {}
        now = now_ms()
        for selector in selectors:
            for labels, time, value in self._engine.newest(selector, now, budget):
                found[tuple(sorted(labels.items()))] = time, value
        return "".join(_lines(found))


def _lines(found: Newest) -> Iterator[str]:
    by_name = sorted(found.items(), key=lambda one: (dict(one[0]).get("__name__", ""), one[0]))
    for name, group in groupby(by_name, key=lambda one: dict(one[0]).get("__name__", "")):
        yield f"# TYPE {name} untyped\n"
        for pairs, (time, value) in group:
            # An empty instance keeps the scraping side from writing its own target's into series that have none.
            labels = {"instance": "", **{label: text for label, text in pairs if label != "__name__"}}
            yield f"{series(name, labels)} {go_float(value)} {time}\n"
