"""One message to one integration of one receiver: what the dispatcher decides and the delivery sends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from mirante.server.alert import Alert

Reason = Literal["firing", "changed", "repeat", "resolved", "escalated", "acknowledged", "runbook"]


@dataclass(frozen=True, slots=True)
class Notification:
    """What is to be sent. It was written to disk before anybody saw it, and stays there until it is settled.

    Attributes:
        id: unique, the same after a restart and for every attempt: receivers that know ``Idempotency-Key`` tell by it.
        receiver: name of the receiver.
        kind: of the integration; ``runbook`` for an automatic runbook, whose name stands in ``receiver``.
        index: of the integration among those of its kind.
        group_key: Alertmanager's: the route and the group's labels; PagerDuty's dedup key is its SHA-256.
        group_labels: labels that the group's alerts share by ``group_by``.
        alerts: of the group that are told of, in Alertmanager's order; ``ends_at`` tells whether one has ended.
        reason: why.
        created_at: milliseconds.
        level: of the escalation, 0 for the route's own receiver.
        author: who acknowledged, with ``comment``, for ``acknowledged``.
        held_back: notifications of that receiver that the storm limit withheld before this one.
    """

    id: str
    receiver: str
    kind: str
    index: int
    group_key: str
    group_labels: Mapping[str, str]
    alerts: Sequence[Alert]
    reason: Reason
    created_at: int
    level: int = 0
    author: str = ""
    comment: str = ""
    held_back: int = 0

    @property
    def status(self) -> Literal["firing", "resolved"]:
        """``firing`` while any of its alerts is."""
        return "resolved" if all(alert.resolved(self.created_at) for alert in self.alerts) else "firing"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to send a notification.

    Attributes:
        at: milliseconds.
        answer: what came back, or what went wrong, in one line.
        ok: whether it arrived.
    """

    at: int
    answer: str
    ok: bool


class Outbox(Protocol):
    """Where notifications wait to be sent; on disk. Methods may be called from the event loop's thread only."""

    def waiting(self, now: int) -> Sequence[Notification]:
        """Notifications whose time has come, oldest first; of one (receiver, integration, group) only the oldest."""
        ...

    def next_at(self) -> int | None:
        """When the next one is due, milliseconds; None when there is none."""
        ...

    def attempted(self, notification: Notification, attempt: Attempt, retry_at: int | None) -> None:
        """Note a try; without ``retry_at`` it is settled, as sent or as given up. Durable when it returns."""
        ...
