"""Replays rules and routes over a stretch of history, faster than it went by.

Rules are evaluated by the group of the server, each at its own times; their expressions are asked for many times at
once where that gives the same (see ``reads``). Alerts go to the dispatcher of the server in the order of time.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from mirante.errors import QueryLimitError
from mirante.server.alert import Alert
from mirante.server.backtest.ahead import Ahead, Asking, StoreAsking
from mirante.server.backtest.audience import Audience
from mirante.server.backtest.look_ahead import LookAhead
from mirante.server.backtest.overlay import Overlay, OverlayReader
from mirante.server.backtest.reads import Planned, arrange, labels_written
from mirante.server.backtest.report import Report
from mirante.server.backtest.rule import ReplayedRule
from mirante.server.backtest.tally import Days, ReceiverTally, RuleTally
from mirante.server.notify.model import NotifyConfig
from mirante.server.notify.silence import Silence
from mirante.server.promql.engine import Engine
from mirante.server.rules.alerting import Alerting
from mirante.server.rules.evaluation import RuleOptions, RuleSample
from mirante.server.rules.group import Group
from mirante.server.rules.model import RuleGroup
from mirante.server.store.api import MetricReader, QueryBudget
from mirante.server.store.user_sql import UserSql

STEPS = 1_000
"""Evaluations for which an expression is asked at once: few enough to hold what they yield."""

Outgoing = Callable[[Iterable[Alert]], Iterable[Alert]]
"""What is done to alerts before anybody is told."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is replayed.

    Attributes:
        groups: the rules.
        config: who is told.
        start: beginning, milliseconds; nothing is pending then.
        end: end, inclusive.
        step: between evaluations, in the place of the groups' own intervals; 0 for those.
        options: what groups share.
        silences: whatever was silenced.
        outgoing: what is done to alerts before anybody is told.
    """

    groups: Sequence[RuleGroup]
    config: NotifyConfig
    start: int
    end: int
    step: int = 0
    options: RuleOptions = RuleOptions()  # noqa: RUF009 - it cannot change
    silences: Sequence[Silence] = ()
    outgoing: Outgoing = iter


class Source(NamedTuple):
    """Where history comes from.

    Attributes:
        reader: reads metrics.
        sql: answers SQL; None where there is none.
        lookback: how far an instant selector looks back, in milliseconds.
    """

    reader: MetricReader
    sql: UserSql | None = None
    lookback: int = 300_000


def replay(
    question: Question, source: Source, budget: QueryBudget, told: Callable[[float], None] = lambda _: None
) -> Report:
    """Evaluate rules and decide who is told, as a server would have done that was started at the beginning.

    Args:
        question: what.
        source: over what.
        budget: of everything together.
        told: called with the part that is done, from 0 to 1.

    Raises:
        QueryError: one of the budget's limits was met, or nobody waits for the answer any more.
        StoreError: the store failed.
    """
    return _Replay(question, source, budget).run(told)


class _Step(NamedTuple):
    """What a rule tells at one time."""

    now: int
    order: tuple[int, int]
    tally: RuleTally
    alerts: Sequence[Alert]


class _Replay:
    """Everything while it runs."""

    def __init__(self, question: Question, source: Source, budget: QueryBudget) -> None:
        self._question, self._budget, self._overlay = question, budget, Overlay()
        groups = [replace(one, interval=question.step or one.interval) for one in question.groups]
        plan = arrange(groups, source.lookback, question.options.query_offset)
        rules = [*plan.first, *plan.last]
        offset = max([question.options.query_offset, *(one.query_offset or 0 for one in groups)])
        replaced = labels_written(one.rule for one in rules)
        layer = partial(OverlayReader, overlay=self._overlay, replaced=replaced, start=question.start - offset)
        self._asking: Asking = StoreAsking(
            Engine(layer(source.reader), lookback_ms=source.lookback),
            Engine(layer(LookAhead(source.reader)), lookback_ms=source.lookback),
            source.sql,
            budget,
        )
        self._reach = offset + max((one.reads.reach for one in rules), default=0)
        self._days = Days(question.start, question.end)
        self._first, self._last = ([self._rule(one) for one in part] for part in plan)
        self._earlier: list[list[_Step]] = []
        self._receivers = ReceiverTally(self._days)

    def _rule(self, planned: Planned) -> ReplayedRule:
        question = self._question
        group = Group(planned.spec, self._overlay if planned.kept else _Nowhere(), question.options)
        rule = group.rules[0].rule
        tally = None
        if isinstance(rule, Alerting):
            tally = RuleTally(planned.spec, question.start, question.end, self._days)
        return ReplayedRule(planned, group, Ahead(self._asking, rule.rule.expression, group.query_offset), tally)

    def run(self, told: Callable[[float], None]) -> Report:
        """Replay everything, part by part of the time."""
        question = self._question
        span = STEPS * min((rule.group.interval for rule in self._rules), default=1)
        whole = question.end + 1 - question.start
        with closing(Audience(question.config, question.silences, question.start, self._receivers.see)) as audience:
            for start in range(question.start, question.end + 1, span):
                end = min(start + span, question.end + 1)
                for done in self._get_ready(start, end):
                    told((start + (end - start) * done - question.start) / whole)
                for step in heapq.merge(*self._earlier, self._in_time(self._last), key=_when):
                    alerts = list(question.outgoing(step.alerts))
                    self._receivers.know(step.tally, alerts)
                    audience.put(alerts, step.now)
                self._overlay.forget(end - self._reach)
            audience.wait(question.end)
        told(1.0)
        return self._report()

    @property
    def _rules(self) -> list[ReplayedRule]:
        return [*self._first, *self._last]

    def _get_ready(self, start: int, end: int) -> Iterator[float]:
        """Evaluate what others read, and ask what the rest needs; gives the part that is done."""
        self._earlier = []
        for number, rule in enumerate(self._rules):
            yield number / (len(self._rules) + 1)
            rule.prepare(start, end)
            if number < len(self._first):
                self._earlier.append(list(self._in_time([rule])))
        yield len(self._rules) / (len(self._rules) + 1)

    def _in_time(self, rules: Sequence[ReplayedRule]) -> Iterator[_Step]:
        """Evaluate rules in the order of time; gives what is to be told."""
        due = [(rule.due, rule.planned.order, rule) for rule in rules if rule.due is not None]
        heapq.heapify(due)
        while due:
            now, order, rule = heapq.heappop(due)
            alerts = rule.evaluate()
            self._check()
            if rule.due is not None:
                heapq.heappush(due, (rule.due, order, rule))
            if alerts and rule.tally is not None:
                yield _Step(now, order, rule.tally, alerts)

    def _check(self) -> None:
        self._asking.check()
        if self._overlay.held > self._budget.max_samples:
            raise QueryLimitError(
                f"what the rules record is more than the limit of {self._budget.max_samples} samples that a query may"
                " hold; take fewer rules or a longer --step, or raise the limit on samples"
            )

    def _report(self) -> Report:
        in_order = sorted(self._rules, key=lambda rule: rule.planned.order)
        return Report(
            start=self._question.start,
            end=self._question.end,
            evaluations=sum(rule.evaluations for rule in in_order),
            rules=[rule.tally.report() for rule in in_order if rule.tally is not None],
            receivers=self._receivers.report(),
            runbooks=dict(sorted(self._receivers.runbooks.items())),
            days=self._days.all,
            failures=[failure for rule in in_order if (failure := rule.failure()) is not None],
        )


def _when(step: _Step) -> tuple[int, tuple[int, int]]:
    """By what steps are in order: time, group, place in the group."""
    return step.now, step.order


class _Nowhere:
    """A RuleLog of what nobody reads."""

    def write(self, samples: Sequence[RuleSample]) -> None:
        """See RuleLog."""
