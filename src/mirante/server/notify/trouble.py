"""Tells the log of receivers that cannot be told: when it begins and ends, not at every attempt."""

from __future__ import annotations

import logging

from mirante.server.notify.notification import Notification

_log = logging.getLogger(__name__)

QUIET_MS = 600_000
"""How long the log says nothing more of an integration that goes on failing."""


class Troubles:
    """Which integrations fail now. Thousands of groups may wait for one that is down, each tried every minute."""

    def __init__(self) -> None:
        self._told_at: dict[str, int] = {}
        self._failing: set[str] = set()

    def later(self, notification: Notification, said: str, now: int) -> None:
        """An attempt failed, and there will be another one.

        Args:
            notification: what was not sent.
            said: what was answered, or what went wrong.
            now: milliseconds.
        """
        place = _place(notification)
        told = self._told_at.get(place)
        if told is not None and now - told < QUIET_MS:
            return
        self._told_at[place] = now
        self._failing.add(place)
        _log.warning(
            "%s cannot be told of alerts and is tried again for a day; next word in %d minutes: %s",
            *(place, QUIET_MS // 60_000, said),
        )

    def lost(self, notification: Notification, said: str) -> None:
        """A notification is given up; every one of these is told."""
        _log.error(
            "%s was not told of the %s group %s, and will not be: %s; look at it in the configuration",
            *(_place(notification), notification.status, _labels(notification), said),
        )

    def arrived(self, notification: Notification) -> None:
        """One was sent."""
        place = _place(notification)
        if place in self._failing:
            self._failing.discard(place)
            _log.info("%s is told of alerts again", place)


def _place(notification: Notification) -> str:
    if notification.kind == "runbook":
        return f'runbook "{notification.receiver}"'
    return f'{notification.kind}_configs[{notification.index}] of receiver "{notification.receiver}"'


def _labels(notification: Notification) -> str:
    pairs = ", ".join(f'{name}="{value}"' for name, value in sorted(notification.group_labels.items()))
    return f"{{{pairs}}}"
