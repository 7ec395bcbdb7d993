"""One rule while it is replayed."""

from __future__ import annotations

from collections.abc import Sequence

from mirante.server.alert import Alert
from mirante.server.backtest.ahead import Ahead
from mirante.server.backtest.reads import Planned
from mirante.server.backtest.report import FailureReport
from mirante.server.backtest.tally import RuleTally
from mirante.server.rules.alerting import Alerting
from mirante.server.rules.group import Group
from mirante.server.rules.model import AlertingRule
from mirante.server.rules.rounds import next_time, place_of


class ReplayedRule:
    """A rule, its state, and its times.

    Args:
        planned: the rule.
        group: of it alone.
        ahead: answers what it asks.
        tally: follows its alerts; None for a recording rule.

    Attributes:
        planned: as given.
        group: as given.
        tally: as given.
        due: when it is evaluated next, or None for not in this part of the time.
        evaluations: how often it was evaluated, or would have been for nothing.
        failures: how often that failed.
        error: why, the last time.
    """

    def __init__(self, planned: Planned, group: Group, ahead: Ahead, tally: RuleTally | None) -> None:
        self.planned, self.group, self.tally = planned, group, tally
        self.due: int | None = None
        self.evaluations, self.failures, self.error = 0, 0, ""
        self._place, self._running, self._ahead = place_of(group), group.rules[0], ahead
        self._times, self._next = range(0), 0

    def prepare(self, start: int, end: int) -> None:
        """Get ready for the times from start up to, but not with, the end.

        Raises:
            QueryError: a limit was met.
            StoreError: the store failed.
        """
        self._times, self._next = range(next_time(start - 1, self._place), end, self.group.interval), 0
        self.evaluations += len(self._times)
        if self.planned.ahead and self._times:
            self._ahead.prepare(self._times)
        self._plan()

    def evaluate(self) -> Sequence[Alert]:
        """Evaluate at the time that is due; gives what is to be told."""
        now = self._times[self._next]
        alerts = self.group.evaluate(now, self._ahead)
        if self._running.health == "err":
            self.failures, self.error = self.failures + 1, self._running.error
        if self.tally is not None and isinstance(rule := self._running.rule, Alerting):
            self.tally.see(now, rule.active, rule.state, self.group.interval)
        self._next += 1
        self._plan()
        return alerts

    def _plan(self) -> None:
        """Where nothing is, nothing comes of it: those times are left out."""
        if self.planned.ahead and self._next < len(self._times) and not self._underway():
            self._next = self._ahead.next_busy(self._next)
        self.due = self._times[self._next] if self._next < len(self._times) else None

    def _underway(self) -> bool:
        """Whether it has alerts, or series that may end."""
        rule = self._running.rule
        return bool(self._running.written or (isinstance(rule, Alerting) and rule.active))

    def failure(self) -> FailureReport | None:
        """How often its evaluation failed, if it ever did."""
        if not self.failures:
            return None
        rule = self.planned.rule
        name = rule.alert if isinstance(rule, AlertingRule) else rule.record
        return FailureReport(self.planned.spec.name, name, self.failures, self.error)
