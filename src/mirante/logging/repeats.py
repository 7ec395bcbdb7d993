"""Sampling of lines that repeat themselves."""

from __future__ import annotations

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante.errors import DeclarationError

_KNOWN = 10_000


class Repeats:
    """Lets the first lines of a kind through in each interval, then every so many-th.

    Lines are of one kind when logger, level and message are the same, before values are filled in. The next line of a
    kind that gets through says how many were left out before it.

    Args:
        first: lines of one kind that get through in each interval.
        every: of the further ones each such gets through; 0 for none.
        interval: seconds.
        clock: the time.

    Raises:
        DeclarationError: a number makes no sense.

    Example:
        >>> repeats = Repeats(first=1, every=0)
        >>> repeats.admit(30, "shop", "low stock"), repeats.admit(30, "shop", "low stock")
        (0, None)
    """

    def __init__(
        self, first: int = 10, every: int = 100, interval: float = 1.0, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        if first < 1 or every < 0 or not interval > 0:
            raise DeclarationError("Repeats: needs first of 1 or more, every of 0 or more and an interval above 0")
        self.left_out = 0
        self._first = first
        self._every = every
        self._interval = interval
        self._clock = clock
        self._kinds: dict[tuple[int, str, object], list[float]] = {}  # until when, lines since, left out

    def admit(self, level: int, logger: str, message: object) -> int | None:
        """Whether a line gets through: the number of those that were left out before it, or None when it does not."""
        now = self._clock.monotonic()
        # Counts may be off by one where threads meet here: that is a line more or less, and worth no lock.
        kind = (level, logger, message if isinstance(message, str) else str(message))
        state = self._kinds.get(kind)
        if state is None:
            if len(self._kinds) >= _KNOWN:
                self._kinds.clear()
            self._kinds[kind] = [now + self._interval, 1, 0]
            return 0
        if now >= state[0]:
            state[0], state[1] = now + self._interval, 0
        state[1] += 1
        beyond = state[1] - self._first
        if beyond > 0 and (not self._every or beyond % self._every):
            state[2] += 1
            self.left_out += 1
            return None
        left_out, state[2] = int(state[2]), 0
        return left_out
