"""Groups, rules and alerts in the shape in which Prometheus's HTTP API gives them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from mirante.formats.rfc3339 import rfc3339
from mirante.server.rules.alerting import ActiveAlert, Alerting
from mirante.server.rules.group import Group, Running


def described(group: Group) -> dict[str, Any]:
    """A group as ``/api/v1/rules`` has it."""
    return {
        "name": group.spec.name,
        "file": group.spec.file,
        "rules": [_rule(one) for one in group.rules],
        "interval": group.interval / 1000,
        "limit": group.spec.limit,
        "evaluationTime": group.counts.seconds,
        "lastEvaluation": rfc3339(group.counts.at),
    }


def alerts_of(groups: Iterable[Group]) -> list[dict[str, Any]]:
    """All that is pending or fires, as ``/api/v1/alerts`` has it."""
    return [alert for group in groups for one in group.rules for alert in _alerts(one)]


def _rule(one: Running) -> dict[str, Any]:
    rule, found = one.rule.rule, dict[str, Any]()
    if isinstance(one.rule, Alerting):
        spec = one.rule.rule
        found = {
            "state": one.rule.state,
            "name": spec.alert,
            "duration": spec.hold / 1000,
            "keepFiringFor": spec.keep_firing_for / 1000,
            "annotations": dict(spec.annotations),
            "alerts": list(_alerts(one)),
            "type": "alerting",
        }
    else:
        found = {"name": one.rule.rule.record, "type": "recording"}
    error = {"lastError": one.error} if one.error else {}
    return {
        **found,
        "query": rule.expression.text,
        "labels": dict(rule.labels),
        "health": one.health,
        **error,
        "evaluationTime": one.seconds,
        "lastEvaluation": rfc3339(one.at),
    }


def _alerts(one: Running) -> Iterator[dict[str, Any]]:
    if isinstance(one.rule, Alerting):
        yield from (_alert(alert) for alert in one.rule.active.values() if alert.state != "inactive")


def _alert(alert: ActiveAlert) -> dict[str, Any]:
    kept = {"keepFiringSince": rfc3339(alert.keep_firing_since)} if alert.keep_firing_since else {}
    return {
        "labels": dict(sorted(alert.labels.items())),
        "annotations": dict(alert.annotations),
        "state": alert.state,
        "activeAt": rfc3339(alert.active_at),
        **kept,
        "value": exponential(alert.value),
    }


def exponential(value: float) -> str:
    """``strconv.FormatFloat(value, 'e', -1, 64)``.

    Example:
        >>> exponential(1), exponential(0.00025), exponential(float("inf"))
        ('1e+00', '2.5e-04', '+Inf')
    """
    if not math.isfinite(value):
        return {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}[str(value)]
    digits = next(digits for digits in range(18) if float(f"{value:.{digits}e}") == value)
    return f"{value:.{digits}e}"
