"""Alerts as a Prometheus rule file.

Source: prometheus.io, "Alerting rules" and "Defining recording rules", section "rule_group".
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mirante._core.files import replace_file
from mirante.alerts.alert import Alert
from mirante.alerts.registry import registered
from mirante.errors import ConfigError
from mirante.formats.yaml import write_yaml


def rule_groups(alerts: Iterable[Alert] | None = None) -> list[dict[str, Any]]:
    """The alerts by their groups, in the order in which they came, in the shape of a rule file's ``groups``.

    Args:
        alerts: those registered when not given.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for alert in registered() if alerts is None else alerts:
        groups.setdefault(alert.group, []).append(alert.to_rule())
    return [{"name": name, "rules": rules} for name, rules in groups.items()]


def rule_file(alerts: Iterable[Alert] | None = None) -> str:
    """The text of a rule file.

    Args:
        alerts: those registered when not given.

    Example:
        >>> print(rule_file([Alert("TargetDown", "up == 0", "critical", for_=60)]), end="")
        groups:
          - name: "alerts"
            rules:
              - alert: "TargetDown"
                expr: "up == 0"
                for: "1m"
                labels:
                  severity: "critical"
    """
    return write_yaml({"groups": rule_groups(alerts)})


def write_rules(path: str | Path, alerts: Iterable[Alert] | None = None) -> Path:
    """Write a rule file, whole or not at all.

    Args:
        path: where; a file that is there is replaced.
        alerts: those registered when not given.

    Returns:
        The path.

    Raises:
        ConfigError: it cannot be written there.
    """
    path = Path(path)
    try:
        replace_file(path, rule_file(alerts))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}", source=str(path)) from None
    return path
