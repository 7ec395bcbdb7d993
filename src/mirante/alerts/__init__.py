"""Alerts in code: declared beside what they watch, sent to the server, or written as a Prometheus rule file.

Example:
    >>> from mirante import alerts
    >>> late = alerts.Alert("LatePayments", "sum(payments_late) > 10", "warning", for_="5m")
    >>> late.to_rule()["for"]
    '5m'
"""

from __future__ import annotations

from mirante.alerts.alert import Alert, Severity
from mirante.alerts.registry import register, registered, unregister
from mirante.alerts.rule_file import rule_file, rule_groups, write_rules

__all__ = ["Alert", "Severity", "register", "registered", "rule_file", "rule_groups", "unregister", "write_rules"]
