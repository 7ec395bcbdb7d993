"""What deserves a look in rules that can be used: duplicates, unusual names, alerts without a severity."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal, NamedTuple, get_args

from mirante.server.rules.model import AlertingRule, Rule, RuleGroup

Lint = Literal["duplicate-rules", "names", "severity"]
LINTS: tuple[Lint, ...] = get_args(Lint)
SEVERITIES = ("critical", "warning", "info")

_METRIC = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*(?::[a-zA-Z0-9_]*)+", re.ASCII)
_ALERT = re.compile(r"\w+", re.ASCII)
_ANNOTATIONS = ("summary", "description", "runbook_url", "dashboard_url", "message", "title")
_LABELS = ("severity", "team", "service", "environment")


class Finding(NamedTuple):
    """Something that deserves a look.

    Attributes:
        lint: what was looked for.
        file: path of the rule file.
        line: on which the rule begins.
        message: one sentence.
    """

    lint: Lint
    file: str
    line: int
    message: str


def lint_rules(groups: Iterable[RuleGroup], wanted: Iterable[Lint] = LINTS) -> list[Finding]:
    """What deserves a look in the groups, in their order.

    Example:
        >>> from mirante.server.rules.model import Expression
        >>> group = RuleGroup("a", "a.yml", (AlertingRule("Down", Expression("up == 0"), line=3),))
        >>> [finding.message for finding in lint_rules([group])]
        ['alert "Down" has no severity: label it critical, warning or info']
    """
    everything, chosen = list(groups), list(wanted)
    found = [finding for lint in chosen for finding in _LINTERS[lint](everything)]
    return sorted(found, key=lambda finding: (finding.file, finding.line))


def _duplicates(groups: Iterable[RuleGroup]) -> Iterator[Finding]:
    seen: dict[object, tuple[str, int]] = {}
    for group, rule in _rules(groups):
        key = _name(rule), frozenset({**group.labels, **rule.labels}.items())
        if key not in seen:
            seen[key] = group.file, rule.line
            continue
        file, line = seen[key]
        where = f"line {line}" if file == group.file else f"{file}, line {line}"
        message = f'"{_name(rule)}" has the name and labels of the rule in {where}: their series may collide'
        yield Finding("duplicate-rules", group.file, rule.line, message)


def _names(groups: Iterable[RuleGroup]) -> Iterator[Finding]:
    for group, rule in _rules(groups):
        for message in _unusual_names(rule):
            yield Finding("names", group.file, rule.line, message)


def _unusual_names(rule: Rule) -> Iterator[str]:
    if isinstance(rule, AlertingRule):
        if not _ALERT.fullmatch(rule.alert):
            yield f'alert "{rule.alert}" is not named in letters and digits, such as HighErrorRate'
        yield from _misspelled("annotation", rule.annotations, _ANNOTATIONS)
    elif not _METRIC.fullmatch(rule.record):
        yield f'recording rule "{rule.record}" is not named level:metric:operations, such as job:requests:rate5m'
    yield from _misspelled("label", rule.labels, _LABELS)


def _misspelled(kind: str, given: Mapping[str, str], usual: tuple[str, ...]) -> Iterator[str]:
    for name in given:
        close = difflib.get_close_matches(name.lower(), usual, n=1, cutoff=0.8)
        if close and name not in usual:
            yield f'{kind} "{name}" looks like a misspelled "{close[0]}"'


def _severities(groups: Iterable[RuleGroup]) -> Iterator[Finding]:
    for group, rule in _rules(groups):
        if not isinstance(rule, AlertingRule):
            continue
        severity = {**group.labels, **rule.labels}.get("severity", "")
        if not severity:
            message = f'alert "{rule.alert}" has no severity: label it critical, warning or info'
        elif severity not in SEVERITIES and "{{" not in severity:
            message = f'alert "{rule.alert}" has severity "{severity}", which is none of critical, warning and info'
        else:
            continue
        yield Finding("severity", group.file, rule.line, message)


def _rules(groups: Iterable[RuleGroup]) -> Iterator[tuple[RuleGroup, Rule]]:
    return ((group, rule) for group in groups for rule in group.rules)


def _name(rule: Rule) -> str:
    return rule.alert if isinstance(rule, AlertingRule) else rule.record


_LINTERS: Mapping[Lint, Callable[[Iterable[RuleGroup]], Iterator[Finding]]] = {
    "duplicate-rules": _duplicates,
    "names": _names,
    "severity": _severities,
}
