"""The alerts that are known, and what news of one of them does to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mirante.server.alert import Alert


@dataclass(slots=True)
class Known:
    """An alert and what was noted about it.

    Attributes:
        id: its fingerprint.
        alert: as it was last heard of.
        timeout: its end is only how long it may stay unheard of.
        ended: its end has come and was noted.
        kept_end: the end that stands on disk.
        begun: the beginning for which its runbooks were queued, or None.
        groups: ids of the groups that it is in.
    """

    id: str
    alert: Alert
    timeout: bool = False
    ended: bool = False
    kept_end: int = 0
    begun: int | None = None
    groups: set[str] = field(default_factory=set)


def completed(alert: Alert, now: int, resolve_timeout: int) -> tuple[Alert, bool]:
    """An alert with the times that it does not tell, and whether its end is a timeout.

    Args:
        alert: 0 stands for a time that is not told.
        now: milliseconds; when it was heard of.
        resolve_timeout: how long it counts as firing without an end.
    """
    timeout = not alert.ends_at
    starts_at = alert.starts_at or min(alert.ends_at or now, now)
    return replace(alert, starts_at=starts_at, ends_at=alert.ends_at or now + resolve_timeout, updated_at=now), timeout


def merged(old: Known, new: Alert, timeout: bool, now: int) -> tuple[Alert, bool]:
    """What is known of an alert after news of it: the earliest beginning, and the latest end that somebody meant.

    Source: Alertmanager, ``types.Alert.Merge`` and its memory provider's ``Put``.

    Args:
        old: what was known.
        new: the news, heard after it.
        timeout: whether its end is only a timeout.
        now: milliseconds.
    """
    before = old.alert
    overlaps = before.starts_at < new.ends_at < before.ends_at or before.starts_at < new.starts_at < before.ends_at
    if not overlaps:
        return new, timeout
    starts_at, ends_at = min(before.starts_at, new.starts_at), new.ends_at
    if new.resolved(now):
        if before.resolved(now):
            ends_at = max(ends_at, before.ends_at)
    elif before.ends_at > ends_at and not old.timeout:
        ends_at, timeout = before.ends_at, False
    return replace(new, starts_at=starts_at, ends_at=ends_at), timeout


def same_but_for_times(old: Alert, new: Alert) -> bool:
    """Whether news tells nothing but that the alert is still there."""
    return (
        old.starts_at == new.starts_at
        and old.annotations == new.annotations
        and old.generator_url == new.generator_url
        and old.labels == new.labels
    )


def order(alert: Alert) -> tuple[object, ...]:
    """Sort key of alerts in a message, as Alertmanager's: by job, by instance, then by all labels.

    Source: prometheus/alertmanager, ``types.AlertSlice``.
    """
    labels = alert.labels
    return (*_first(labels, "job"), *_first(labels, "instance"), *label_order(labels))


def label_order(labels: Mapping[str, str]) -> tuple[object, ...]:
    """Sort key of label sets: the smaller set first, then by the first name at which they differ.

    Source: prometheus/common, ``model.LabelSet.Before``.
    """
    return len(labels), _Labels(labels)


def _first(labels: Mapping[str, str], name: str) -> tuple[bool, str]:
    return name not in labels, labels.get(name, "")


class _Labels:
    """Compares two sets of one size at the first name with different values; whoever lacks the name is less."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        self._labels = labels

    def __lt__(self, other: _Labels) -> bool:
        mine, others = self._labels, other._labels
        # There is one: a tuple asks for the order only of what is not equal.
        name = min(name for name in mine.keys() | others.keys() if mine.get(name) != others.get(name))
        return name not in mine or (name in others and mine[name] < others[name])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Labels) and self._labels == other._labels

    __hash__ = None  # type: ignore[assignment]  # nothing but a sort key
