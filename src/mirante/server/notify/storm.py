"""A limit of what the whole server tells in a minute, for the day on which everything breaks at once."""

from __future__ import annotations

from collections.abc import Collection

from mirante.server.notify.group import Target

MINUTE = 60_000


class StormLimit:
    """Counts what was told in the running minute of the clock, and remembers what was withheld.

    Nothing is lost by it: a group that is withheld is decided anew in the next minute, as it is then.

    Args:
        limit: notifications a minute; 0 for any.
        told: when notifications were decided lately, milliseconds.
        held: the groups that were withheld, by target; kept up to date.
    """

    def __init__(self, limit: int, told: Collection[int], held: dict[Target, set[str]]) -> None:
        self.limit = limit
        self._held = held
        self._minute = max(told, default=0) // MINUTE
        self._count = sum(at // MINUTE == self._minute for at in told)

    def allows(self, now: int) -> bool:
        """Whether one more may be told."""
        return not self.limit or now // MINUTE != self._minute or self._count < self.limit

    def count(self, now: int) -> None:
        """One was told."""
        if now // MINUTE != self._minute:
            self._minute, self._count = now // MINUTE, 0
        self._count += 1

    def hold(self, target: Target, group_id: str) -> bool:
        """A notification is withheld; gives whether that is news."""
        groups = self._held.setdefault(target, set())
        if group_id in groups:
            return False
        groups.add(group_id)
        return True

    def release(self, target: Target, group_id: str) -> int:
        """A target from which something was withheld is told of that group: how many others were withheld."""
        return len(self._held.pop(target) - {group_id})

    @staticmethod
    def next_minute(now: int) -> int:
        """When withheld groups are decided again."""
        return (now // MINUTE + 1) * MINUTE
