"""Everything that the dispatcher remembers, in memory, and which of it is not on disk yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mirante.server.alert import fingerprint
from mirante.server.notify.acknowledge import Acknowledgement
from mirante.server.notify.group import Escalating, Group, Target, Told
from mirante.server.notify.known import Known
from mirante.server.notify.notification import Notification
from mirante.server.notify.silence import Silences


@dataclass(slots=True)
class Changes:
    """What is not on disk yet: keys of what changed, and the notifications that were decided.

    Attributes:
        forget: what was told and settled before that time is forgotten, milliseconds; None for nothing.
    """

    alerts: set[str] = field(default_factory=set)
    groups: set[str] = field(default_factory=set)
    escalating: set[tuple[str, str]] = field(default_factory=set)
    told: set[tuple[str, Target]] = field(default_factory=set)
    acknowledgements: set[str] = field(default_factory=set)
    silences: set[str] = field(default_factory=set)
    held: set[Target] = field(default_factory=set)
    notifications: list[Notification] = field(default_factory=list)
    forget: int | None = None

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in self.__slots__)


@dataclass(slots=True)
class Book:
    """What is remembered.

    Attributes:
        alerts: by id.
        groups: by id; made from the alerts and the routes.
        told: what each target was last told, by group key. It outlives the groups, so that a reload repeats nothing.
        acknowledgements: by the alert's id.
        silences: all of them.
        held: groups withheld by the storm limit, by target.
        lately: when notifications were decided within the last minute.
        changes: what is not on disk yet.
    """

    alerts: dict[str, Known] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    told: dict[str, dict[Target, Told]] = field(default_factory=dict)
    acknowledgements: dict[str, Acknowledgement] = field(default_factory=dict)
    silences: Silences = field(default_factory=Silences)
    held: dict[Target, set[str]] = field(default_factory=dict)
    lately: list[int] = field(default_factory=list)
    changes: Changes = field(default_factory=Changes)
    _ids: dict[frozenset[tuple[str, str]], str] = field(default_factory=dict)

    def id_of(self, labels: Mapping[str, str]) -> str:
        """Fingerprint of a label set; that of an alert that is known is not computed again."""
        return self._ids.get(frozenset(labels.items())) or fingerprint(labels)

    def add(self, known: Known) -> None:
        """Remember an alert."""
        self.alerts[known.id] = known
        self._ids[frozenset(known.alert.labels.items())] = known.id

    def drop(self, known: Known) -> None:
        """Forget an alert."""
        del self.alerts[known.id]
        del self._ids[frozenset(known.alert.labels.items())]
        self.changes.alerts.add(known.id)

    def note_told(self, group_key: str, target: Target, told: Told | None) -> None:
        """Remember what a target was told; None, or nothing that fires, forgets it."""
        targets = self.told.setdefault(group_key, {})
        if told is None or not told.firing:
            targets.pop(target, None)
        else:
            targets[target] = told
        if not targets:
            del self.told[group_key]
        self.changes.told.add((group_key, target))

    def forget_told(self, group_key: str, alerts: Iterable[str]) -> None:
        """No target was ever told of these alerts of the group."""
        gone = frozenset(alerts)
        for target, told in list(self.told.get(group_key, {}).items()):
            if told.firing & gone:
                self.note_told(group_key, target, Told(told.firing - gone, told.resolved, told.at, told.level))

    def escalate(self, group: Group, alert_id: str, state: Escalating | None) -> None:
        """Remember how far an alert's escalation has come; None ends it."""
        if state is not None:
            group.escalating[alert_id] = state
        elif group.escalating.pop(alert_id, None) is None:
            return
        self.changes.escalating.add((group.id, alert_id))

    def acknowledge(self, alert_id: str, acknowledgement: Acknowledgement | None) -> None:
        """Remember an acknowledgement; None ends it."""
        if acknowledgement is not None:
            self.acknowledgements[alert_id] = acknowledgement
        elif self.acknowledgements.pop(alert_id, None) is None:
            return
        self.changes.acknowledgements.add(alert_id)
