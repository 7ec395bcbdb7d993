"""What deserves a look in rules that can be used."""

from __future__ import annotations

import pytest

from mirante.server.rules.lint import Lint, lint_rules
from mirante.server.rules.read import parse_rules


def found(text: str, *wanted: Lint) -> list[tuple[int, str]]:
    """Line and message of everything that is found."""
    return [(one.line, one.message) for one in lint_rules(parse_rules(text, "a.yml"), wanted)]


def test_rules_of_one_name_and_labels_are_told() -> None:
    """The labels of the group count; another label makes another rule."""
    text = """
groups:
- name: a
  rules:
  - {record: "a:b", expr: up, labels: {c: d}}
  - {record: "a:b", expr: up}
- name: b
  labels: {c: d}
  rules:
  - {record: "a:b", expr: up}
  - {alert: "a:b", expr: up, labels: {c: e}}
"""
    message = '"a:b" has the name and labels of the rule in line 5: their series may collide'
    assert found(text, "duplicate-rules") == [(10, message)]


def test_a_duplicate_in_another_file_is_told_with_its_file() -> None:
    """Where files are looked at together."""
    text = "groups: [{name: a, rules: [{record: b, expr: up}]}]"
    groups = (*parse_rules(text, "a.yml"), *parse_rules(text, "b.yml"))
    (one,) = lint_rules(groups, ["duplicate-rules"])
    assert (one.file, one.line) == ("b.yml", 1)
    assert "of the rule in a.yml, line 1" in one.message


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ('{record: "job:requests:rate5m", expr: up}', None),
        ("{record: requests, expr: up}", 'recording rule "requests" is not named level:metric:operations'),
        ('{record: "my requests", expr: up}', 'recording rule "my requests" is not named'),
        ("{alert: HighErrorRate, expr: up}", None),
        ("{alert: high error rate, expr: up}", 'alert "high error rate" is not named in letters and digits'),
        ("{alert: A, expr: up, labels: {sevrity: a}}", 'label "sevrity" looks like a misspelled "severity"'),
        ("{alert: A, expr: up, labels: {Severity: a}}", 'label "Severity" looks like a misspelled "severity"'),
        ("{alert: A, expr: up, annotations: {summery: a}}", 'annotation "summery" looks like a misspelled "summary"'),
        ("{alert: A, expr: up, annotations: {runbook_url: a, owner: b}, labels: {job: a}}", None),
    ],
)
def test_unusual_names_are_told(rule: str, message: str | None) -> None:
    """With what a usual name looks like, or what may have been meant."""
    told = found(f"groups:\n- name: a\n  rules:\n  - {rule}", "names")
    assert [line for line, _ in told] == ([4] if message else [])
    assert all(text.startswith(str(message)) for _, text in told)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("severity: critical", None),
        ('severity: "{{ $labels.level }}"', None),
        ("severity: page", 'alert "A" has severity "page", which is none of critical, warning and info'),
        ("team: a", 'alert "A" has no severity: label it critical, warning or info'),
    ],
)
def test_alerts_say_how_urgent_they_are(labels: str, message: str | None) -> None:
    """By a label of their own, or of their group; recording rules need none."""
    rules = '[{alert: A, expr: up, labels: {LABELS}}, {record: "a:b", expr: up}]'.replace("LABELS", labels)
    told = found(f"groups: [{{name: a, rules: {rules}}}]", "severity")
    assert [text for _, text in told] == ([message] if message else [])
    grouped = f"groups: [{{name: a, labels: {{{labels}}}, rules: [{{alert: A, expr: up}}]}}]"
    assert found(grouped, "severity") == told


def test_everything_is_looked_for_unless_said_otherwise() -> None:
    """In the order of the lines."""
    text = (
        "groups:\n- name: a\n  rules:\n  - {record: b, expr: up}\n  - {alert: A, expr: up}\n  - {record: b, expr: up}"
    )
    findings = lint_rules(parse_rules(text, "a.yml"))
    assert [(one.line, one.lint) for one in findings] == [
        (4, "names"),
        (5, "severity"),
        (6, "duplicate-rules"),
        (6, "names"),
    ]
    assert found(text) == []
