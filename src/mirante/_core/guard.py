"""What happens to a fault in the background: it is told once in a while and never reaches the host.

With the variable MIRANTE_RAISE_FAULTS an unexpected exception is raised again, so that the project's own tests cannot
miss it. It is nothing for programs that live.
"""

from __future__ import annotations

import os

from mirante._core.clock import SYSTEM_CLOCK, Clock

REPEAT_AFTER = 60.0
"""Seconds in which the same fault is told once."""


class Reporter:
    """Logs faults to the standard logger ``mirante``, each at most once in REPEAT_AFTER.

    Attributes:
        counts: how often each fault was reported, told or not.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self.counts: dict[str, int] = {}
        self._clock = clock
        self._told: dict[str, tuple[float, int]] = {}

    def warn(self, where: str, message: str) -> None:
        """An expected fault, such as a server that is away: one line for people.

        Args:
            where: names the place; lines with the same one count as the same fault.
            message: what was wrong and what to do about it.
        """
        self._tell(where, message, None)

    def forget(self) -> None:
        """Tell every fault again when it comes."""
        self._told.clear()

    def fault(self, where: str, error: BaseException) -> None:
        """An unexpected exception, told with its traceback.

        Raises:
            BaseException: the very error, where MIRANTE_RAISE_FAULTS is set.
        """
        if "MIRANTE_RAISE_FAULTS" in os.environ:
            raise error
        self._tell(where, f"{type(error).__name__}: {error}", error)

    def _tell(self, where: str, message: str, error: BaseException | None) -> None:
        count = self.counts[where] = self.counts.get(where, 0) + 1
        now = self._clock.monotonic()
        told_at, told_count = self._told.get(where, (-REPEAT_AFTER, 0))
        if now - told_at < REPEAT_AFTER:
            return
        self._told[where] = (now, count)
        import logging  # here, because most programs never need it through us

        missed = count - told_count - 1
        more = f" ({missed} more since the last report)" if missed else ""
        logging.getLogger("mirante").warning("%s: %s%s", where, message, more, exc_info=error)


REPORTER = Reporter()
