"""Runs unit tests of rules: the very evaluation of the server, over samples in memory and with the time of the test."""

from __future__ import annotations

import math
import re
import struct
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from mirante.errors import MiranteError, QueryError, StoreError
from mirante.formats.duration import format_duration
from mirante.formats.exposition import label_set, series
from mirante.server.promql.engine import Engine
from mirante.server.promql.gofloat import go_float
from mirante.server.rules.alerting import Alerting
from mirante.server.rules.evaluation import NAME, LabelKey, Point, RuleOptions, RuleSample
from mirante.server.rules.group import Group
from mirante.server.rules.model import AlertingRule, Expression, RuleGroup
from mirante.server.rules.read import read_rules
from mirante.server.rules.recording import Recording
from mirante.server.store.api import Labels, QueryBudget
from mirante.testing.memory_store import MemoryReader
from mirante.testing.ruletest import ExpectedAlerts, ExpectedSamples, RuleTest, RuleTestFile
from mirante.testing.series_notation import STALE

T = TypeVar("T")

_PATIENCE = 60.0
"""Seconds that one query may take."""

_STALE = struct.pack("<d", STALE)

_Alert = tuple[Labels, Mapping[str, str]]
_Sample = tuple[Labels, float]


@dataclass(frozen=True, slots=True)
class Failure:
    """What a test found otherwise than it expects.

    Attributes:
        about: which rule or expression, and when.
        expected: in lines; empty where something could not be evaluated.
        got: in lines.
        error: why it could not be evaluated, or empty.
    """

    about: str
    expected: Sequence[str] = ()
    got: Sequence[str] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class TestResult:
    """What became of a test; it passed when there is no failure."""

    __test__ = False  # pytest takes the name for a test

    name: str
    failures: Sequence[Failure] = ()


def run_rule_tests(file: RuleTestFile, run: re.Pattern[str] | None = None) -> list[TestResult]:
    """Run the tests of a file.

    Args:
        file: the tests.
        run: run those alone in whose names this is found.

    Raises:
        ConfigError: a rule file cannot be used.
    """
    chosen = [test for test in file.tests if run is None or run.search(test.name if test.named else "")]
    if not chosen:
        return []
    groups = _in_order(read_rules(file.rule_files), file.order)
    return [TestResult(test.name, _Run(test, file, groups).failures()) for test in chosen]


def _in_order(groups: Sequence[RuleGroup], order: Sequence[str]) -> list[RuleGroup]:
    """Those that are not mentioned stand with the first."""
    places = {name: number for number, name in enumerate(order)}
    return sorted(groups, key=lambda group: places.get(group.name, 0))


class _Run:
    """One test while it runs: it is itself what its groups ask, and what they write to."""

    def __init__(self, test: RuleTest, file: RuleTestFile, groups: Iterable[RuleGroup]) -> None:
        self._test, self._step, self._fuzzy = test, file.interval, file.fuzzy
        self._reader = MemoryReader()
        self._engine = Engine(self._reader, subquery_step_ms=file.interval)
        options = RuleOptions(
            interval=test.interval, external_labels=test.external_labels, external_url=test.external_url
        )
        self._groups = [Group(_without_sql(group), self, options) for group in groups]
        self._sql_alerts = {
            rule.alert
            for group in groups
            for rule in group.rules
            if isinstance(rule, AlertingRule) and rule.expression.language == "sql"
        }
        # Of two lines for one series the last counts, as in promtool.
        self._input = {frozenset(labels.items()): points for labels, points in test.series}
        self._loaded = 0
        self._newest: dict[LabelKey, tuple[int, bytes]] = {}

    def vector(self, expression: Expression, at: int) -> list[Point]:
        """See RuleQuery."""
        result = self._engine.instant(expression.text, at, QueryBudget(time.monotonic() + _PATIENCE))
        if result.type not in {"vector", "scalar"}:
            raise QueryError("rule result is not a vector or scalar")
        values = result.values[:, 0].tolist()
        present = result.present[:, 0].tolist()
        return [
            Point(labels, value) for labels, value, there in zip(result.labels, values, present, strict=True) if there
        ]

    def write(self, samples: Sequence[RuleSample]) -> None:
        """See RuleLog; stricter than the server, which would keep the greater value.

        Raises:
            StoreError: two rules, or a rule and the input, give one series different values at one time.
        """
        for sample in samples:
            bits, key = _bits(sample.value), frozenset(sample.labels.items())
            at, before = self._newest.get(key, (-1, b""))
            if at == sample.time and before != bits:
                if bits == _STALE:  # the series goes on in another rule
                    continue
                raise StoreError("duplicate sample for timestamp: two rules write one series, or it is an input series")
            self._newest[key] = sample.time, bits
            self._reader.add(sample.labels, [(sample.time, sample.value)])

    def failures(self) -> list[Failure]:
        """Evaluate from the start to the last time that is looked at, and compare on the way."""
        wanted: dict[int, list[ExpectedAlerts]] = defaultdict(list)
        for one in self._test.alerts:  # what is expected between two evaluations is compared after the earlier one
            wanted[one.eval_time - one.eval_time % self._step].append(one)
        found: list[Failure] = []
        for after in range(0, self._test.last + 1, self._step):
            now = self._test.start + after
            self._load(now)
            errors = self._evaluate(now)
            if errors:
                return [*found, *errors]
            found += [failure for one in sorted(wanted[after], key=_eval_time) for failure in self._alerts(one)]
        return found + [failure for one in self._test.samples for failure in self._samples(one)]

    def _load(self, until: int) -> None:
        """The points of the input up to a time: rules see nothing of later ones."""
        count = (until - self._test.start) // self._test.interval + 1
        for key, points in self._input.items():
            times = range(self._loaded, min(count, len(points)))
            start, step = self._test.start, self._test.interval
            due = [(start + n * step, point) for n in times if isinstance(point := points[n], float)]
            if due:
                self._reader.add(dict(key), due)
                self._newest[key] = due[-1][0], _bits(due[-1][1])
        self._loaded = count

    def _evaluate(self, now: int) -> list[Failure]:
        for group in self._groups:
            group.evaluate(now, self)
        when = format_duration(now)
        return [
            Failure(f"rule: {_name(one.rule)}, time: {when}", error=one.error)
            for group in self._groups
            for one in group.rules
            if one.health == "err"
        ]

    def _alerts(self, wanted: ExpectedAlerts) -> list[Failure]:
        about = f"alertname: {wanted.name}, time: {format_duration(wanted.eval_time)}"
        if wanted.name in self._sql_alerts:
            return [Failure(about, error="a rule that asks SQL needs a server; unit tests have no logs and traces")]
        got = [
            (alert.labels, alert.annotations)
            for group in self._groups
            for one in group.rules
            if isinstance(one.rule, Alerting) and one.rule.rule.alert == wanted.name
            for alert in one.rule.active.values()
            if alert.state == "firing"
        ]
        expected, got = sorted(wanted.alerts, key=_texts), sorted(got, key=_texts)
        if [_texts(one) for one in expected] == [_texts(one) for one in got]:
            return []
        return [Failure(about, _shown(expected, _shown_alert), _shown(got, _shown_alert))]

    def _samples(self, wanted: ExpectedSamples) -> list[Failure]:
        about = f'expr: "{wanted.expression}", time: {format_duration(wanted.eval_time)}'
        try:
            points = self.vector(Expression(wanted.expression), self._test.start + wanted.eval_time)
        except MiranteError as error:
            return [Failure(about, error=str(error))]
        expected = sorted(wanted.samples, key=_by_labels)
        got = sorted(((labels, value) for labels, value in points), key=_by_labels)
        if len(expected) == len(got) and all(map(self._same, expected, got)):
            return []
        return [Failure(about, _shown(expected, _shown_sample), _shown(got, _shown_sample))]

    def _same(self, expected: _Sample, got: _Sample) -> bool:
        (labels, left), (got_labels, right) = expected, got
        near = self._fuzzy and right in {math.nextafter(left, math.inf), math.nextafter(left, -math.inf)}
        return labels == got_labels and (left == right or near or (math.isnan(left) and math.isnan(right)))


def _without_sql(group: RuleGroup) -> RuleGroup:
    return replace(group, rules=tuple(rule for rule in group.rules if rule.expression.language == "promql"))


def _bits(value: float) -> bytes:
    """By which values are told from each other, and NaN from the marker of an end."""
    return struct.pack("<d", value)


def _name(rule: Alerting | Recording) -> str:
    return rule.rule.alert if isinstance(rule, Alerting) else rule.rule.record


def _eval_time(wanted: ExpectedAlerts) -> int:
    return wanted.eval_time


def _by_labels(sample: _Sample) -> list[tuple[str, str]]:
    return sorted(sample[0].items())


def _texts(alert: _Alert) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    labels, annotations = alert
    return sorted(labels.items()), sorted(annotations.items())


def _shown_alert(alert: _Alert) -> list[str]:
    labels, annotations = alert
    return [f"labels: {label_set(_sorted(labels)) or '{}'}", f"annotations: {label_set(_sorted(annotations)) or '{}'}"]


def _shown_sample(sample: _Sample) -> list[str]:
    labels = _sorted(sample[0])
    name = labels.pop(NAME, "")
    return [f"{series(name, labels) if name else label_set(labels) or '{}'} {go_float(sample[1])}"]


def _shown(found: Iterable[T], show: Callable[[T], list[str]]) -> list[str]:
    return [line for one in found for line in show(one)]


def _sorted(labels: Labels) -> dict[str, str]:
    return dict(sorted(labels.items()))
