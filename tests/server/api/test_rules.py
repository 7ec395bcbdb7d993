"""Rules and alerts: what of the evaluator's lists is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import pytest
from starlette.applications import Starlette

from mirante.server.api.rules import RuleLister, RulesApi
from mirante.server.rules.manager import RuleManager, RuleSet
from tests.server.asgi import Reply, call
from tests.server.rules.parts import Memory

ALERT: dict[str, Any] = {"labels": {"alertname": "Down"}, "annotations": {}, "state": "firing", "value": "1e+00"}
MANAGER = {"url": "http://127.0.0.1:9093/api/v2/alerts"}


class Rules:
    """Two groups in two files."""

    def groups(self) -> Sequence[Mapping[str, Any]]:
        """An alert and a recording rule; a recording rule."""
        down = {"type": "alerting", "name": "Down", "labels": {"severity": "page"}, "alerts": [ALERT]}
        first = {"type": "recording", "name": "job:up:sum", "labels": {}}
        second = {"type": "recording", "name": "job:down:sum", "labels": {"team": "a"}}
        return (
            {"name": "one", "file": "a.yml", "interval": 60, "rules": [down, first]},
            {"name": "two", "file": "b.yml", "interval": 60, "rules": [second]},
        )

    def alerts(self) -> Sequence[Mapping[str, Any]]:
        """One that fires."""
        return (ALERT,)

    def alertmanagers(self) -> Mapping[str, Sequence[Mapping[str, str]]]:
        """One that is told."""
        return {"activeAlertmanagers": [MANAGER], "droppedAlertmanagers": []}


def get(path: str, rules: RuleLister | None = None) -> Reply:
    """One request."""
    return asyncio.run(call(Starlette(routes=RulesApi(rules or Rules()).routes()), "GET", f"/api/v1/{path}"))


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ("", ["Down", "job:up:sum", "job:down:sum"]),
        ("type=alert", ["Down"]),
        ("type=record", ["job:up:sum", "job:down:sum"]),
        ("file[]=b.yml", ["job:down:sum"]),
        ("rule_group[]=one&rule_group[]=three", ["Down", "job:up:sum"]),
        ("rule_name[]=Down&rule_name[]=job:down:sum", ["Down", "job:down:sum"]),
        ("match[]=" + quote('{severity="page"}') + "&match[]=" + quote('{team=~"a|b"}'), ["Down", "job:down:sum"]),
        ("rule_name[]=nothing", []),
    ],
)
def test_rules_are_chosen_as_prometheus_does(asked: str, names: list[str]) -> None:
    """By type, file, group, name and labels; a group of which nothing is left is not told."""
    groups = get(f"rules?{asked}").json()["data"]["groups"]
    assert [rule["name"] for group in groups for rule in group["rules"]] == names
    assert all(group["rules"] for group in groups)


def test_alerts_stand_in_their_rules_unless_they_are_not_wanted() -> None:
    """And the rest of a rule and of its group stays."""
    whole = get("rules?type=alert").json()["data"]["groups"][0]
    assert (whole["interval"], whole["rules"][0]["alerts"]) == (60, [ALERT])
    bare = get("rules?type=alert&exclude_alerts=true").json()["data"]["groups"][0]["rules"][0]
    assert bare == {"type": "alerting", "name": "Down", "labels": {"severity": "page"}}


@pytest.mark.parametrize("asked", ["type=all", "exclude_alerts=maybe", "match[]=sum(x)"])
def test_wrong_parameters_are_bad_data(asked: str) -> None:
    """As everywhere."""
    reply = get(f"rules?{asked}")
    assert (reply.status, reply.json()["errorType"]) == (400, "bad_data")


def test_alerts_and_who_is_told_of_them() -> None:
    """As the evaluator gives them."""
    assert get("alerts").json()["data"] == {"alerts": [ALERT]}
    told = get("alertmanagers").json()["data"]
    assert told == {"activeAlertmanagers": [MANAGER], "droppedAlertmanagers": []}


def test_a_server_that_evaluates_no_rules_answers_with_empty_lists() -> None:
    """Not with errors, and not with null: dashboards ask for them."""
    nothing = RuleManager(RuleSet(), Memory())  # type: ignore[arg-type] # without rules nothing is asked
    assert get("rules", nothing).json() == {"status": "success", "data": {"groups": []}}
    assert get("alerts", nothing).json()["data"] == {"alerts": []}
    nobody: dict[str, list[str]] = {"activeAlertmanagers": [], "droppedAlertmanagers": []}
    assert get("alertmanagers", nothing).json()["data"] == nobody
