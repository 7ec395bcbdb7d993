"""A group of alerts that are told of together, and when there is news of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from mirante.server.notify.model import Route
from mirante.server.notify.notification import Reason
from mirante.server.notify.route import RoutingTree, group_key, group_labels

NOBODY: frozenset[str] = frozenset()


class Target(NamedTuple):
    """One integration of one receiver, and its number among those of its kind."""

    receiver: str
    kind: str
    number: int


@dataclass(frozen=True, slots=True)
class Told:
    """What a target was last told of a group.

    Attributes:
        firing: ids of the alerts that fired; never empty: who knows that all is well is not kept.
        resolved: ids of those that had ended.
        at: when, milliseconds.
        level: of the escalation that it was told by, 0 for the route's own receiver.
    """

    firing: frozenset[str]
    resolved: frozenset[str]
    at: int
    level: int = 0


class Picture(NamedTuple):
    """The alerts of a group that may be told of at some time, by their ids.

    Attributes:
        firing: that fire, acknowledged or not.
        resolved: that have ended.
        acknowledged: those among the firing ones that somebody has taken on.
    """

    firing: frozenset[str]
    resolved: frozenset[str]
    acknowledged: frozenset[str] = NOBODY


@dataclass(slots=True)
class Escalating:
    """How far the escalation of an alert has come.

    Attributes:
        told_at: when it began, milliseconds.
        steps: number of steps that were taken.
    """

    told_at: int
    steps: int = 0


class Kept(NamedTuple):
    """What of a group outlives its being made anew from the alerts: after a restart, after a reload.

    Attributes:
        next_flush: as of the group.
        flushed: as of the group.
        escalating: as of the group.
    """

    next_flush: int
    flushed: bool
    escalating: Mapping[str, Escalating]


@dataclass(slots=True)
class Group:
    """Alerts that take one route and share its ``group_by`` labels.

    Attributes:
        id: the route's identity and the labels; unlike the key, no other group has it.
        key: Alertmanager's key of the group.
        route: the route.
        labels: that its alerts share.
        next_flush: when it is looked at again, milliseconds.
        flushed: whether it has ever been looked at.
        members: ids of its alerts, in order of their coming.
        escalating: by alert, as long as the alert is told of.
        escalate_at: when a next level may be told; None where there is none.
    """

    id: str
    key: str
    route: Route
    labels: Mapping[str, str]
    next_flush: int
    flushed: bool = False
    members: dict[str, None] = field(default_factory=dict)
    escalating: dict[str, Escalating] = field(default_factory=dict)
    escalate_at: int | None = None

    @property
    def due(self) -> int:
        """When it is to be looked at."""
        return self.next_flush if self.escalate_at is None else min(self.next_flush, self.escalate_at)


def identity(node: RoutingTree, labels: Mapping[str, str]) -> str:
    """Identity of the group that an alert with these labels is in on this route."""
    return group_key(node.id, group_labels(node.route, labels))


def new_group(node: RoutingTree, labels: Mapping[str, str], now: int) -> Group:
    """The group of an alert with these labels, without a member yet."""
    shared = group_labels(node.route, labels)
    return Group(
        group_key(node.id, shared), group_key(node.key, shared), node.route, shared, now + node.route.group_wait
    )


def reason_to_tell(
    told: Told | None, picture: Picture, repeat_interval: int, now: int, *, send_resolved: bool
) -> Reason | None:
    """Why a target is told of a group now; None where there is nothing new.

    As Alertmanager decides it, and besides: an alert that somebody acknowledged is neither new nor repeated.

    Source: Alertmanager, ``notify.DedupStage``.

    Args:
        told: what it was last told, or None.
        picture: the group now.
        repeat_interval: milliseconds after which the same is told again.
        now: milliseconds.
        send_resolved: whether it wants to know of a part that resolved.
    """
    open_ones = picture.firing - picture.acknowledged
    if told is None:
        return "firing" if open_ones else None
    if open_ones - told.firing:
        return "changed"
    if not picture.firing:
        return "resolved" if picture.resolved else None
    if send_resolved and picture.resolved - told.resolved:
        return "changed"
    return "repeat" if open_ones and now - told.at >= repeat_interval else None
