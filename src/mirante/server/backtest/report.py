"""What a backtest tells. Times and spans are milliseconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mirante.server.notify.notification import Reason
from mirante.server.store.api import Labels

BUCKETS = 120
"""Parts into which the time of a rule is divided for its overview."""

FLAPPING = 15 * 60_000
"""An alert that fires again so soon after its end flaps."""

MOST_EPISODES = 1_000
"""Episodes of a rule that are told one by one; all are counted."""

MOST_TOLD = 20
"""Notifications of a receiver that are told one by one; all are counted."""

DAY = 86_400_000


@dataclass(slots=True)
class Episode:
    """One alert from its beginning to its end.

    Attributes:
        labels: of the alert.
        annotations: when it began to fire; of one that was only pending, at its beginning.
        value: of the expression, likewise.
        active_at: since when the expression held.
        fired_at: since when it fired, or None.
        ended_at: when it ended, or None.
    """

    labels: Labels
    annotations: Mapping[str, str]
    value: float
    active_at: int
    fired_at: int | None = None
    ended_at: int | None = None


@dataclass(frozen=True, slots=True)
class RuleReport:
    """What an alerting rule would have done.

    Attributes:
        group: name of its group.
        file: of its group.
        line: where it stands there.
        name: of the alert.
        expression: its text.
        hold: its ``for``.
        fired: how often an alert of it fired.
        pending_only: how often one was pending and never fired.
        ongoing: alerts that fired at the end.
        series: alerts of different labels that fired.
        flapped: how often one fired again within FLAPPING of its end.
        total: for how long alerts fired, added up.
        longest: the longest of these times.
        median: their median.
        any_firing: for how long at least one fired.
        notifications: messages that told of it.
        receivers: whom they told, and with how many of them.
        firing: for how long at least one fired, in each of BUCKETS parts of the time.
        pending: for how long at least one was pending and none fired, likewise.
        episodes: the first MOST_EPISODES, in the order of their ends.
        omitted: how many more there were.
    """

    group: str
    file: str
    line: int
    name: str
    expression: str
    hold: int
    fired: int
    pending_only: int
    ongoing: int
    series: int
    flapped: int
    total: int
    longest: int
    median: int
    any_firing: int
    notifications: int
    receivers: Mapping[str, int]
    firing: Sequence[int]
    pending: Sequence[int]
    episodes: Sequence[Episode]
    omitted: int


@dataclass(frozen=True, slots=True)
class Told:
    """One notification: when, by which way, why, in which group, and of which alerts."""

    at: int
    kind: str
    reason: Reason
    level: int
    group_labels: Labels
    alerts: Sequence[str]


@dataclass(slots=True)
class ReceiverReport:
    """What somebody would have been told.

    Attributes:
        name: of the receiver.
        kinds: number of messages by way.
        reasons: the same by reason.
        first: the first MOST_TOLD.
    """

    name: str
    kinds: Counter[str] = field(default_factory=Counter)
    reasons: Counter[Reason] = field(default_factory=Counter)
    first: list[Told] = field(default_factory=list)

    @property
    def notifications(self) -> int:
        """All messages."""
        return self.kinds.total()


@dataclass(slots=True)
class DayReport:
    """One day, in UTC.

    Attributes:
        day: its beginning.
        fired: how often alerts began to fire, by name.
        notifications: messages by receiver.
    """

    day: int
    fired: Counter[str] = field(default_factory=Counter)
    notifications: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class FailureReport:
    """A rule that could not be evaluated at times: how often, and the last reason."""

    group: str
    rule: str
    count: int
    error: str


@dataclass(frozen=True, slots=True)
class Report:
    """The whole answer.

    Attributes:
        start: first time at which rules were evaluated at the earliest.
        end: last time at the latest.
        evaluations: of rules; those in between two at which nothing can have happened are counted, too.
        rules: the alerting rules, in the order of the files.
        receivers: who was told of something, by name.
        runbooks: number of runs that would have been started, by runbook.
        days: every day of that time.
        failures: of rules, recording rules among them.
    """

    start: int
    end: int
    evaluations: int
    rules: Sequence[RuleReport]
    receivers: Sequence[ReceiverReport]
    runbooks: Mapping[str, int]
    days: Sequence[DayReport]
    failures: Sequence[FailureReport]
