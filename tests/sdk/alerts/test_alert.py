"""Alerts in code: what is wrong is refused where it is written, what is right is one more rule."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mirante import alerts
from mirante.alerts import Alert, Severity
from mirante.alerts.registry import at_change
from mirante.errors import DeclarationError


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """What a test registers is gone afterwards."""
    yield
    for alert in alerts.registered():
        alerts.unregister(alert)


def test_an_alert_is_a_rule_of_prometheus() -> None:
    """Severity and name become labels, durations are written as Prometheus writes them."""
    alert = Alert(
        "high_error_rate",
        "rate(http_errors_total[5m]) > 0.1",
        "critical",
        for_="10m",
        keep_firing_for=90,
        labels={"team": "shop"},
        annotations={"summary": "High error rate on {{ $labels.instance }}"},
    )
    assert alert.severity is Severity.CRITICAL
    assert (alert.for_, alert.keep_firing_for, alert.group) == (600.0, 90.0, "alerts")
    assert alert.to_rule() == {
        "alert": "high_error_rate",
        "expr": "rate(http_errors_total[5m]) > 0.1",
        "for": "10m",
        "keep_firing_for": "1m30s",
        "labels": {"severity": "critical", "team": "shop"},
        "annotations": {"summary": "High error rate on {{ $labels.instance }}"},
    }


def test_logs_and_traces_are_asked_in_sql() -> None:
    """Which the server knows under a key of its own, and checks."""
    query = (
        "SELECT ServiceName AS service, count() AS value FROM otel_logs WHERE SeverityText = 'ERROR' GROUP BY service"
    )
    rule = Alert("Errors", query, "warning", language="sql").to_rule()
    assert (rule["sql"], "expr" in rule) == (query, False)


def test_what_is_not_said_is_not_written() -> None:
    """A rule has no empty keys; it fires at once."""
    assert Alert("Down", "up == 0", Severity.INFO).to_rule() == {
        "alert": "Down",
        "expr": "up == 0",
        "labels": {"severity": "info"},
    }


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("name", "", "not empty"),
        ("name", 7, "not empty"),
        ("name", "half \ud800", "surrogate"),
        ("group", " ", "not empty"),
        ("language", "cobol", "expected promql or sql"),
        ("query", "", "not empty"),
        ("query", "rate(x[5m", "never closed"),
        ("severity", "urgent", "expected one of critical, warning, info, got 'urgent'"),
        ("for_", "soon", "not a valid duration"),
        ("for_", -1, "not negative"),
        ("for_", float("inf"), "not negative"),
        ("keep_firing_for", True, "seconds or a duration"),
        ("labels", {"a-b": "x"}, "'a-b' is no name"),
        ("labels", {1: "x"}, "1 is no name"),
        ("labels", {"severity": "x"}, "the field severity says it"),
        ("labels", {"a": 1}, "must be text"),
        ("annotations", {"summary": None}, "must be text"),
        ("annotations", {"summary": "\udfff"}, "surrogate"),
    ],
)
def test_a_wrong_field_is_refused_with_its_name(field: str, value: object, reason: str) -> None:
    """Where it is written, as the ValueError that a wrong declaration is."""
    good: dict[str, Any] = {"name": "a", "query": "up == 0", "severity": "info"}
    with pytest.raises(DeclarationError, match=f"^{field}: .*{reason}"):
        Alert(**{**good, field: value})


def test_equal_alerts_are_one() -> None:
    """They compare and hash by what they say, and what they say cannot be changed."""
    one = Alert("Down", "up == 0", "info", labels={"team": "a"})
    assert {one, Alert("Down", "up == 0", "info", labels={"team": "a"})} == {one}
    assert one != Alert("Down", "up == 0", "info", labels={"team": "b"})
    with pytest.raises(TypeError):
        one.labels["team"] = "b"  # type: ignore[index] # what the test is about


def test_registered_alerts_are_listed_once_and_tell_whoever_sends_them() -> None:
    """Registering an equal one again changes nothing; one that is taken back is gone."""
    told: list[int] = []
    at_change(lambda: told.append(len(alerts.registered())))
    try:
        down = alerts.register(Alert("Down", "up == 0", "info"))
        assert alerts.register(Alert("Down", "up == 0", "info")) is not down
        assert alerts.registered().count(down) == 1
        alerts.unregister(down)
        assert down not in alerts.registered()
    finally:
        at_change(None)
    assert len(told) == 2


def test_two_alerts_that_nobody_could_tell_apart_are_refused() -> None:
    """One name may stand for several severities, and for several groups, but not for two queries."""
    alerts.register(Alert("Slow", "latency > 1", "warning"))
    alerts.register(Alert("Slow", "latency > 5", "critical"))
    alerts.register(Alert("Slow", "latency > 2", "warning", group="other"))
    with pytest.raises(DeclarationError, match="name: another alert of the group 'alerts' is called 'Slow'"):
        alerts.register(Alert("Slow", "latency > 3", "warning"))
