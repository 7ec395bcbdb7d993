"""A store in memory for groups of rules, and short ways to make rules."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

from mirante.errors import StoreError
from mirante.server.promql.engine import Engine
from mirante.server.rules.evaluation import Point, RuleOptions, RuleSample, key_of
from mirante.server.rules.group import Group
from mirante.server.rules.model import AlertingRule, Expression, RecordingRule, Rule, RuleGroup
from mirante.server.rules.query import points
from mirante.server.store.api import STALE_NAN_BITS, QueryBudget
from mirante.testing.memory_store import MemoryReader
from tests.write_request import bits

MINUTE = 60_000


def budget() -> QueryBudget:
    """A generous one."""
    return QueryBudget(time.monotonic() + 60)


class Memory:
    """A RuleQuery and a RuleLog over one reader.

    Attributes:
        reader: holds what was written.
        full: whether writing fails.
    """

    def __init__(self) -> None:
        self.reader = MemoryReader()
        self.full = False
        self.written: list[RuleSample] = []
        self._engine = Engine(self.reader)

    def add(self, at: int, value: float, name: str, **labels: str) -> None:
        """One sample of a series."""
        self.reader.add({"__name__": name, **labels}, [(at, value)])

    def vector(self, expression: Expression, at: int) -> Sequence[Point]:
        """See RuleQuery."""
        return points(self._engine.instant(expression.text, at, budget()))

    def write(self, samples: Sequence[RuleSample]) -> None:
        """See RuleLog."""
        if self.full:
            raise StoreError("no room")
        self.written += samples
        for sample in samples:
            self.reader.add(sample.labels, [(sample.time, sample.value)])

    def now(self, expression: str, at: int) -> dict[str, float]:
        """Values of a query by their labels, the name left out."""
        found = self.vector(Expression(expression), at)
        return {",".join(f"{k}={v}" for k, v in sorted(p.labels.items()) if k != "__name__"): p.value for p in found}

    def ended(self, at: int) -> set[str]:
        """Names of the series that were ended at that time."""
        return {
            sample.labels["__name__"]
            for sample in self.written
            if sample.time == at and math.isnan(sample.value) and bits(sample.value) == STALE_NAN_BITS
        }


def alert(name: str, expression: str, **more: object) -> AlertingRule:
    """An alerting rule."""
    return AlertingRule(name, Expression(expression), **more)  # type: ignore[arg-type] # a short way for tests


def record(name: str, expression: str, labels: Mapping[str, str] | None = None) -> RecordingRule:
    """A recording rule."""
    return RecordingRule(name, Expression(expression), labels or {})


def group(memory: Memory, *rules: Rule, options: RuleOptions | None = None, **spec: object) -> Group:
    """A group that writes there."""
    made = RuleGroup("g", "rules.yml", rules, **spec)  # type: ignore[arg-type] # a short way for tests
    return Group(made, memory, options or RuleOptions())


def states(one: Group, number: int = 0) -> dict[str, str]:
    """States of the alerts of a rule by their labels, ``alertname`` left out."""
    active = one.rules[number].rule.active  # type: ignore[union-attr] # asked of alerting rules only
    return {",".join(f"{k}={v}" for k, v in sorted(key) if k != "alertname"): a.state for key, a in active.items()}


__all__ = ["MINUTE", "Memory", "alert", "budget", "group", "key_of", "record", "states"]
