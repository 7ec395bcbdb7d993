"""What people and programs see of the dispatcher: alerts and groups, as they are at one time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from mirante.server.alert import Alert
from mirante.server.notify.acknowledge import Acknowledgement
from mirante.server.notify.book import Book
from mirante.server.notify.escalate import Step, next_step
from mirante.server.notify.group import Group
from mirante.server.notify.known import Known, label_order, order
from mirante.server.notify.model import EscalationPolicy
from mirante.server.notify.mute import Muted, Muting


@dataclass(frozen=True, slots=True)
class EscalationStatus:
    """How far the escalation of an alert has come in one of its groups.

    Attributes:
        policy: its name.
        level: that was told last, 0 before the first one.
        next: what comes next; None when it is over, and while somebody has acknowledged or nobody is to be told.
    """

    policy: str
    level: int
    next: Step | None


@dataclass(frozen=True, slots=True)
class AlertStatus:
    """An alert and what is done about it.

    Attributes:
        id: its fingerprint.
        alert: the alert.
        muted: why nobody is told of it; falsy where people are.
        muted_by: names of time intervals that silence every route that it takes.
        receivers: names of the receivers of its routes.
        acknowledgement: in force, or None.
        escalations: that have begun, of its routes.
    """

    id: str
    alert: Alert
    muted: Muted
    muted_by: tuple[str, ...]
    receivers: tuple[str, ...]
    acknowledgement: Acknowledgement | None
    escalations: tuple[EscalationStatus, ...] = ()

    @property
    def state(self) -> Literal["active", "suppressed"]:
        """Alertmanager's word for whether people are told of it."""
        return "suppressed" if self.muted or self.muted_by else "active"


@dataclass(frozen=True, slots=True)
class GroupStatus:
    """A group.

    Attributes:
        id: unique.
        key: Alertmanager's key.
        receiver: name of the route's receiver.
        labels: that its alerts share.
        alerts: in Alertmanager's order.
        muted_by: names of time intervals that silence its route now.
        next_flush: when it is looked at again, milliseconds.
    """

    id: str
    key: str
    receiver: str
    labels: Mapping[str, str]
    alerts: tuple[AlertStatus, ...]
    muted_by: tuple[str, ...]
    next_flush: int


class StatusView:
    """Alerts and groups at one time; those that have ended are not shown.

    Args:
        book: what is remembered.
        muting: what is in force.
        policies: of escalation, by name.
        now: milliseconds.
    """

    def __init__(self, book: Book, muting: Muting, policies: Mapping[str, EscalationPolicy], now: int) -> None:
        self._book = book
        self._policies = policies
        self._now = now
        self._muting = muting
        self._silent = {group.id: muting.intervals(group.route) for group in book.groups.values()}

    def alerts(self) -> list[AlertStatus]:
        """Every alert that fires, in Alertmanager's order."""
        firing = (known for known in self._book.alerts.values() if not known.alert.resolved(self._now))
        return [self._alert(known) for known in sorted(firing, key=lambda known: order(known.alert))]

    def groups(self) -> list[GroupStatus]:
        """Every group with an alert that fires, in Alertmanager's order: by labels, then by receiver."""
        shown: dict[str, list[AlertStatus]] = {}
        for status in self.alerts():
            for group_id in self._book.alerts[status.id].groups:
                shown.setdefault(group_id, []).append(status)
        groups = [self._group(self._book.groups[group_id], alerts) for group_id, alerts in shown.items()]
        return sorted(groups, key=lambda group: (*label_order(group.labels), group.receiver, group.id))

    def maintenance(self) -> tuple[str, ...]:
        """Names of the maintenance windows that are in force."""
        return self._muting.maintenance

    def _alert(self, known: Known) -> AlertStatus:
        groups = [self._book.groups[group_id] for group_id in sorted(known.groups)]
        silent = [self._silent[group.id] for group in groups]
        acknowledgement = self._book.acknowledgements.get(known.id)
        if acknowledgement is not None and not acknowledgement.holds(self._now):
            acknowledgement = None
        muted = self._muting.of(known.alert.labels)
        waits = acknowledgement is not None or bool(muted)
        return AlertStatus(
            known.id,
            known.alert,
            muted,
            tuple(dict.fromkeys(name for names in silent for name in names)) if all(silent) else (),
            tuple(sorted({group.route.receiver for group in groups})),
            acknowledgement,
            tuple(self._escalations(known.id, groups, waits=waits)),
        )

    def _escalations(self, alert_id: str, groups: Iterable[Group], *, waits: bool) -> Iterator[EscalationStatus]:
        for group in groups:
            state, policy = group.escalating.get(alert_id), self._policies.get(group.route.escalation)
            if state is None or policy is None:
                continue
            level = (state.steps - 1) % len(policy.levels) + 1 if state.steps else 0
            step = None if waits or self._silent[group.id] else next_step(policy, state.told_at, state.steps)
            yield EscalationStatus(policy.name, level, step)

    def _group(self, group: Group, alerts: Iterable[AlertStatus]) -> GroupStatus:
        return GroupStatus(
            group.id,
            group.key,
            group.route.receiver,
            group.labels,
            tuple(alerts),
            self._silent[group.id],
            group.next_flush,
        )
