"""Of which alerts nobody is told at some time, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mirante.server.notify.inhibit import Inhibitor
from mirante.server.notify.intervals import contains
from mirante.server.notify.model import MaintenanceWindow, NotifyConfig, Route
from mirante.server.notify.silence import Silence, Silences


@dataclass(frozen=True, slots=True)
class Muted:
    """Why nobody is told of an alert; falsy where nothing speaks against it.

    Attributes:
        inhibited_by: ids of alerts.
        silenced_by: ids of silences.
        maintenance: names of maintenance windows.
    """

    inhibited_by: tuple[str, ...] = ()
    silenced_by: tuple[str, ...] = ()
    maintenance: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.inhibited_by or self.silenced_by or self.maintenance)


class Muting:
    """What is in force at one time.

    Args:
        config: time intervals and maintenance windows.
        silences: all of them.
        inhibitor: the alerts that inhibit others.
        now: milliseconds.
    """

    def __init__(self, config: NotifyConfig, silences: Silences, inhibitor: Inhibitor, now: int) -> None:
        self._config = config
        self._inhibitor = inhibitor
        self._now = now
        self._silences: list[Silence] = silences.active(now)
        self._windows = [window for window in config.maintenance if self._in_force(window)]

    def of(self, labels: Mapping[str, str]) -> Muted:
        """What speaks against telling of an alert with these labels."""
        return Muted(
            tuple(self._inhibitor.inhibiting(labels, self._now)),
            tuple(silence.id for silence in self._silences if silence.matches(labels)),
            tuple(window.name for window in self._windows if all(m.matches(labels) for m in window.matchers)),
        )

    @property
    def maintenance(self) -> tuple[str, ...]:
        """Names of the maintenance windows in force."""
        return tuple(window.name for window in self._windows)

    def intervals(self, route: Route) -> tuple[str, ...]:
        """Names of the time intervals because of which a route is silent now; empty where it is not."""
        muting = tuple(name for name in route.mute if self._within(name))
        if muting or not route.active or any(self._within(name) for name in route.active):
            return muting
        return route.active

    def _within(self, name: str) -> bool:
        return contains(self._config.intervals[name], self._now)

    def _in_force(self, window: MaintenanceWindow) -> bool:
        seconds = self._now / 1000
        if window.start is not None and seconds < window.start.timestamp():
            return False
        if window.end is not None and seconds >= window.end.timestamp():
            return False
        return not window.intervals or any(self._within(name) for name in window.intervals)
