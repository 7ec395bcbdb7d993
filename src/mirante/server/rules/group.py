"""One group of rules, evaluated at one time: rules in order, each seeing what those before it wrote.

Reads no clock and does not wait: unit tests of rules, the backtest and the server drive the same code. Times are
milliseconds. Source: Prometheus 3, ``rules/group.go``.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from mirante.errors import MiranteError
from mirante.formats.remote_write import STALE_NAN
from mirante.server.alert import Alert
from mirante.server.rules.alerting import ActiveAlert, Alerting
from mirante.server.rules.evaluation import LabelKey, RuleLog, RuleOptions, RuleQuery, RuleSample, key_of
from mirante.server.rules.model import AlertingRule, Rule, RuleGroup
from mirante.server.rules.recording import Recording
from mirante.server.rules.state import States, restored
from mirante.server.store.api import Labels

_log = logging.getLogger(__name__)

RESTORING_EVALUATIONS = 2
"""Alerts that appear in these take up their stored state: at the first, what they depend on may not be there again."""


@dataclass(slots=True)
class Running:
    """A rule of a group, and what became of its last evaluation.

    Attributes:
        rule: with its state.
        health: ``unknown`` before the first evaluation.
        error: of the last one, or empty.
        at: time of the last evaluation in milliseconds, 0 before the first.
        seconds: how long that took.
        written: the series of the last evaluation that succeeded.
    """

    rule: Alerting | Recording
    health: Literal["unknown", "ok", "err"] = "unknown"
    error: str = ""
    at: int = 0
    seconds: float = 0.0
    written: Mapping[LabelKey, Labels] = field(default_factory=dict)


@dataclass(slots=True)
class GroupCounts:
    """Of one group since it was made.

    Attributes:
        evaluations: of rules.
        failures: of those.
        iterations: evaluations of the group, those that were missed included.
        missed: iterations that did not happen because the one before still ran.
        samples: written by the last iteration.
        at: time of the last iteration in milliseconds.
        seconds: how long that took.
    """

    evaluations: int = 0
    failures: int = 0
    iterations: int = 0
    missed: int = 0
    samples: int = 0
    at: int = 0
    seconds: float = 0.0


class Group:
    """A group of rules with its state. Evaluated by one thread at a time; its attributes may be read by any.

    Args:
        spec: what the file says.
        log: takes what they write.
        options: what all groups share.
        restore: states of before a restart.
        predecessor: a group of the same file and name, whose state equal rules take over.

    Example:
        >>> from mirante.server.rules.evaluation import Point
        >>> from mirante.server.rules.model import Expression, RecordingRule
        >>> class Store:
        ...     def vector(self, expression, at): return [Point({"__name__": "up", "job": "shop"}, 1.0)]
        ...     def write(self, samples): print(samples)
        >>> spec = RuleGroup("jobs", "rules.yml", (RecordingRule("job:up", Expression("up")),))
        >>> Group(spec, Store(), RuleOptions()).evaluate(60_000, Store())
        [RuleSample(labels={'__name__': 'job:up', 'job': 'shop'}, time=60000, value=1.0)]
        []
    """

    def __init__(
        self,
        spec: RuleGroup,
        log: RuleLog,
        options: RuleOptions,
        restore: States | None = None,
        predecessor: Group | None = None,
    ) -> None:
        self.spec = spec
        self.interval = spec.interval or options.interval
        self.query_offset = options.query_offset if spec.query_offset is None else spec.query_offset
        self.counts: GroupCounts = GroupCounts() if predecessor is None else predecessor.counts
        self._log, self._options = log, options
        self._states = dict(restore or {})
        self._left_to_restore = RESTORING_EVALUATIONS if restore else 0
        self.rules = [Running(_evaluator(with_group_labels(rule, spec), options)) for rule in spec.rules]
        self._ended: Mapping[LabelKey, Labels] = {}
        if predecessor is not None:
            self._take_over(predecessor)

    def _take_over(self, predecessor: Group) -> None:
        """Go on with the state of equal rules; the series of the others end with the next evaluation."""
        free: dict[object, list[Running]] = defaultdict(list)
        for one in predecessor.rules:
            free[_identity(one.rule.rule)].append(one)
        for mine in self.rules:
            same = free[_identity(mine.rule.rule)]
            if same:
                old = same.pop(0)
                mine.written = old.written
                mine.health, mine.error, mine.at, mine.seconds = old.health, old.error, old.at, old.seconds
                if isinstance(mine.rule, Alerting) and isinstance(old.rule, Alerting):
                    mine.rule.active = old.rule.active
        self._states, self._left_to_restore = predecessor._states, predecessor._left_to_restore
        self._ended = {**predecessor._ended, **_series(old for rest in free.values() for old in rest)}

    def evaluate(self, now: int, query: RuleQuery) -> list[Alert]:
        """Evaluate all rules and write what they yield; errors are kept with the rule that made them.

        Args:
            now: the time of the evaluation.
            query: answers what the rules ask.

        Returns:
            What others are to be told of alerts.
        """
        begun, at = self._options.monotonic(), now - self.query_offset
        self.counts.samples = 0
        for rule in self.rules:
            if isinstance(rule.rule, Alerting):
                rule.rule.restore = self._restore if self._left_to_restore else None
        sent = [alert for rule in self.rules for alert in self._evaluate(rule, query, now, at)]
        self._end_series(at)
        self._left_to_restore = max(0, self._left_to_restore - 1)
        self.counts.iterations += 1
        self.counts.at, self.counts.seconds = now, self._options.monotonic() - begun
        return sent

    def _evaluate(self, running: Running, query: RuleQuery, now: int, at: int) -> list[Alert]:
        begun = self._options.monotonic()
        self.counts.evaluations += 1
        try:
            samples = running.rule.evaluate(query, now, at, self.spec.limit)
            self._write(running, samples, at)
            running.health, running.error = "ok", ""
        except MiranteError as error:
            self._failed(running, str(error))
        except Exception as error:  # noqa: BLE001 - one rule's fault must not keep the others from being evaluated
            _log.exception("evaluating a rule of group %s failed", self.spec.name)
            self._failed(running, f"internal error: {type(error).__name__}: {error}")
        running.at, running.seconds = now, self._options.monotonic() - begun
        if isinstance(running.rule, Alerting):
            # Also of a rule that failed: what fires goes on firing until an evaluation says otherwise.
            return running.rule.to_send(now, self.interval)
        return []

    def _failed(self, running: Running, error: str) -> None:
        self.counts.failures += 1
        running.health, running.error = "err", error

    def _write(self, running: Running, samples: list[RuleSample], at: int) -> None:
        series = {key_of(sample.labels): sample.labels for sample in samples}
        gone = [RuleSample(labels, at, STALE_NAN) for key, labels in running.written.items() if key not in series]
        if samples or gone:
            self._log.write([*samples, *gone])
        running.written = series
        self.counts.samples += len(samples)

    def _end_series(self, at: int) -> None:
        """End the series of rules that are no longer there, but for those that another rule writes now."""
        if self._ended:
            written = _series(self.rules)
            gone = [RuleSample(labels, at, STALE_NAN) for key, labels in self._ended.items() if key not in written]
            try:
                self._log.write(gone)
                self._ended = {}
            except MiranteError:
                return  # tried again by the next evaluation

    def end(self, at: int) -> None:
        """End all its series: the group is gone for good.

        Raises:
            StoreError: the ends cannot be written.
        """
        ended = {**self._ended, **_series(self.rules)}
        if ended:
            self._log.write([RuleSample(labels, at, STALE_NAN) for labels in ended.values()])

    def _restore(self, alert: ActiveAlert, rule: AlertingRule, now: int) -> ActiveAlert:
        stored = self._states.pop(key_of(alert.labels), None)
        return alert if stored is None else restored(alert, stored, rule, now, self._options.grace_period)


def with_group_labels(rule: Rule, spec: RuleGroup) -> Rule:
    """The rule with the labels of its group; its own win."""
    return replace(rule, labels={**spec.labels, **rule.labels}) if spec.labels else rule


def same_group(one: RuleGroup, other: RuleGroup) -> bool:
    """Whether two groups do the same, wherever they stand in their files."""
    return _without_lines(one) == _without_lines(other)


def _without_lines(spec: RuleGroup) -> RuleGroup:
    return replace(spec, line=0, rules=tuple(replace(rule, line=0) for rule in spec.rules))


def _evaluator(rule: Rule, options: RuleOptions) -> Alerting | Recording:
    return Alerting(rule, options) if isinstance(rule, AlertingRule) else Recording(rule)


def _identity(rule: Rule) -> object:
    """What makes two rules the same when a file changes: name and labels, as in Prometheus."""
    name = rule.alert if isinstance(rule, AlertingRule) else rule.record
    return type(rule), name, key_of(rule.labels)


def _series(rules: Iterable[Running]) -> dict[LabelKey, Labels]:
    return {key: labels for rule in rules for key, labels in rule.written.items()}
