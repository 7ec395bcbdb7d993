"""What has changed in the store since it was last looked at: by that, what was read before is known to be still true.

The engine's own list of parts tells it, so that no way of writing can be forgotten: an insert makes parts of level 0,
which stay listed for minutes after they were merged, each with the time of its oldest sample; a merge keeps the number
of rows; what a mutation has rewritten carries its number. The list is read only after a statement that may have
written, and at least once a second.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mirante.server.store.api import QueryBudget
    from mirante.server.store.client import Engine

ANY_TIME = -(1 << 62)
"""Older than any sample: everything may have changed."""

_LONGEST = 1.0  # seconds without a look: the engine ends deletions by itself
_FORGOTTEN = 240.0  # seconds without a look after which parts may have come and gone; the engine lists them for 480
_REMEMBERED = 1_000

_PARTS = """SELECT table, name, active, rows, toUnixTimestamp(min_time) AS oldest, toYYYYMMDD(min_time, 'UTC') AS day
FROM system.parts
WHERE database = currentDatabase() AND table IN ('samples', 'series')
    AND (active OR level = 0 AND min_block_number > {newest:Int64})"""


@dataclass(frozen=True, slots=True)
class Moment:
    """The store as it was at one look.

    Attributes:
        number: of the look; a later one has a greater number.
        series: of the last look at which the table of series had changed.
    """

    number: int
    series: int


class _Part(NamedTuple):
    """A part of the table of samples: which blocks of which day it has, and the mutation that rewrote it last, or 0."""

    day: str
    first: int
    last: int
    level: int
    mutation: int


class Changes:
    """Looks at an embedded engine; any thread may ask. Of a server that others write to as well nothing is known."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._moment: Moment | None = None
        self._writes = -1
        self._looked = 0.0
        self._series: frozenset[str] = frozenset()
        self._parts: frozenset[_Part] = frozenset()
        self._rows = 0
        self._newest = -1
        # Numbers of looks, ascending, and the oldest time written after the look before, ascending too: an older time
        # that comes later makes the entries before it superfluous.
        self._numbers: list[int] = []
        self._oldest: list[int] = []

    def now(self, budget: QueryBudget) -> Moment | None:
        """The store as it is: what is read after this call is at least as new. None when nothing can be known.

        Raises:
            QueryError: a limit of the budget was met.
            StoreError: the engine failed.
        """
        if not self._engine.embedded:
            return None
        with self._lock:
            writes, at = self._engine.writes, time.monotonic()
            if self._moment is None or writes != self._writes or at - self._looked > _LONGEST:
                self._moment = self._look(budget, at)
                self._writes, self._looked = writes, at
            return self._moment

    def oldest_since(self, then: Moment) -> int | None:
        """The time in milliseconds of the oldest sample stored since that look, None when there is none.

        It may be up to a second too old; ``ANY_TIME`` when samples were removed, or nobody remembers.
        """
        with self._lock:
            place = bisect_right(self._numbers, then.number)
            return self._oldest[place] if place < len(self._oldest) else None

    def _look(self, budget: QueryBudget, at: float) -> Moment:
        untold = replace(budget, trace=None)
        rows = self._engine.arrow(_PARTS, {"newest": self._newest}, untold).to_pylist()
        before = self._moment or Moment(-1, -1)
        number = before.number + 1
        series = frozenset(row["name"] for row in rows if row["table"] == "series" and row["active"])
        samples = [(_part(row["name"]), row) for row in rows if row["table"] == "samples"]
        parts = frozenset(part for part, row in samples if row["active"])
        added = [row for part, row in samples if part.level == 0 and part.first > self._newest]
        held = sum(row["rows"] for _, row in samples if row["active"])
        kept = held == self._rows + sum(row["rows"] for row in added)
        if not kept or _rewritten(self._parts, parts) or at - self._looked > _FORGOTTEN:
            self._note(number, ANY_TIME)
        elif added:
            self._note(number, min(map(_oldest, added)))
        changed, self._series, self._parts, self._rows = series != self._series, series, parts, held
        self._newest = max([self._newest, *(part.last for part, _ in samples)])
        return Moment(number, number if changed else before.series)

    def _note(self, number: int, oldest: int) -> None:
        while self._oldest and self._oldest[-1] >= oldest:
            self._oldest.pop()
            self._numbers.pop()
        self._oldest.append(oldest)
        self._numbers.append(number)
        if len(self._numbers) > _REMEMBERED:
            # Whoever comes from before the look that is forgotten must not be told a later time.
            del self._oldest[0], self._numbers[0]
            self._oldest[0] = ANY_TIME


def _part(name: str) -> _Part:
    """What a part's name says, as in ``20261121_5_9_1`` or, rewritten by mutation 12, ``20261121_5_9_1_12``."""
    day, first, last, level, *mutation = name.split("_")
    return _Part(day, int(first), int(last), int(level), int(mutation[0]) if mutation else 0)


def _oldest(row: dict[str, int | str]) -> int:
    """The time of a part's oldest sample; the engine gives it in 32 bits, which other centuries do not fit."""
    fits = str(row["day"]) == str(row["name"]).partition("_")[0]
    return int(row["oldest"]) * 1000 if fits else ANY_TIME


def _rewritten(before: frozenset[_Part], now: frozenset[_Part]) -> bool:
    """Whether a mutation has come between: some part has its number, and what became that part has not.

    Blocks and mutations are numbered in one row: a block with a greater number came after the mutation.
    """
    mutated = [part for part in now - before if part.mutation]
    return any(
        old.mutation < new.mutation
        and old.first < new.mutation
        and old.day == new.day
        and new.first <= old.first
        and old.last <= new.last
        for new in mutated
        for old in before
    )
