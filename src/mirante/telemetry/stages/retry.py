"""Repeated attempts to deliver."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mirante._core.protocols import Exportable
from mirante.errors import DeclarationError, DeliveryError
from mirante.telemetry.stages.base import DeliveryContext, Send


@dataclass(frozen=True, slots=True)
class Retry:
    """Tries again when a batch did not arrive, unless the destination refused the data itself.

    The n-th pause is ``delay * 2**(n-1)`` seconds, ``max_delay`` at most, of which up to half is left to chance so that
    many processes do not come back at once. A destination that says how long to wait (``Retry-After``) is obeyed. The
    end of the pipeline ends the waiting.

    Attributes:
        max_retries: attempts after the first one, 0 or more.
        delay: seconds before the first of them.
        max_delay: longest pause in seconds, unless the destination asks for more.
        random: gives numbers from 0 to 1.

    Raises:
        DeclarationError: a number is negative.

    Example:
        >>> retry = Retry(max_retries=3, delay=0.5, random=lambda: 1.0)
        >>> [retry.pause(attempt) for attempt in (1, 2, 3)]
        [0.5, 1.0, 2.0]
    """

    max_retries: int = 5
    delay: float = 1.0
    max_delay: float = 30.0
    random: Callable[[], float] = random.random

    def __post_init__(self) -> None:
        for name in ("max_retries", "delay", "max_delay"):
            if not getattr(self, name) >= 0:
                raise DeclarationError(f"Retry: {name} must be 0 or more, not {getattr(self, name)!r}")

    def pause(self, attempt: int) -> float:
        """Seconds to wait before that attempt, the first repeated one being 1."""
        longest = min(self.delay * 2.0 ** min(attempt - 1, 60), self.max_delay)
        return longest * (0.5 + 0.5 * self.random())

    def wrap(self, send: Send, context: DeliveryContext) -> Send:
        """See ``DeliveryStage``."""

        def send_again(batch: Sequence[Exportable]) -> None:
            for attempt in range(1, self.max_retries + 1):
                try:
                    return send(batch)
                except DeliveryError as error:
                    if error.permanent or not context.wait(max(self.pause(attempt), error.retry_after or 0.0)):
                        raise
                except Exception:
                    if not context.wait(self.pause(attempt)):
                        raise
                context.retried()
            return send(batch)

        return send_again
