"""What the templates of notifications see: Alertmanager's data, by its names.

Source: prometheus.io, "Notification template reference".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from mirante.server.alert import NAME, Alert
from mirante.server.gotemplate import StringList, StringMap, Struct, Time
from mirante.server.notify.notification import Notification

_ZERO_TIME = -62_135_596_800_000
"""Go's zero time in milliseconds: the end of an alert that fires."""


class Pair(Struct):
    """A label or an annotation."""

    __slots__ = ("name", "value")
    go_type: ClassVar[str] = "template.Pair"
    go_fields: ClassVar[Mapping[str, str]] = {"Name": "name", "Value": "value"}

    def __init__(self, name: str, value: str) -> None:
        self.name, self.value = name, value


class Pairs(list[Pair]):
    """Labels or annotations in order."""

    go_type: ClassVar[str] = "template.Pairs"
    go_methods: ClassVar[Mapping[str, str]] = {"Names": "names", "Values": "values", "String": "text"}

    def names(self) -> StringList:
        """Names, in order."""
        return StringList(pair.name for pair in self)

    def values(self) -> StringList:
        """Values, in order."""
        return StringList(pair.value for pair in self)

    def text(self) -> str:
        """``a=1, b=2``."""
        return ", ".join(f"{pair.name}={pair.value}" for pair in self)


class KV(StringMap):
    """Labels or annotations by name."""

    go_type: ClassVar[str] = "template.KV"
    go_methods: ClassVar[Mapping[str, str]] = {
        "SortedPairs": "sorted_pairs",
        "Remove": "remove",
        "Names": "names",
        "Values": "sorted_values",
        "String": "text",
    }

    def sorted_pairs(self) -> Pairs:
        """By name, ``alertname`` first."""
        return Pairs(Pair(name, self[name]) for name in sorted(self, key=lambda name: (name != NAME, name)))

    def remove(self, names: Sequence[str]) -> KV:
        """All but those of the names."""
        gone = set(names or ())
        return KV({name: value for name, value in self.items() if name not in gone})

    def names(self) -> StringList:
        """Names, in order."""
        return self.sorted_pairs().names()

    def sorted_values(self) -> StringList:
        """Values, in the order of their names."""
        return self.sorted_pairs().values()

    def text(self) -> str:
        """``a=1, b=2``."""
        return self.sorted_pairs().text()


class AlertData(Struct):
    """One alert."""

    __slots__ = ("annotations", "ends_at", "fingerprint", "generator_url", "labels", "starts_at", "status")
    go_type: ClassVar[str] = "template.Alert"
    go_fields: ClassVar[Mapping[str, str]] = {
        "Status": "status",
        "Labels": "labels",
        "Annotations": "annotations",
        "StartsAt": "starts_at",
        "EndsAt": "ends_at",
        "GeneratorURL": "generator_url",
        "Fingerprint": "fingerprint",
    }

    def __init__(self, alert: Alert, now: int) -> None:
        resolved = alert.resolved(now)
        self.status = "resolved" if resolved else "firing"
        self.labels, self.annotations = KV(alert.labels), KV(alert.annotations)
        self.starts_at = Time.of_ms(alert.starts_at)
        self.ends_at = Time.of_ms(alert.ends_at if resolved else _ZERO_TIME)
        self.generator_url, self.fingerprint = alert.generator_url, alert.id


class AlertList(list[AlertData]):
    """Some alerts of a notification."""

    go_type: ClassVar[str] = "[]template.Alert"


class Alerts(AlertList):
    """Alerts of a notification."""

    go_type: ClassVar[str] = "template.Alerts"
    go_methods: ClassVar[Mapping[str, str]] = {"Firing": "firing", "Resolved": "resolved"}

    def firing(self) -> AlertList:
        """Those that fire."""
        return AlertList(alert for alert in self if alert.status == "firing")

    def resolved(self) -> AlertList:
        """Those that have ended."""
        return AlertList(alert for alert in self if alert.status == "resolved")


class Data(Struct):
    """A notification."""

    __slots__ = (
        "alerts",
        "common_annotations",
        "common_labels",
        "external_url",
        "group_labels",
        "now",
        "receiver",
        "status",
    )
    go_type: ClassVar[str] = "template.Data"
    go_fields: ClassVar[Mapping[str, str]] = {
        "Receiver": "receiver",
        "Status": "status",
        "Alerts": "alerts",
        "GroupLabels": "group_labels",
        "CommonLabels": "common_labels",
        "CommonAnnotations": "common_annotations",
        "ExternalURL": "external_url",
    }

    def __init__(self, notification: Notification, external_url: str) -> None:
        # Alertmanager quotes the name for the regular expressions of its page's links, and templates see that.
        self.receiver = re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", notification.receiver)
        self.status: str = notification.status
        self.alerts = Alerts(AlertData(alert, notification.created_at) for alert in notification.alerts)
        self.group_labels = KV(notification.group_labels)
        self.common_labels = _common(alert.labels for alert in notification.alerts)
        self.common_annotations = _common(alert.annotations for alert in notification.alerts)
        self.external_url = external_url
        self.now = Time.of_ms(notification.created_at)


def _common(all_labels: Iterable[Mapping[str, str]]) -> KV:
    """What all of them have alike."""
    common: dict[str, str] | None = None
    for labels in all_labels:
        if common is None:
            common = dict(labels)
        else:
            common = {name: value for name, value in common.items() if labels.get(name) == value}
    return KV(common or {})
