"""Objectives as a Grafana dashboard: for each a row with its budget, how fast that burns, and its alerts.

Built with Grafana's own builder, so that what comes out is what Grafana imports.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from grafana_foundation_sdk.builders.common import ReduceDataOptions, VizLegendOptions
from grafana_foundation_sdk.builders.dashboard import Dashboard, DatasourceVariable, Row, ThresholdsConfig
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import BigValueColorMode, GraphDrawStyle, LegendDisplayMode, LegendPlacement
from grafana_foundation_sdk.models.dashboard import DataSourceRef, Threshold, ThresholdsMode

from mirante.server.slo import rules
from mirante.server.slo.model import Slo, burn_alerts, spelled, windows

_SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
_PERCENT = "percentunit"
_TIMES = "x"

Query = tuple[str, str]
"""Expression, and legend."""

AnyPanel = TypeVar("AnyPanel", Stat, Timeseries)


def dashboard(slos: Sequence[Slo], *, title: str = "Service level objectives", uid: str = "mirante-slo") -> str:
    """The JSON of a dashboard that Grafana imports.

    Args:
        slos: what it shows, a row each.
        title: of the dashboard.
        uid: by which Grafana knows it again.

    Example:
        >>> import json
        >>> from mirante.server.slo.model import Share
        >>> shown = json.loads(dashboard([Slo("up", "shop", 99.0, Share("up == bool 0"))]))
        >>> [panel["title"] for panel in shown["panels"]][:3]
        ['shop: up', 'Objective', 'Good over 30d']
    """
    builder = (
        Dashboard(title)
        .uid(uid)
        .tags(["slo", "mirante"])
        .time("now-7d", "now")
        .refresh("1m")
        .with_variable(DatasourceVariable("datasource").label("Data source").type("prometheus"))
    )
    numbers = itertools.count(1)
    for slo in slos:
        builder.with_row(Row(f"{slo.service}: {slo.name}").id(next(numbers)))
        for panel in _panels(slo):
            builder.with_panel(panel.id(next(numbers)).datasource(_SOURCE))
    return str(JSONEncoder(sort_keys=True, indent=2).encode(builder.build()))


def _panels(slo: Slo) -> Iterator[Stat | Timeseries]:
    mine, period, first = rules.selected(slo), spelled(slo.period), spelled(windows(slo.period)[0])
    alert = f'ALERTS{{alertname="{rules.ALERT}",alertstate="firing",{mine[1:]}'
    yield _stat("Objective", f"{rules.OBJECTIVE}{mine}", _PERCENT, [], slo.description)
    yield _stat(f"Good over {period}", f"1 - {rules.SLI}{period}{mine}", _PERCENT, _from_below(slo.objective))
    yield _stat(
        "Error budget left", f"{rules.REMAINING}{mine}", _PERCENT, [(None, "red"), (0.0, "orange"), (0.25, "green")]
    )
    yield _stat(
        "Burn rate now", f"{rules.CURRENT_BURN}{mine}", _TIMES, [(None, "green"), (1.0, "orange"), (6.0, "red")]
    )
    good = [(f"1 - {rules.SLI}{name}{mine}", name) for name in map(spelled, windows(slo.period))]
    yield _graph("Good", good, _PERCENT, "Share of what was good, over each window.").max(1)
    yield _graph(
        "Error budget left over time", [(f"{rules.REMAINING}{mine}", "left")], _PERCENT, "Below 0 it is spent."
    )
    yield _graph("Burn rate", list(_burning(slo, mine, first)), _TIMES, "1 spends the budget exactly over the period.")
    firing = _graph(
        "Alerts that fire", [(f"sum by (severity) ({alert})", "{{severity}}")], "short", "Those of this objective."
    )
    yield firing.draw_style(GraphDrawStyle.BARS).fill_opacity(60).min(0)


def _burning(slo: Slo, mine: str, first: str) -> Iterator[Query]:
    shown = dict.fromkeys([first, *(spelled(length) for one in burn_alerts(slo.period) for length in one[1:3])])
    for name in shown:
        yield f"{rules.SLI}{name}{mine} / {slo.budget!r}", name


def _from_below(limit: float) -> list[tuple[float | None, str]]:
    return [(None, "red"), (limit, "green")]


def _stat(title: str, query: str, unit: str, steps: Iterable[tuple[float | None, str]], description: str = "") -> Stat:
    panel = (
        Stat().title(title).description(description).unit(unit).height(4).span(6).decimals(3 if unit == _PERCENT else 1)
    )
    thresholds = [Threshold(value, color) for value, color in steps] or [Threshold(None, "blue")]
    panel.color_mode(BigValueColorMode.VALUE).reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
    panel.thresholds(ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(thresholds))
    return _asking(panel, [(query, title)], instant=True)


def _graph(title: str, queries: Sequence[Query], unit: str, description: str) -> Timeseries:
    panel = Timeseries().title(title).description(description).unit(unit).height(7).span(12).fill_opacity(0)
    legend = VizLegendOptions().show_legend(True).display_mode(LegendDisplayMode.LIST)
    panel.legend(legend.placement(LegendPlacement.BOTTOM))
    return _asking(panel, queries, instant=False)


def _asking(panel: AnyPanel, queries: Sequence[Query], *, instant: bool) -> AnyPanel:
    for number, (expression, legend) in enumerate(queries):
        query = Dataquery().expr(expression).legend_format(legend).ref_id(chr(ord("A") + number)).datasource(_SOURCE)
        panel.with_target(query.instant() if instant else query.range())
    return panel
