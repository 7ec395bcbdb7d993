"""The dashboard of objectives: what Grafana needs to import it, and that its queries ask for what is recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from mirante.server.promql.parse import parse
from mirante.server.rules.model import RecordingRule
from mirante.server.slo.dashboard import dashboard
from mirante.server.slo.model import DAY, Share, Slo
from mirante.server.slo.read import read_slos, slo_files
from mirante.server.slo.rules import rule_groups
from tests.server.slo.names import metric_names

SLOS = (
    *read_slos(slo_files(["agents"])),
    Slo("week", "shop", 99.5, Share("up == bool 0"), 7 * DAY, source="a, line 1"),
)


@pytest.fixture(scope="module")
def shown() -> dict[str, Any]:
    """The dashboard, read back."""
    found: dict[str, Any] = json.loads(dashboard(SLOS, title="Ours", uid="ours"))
    return found


def targets(shown: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every query."""
    return (target for panel in shown["panels"] for target in panel.get("targets", ()))


def test_it_has_a_name_and_a_data_source_to_choose(shown: dict[str, Any]) -> None:
    """Panels use the variable, so that it can be imported anywhere."""
    assert (shown["title"], shown["uid"]) == ("Ours", "ours")
    (variable,) = shown["templating"]["list"]
    assert (variable["name"], variable["type"], variable["query"]) == ("datasource", "datasource", "prometheus")
    sources = [item["datasource"] for item in [*targets(shown), *shown["panels"]] if "datasource" in item]
    assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)


def test_each_objective_has_a_row_with_its_panels(shown: dict[str, Any]) -> None:
    """In the order of the files."""
    rows = [panel["title"] for panel in shown["panels"] if panel["type"] == "row"]
    assert rows == [f"{slo.service}: {slo.name}" for slo in SLOS]
    titles = [panel["title"] for panel in shown["panels"][-9:]]
    assert titles == [
        "shop: week", "Objective", "Good over 7d", "Error budget left", "Burn rate now",
        "Good", "Error budget left over time", "Burn rate", "Alerts that fire",
    ]  # fmt: skip


def test_panels_have_units_and_numbers_and_do_not_overlap(shown: dict[str, Any]) -> None:
    """As Grafana lays them out."""
    numbers = [panel["id"] for panel in shown["panels"]]
    assert len(numbers) == len(set(numbers))
    taken: set[tuple[int, int]] = set()
    for panel in shown["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    units = {panel["fieldConfig"]["defaults"]["unit"] for panel in shown["panels"] if panel["type"] != "row"}
    assert units == {"percentunit", "x", "short"}


def test_its_queries_ask_for_series_that_the_rules_record(shown: dict[str, Any]) -> None:
    """Each can be parsed, and has a letter of its own in its panel."""
    recorded = {rule.record for group in rule_groups(SLOS) for rule in group.rules if isinstance(rule, RecordingRule)}
    for target in targets(shown):
        assert metric_names(parse(target["expr"])) <= {*recorded, "ALERTS"}
    for panel in shown["panels"]:
        letters = [target["refId"] for target in panel.get("targets", ())]
        assert len(letters) == len(set(letters))
