"""All rules of a server: evaluated in rounds, reloaded without losing their state, told of over HTTP."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante._core.model import MetricFamily
from mirante.errors import BadQueryError, ConfigError, MiranteError
from mirante.server.alert import AlertSink
from mirante.server.rules.counts import families
from mirante.server.rules.describe import alerts_of, described
from mirante.server.rules.evaluation import QueryAt, RuleLog, RuleOptions, RuleQuery
from mirante.server.rules.group import Group, Running, same_group
from mirante.server.rules.model import AlertingRule, RuleGroup
from mirante.server.rules.rounds import Member, Round, by_place, next_time
from mirante.server.rules.state import States

log = logging.getLogger(__name__)

WORKERS = 4
"""Groups that are evaluated at the same time: a query that takes long must not hold up all others."""

_LONGEST_SLEEP = 1.0  # seconds: a clock that was set is noticed
Identity = tuple[str, str]


class RuleStore(Protocol):
    """What the manager needs of the store."""

    def together(self, groups: Sequence[RuleGroup], subquery_step: int) -> QueryAt:
        """Answers what those groups ask at one time, after another; they share what they read.

        Subqueries that give no step have that one, in milliseconds.
        """
        ...

    def log(self) -> RuleLog:
        """Takes what they write."""
        ...

    def states(self, now: int, tolerance: int) -> States:
        """States of alerts from before a restart; raises MiranteError."""
        ...

    def check_sql(self, text: str) -> None:
        """Raises BadQueryError when SQL cannot be used; StoreError when that cannot be known."""
        ...

    def end(self) -> None:
        """Cancel what runs, and whatever is asked from now on."""
        ...


@dataclass(frozen=True, slots=True)
class RuleSet:
    """What is to be evaluated.

    Attributes:
        groups: from the rule files.
        options: what they share.
    """

    groups: tuple[RuleGroup, ...] = ()
    options: RuleOptions = field(default_factory=RuleOptions)


class RuleManager:
    """Evaluates rules. ``groups``, ``alerts`` and ``collect`` are called from any thread, the rest in one event loop.

    Args:
        rules: what to evaluate.
        store: where they read and write.
        sinks: who is told of alerts.
        alertmanagers: who that is, in the shape of Prometheus's API.
        clock: the time.
        sleep: waits for a number of seconds.
    """

    def __init__(
        self,
        rules: RuleSet,
        store: RuleStore,
        sinks: Sequence[AlertSink] = (),
        *,
        alertmanagers: Callable[[], Mapping[str, Sequence[Mapping[str, str]]]] | None = None,
        clock: Clock = SYSTEM_CLOCK,
        sleep: Callable[[float], Any] = asyncio.sleep,
    ) -> None:
        self._rules, self._store, self._sinks = rules, store, sinks
        self._alertmanagers = alertmanagers or (lambda: {"activeAlertmanagers": (), "droppedAlertmanagers": ()})
        self._clock, self._sleep = clock, sleep
        self._members: Mapping[Identity, Member] = {}
        self._rounds: list[Round] = []
        self._changing = asyncio.Lock()
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="mirante-rules")
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take up the states of before, and begin to evaluate."""
        states: States = {}
        if any(isinstance(rule, AlertingRule) for group in self._rules.groups for rule in group.rules):
            states = await asyncio.to_thread(self._read_states)
        async with self._changing:
            await asyncio.to_thread(self._change, self._rules, states)
            self._task = asyncio.create_task(self._run(), name="evaluate rules")

    def _read_states(self) -> States:
        try:
            return self._store.states(self._now(), self._rules.options.outage_tolerance)
        except MiranteError as error:
            log.warning("what alerts were before the restart cannot be read, they begin anew: %s", error)
            return {}

    async def stop(self) -> None:
        """Stop evaluating; no series is ended, as a restart may follow."""
        self._store.end()  # first: a change under way may wait for a query
        async with self._changing:
            await self._end_task()
            await asyncio.to_thread(self._workers.shutdown)

    def prepare(self, rules: RuleSet) -> RuleSet:
        """Check rules without changing anything.

        Raises:
            ConfigError: SQL of a rule cannot be used.
        """
        problems = []
        for group in rules.groups:
            for rule in group.rules:
                if rule.expression.language == "sql":
                    try:
                        self._store.check_sql(rule.expression.text)
                    except BadQueryError as error:
                        problems.append(f"{group.file}, line {rule.line}: {error}")
        if problems:
            raise ConfigError("\n".join(problems))
        return rules

    async def commit(self, rules: RuleSet) -> None:
        """Change over: groups that stay the same go on, in others equal rules keep their state, and the rest ends."""
        async with self._changing:
            await self._end_task()
            same = self._same(rules)
            changing = [member for identity, member in self._members.items() if identity not in same]
            # A group that is being evaluated has a state in the making: the successor needs it whole.
            await asyncio.gather(*(asyncio.wrap_future(one.running) for one in changing if one.running is not None))
            gone = self._members.keys() - {_identity(spec) for spec in rules.groups}
            ended = [self._members[identity].group for identity in gone]
            await asyncio.to_thread(self._change, rules, {})
            await asyncio.to_thread(self._end_groups, ended)
            self._task = asyncio.create_task(self._run(), name="evaluate rules")

    def _same(self, rules: RuleSet) -> set[Identity]:
        """The groups that need no change."""
        if rules.options != self._rules.options:
            return set()
        known = ((spec, self._members.get(_identity(spec))) for spec in rules.groups)
        return {_identity(spec) for spec, member in known if member and same_group(spec, member.group.spec)}

    def _change(self, rules: RuleSet, states: States) -> None:
        same, before = self._same(rules), self._members
        members = {}
        for spec in rules.groups:
            identity = _identity(spec)
            if identity in same:
                members[identity] = before[identity]
            else:
                old = before.get(identity)
                predecessor = None if old is None else old.group
                members[identity] = Member(Group(spec, self._store.log(), rules.options, states, predecessor))
        self._rules, self._members = rules, members
        planned = {one.place: one.next for one in self._rounds}
        self._rounds = [
            Round(
                place,
                planned.get(place) or next_time(self._now(), place),
                self._store.together([member.group.spec for member in together], rules.options.interval),
                together,
            )
            for place, together in by_place(members.values()).items()
        ]

    def _end_groups(self, groups: Iterable[Group]) -> None:
        for group in groups:
            try:
                group.end(self._now())
            except MiranteError as error:
                log.warning("the series of rule group %s could not be ended: %s", group.spec.name, error)

    async def _end_task(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while True:
            now = self._now()
            for one in self._rounds:
                at = one.due(now)
                if at is not None:
                    self._evaluate(one, at)
            wait = min((one.next for one in self._rounds), default=now + 1_000) - self._now()
            await self._sleep(min(max(wait, 0) / 1000, _LONGEST_SLEEP))

    def _evaluate(self, one: Round, at: int) -> None:
        """Start the evaluation of a round's groups; one that is still being evaluated misses this time."""
        free = [member for member in one.members if not member.busy]
        for member in one.members:
            if member.busy:
                member.group.counts.missed += 1
                member.group.counts.iterations += 1
        query = one.ask(at - one.place.query_offset)
        for member in free:
            member.running = self._workers.submit(self._evaluate_group, member.group, query, at)

    def _evaluate_group(self, group: Group, query: RuleQuery, at: int) -> None:
        failing = [running.health == "err" for running in group.rules]
        try:
            alerts = group.evaluate(at, query)
            _tell(group, failing)
            for sink in self._sinks if alerts else ():
                sink.put(alerts)
        except Exception:
            log.exception("evaluating the rule group %s of %s failed", group.spec.name, group.spec.file)

    def _now(self) -> int:
        return self._clock.time_ns() // 1_000_000

    @property
    def options(self) -> RuleOptions:
        """What all groups share."""
        return self._rules.options

    def groups(self) -> Sequence[Mapping[str, Any]]:
        """See RuleLister."""
        return [described(group) for group in self._in_order()]

    def alerts(self) -> Sequence[Mapping[str, Any]]:
        """See RuleLister."""
        return alerts_of(self._in_order())

    def alertmanagers(self) -> Mapping[str, Sequence[Mapping[str, str]]]:
        """See RuleLister."""
        return self._alertmanagers()

    def collect(self) -> Iterable[MetricFamily]:
        """How the evaluation goes, under Prometheus's names too."""
        return families(self._in_order())

    def _in_order(self) -> list[Group]:
        return [member.group for _, member in sorted(self._members.items())]


def _identity(spec: RuleGroup) -> Identity:
    return spec.file, spec.name


def _tell(group: Group, failing: Iterable[bool]) -> None:
    """Say which rules begin to fail, and which no longer do: not at every evaluation, and in a line for the group."""
    worse: list[Running] = []
    better: list[Running] = []
    for running, before in zip(group.rules, failing, strict=True):
        if before is not (running.health == "err"):
            (better if before else worse).append(running)
    place = f'group "{group.spec.name}" in {group.spec.file}'
    if worse:
        text = "rules of %s cannot be evaluated, their alerts and series stay as they are: %s: %s"
        log.warning(text, place, ", ".join(map(_name, worse)), worse[0].error)
    if better:
        log.info("rules of %s are evaluated again: %s", place, ", ".join(map(_name, better)))


def _name(running: Running) -> str:
    rule = running.rule.rule
    return rule.alert if isinstance(rule, AlertingRule) else rule.record
