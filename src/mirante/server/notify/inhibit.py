"""Inhibition: while one alert fires, nobody is told of those that follow from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain

from mirante.server.notify.known import Known
from mirante.server.notify.model import InhibitRule, Matcher


class Inhibitor:
    """The rules, each with the alerts that are a source of it, by the values of its ``equal`` labels.

    Args:
        rules: of the configuration.
        alerts: that are known.
    """

    def __init__(self, rules: Iterable[InhibitRule], alerts: Iterable[Known] = ()) -> None:
        self._rules = [_Rule(rule) for rule in rules]
        for known in alerts:
            self.put(known)

    def put(self, known: Known) -> None:
        """Take note of an alert; news of it is seen without another call."""
        for rule in self._rules:
            if _hold(rule.rule.source, known.alert.labels):
                rule.sources.setdefault(rule.equal(known.alert.labels), {})[known.id] = known

    def remove(self, known: Known) -> None:
        """Forget an alert."""
        for rule in self._rules:
            values = rule.equal(known.alert.labels)
            sources = rule.sources.get(values, {})
            if sources.pop(known.id, None) and not sources:
                del rule.sources[values]

    def inhibiting(self, labels: Mapping[str, str], now: int) -> list[str]:
        """Ids of the alerts because of which nobody is told of one with these labels; of each rule the first.

        An alert on both sides of a rule is not inhibited by another that is, so that none inhibits itself.
        """
        found = chain.from_iterable(rule.inhibiting(labels, now) for rule in self._rules)
        return list(dict.fromkeys(found))


class _Rule:
    """A rule and its sources that are known."""

    def __init__(self, rule: InhibitRule) -> None:
        self.rule = rule
        self.sources: dict[tuple[str, ...], dict[str, Known]] = {}

    def equal(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(labels.get(name, "") for name in self.rule.equal)

    def inhibiting(self, labels: Mapping[str, str], now: int) -> list[str]:
        sources = self.sources.get(self.equal(labels))
        if not sources or not _hold(self.rule.target, labels):
            return []
        both_sides = _hold(self.rule.source, labels)
        for alert_id, known in sources.items():
            if not known.alert.resolved(now) and not (both_sides and _hold(self.rule.target, known.alert.labels)):
                return [alert_id]
        return []


def _hold(matchers: tuple[Matcher, ...], labels: Mapping[str, str]) -> bool:
    return all(matcher.matches(labels) for matcher in matchers)
