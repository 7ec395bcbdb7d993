"""Label sets that nobody uses any more go away by themselves, without costing the recording functions anything.

A sweep, at each collection, compares every child's mark (its count, or when it was set) with the one seen before. An
idle child that somebody still holds is only hidden: when it records again it comes back with its whole count. So
nothing recorded through a kept child is lost, whichever thread records while another one sweeps.
"""

from __future__ import annotations

import sys
from collections.abc import MutableMapping
from typing import ClassVar, Generic, Protocol, TypeVar

from mirante._core.clock import Clock

Key = tuple[str, ...]


class Ageing(Protocol):
    """What is asked of a child."""

    functions: ClassVar[tuple[str, ...]]
    """Attributes with functions that may be kept instead of the child itself."""

    def mark(self) -> object:
        """What differs whenever something was recorded; None for never idle."""
        ...


C = TypeVar("C", bound=Ageing)


class Expiry(Generic[C]):
    """Watches the children of one instrument.

    Args:
        ttl: seconds without a recording after which a child is no longer exposed.
        clock: the source of time.
        alone: a child that nobody else holds, to learn how many references that makes on this interpreter.
    """

    paused: ClassVar[bool] = False
    """Set while several processes share their metrics."""
    __slots__ = ("_clock", "_dormant", "_free", "_seen", "_swept", "ttl")

    def __init__(self, ttl: float, clock: Clock, alone: list[C]) -> None:
        self.ttl = ttl
        self._clock = clock
        self._swept = clock.monotonic()
        self._seen: dict[Key, tuple[object, float]] = {}
        self._dormant: dict[Key, C] = {(): alone.pop()}
        self._free = self._references(())
        self._dormant = {}

    def due(self) -> bool:
        """Whether a sweep may find something new: the last one was a quarter of the ttl ago."""
        return self._clock.monotonic() - self._swept >= self.ttl / 4

    def sweep(self, children: MutableMapping[Key, C]) -> None:
        """Take idle children out, put those that woke up back, forget those that nobody can wake."""
        if Expiry.paused:
            return
        now = self._swept = self._clock.monotonic()
        for key in list(self._dormant):
            if self._dormant[key].mark() != self._seen[key][0]:
                self.revive(key, children)
            elif self._references(key) <= self._free:
                del self._dormant[key], self._seen[key]
        for key in list(children):
            child = children.get(key)
            mark = child.mark() if child is not None else None
            seen, since = self._seen.setdefault(key, (mark, now))
            if mark is None or seen != mark:
                self._seen[key] = (mark, now)
            elif now - since >= self.ttl and child is not None:
                self._dormant[key] = child  # before it leaves the other place, so that labels() finds it somewhere
                del children[key]
        self._seen = {key: seen for key, seen in self._seen.items() if key in children or key in self._dormant}

    def revive(self, key: Key, children: MutableMapping[Key, C]) -> C | None:
        """The hidden child with that key, visible again; None when there is none."""
        child = self._dormant.get(key)
        if child is None:
            return None
        self._seen[key] = (child.mark(), self._clock.monotonic())
        child = children.setdefault(key, child)
        self._dormant.pop(key, None)
        return child

    def forget(self, key: Key) -> None:
        """Do not bring that child back."""
        self._dormant.pop(key, None)

    def forget_all(self) -> None:
        """Bring none back."""
        self._dormant = {}

    def _references(self, key: Key) -> int:
        held = sys.getrefcount(self._dormant[key])
        return held + sum(sys.getrefcount(getattr(self._dormant[key], name)) for name in self._dormant[key].functions)
