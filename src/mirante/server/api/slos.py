"""``/api/v1/slos``: every objective, how it is kept, what is left of its budget, and how fast that burns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mirante.server.api.envelope import enveloped, success_json
from mirante.server.api.parameters import Parameters, now_ms
from mirante.server.api.runner import QueryRunner
from mirante.server.promql.engine import Engine
from mirante.server.slo.model import Slo
from mirante.server.slo.state import ASKED, described
from mirante.server.store.api import QueryBudget


class SlosApi:
    """The handler.

    Args:
        slos: gives the objectives that are in force.
        engine: answers what their series say.
        runner: where that runs.
    """

    def __init__(self, slos: Callable[[], Sequence[Slo]], engine: Engine, runner: QueryRunner) -> None:
        self._slos, self._engine, self._runner = slos, engine, runner

    def routes(self) -> list[BaseRoute]:
        """Its path."""
        return [Route("/api/v1/slos", enveloped(self.slos), methods=["GET"])]

    async def slos(self, request: Request) -> Response:
        """All of them, or those of a ``service``, at a ``time``."""
        given = await Parameters.of(request)
        service, at = given.text("service"), given.time("time", now_ms())
        wanted = [slo for slo in self._slos() if service in {"", slo.service}]

        def read(budget: QueryBudget) -> list[dict[str, Any]]:
            if not wanted:
                return []
            found = self._engine.instant(ASKED, at, budget)
            rows = np.flatnonzero(found.present[:, 0]).tolist()
            return described(wanted, ((found.labels[row], float(found.values[row, 0])) for row in rows))

        return success_json({"slos": await self._runner.run(request, read)})
