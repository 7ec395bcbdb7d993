"""How objectives are kept: what their recorded series say at one moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mirante.server.slo import rules
from mirante.server.slo.model import Slo, spelled, windows

ASKED = f'{{__name__=~"{rules.SLI}.+|{rules.REMAINING}|{rules.CURRENT_BURN}|{rules.PERIOD_BURN}"}}'
"""A query for everything that is told."""

Point = tuple[Mapping[str, str], float]
"""Labels and value of a series."""


def described(slos: Iterable[Slo], points: Iterable[Point]) -> list[dict[str, Any]]:
    """Every objective with its states: one, or one for each group that its expressions keep apart; none without data.

    Args:
        slos: the objectives.
        points: what ``ASKED`` yields.

    Example:
        >>> from mirante.server.slo.model import Share
        >>> slo = Slo("up", "shop", 99.0, Share("up == bool 0"))
        >>> labels = {"service": "shop", "slo": "up"}
        >>> points = [({"__name__": "slo:sli_error:ratio_rate30d", **labels}, 0.005)]
        >>> described([slo], points)[0]["states"][0]["sli"]
        0.995
    """
    by_slo: dict[tuple[str, str], list[Point]] = {}
    for labels, value in points:
        by_slo.setdefault((labels.get("service", ""), labels.get("slo", "")), []).append((labels, value))
    return [_described(slo, by_slo.get((slo.service, slo.name), ())) for slo in slos]


def _described(slo: Slo, points: Sequence[Point]) -> dict[str, Any]:
    own = {"__name__", "service", "slo", *slo.labels}
    groups: dict[tuple[tuple[str, str], ...], dict[str, float]] = {}
    for labels, value in points:
        group = tuple(sorted((name, text) for name, text in labels.items() if name not in own))
        groups.setdefault(group, {})[labels["__name__"]] = value
    return {
        "name": slo.name,
        "service": slo.service,
        "description": slo.description,
        "objective": slo.objective,
        "window": spelled(slo.period),
        "labels": dict(slo.labels),
        "source": slo.source,
        "states": [{"labels": dict(group), **_state(slo, series)} for group, series in sorted(groups.items())],
    }


def _state(slo: Slo, series: Mapping[str, float]) -> dict[str, Any]:
    ratios = {name: series.get(f"{rules.SLI}{name}") for name in map(spelled, windows(slo.period))}
    bad = ratios[spelled(slo.period)]
    return {
        "sli": None if bad is None else 1 - bad,
        "errorBudgetRemaining": series.get(rules.REMAINING),
        "currentBurnRate": series.get(rules.CURRENT_BURN),
        "periodBurnRate": series.get(rules.PERIOD_BURN),
        "burnRates": {name: ratio / slo.budget for name, ratio in ratios.items() if ratio is not None},
    }
