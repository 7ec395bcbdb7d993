"""What is told of one group at one time, and to whom."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import NamedTuple

from mirante.server.notify.acknowledge import Acknowledgement
from mirante.server.notify.book import Book
from mirante.server.notify.escalate import next_step, receivers
from mirante.server.notify.group import NOBODY, Escalating, Group, Picture, Target, Told, reason_to_tell
from mirante.server.notify.known import Known, order
from mirante.server.notify.model import EscalationLevel, EscalationPolicy, Integration, NotifyConfig
from mirante.server.notify.mute import Muting
from mirante.server.notify.notification import Notification, Reason
from mirante.server.notify.storm import StormLimit

# Who keeps an incident for the whole group: it is taken on when nothing of it is open any more.
_TRACKERS = frozenset({"pagerduty", "opsgenie"})
_TOLD_OF_ACKNOWLEDGEMENTS = _TRACKERS | {"slack"}


Waits = Callable[[Target, str], bool]


class Parts(NamedTuple):
    """What every decision stands on.

    Attributes:
        config: who is told.
        book: what is remembered.
        storm: how much may be told.
        waits: whether something for a target of a group waits to be sent.
    """

    config: NotifyConfig
    book: Book
    storm: StormLimit
    waits: Waits


class Flush:
    """One group at one time.

    Args:
        parts: what it stands on.
        group: the group.
        muting: what is in force now.
        now: milliseconds.
    """

    def __init__(self, parts: Parts, group: Group, muting: Muting, now: int) -> None:
        self._config, self._book, self._storm, self._waits = parts
        self._group = group
        self._now = now
        self._withheld = False
        self._hidden: AbstractSet[str] = NOBODY
        self._picture = self._look(muting)
        self._open = self._picture.firing - self._picture.acknowledged

    def run(self) -> None:
        """Decide everything, and when the group is looked at again; what resolved leaves the group."""
        group, decided = self._group, self._book.changes.notifications
        before = len(decided)
        self._start_runbooks()
        self._tell_receiver()
        self._tell_levels_of_the_end()
        if group.route.escalation and not self._withheld:
            for alert_id in self._open - group.escalating.keys():
                self._book.escalate(group, alert_id, Escalating(self._now))
        self.escalate()
        if self._withheld:
            group.next_flush = self._storm.next_minute(self._now)
        else:
            self._leave()
            group.next_flush = self._now + max(group.route.group_interval, 1)
        # Looks that told nothing are not written: after a restart they are simply taken again.
        if len(decided) > before or not group.flushed:
            group.flushed = True
            self._book.changes.groups.add(group.id)

    def escalate(self) -> None:
        """Tell the levels whose time has come, and note when the next one's comes."""
        group = self._group
        policy = self._config.escalations.get(group.route.escalation)
        group.escalate_at = None
        if policy is None:
            return
        steps = self._due_steps(policy)
        levels = {level: self._targets(policy.levels[level - 1]) for level in sorted({one for one, _ in steps})}
        # All of it or nothing, so that nobody is told twice.
        if self._all_allowed([target for targets in levels.values() for target in targets]):
            for level, targets in levels.items():
                self._tell_level(level, targets, {alert_id for one, alert_id in steps if one == level})
            for alert_id, count in Counter(alert_id for _, alert_id in steps).items():
                state = group.escalating[alert_id]
                self._book.escalate(group, alert_id, Escalating(state.told_at, state.steps + count))
        group.escalate_at = self._next_escalation(policy)

    def _look(self, muting: Muting) -> Picture:
        """What may be told; what may not, and has ended, is noted apart."""
        members = [self._book.alerts[alert_id] for alert_id in self._group.members]
        silent = muting.intervals(self._group.route)
        visible = [] if silent else [known for known in members if not muting.of(known.alert.labels)]
        ended = {known.id for known in members if known.alert.resolved(self._now)}
        shown = {known.id for known in visible}
        self._hidden = ended - shown
        firing = shown - ended
        acknowledgements = self._book.acknowledgements
        held = {one for one in firing if one in acknowledgements and acknowledgements[one].holds(self._now)}
        return Picture(frozenset(firing), frozenset(shown & ended), frozenset(held))

    def _start_runbooks(self) -> None:
        for alert_id in self._in_order(self._picture.firing):
            known = self._book.alerts[alert_id]
            if known.begun == known.alert.starts_at:
                continue
            known.begun = known.alert.starts_at
            self._book.changes.alerts.add(alert_id)
            for runbook in self._config.runbooks:
                if all(matcher.matches(known.alert.labels) for matcher in runbook.matchers):
                    self._decide(Target(runbook.name, "runbook", 0), {alert_id}, "runbook")  # names are unique

    def _tell_receiver(self) -> None:
        group, picture = self._group, self._picture
        for target, integration in self._integrations(group.route.receiver):
            told = self._told(target)
            send_resolved = integration.send_resolved
            reason = reason_to_tell(told, picture, group.route.repeat_interval, self._now, send_resolved=send_resolved)
            if reason is None or (reason == "repeat" and self._waits(target, group.key)):
                continue
            if reason == "resolved" and not send_resolved:
                self._book.note_told(group.key, target, None)
            elif self._allowed(target):
                self._decide(target, picture.firing | picture.resolved if send_resolved else picture.firing, reason)
                self._book.note_told(group.key, target, Told(picture.firing, picture.resolved, self._now))

    def _tell_levels_of_the_end(self) -> None:
        """Whoever was told by an escalation hears of the end too, once."""
        group, resolved = self._group, self._picture.resolved
        for target, told in list(self._book.told.get(group.key, {}).items()):
            over = told.firing & resolved
            if not told.level or not over:
                continue
            integration = self._integration(target)
            left = told.firing - over
            if integration is not None and integration.send_resolved:
                if not self._allowed(target):
                    continue
                reason: Reason = "changed" if left else "resolved"
                self._decide(target, over | (left & self._picture.firing), reason, level=told.level)
            self._book.note_told(group.key, target, replace(told, firing=left, at=self._now))

    def _due_steps(self, policy: EscalationPolicy) -> list[tuple[int, str]]:
        """Level and alert of every step whose time has come; several of one alert after an outage."""
        due: list[tuple[int, str]] = []
        for alert_id, state in self._escalating():
            done = state.steps
            while (step := next_step(policy, state.told_at, done)) is not None and step.at <= self._now:
                due.append((step.level, alert_id))
                done += 1
        return due

    def _tell_level(self, level: int, targets: Iterable[Target], alerts: AbstractSet[str]) -> None:
        reached = {alert_id for alert_id, state in self._escalating() if state.steps >= level}
        for target in targets:
            told = self._told(target) or Told(NOBODY, NOBODY, self._now, level)
            self._decide(target, alerts | reached, "escalated", level)
            firing = told.firing | alerts | reached
            self._book.note_told(self._group.key, target, replace(told, firing=firing, at=self._now))

    def _escalating(self) -> list[tuple[str, Escalating]]:
        """The open alerts whose escalation has begun."""
        return [(one, state) for one, state in self._group.escalating.items() if one in self._open]

    def _targets(self, level: EscalationLevel) -> list[Target]:
        names = receivers(level, self._config.on_call, self._now)
        return [target for name in names for target, _ in self._integrations(name)]

    def _all_allowed(self, targets: list[Target]) -> bool:
        return not [target for target in targets if not self._allowed(target)]

    def _next_escalation(self, policy: EscalationPolicy) -> int | None:
        steps = (next_step(policy, state.told_at, state.steps) for _, state in self._escalating())
        times = [step.at for step in steps if step is not None]
        if not times:
            return None
        return max(min(times), self._storm.next_minute(self._now)) if self._withheld else min(times)

    def _leave(self) -> None:
        group, book = self._group, self._book
        gone = self._picture.resolved | self._hidden
        # Should one of them come back, it is news even for those who were not told of its end.
        book.forget_told(group.key, gone)
        for alert_id in gone:
            del group.members[alert_id]
            book.alerts[alert_id].groups.discard(group.id)
            book.changes.alerts.add(alert_id)
            book.escalate(group, alert_id, None)

    def _integrations(self, receiver: str) -> list[tuple[Target, Integration]]:
        return [(Target(receiver, one.kind, one.index), one) for one in self._config.receivers[receiver].integrations]

    def _integration(self, target: Target) -> Integration | None:
        receiver = self._config.receivers.get(target.receiver)
        ones = receiver.integrations if receiver is not None else ()
        return next((one for one in ones if (one.kind, one.index) == target[1:]), None)

    def _told(self, target: Target) -> Told | None:
        return self._book.told.get(self._group.key, {}).get(target)

    def _allowed(self, target: Target) -> bool:
        """Whether the storm limit lets one more pass; notes that it does not."""
        if self._storm.allows(self._now):
            return True
        self._withheld = True
        if self._storm.hold(target, self._group.id):
            self._book.changes.held.add(target)
        return False

    def _decide(self, target: Target, alerts: AbstractSet[str], reason: Reason, level: int = 0) -> None:
        held_back = 0
        if reason != "runbook":
            self._storm.count(self._now)
            if target in self._book.held:
                held_back = self._storm.release(target, self._group.id)
                self._book.changes.held.add(target)
        told = [self._book.alerts[alert_id] for alert_id in alerts]
        notification = new_notification(self._group, target, told, reason, self._now)
        self._book.changes.notifications.append(replace(notification, level=level, held_back=held_back))

    def _in_order(self, alerts: Iterable[str]) -> list[str]:
        return sorted(alerts, key=lambda alert_id: order(self._book.alerts[alert_id].alert))


def new_notification(group: Group, target: Target, alerts: Iterable[Known], reason: Reason, now: int) -> Notification:
    """A message to a target about alerts of a group."""
    in_order = sorted((known.alert for known in alerts), key=order)
    return Notification(str(uuid.uuid4()), *target, group.key, group.labels, tuple(in_order), reason, now)


def tell_of_acknowledgement(
    book: Book, config: NotifyConfig, made: Iterable[Acknowledgement], now: int
) -> list[Notification]:
    """What those are told who were told of alerts that somebody has just taken on.

    Who keeps an incident for the whole group is told when none of its alerts is open any more.
    """
    by_alert = {one.alert_id: one for one in made}
    found: dict[tuple[str, Target], Notification] = {}
    for group in book.groups.values():
        if group.members.keys().isdisjoint(by_alert):
            continue
        for target, told in book.told.get(group.key, {}).items():
            concerned = told.firing & by_alert.keys() & group.members.keys()
            if not concerned or target.kind not in _TOLD_OF_ACKNOWLEDGEMENTS or target.receiver not in config.receivers:
                continue
            if target.kind in _TRACKERS and _open(book, told, now):
                continue
            one = by_alert[min(concerned)]
            notification = new_notification(
                group, target, [book.alerts[alert_id] for alert_id in concerned], "acknowledged", now
            )
            found[group.key, target] = replace(notification, author=one.author, comment=one.comment, level=told.level)
    return list(found.values())


def _open(book: Book, told: Told, now: int) -> bool:
    """Whether an alert fires that the target was told of and that nobody has taken on."""
    return any(
        alert_id not in book.acknowledgements and not book.alerts[alert_id].alert.resolved(now)
        for alert_id in told.firing & book.alerts.keys()
    )
