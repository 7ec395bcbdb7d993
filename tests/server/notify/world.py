"""A dispatcher whose time passes as the test says, and whose messages all arrive at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from mirante.server.alert import Alert
from mirante.server.notify.dispatcher import Dispatcher
from mirante.server.notify.matchers import parse_matchers
from mirante.server.notify.model import Integration, NotifyConfig, Receiver, Route
from mirante.server.notify.notification import Attempt, Notification
from mirante.server.notify.silence import Silence
from mirante.server.notify.state import MEMORY, State

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
START = 1_767_258_000_000  # 2026-01-01 09:00 UTC, a Thursday
NOTHING: Mapping[str, str] = MappingProxyType({})
WAIT, INTERVAL, REPEAT = 30 * SECOND, 5 * MINUTE, 4 * HOUR


def receiver(name: str, *kinds: str, send_resolved: bool = True) -> Receiver:
    """A receiver with one integration of each kind; a webhook unless told otherwise."""
    return Receiver(name, tuple(Integration(kind, 0, {}, send_resolved) for kind in kinds or ("webhook",)))


def config(route: Route | None = None, *receivers: Receiver, **rest: object) -> NotifyConfig:
    """A configuration; without anything all alerts go to ``team``, one group a name."""
    known = receivers or (receiver("team"),)
    root = Route(known[0].name, group_by=("alertname",)) if route is None else route
    return NotifyConfig(root, {one.name: one for one in known}, **rest)  # type: ignore[arg-type]


def alert(name: str, labels: Mapping[str, str] = NOTHING, *, ends_at: int = 0, starts_at: int = 0) -> Alert:
    """An alert of that name, with further labels."""
    return Alert({"alertname": name, **labels}, {"summary": name}, starts_at, ends_at, 0)


def told(notification: Notification) -> tuple[str, str, str, str]:
    """Receiver, reason, and which alerts fire and which have ended, by name and instance."""
    firing = [_name(one) for one in notification.alerts if not one.resolved(notification.created_at)]
    ended = [_name(one) for one in notification.alerts if one.resolved(notification.created_at)]
    return notification.receiver, notification.reason, " ".join(firing), " ".join(ended)


def _name(one: Alert) -> str:
    return one.name + one.labels.get("instance", "")


class World:
    """A dispatcher and its time.

    Args:
        config: who is told.
        path: of the state.
        now: when it begins, milliseconds.
    """

    def __init__(self, config: NotifyConfig, path: Path | str = MEMORY, now: int = START) -> None:
        self.now = now
        self.config = config
        self.state = State(path)
        self.dispatcher = Dispatcher(config, self.state, now)
        self.sent: list[Notification] = []
        self._firing: dict[str, Alert] = {}

    def fire(self, *names: str, **labels: str) -> None:
        """Alerts of these names fire, and are heard of again and again until they resolve."""
        for name in names:
            one = alert(name, labels, starts_at=self.now)
            self._firing[one.id] = one
            self.dispatcher.put([one], self.now)

    def resolve(self, *names: str, **labels: str) -> None:
        """Alerts of these names end."""
        for name in names:
            one = self._firing.pop(alert(name, labels).id)
            self.dispatcher.put([alert(name, labels, ends_at=self.now, starts_at=one.starts_at)], self.now)

    def forget(self, name: str, **labels: str) -> None:
        """Nobody is heard of that alert any more."""
        del self._firing[alert(name, labels).id]

    def wait(self, milliseconds: int) -> list[tuple[str, str, str, str]]:
        """Let time pass, with alerts heard of every minute, and give what was told meanwhile."""
        end, before = self.now + milliseconds, len(self.sent)
        while self.now < end:
            self.now = min(end, max(self.now + 1, min(self.dispatcher.due(), self._next_minute())))
            if self.now == self._minute():
                self.dispatcher.put(list(self._firing.values()), self.now)
            self.dispatcher.tick(self.now)
            self._deliver()
        return [told(one) for one in self.sent[before:]]

    def id(self, name: str, **labels: str) -> str:
        """The id of an alert."""
        return alert(name, labels).id

    def silence(self, matchers: str, *, lasts: int, starts_in: int = 0) -> str:
        """Silence what matches, and give the silence's id."""
        start = self.now + starts_in
        return self.dispatcher.silence(Silence(parse_matchers(matchers), start, start + lasts, "ann", "why"), self.now)

    def restart(self) -> None:
        """The same file, in a new process."""
        path = self.state.path
        self.state.close()
        self.state = State(path)
        self.dispatcher = Dispatcher(self.config, self.state, self.now)

    def reconfigure(self, config: NotifyConfig) -> None:
        """Another configuration."""
        self.config = config
        self.dispatcher.reconfigure(config, self.now)

    def close(self) -> None:
        """Close the state."""
        self.state.close()

    def _minute(self) -> int:
        return self.now // MINUTE * MINUTE

    def _next_minute(self) -> int:
        return self._minute() + MINUTE

    def _deliver(self) -> None:
        while waiting := self.state.waiting(self.now):
            for one in waiting:
                self.state.attempted(one, Attempt(self.now, "ok", ok=True), None)
                self.sent.append(one)
