"""From objectives to rules: ratios over all windows, budget, burn rates, and the alerts on them.

Names of series are those that Sloth made known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from mirante.formats.yaml import write_yaml
from mirante.server.rules.model import RuleGroup
from mirante.server.rules.read import parse_rules
from mirante.server.slo.expressions import over
from mirante.server.slo.model import HOUR, BurnAlert, Events, Slo, burn_alerts, spelled, windows

SLI, OBJECTIVE, BUDGET = "slo:sli_error:ratio_rate", "slo:objective:ratio", "slo:error_budget:ratio"
PERIOD, REMAINING = "slo:time_period:days", "slo:period_error_budget_remaining:ratio"
CURRENT_BURN, PERIOD_BURN = "slo:current_burn_rate:ratio", "slo:period_burn_rate:ratio"
ALERT = "ErrorBudgetBurn"

_DIRECT = 6 * HOUR
"""Longer windows add up what the shortest one has recorded: that is cheap however long they are."""

Entry = dict[str, Any]


def rule_groups(slos: Iterable[Slo]) -> tuple[RuleGroup, ...]:
    """The groups that a server evaluates.

    Raises:
        ConfigError: rules made from an objective cannot be used.
    """
    return tuple(group for slo in slos for group in parse_rules(rule_file([slo]), _file(slo)))


def rule_file(slos: Iterable[Slo]) -> str:
    """The text of a Prometheus rule file."""
    return write_yaml({"groups": [_group(slo) for slo in slos]})


def selected(slo: Slo) -> str:
    """What selects the series of an objective, in braces."""
    return f'{{service="{slo.service}",slo="{slo.name}"}}'


def _file(slo: Slo) -> str:
    return slo.source.rpartition(", line ")[0]


def _group(slo: Slo) -> Entry:
    labels = {**slo.labels, "service": slo.service, "slo": slo.name}
    recorded = [{"record": name, "expr": text, "labels": labels} for name, text in _recorded(slo)]
    return {"name": f"slo:{slo.service}:{slo.name}", "rules": [*recorded, *_alerts(slo, labels)]}


def _recorded(slo: Slo) -> Iterator[tuple[str, str]]:
    mine, lengths = selected(slo), windows(slo.period)
    first = spelled(lengths[0])
    yield from _ratios(slo, mine, lengths)
    yield OBJECTIVE, f"vector({slo.objective!r})"
    yield BUDGET, f"vector({slo.budget!r})"
    yield PERIOD, f"vector({slo.period / (24 * HOUR):g})"
    yield CURRENT_BURN, f"{SLI}{first}{mine} / {slo.budget!r}"
    yield PERIOD_BURN, f"{SLI}{spelled(slo.period)}{mine} / {slo.budget!r}"
    yield REMAINING, f"1 - {PERIOD_BURN}{mine}"


def _ratios(slo: Slo, mine: str, lengths: list[int]) -> Iterator[tuple[str, str]]:
    indicator, first = slo.indicator, spelled(lengths[0])
    if not isinstance(indicator, Events):
        yield "slo:sli_error:ratio", indicator.bad
        for name in map(spelled, lengths):
            yield f"{SLI}{name}", f"avg_over_time(slo:sli_error:ratio{mine}[{name}])"
        return
    errors, total = f"slo:sli_error:rate{first}", f"slo:sli_total:rate{first}"
    yield errors, over(indicator.errors, first)
    yield total, over(indicator.total, first)
    yield f"{SLI}{first}", f"{errors}{mine} / {total}{mine}"
    for length in lengths[1:]:
        name = spelled(length)
        if length <= _DIRECT:
            yield f"{SLI}{name}", f"({over(indicator.errors, name)}) / ({over(indicator.total, name)})"
        else:
            yield f"{SLI}{name}", f"sum_over_time({errors}{mine}[{name}]) / sum_over_time({total}{mine}[{name}])"


def _alerts(slo: Slo, labels: dict[str, str]) -> Iterator[Entry]:
    # Where much may be bad anyway, not even a total outage burns that fast.
    alerts = [alert for alert in burn_alerts(slo.period) if alert.factor * slo.budget < 1]
    for severity in dict.fromkeys(alert.severity for alert in alerts):
        mine = [alert for alert in alerts if alert.severity == severity]
        yield {
            "alert": ALERT,
            "expr": " or ".join(_burns(slo, alert) for alert in mine),
            "labels": {**labels, "severity": severity},
            "annotations": {**_told(slo, mine), **slo.annotations},
        }


def _burns(slo: Slo, alert: BurnAlert) -> str:
    limit = f"({alert.factor:g} * {slo.budget!r})"
    long, short = (f"{SLI}{spelled(length)}{selected(slo)} > {limit}" for length in (alert.long, alert.short))
    return f"({long} and {short})"


def _told(slo: Slo, alerts: list[BurnAlert]) -> dict[str, str]:
    days = f"{slo.period / (24 * HOUR):g}"
    limits = " or ".join(f"{alert.factor:g} times over {spelled(alert.long)}" for alert in alerts)
    promise = slo.description or f"{slo.percent:.10g} % of what {slo.service} does is good"
    return {
        "summary": f"{slo.service}: the error budget of {slo.name} burns too fast",
        "description": f"{{{{ $value | humanizePercentage }}}} was bad, where {slo.percent:.10g} % must be good over "
        f"{days} days: the budget burns faster than {limits}. Promised is: {_literal(promise)}",
    }


def _literal(text: str) -> str:
    """A text in which a template finds nothing to do."""
    return text.replace("{{", '{{ "{{" }}')
