"""Prometheus's HTTP API v1: what is scraped, and what targets say of their metrics.

Source: prometheus.io, "HTTP API", sections "Targets" and "Querying target metadata".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mirante.errors import BadQueryError, BadRequestError
from mirante.server.api.envelope import enveloped, success_json
from mirante.server.api.parameters import Parameters
from mirante.server.promql.matchers import matches
from mirante.server.promql.parse import parse
from mirante.server.promql.plan import Selector
from mirante.server.store.api import Labels, Matcher

_STATES = ("any", "active", "dropped")


class Described(Protocol):
    """What a target says of a metric family."""

    @property
    def type(self) -> str:
        """``counter``, ``gauge`` and so on."""
        ...

    @property
    def help(self) -> str:
        """A sentence for people."""
        ...

    @property
    def unit(self) -> str:
        """The base unit, or the empty string."""
        ...


class TargetLister(Protocol):
    """What this API needs of the scraper."""

    def targets(self) -> Mapping[str, Any]:
        """``activeTargets`` and ``droppedTargets`` as ``/api/v1/targets`` gives them."""
        ...

    def scrape_pools(self) -> Sequence[str]:
        """The names of all jobs, in order."""
        ...

    def target_metadata(self) -> Iterable[tuple[Labels, Mapping[str, Described]]]:
        """Labels of every target, with what it said of its metric families when it was scraped last."""
        ...


class TargetsApi:
    """The handlers of ``/api/v1/targets`` and its kin."""

    def __init__(self, targets: TargetLister) -> None:
        self._targets = targets

    def routes(self) -> list[BaseRoute]:
        """Every path with its handler."""
        table = {
            "targets": self.targets,
            "targets/metadata": self.metadata,
            "scrape_pools": self.scrape_pools,
        }
        return [Route(f"/api/v1/{path}", enveloped(handler), methods=["GET"]) for path, handler in table.items()]

    async def targets(self, request: Request) -> Response:
        """What is scraped, and how it went."""
        given = await Parameters.of(request)
        state = given.text("state", "any")
        if state not in _STATES:
            raise BadRequestError('invalid parameter "state": expected active, dropped or any')
        listed = dict(self._targets.targets())
        pool = given.text("scrapePool")
        if pool:
            for kind in ("activeTargets", "droppedTargets"):
                listed[kind] = [target for target in listed[kind] if target["scrapePool"] == pool]
        if state != "any":
            listed["droppedTargets" if state == "active" else "activeTargets"] = []
        return success_json(listed)

    async def scrape_pools(self, _request: Request) -> Response:
        """The names of all jobs."""
        return success_json({"scrapePools": list(self._targets.scrape_pools())})

    async def metadata(self, request: Request) -> Response:
        """Type, help and unit of metrics, target by target."""
        given = await Parameters.of(request)
        metric, limit, matchers = given.text("metric"), given.limit(), _matchers(given.text("match_target"))
        found: list[dict[str, object]] = []
        for labels, families in self._targets.target_metadata():
            if not matches(labels, matchers):
                continue
            for name in [metric] if metric else sorted(families):
                if name in families:
                    named = {} if metric else {"metric": name}
                    said = families[name]
                    about = {"type": said.type, "help": said.help, "unit": said.unit}
                    found.append({"target": dict(sorted(labels.items())), **named, **about})
        return success_json(found[:limit])


def _matchers(text: str) -> Sequence[Matcher]:
    if not text:
        return ()
    try:
        plan = parse(text)
    except BadQueryError as error:
        raise BadRequestError(f'invalid parameter "match_target": {error}') from None
    if not isinstance(plan, Selector):
        raise BadRequestError(f'invalid parameter "match_target": "{text}" is no plain selector such as {{job="x"}}')
    return plan.matchers
