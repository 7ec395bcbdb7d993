"""An alert on its way from whoever found it (our rules, another Prometheus, an application) to whoever is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

_FNV_OFFSET, _FNV_PRIME, _MASK = 0xCBF29CE484222325, 0x100000001B3, (1 << 64) - 1
NAME = "alertname"


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert, as ``POST /api/v2/alerts`` of Alertmanager knows it. Times are milliseconds since 1970.

    Attributes:
        labels: its identity.
        annotations: what people are told.
        starts_at: since when it fires; 0 where the sender does not tell.
        ends_at: when it ended, or until when it counts as firing unless it is heard of again; 0 where it is not told.
        updated_at: when it was last heard of.
        generator_url: where to look at what found it.
    """

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: int
    ends_at: int
    updated_at: int
    generator_url: str = ""

    @property
    def name(self) -> str:
        """The ``alertname``."""
        return self.labels.get(NAME, "")

    @property
    def id(self) -> str:
        """16 hexadecimal digits that stand for its labels."""
        return fingerprint(self.labels)

    def resolved(self, now: int) -> bool:
        """Whether it has ended at that time."""
        return self.ends_at <= now


class AlertSink(Protocol):
    """Whoever takes alerts: the notifier, or a real Alertmanager."""

    def put(self, alerts: Iterable[Alert]) -> None:
        """Take alerts; must neither raise nor block for long."""
        ...


def fingerprint(labels: Mapping[str, str]) -> str:
    """Prometheus's fingerprint of a label set: FNV-1a over its sorted names and values.

    Source: prometheus/common, ``model.LabelSet.Fingerprint``.

    Example:
        >>> fingerprint({})
        'cbf29ce484222325'
    """
    number = _FNV_OFFSET
    for name in sorted(labels):
        for byte in _bytes(name, labels[name]):
            number = ((number ^ byte) * _FNV_PRIME) & _MASK
    return f"{number:016x}"


def _bytes(name: str, value: str) -> bytes:
    return name.encode() + b"\xff" + value.encode() + b"\xff"
