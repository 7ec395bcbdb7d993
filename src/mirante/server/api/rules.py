"""``/api/v1/rules``, ``/api/v1/alerts`` and ``/api/v1/alertmanagers``: what is evaluated, what fires, who is told.

Source: prometheus.io, "HTTP API", sections "Rules", "Alerts" and "Alertmanagers".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mirante.errors import BadRequestError
from mirante.server.api.envelope import enveloped, success_json
from mirante.server.api.parameters import Parameters
from mirante.server.api.selectors import selectors_of
from mirante.server.promql.matchers import matches

_TYPES = {"": ("alerting", "recording"), "alert": ("alerting",), "record": ("recording",)}
_TRUTHS = {"": False, "0": False, "false": False, "1": True, "true": True}


class RuleLister(Protocol):
    """What this API needs of the evaluator of rules; all in the shape in which Prometheus's API gives it."""

    def groups(self) -> Sequence[Mapping[str, Any]]:
        """Rule groups with their ``rules``, each of which has ``type``, ``name`` and ``labels``."""
        ...

    def alerts(self) -> Sequence[Mapping[str, Any]]:
        """Alerts that are pending or firing."""
        ...

    def alertmanagers(self) -> Mapping[str, Sequence[Mapping[str, str]]]:
        """``activeAlertmanagers`` and ``droppedAlertmanagers``."""
        ...


class RulesApi:
    """The handlers.

    Args:
        rules: who evaluates rules.
    """

    def __init__(self, rules: RuleLister) -> None:
        self._rules = rules

    def routes(self) -> list[BaseRoute]:
        """Every path with its handler."""
        table = {"rules": self.rules, "alerts": self.alerts, "alertmanagers": self.alertmanagers}
        return [Route(f"/api/v1/{path}", enveloped(handler), methods=["GET"]) for path, handler in table.items()]

    async def rules(self, request: Request) -> Response:
        """Groups whose file and name were asked for, with those of their rules that were."""
        given = await Parameters.of(request)
        files, names = given.all("file[]"), given.all("rule_group[]")
        wanted, bare = _wanted(given), _flag(given, "exclude_alerts")
        chosen = []
        for group in self._rules.groups():
            if (files and group["file"] not in files) or (names and group["name"] not in names):
                continue
            rules = [rule for rule in group["rules"] if wanted(rule)]
            if bare:
                rules = [{key: value for key, value in rule.items() if key != "alerts"} for rule in rules]
            if rules:
                chosen.append({**group, "rules": rules})
        return success_json({"groups": chosen})

    async def alerts(self, _request: Request) -> Response:
        """What is pending or fires."""
        return success_json({"alerts": self._rules.alerts()})

    async def alertmanagers(self, _request: Request) -> Response:
        """Who is told of alerts."""
        return success_json(self._rules.alertmanagers())


def _wanted(given: Parameters) -> Callable[[Mapping[str, Any]], bool]:
    types = _TYPES.get(given.text("type").lower())
    if types is None:
        raise BadRequestError(f'invalid parameter "type": expected alert or record, not "{given.text("type")}"')
    names, sets = given.all("rule_name[]"), [selector.matchers for selector in selectors_of(given)]

    def wanted(rule: Mapping[str, Any]) -> bool:
        return (
            rule["type"] in types
            and (not names or rule["name"] in names)
            and (not sets or any(matches(rule["labels"], matchers) for matchers in sets))
        )

    return wanted


def _flag(given: Parameters, name: str) -> bool:
    truth = _TRUTHS.get(given.text(name).lower())
    if truth is None:
        raise BadRequestError(f'invalid parameter "{name}": expected true or false, not "{given.text(name)}"')
    return truth
