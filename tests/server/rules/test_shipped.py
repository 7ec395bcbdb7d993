"""The rules that ship: what people are told, that they watch what exists, and that a server that is well is quiet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mirante.config import resolve
from mirante.errors import ConfigError
from mirante.server.api.runbooks import FOLDER
from mirante.server.notify.config import default_config
from mirante.server.notify.route import find_routes
from mirante.server.promql.parse import parse
from mirante.server.rules.lint import lint_rules
from mirante.server.rules.model import AlertingRule, RecordingRule
from mirante.server.rules.read import read_rules, shipped_file
from mirante.server.settings import SHIPPED, ServerSettings
from mirante.testing.ruletest import read_rule_tests
from tests.peers import Peer, fetch, mirante, wait_for
from tests.server.slo.names import metric_names

CORPUS = Path(__file__).parents[2] / "corpus" / "rules"
GROUPS = {name: read_rules([shipped_file(name)]) for name in SHIPPED}
ALERTS = [
    (name, rule)
    for name, groups in GROUPS.items()
    for group in groups
    for rule in group.rules
    if isinstance(rule, AlertingRule)
]


@pytest.mark.parametrize(("name", "alert"), ALERTS, ids=[rule.alert for _, rule in ALERTS])
def test_each_alert_tells_what_and_what_to_do(name: str, alert: AlertingRule) -> None:
    """A summary, a description, a runbook with its four parts, and a unit test with an alert that fires."""
    assert {"summary", "description", "runbook_url"} <= alert.annotations.keys()
    assert alert.annotations["runbook_url"] == f"{{{{ $externalURL }}}}/runbooks/{alert.alert}.md"
    page = (FOLDER / f"{alert.alert}.md").read_text()
    assert page.startswith(f"# {alert.alert}\n\n**Meaning**: ")
    assert all(part in page for part in ("\n**Impact**: ", "\n## Look\n\n1. ", "\n## Mend\n\n- "))
    tested = read_rule_tests(CORPUS / f"shipped_{name}.pass.yml").tests
    assert any(expected.name == alert.alert and expected.alerts for test in tested for expected in test.alerts)


def test_nobody_is_told_of_the_watchdog_unless_asked() -> None:
    """Without a configuration it would be told for ever; everything else is."""
    route = default_config(email="ops@example.com").route
    told = {
        name: [found.receiver for found, _ in find_routes(route, {"alertname": name})] for name in ("Watchdog", "X")
    }
    assert told == {"Watchdog": ["nobody"], "X": ["default"]}


def test_nothing_in_them_deserves_a_look() -> None:
    """Names, severities, duplicates."""
    assert lint_rules(group for groups in GROUPS.values() for group in groups) == []


@pytest.mark.parametrize(
    ("given", "names"),
    [("all", SHIPPED), ("none", ()), ("host", ("host",)), ("mirante,host", ("host", "mirante"))],
)
def test_sets_are_chosen_by_name(given: str, names: tuple[str, ...]) -> None:
    """All of them unless said otherwise."""
    assert ServerSettings().shipped() == SHIPPED
    assert ServerSettings(shipped_rules=given).shipped() == names


def test_a_set_that_does_not_exist_is_refused() -> None:
    """With those that do."""
    with pytest.raises(
        ConfigError, match="expected some of agents, host, mirante, services, or all, or none, got 'hosts'"
    ):
        resolve(ServerSettings, code={"shipped_rules": "host hosts"}, environ={})
    found = resolve(ServerSettings, code={"shipped_rules": "host services", "slo_files": "a.yml,b/*.yml"}, environ={})
    assert (found.shipped(), found.slo_files) == (("host", "services"), ("a.yml", "b/*.yml"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """A real one that evaluates every second, with everything that ships and an objective."""
    folder = tmp_path_factory.mktemp("shipped")
    (folder / "prometheus.yml").write_text("global: {evaluation_interval: 1s}\n")
    (folder / "slos.yml").write_text(SLO)
    flags = ["--prometheus-config", f"{folder}/prometheus.yml", "--slo-files", f"agents,{folder}/slos.yml"]
    with mirante(folder, *flags, "--shipped-rules", "all") as peer:
        yield peer


SLO = """
slos:
- name: scraped
  service: mirante
  objective: 99%
  indicator: {threshold: {query: vector(1), above: 0.5}}
"""


def rules(server: Peer) -> list[dict[str, Any]]:
    """All rules of the server."""
    return [rule for group in server.get("/api/v1/rules")["data"]["groups"] for rule in group["rules"]]


@pytest.mark.slow
def test_a_server_that_is_well_is_quiet(server: Peer) -> None:
    """Every rule can be evaluated, and only the watchdog fires."""

    def evaluated() -> list[dict[str, Any]] | None:
        found = rules(server)
        return found if all(rule["health"] == "ok" for rule in found) else None

    found = wait_for(evaluated, what="every rule to be evaluated")
    assert {rule.alert for _, rule in ALERTS} <= {rule["name"] for rule in found}
    wait_for(lambda: server.query('up{job="mirante"}'), what="the server's own metrics")
    assert [rule["name"] for rule in rules(server) if rule.get("state") == "firing"] == ["Watchdog"]
    runbook = server.get("/api/v1/alerts")["data"]["alerts"][0]["annotations"]["runbook_url"].rpartition("/runbooks/")[
        2
    ]
    assert fetch(f"{server.url}/runbooks/{runbook}")[0] == 200


@pytest.mark.slow
def test_what_they_watch_exists(server: Peer) -> None:
    """The server's pages name every metric of the rules for hosts, for services and for itself."""
    pages = "".join(fetch(server.url + path)[1].decode() for path in ("/metrics", "/metrics/host"))
    families = {line.split()[2] for line in pages.splitlines() if line.startswith("# TYPE ")}
    recorded = {rule.record for group in GROUPS["services"] for rule in group.rules if isinstance(rule, RecordingRule)}
    for name in ("host", "services", "mirante"):
        for group in GROUPS[name]:
            for rule in group.rules:
                asked = metric_names(parse(rule.expression.text)) - recorded - {"up", "node_time_seconds"}
                known = {one for one in asked if one in families or one.rpartition("_")[0] in families}
                assert asked == known, rule


@pytest.mark.slow
def test_objectives_are_evaluated_told_and_reloaded(server: Peer) -> None:
    """A file that cannot be used is refused, and the old one stays."""

    def told() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = server.get("/api/v1/slos", service="mirante")["data"]["slos"]
        return found

    def state() -> tuple[object, ...]:
        keys = ("sli", "errorBudgetRemaining", "currentBurnRate")
        return next((tuple(one[key] for key in keys) for one in told()[0]["states"]), ())

    wait_for(lambda: state() == (1, 1, 0), what="the first evaluation")
    assert len(server.get("/api/v1/slos")["data"]["slos"]) == 6
    path = server.output.parent / "slos.yml"
    path.write_text(SLO.replace("99%", "990%"))
    status, answer = fetch(f"{server.url}/-/reload", method="POST")
    assert (status, b"slos.yml, line 5: slos[0].objective: expected an objective" in answer) == (500, True)
    assert told()[0]["objective"] == 0.99
    path.write_text(SLO.replace("99%", "90%"))
    assert fetch(f"{server.url}/-/reload", method="POST")[0] == 200
    assert told()[0]["objective"] == 0.9
