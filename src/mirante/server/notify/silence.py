"""Silences: for some time nobody is told of the alerts that match."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from mirante.errors import SilenceError
from mirante.server.notify.model import Matcher

SilenceState = Literal["pending", "active", "expired"]
RETENTION = 120 * 3_600_000


@dataclass(frozen=True, slots=True)
class Silence:
    """One silence. Times are milliseconds since 1970.

    Attributes:
        id: empty for one that is not kept yet.
        matchers: all must hold.
        starts_at: from when, inclusive.
        ends_at: until when, exclusive.
        author: who made it.
        comment: why.
        updated_at: when it was last changed.
    """

    matchers: tuple[Matcher, ...]
    starts_at: int
    ends_at: int
    author: str
    comment: str
    id: str = ""
    updated_at: int = 0

    def state(self, now: int) -> SilenceState:
        """Whether it is in force at that time."""
        if now < self.starts_at:
            return "pending"
        return "active" if now < self.ends_at else "expired"

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether it concerns an alert with these labels."""
        return all(matcher.matches(labels) for matcher in self.matchers)


class Silences:
    """All silences, those that ended within the last 120 hours among them.

    Args:
        silences: that were kept.
    """

    def __init__(self, silences: Iterable[Silence] = ()) -> None:
        self._all = {silence.id: silence for silence in silences}

    def get(self, silence_id: str) -> Silence | None:
        """The silence of that id."""
        return self._all.get(silence_id)

    def all(self) -> list[Silence]:
        """Every one."""
        return list(self._all.values())

    def put(self, wanted: Silence, now: int) -> list[Silence]:
        """Keep a new silence, or change one.

        Where a change would alter what was silenced in the past, the old one ends and a new one begins.

        Source: Alertmanager, ``silence.Silences.Set``.

        Returns:
            what changed; the wanted one, with its id, last.

        Raises:
            SilenceError: it can never silence anything, or everything, or there is none of its id.
        """
        _check(wanted, now)
        before = self._all.get(wanted.id)
        if wanted.id and before is None:
            raise SilenceError(f"there is no silence {wanted.id}", missing=True)
        changed: list[Silence] = []
        if before is not None and _changeable(before, wanted, now):
            changed.append(replace(wanted, updated_at=now))
        else:
            if before is not None and before.state(now) != "expired":
                changed.append(_ended(before, now))
            fresh = str(uuid.uuid4())
            changed.append(replace(wanted, id=fresh, starts_at=max(wanted.starts_at, now), updated_at=now))
        self._all.update((silence.id, silence) for silence in changed)
        return changed

    def expire(self, silence_id: str, now: int) -> Silence:
        """End a silence.

        Raises:
            SilenceError: there is none of that id, or it has ended.
        """
        silence = self._all.get(silence_id)
        if silence is None:
            raise SilenceError(f"there is no silence {silence_id}", missing=True)
        if silence.state(now) == "expired":
            raise SilenceError(f"silence {silence_id} already expired")
        self._all[silence_id] = ended = _ended(silence, now)
        return ended

    def active(self, now: int) -> list[Silence]:
        """Those in force, oldest first."""
        return sorted(
            (silence for silence in self._all.values() if silence.state(now) == "active"),
            key=lambda silence: (silence.starts_at, silence.id),
        )

    def forget(self, now: int) -> list[str]:
        """Drop those that ended more than 120 hours ago, and give their ids."""
        old = [silence.id for silence in self._all.values() if silence.ends_at + RETENTION <= now]
        for silence_id in old:
            del self._all[silence_id]
        return old


def _check(silence: Silence, now: int) -> None:
    if not silence.matchers:
        raise SilenceError("a silence needs at least one matcher")
    if all(matcher.matches({}) for matcher in silence.matchers):
        raise SilenceError("at least one matcher must not match the empty string: this would silence everything")
    if silence.starts_at >= silence.ends_at:
        raise SilenceError("start time must be before end time")
    if silence.ends_at < now:
        raise SilenceError("end time can't be in the past")


def _changeable(before: Silence, wanted: Silence, now: int) -> bool:
    """Whether the change leaves the past as it was."""
    if before.matchers != wanted.matchers:
        return False
    if before.state(now) == "active":
        return before.starts_at // 1000 == wanted.starts_at // 1000
    return before.state(now) == "pending" and wanted.starts_at >= now


def _ended(silence: Silence, now: int) -> Silence:
    return replace(silence, starts_at=min(silence.starts_at, now), ends_at=now, updated_at=now)
