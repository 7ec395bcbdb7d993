"""What is to be done when: a heap in which an entry can be moved."""

from __future__ import annotations

import heapq
from itertools import count


class Schedule:
    """Keys, each with the time at which its turn comes.

    Example:
        >>> schedule = Schedule()
        >>> schedule.set("a", 20)
        >>> schedule.set("b", 10)
        >>> schedule.next_at()
        10
        >>> schedule.take(15)
        ['b']
    """

    def __init__(self) -> None:
        self._at: dict[str, int] = {}
        self._heap: list[tuple[int, int, str]] = []
        self._turn = count()  # of several at one time the one that was set first comes first

    def set(self, key: str, at: int | None) -> None:
        """Give a key its time, in the place of the one that it had; None takes it out."""
        if at is None:
            self._at.pop(key, None)
        elif self._at.get(key) != at:
            self._at[key] = at
            heapq.heappush(self._heap, (at, next(self._turn), key))

    def next_at(self) -> int | None:
        """The earliest time, or None where there is none."""
        self._drop_moved()
        return self._heap[0][0] if self._heap else None

    def take(self, now: int) -> list[str]:
        """Take out the keys whose time has come, earliest first."""
        taken = []
        while (at := self.next_at()) is not None and at <= now:
            key = heapq.heappop(self._heap)[2]
            del self._at[key]
            taken.append(key)
        return taken

    def _drop_moved(self) -> None:
        while self._heap and self._at.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
