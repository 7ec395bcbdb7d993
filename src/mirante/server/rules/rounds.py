"""When groups are evaluated: each at its own place in its interval, the same after every restart.

Groups of one interval that fall on the same place make a round: they look at the same time and share what they read.
Times are milliseconds. Source of places by hash: Prometheus, ``Group.EvalTimestamp``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

from mirante.server.rules.evaluation import QueryAt
from mirante.server.rules.group import Group
from mirante.server.rules.model import RuleGroup

PLACES = 6
"""Places in an interval: few enough to share much, many enough that not everything runs at once."""


class Place(NamedTuple):
    """What the groups of a round have in common: every ``interval``, ``offset`` behind its multiples."""

    interval: int
    offset: int
    query_offset: int


@dataclass(slots=True)
class Member:
    """A group that is evaluated, and its evaluation that runs or ran last."""

    group: Group
    running: Future[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether it is being evaluated."""
        return self.running is not None and not self.running.done()


@dataclass(slots=True)
class Round:
    """The groups of one place.

    Attributes:
        place: where.
        members: the groups.
        next: when they are evaluated next.
        ask: answers what they ask.
    """

    place: Place
    next: int
    ask: QueryAt
    members: Sequence[Member]

    def due(self, now: int) -> int | None:
        """The time of the evaluation that is due, if one is; plans the next, and counts those that were missed."""
        interval = self.place.interval
        if self.next - now > interval:  # the clock was set back
            self.next = next_time(now, self.place)
        if now < self.next:
            return None
        missed = (now - self.next) // interval
        for member in self.members:
            member.group.counts.missed += missed
            member.group.counts.iterations += missed
        at = self.next + missed * interval
        self.next = at + interval
        return at


def by_place(members: Iterable[Member]) -> dict[Place, list[Member]]:
    """The members by their places."""
    found: dict[Place, list[Member]] = {}
    for member in members:
        found.setdefault(place_of(member.group), []).append(member)
    return found


def place_of(group: Group) -> Place:
    """The place of a group."""
    return Place(group.interval, place_in(group.spec, group.interval), group.query_offset)


def place_in(spec: RuleGroup, interval: int) -> int:
    """How far behind the multiples of the interval a group is evaluated, by its file and name.

    Example:
        >>> place_in(RuleGroup("jobs", "rules.yml", ()), 30_000) % 5_000
        0
    """
    digest = blake2b(f"{spec.file};{spec.name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % PLACES * (interval // PLACES)


def next_time(now: int, place: Place) -> int:
    """The first time after ``now`` at that place.

    Example:
        >>> next_time(1_000, Place(100, 30, 0)), next_time(1_030, Place(100, 30, 0))
        (1030, 1130)
    """
    return now - (now - place.offset) % place.interval + place.interval
