"""Counts what alerts and notifications do in a replay. Times are milliseconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from statistics import median_low

from mirante.server.alert import Alert
from mirante.server.backtest.report import (
    BUCKETS,
    DAY,
    FLAPPING,
    MOST_EPISODES,
    MOST_TOLD,
    DayReport,
    Episode,
    ReceiverReport,
    RuleReport,
    Told,
)
from mirante.server.notify.notification import Notification
from mirante.server.rules.alerting import Active, ActiveAlert, State
from mirante.server.rules.evaluation import LabelKey, key_of
from mirante.server.rules.model import AlertingRule, RuleGroup


class Days:
    """All days of a time.

    Args:
        start: its beginning.
        end: its end, inclusive.
    """

    def __init__(self, start: int, end: int) -> None:
        self.all = [DayReport(day * DAY) for day in range(start // DAY, end // DAY + 1)]
        self._first = start // DAY

    def of(self, time: int) -> DayReport:
        """The day of that time."""
        return self.all[time // DAY - self._first]


class RuleTally:
    """Follows the alerts of one rule.

    Args:
        spec: the group of this rule alone.
        start: beginning of the replay.
        end: its end, inclusive.
        days: where it is noted what began to fire.
    """

    def __init__(self, spec: RuleGroup, start: int, end: int, days: Days) -> None:
        rule = spec.rules[0]
        assert isinstance(rule, AlertingRule)  # noqa: S101 - the caller's choice
        self._spec, self._rule, self._start, self._end, self._days = spec, rule, start, end, days
        self._open: dict[LabelKey, Episode] = {}
        self._ended: dict[LabelKey, int] = {}
        self._closed: list[Episode] = []
        self._spans: list[int] = []
        self._fired = self._flapped = self._pending_only = self._omitted = 0
        self._firing, self._pending = [0] * BUCKETS, [0] * BUCKETS
        self.receivers: Counter[str] = Counter()

    def see(self, now: int, active: Active, state: State, interval: int) -> None:
        """Look at the alerts after an evaluation."""
        for key, alert in active.items():
            if alert.state == "inactive":
                self._close(key, now)
            else:
                self._follow(key, alert, now)
        for key in self._open.keys() - active.keys():
            self._close(key, now)
        if state != "inactive":
            self._spread(now, min(now + interval, self._end), self._firing if state == "firing" else self._pending)

    def _follow(self, key: LabelKey, alert: ActiveAlert, now: int) -> None:
        episode = self._open.get(key)
        if episode is None:
            episode = Episode(alert.labels, alert.annotations, alert.value, alert.active_at)
            self._open[key] = episode
        if alert.state == "firing" and episode.fired_at is None:
            episode.fired_at, episode.annotations, episode.value = alert.fired_at, alert.annotations, alert.value
            self._fired += 1
            self._flapped += now - self._ended.get(key, now - FLAPPING - 1) <= FLAPPING
            self._days.of(now).fired[self._rule.alert] += 1

    def _close(self, key: LabelKey, now: int) -> None:
        episode = self._open.pop(key, None)
        if episode is None:
            return
        episode.ended_at = now
        self._count(episode, now)
        if episode.fired_at is not None:
            self._ended[key] = now

    def _count(self, episode: Episode, until: int) -> None:
        if episode.fired_at is None:
            self._pending_only += episode.ended_at is not None
        else:
            self._spans.append(until - episode.fired_at)
        if len(self._closed) < MOST_EPISODES:
            self._closed.append(episode)
        else:
            self._omitted += 1

    def _spread(self, start: int, end: int, buckets: list[int]) -> None:
        """Put a span of time into the buckets that it goes through."""
        whole = self._end - self._start
        while start < end:
            bucket = min((start - self._start) * BUCKETS // whole, BUCKETS - 1)
            edge = end if bucket == BUCKETS - 1 else min(end, self._start - (bucket + 1) * whole // -BUCKETS)
            buckets[bucket] += edge - start
            start = edge

    def told(self, receiver: str) -> None:
        """Somebody was told of its alerts."""
        self.receivers[receiver] += 1

    def report(self) -> RuleReport:
        """What came together, at the end of the replay."""
        ongoing = [episode for episode in self._open.values() if episode.fired_at is not None]
        firing = {*self._ended, *(key_of(episode.labels) for episode in ongoing)}
        for episode in self._open.values():
            self._count(episode, self._end)
        self._open = {}
        return RuleReport(
            group=self._spec.name,
            file=self._spec.file,
            line=self._rule.line,
            name=self._rule.alert,
            expression=self._rule.expression.text,
            hold=self._rule.hold,
            fired=self._fired,
            pending_only=self._pending_only,
            ongoing=len(ongoing),
            series=len(firing),
            flapped=self._flapped,
            total=sum(self._spans),
            longest=max(self._spans, default=0),
            median=median_low(self._spans) if self._spans else 0,
            any_firing=sum(self._firing),
            notifications=self.receivers.total(),
            receivers=dict(sorted(self.receivers.items())),
            firing=self._firing,
            pending=self._pending,
            episodes=self._closed,
            omitted=self._omitted,
        )


class ReceiverTally:
    """Counts whom notifications reach.

    Args:
        days: where it is noted as well.
    """

    def __init__(self, days: Days) -> None:
        self._days = days
        self._receivers: dict[str, ReceiverReport] = {}
        self._rules: dict[LabelKey, RuleTally] = {}
        self.runbooks: Counter[str] = Counter()

    def know(self, rule: RuleTally, alerts: Iterable[Alert]) -> None:
        """These alerts are that rule's."""
        self._rules.update((key_of(alert.labels), rule) for alert in alerts)

    def see(self, notification: Notification) -> None:
        """Somebody is told, or a runbook is started."""
        if notification.kind == "runbook":
            self.runbooks[notification.receiver] += 1
            return
        name = notification.receiver
        receiver = self._receivers.setdefault(name, ReceiverReport(name))
        receiver.kinds[notification.kind] += 1
        receiver.reasons[notification.reason] += 1
        self._days.of(notification.created_at).notifications[name] += 1
        for rule in {self._rules[key_of(alert.labels)] for alert in notification.alerts}:
            rule.told(name)
        if len(receiver.first) < MOST_TOLD:
            alerts = sorted({alert.name for alert in notification.alerts})
            receiver.first.append(
                Told(
                    notification.created_at,
                    notification.kind,
                    notification.reason,
                    notification.level,
                    notification.group_labels,
                    alerts,
                )
            )

    def report(self) -> list[ReceiverReport]:
        """Everybody who was told, by name."""
        return [self._receivers[name] for name in sorted(self._receivers)]
