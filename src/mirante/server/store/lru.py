"""A cache that forgets what was not asked for the longest, bounded by the weight of what it holds."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Lru(Generic[K, V]):
    """Any thread may ask and keep.

    Args:
        limit: greatest weight of all values together; a value of more than a quarter of it is not kept.

    Example:
        >>> cache = Lru[str, str](limit=8)
        >>> for name in ("a", "b", "c"):
        ...     cache.keep(name, name.upper(), weight=2)
        >>> cache.get("a")
        'A'
        >>> cache.keep("d", "D", weight=2)
        >>> cache.keep("e", "E", weight=2)
        >>> cache.get("b") is None
        True
        >>> cache.keep("f", "too heavy", weight=3)
        >>> cache.get("f") is None
        True
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._held: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._weight = 0

    def get(self, key: K) -> V | None:
        """The value, or None."""
        with self._lock:
            found = self._held.get(key)
            if found is None:
                return None
            self._held.move_to_end(key)
            return found[0]

    def keep(self, key: K, value: V, weight: int) -> None:
        """Keep a value, in place of another of that key."""
        with self._lock:
            self._weight -= self._held.pop(key, (None, 0))[1]
            if weight * 4 > self._limit:
                return
            self._held[key] = value, weight
            self._weight += weight
            while self._weight > self._limit:
                self._weight -= self._held.popitem(last=False)[1][1]
