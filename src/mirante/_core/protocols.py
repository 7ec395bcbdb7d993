"""The small interfaces through which one part uses another without importing it."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Protocol, TypeAlias

from mirante._core.model import MetricFamily
from mirante._core.record import Metric

Exportable: TypeAlias = Metric | MetricFamily
"""What can be handed to an exporter: a measurement of the telemetry pipeline, or what a registry collected."""


class Exporter(Protocol):
    """A way out of the process.

    ``export`` is called from a delivery thread, never from the host's event loop, with one batch at a time. It may be a
    plain function that blocks, or a coroutine function, which is then run on that thread's own event loop. An exporter
    that holds something open has a ``close()`` too; exporting after it opens again.
    """

    def export(self, batch: Sequence[Exportable], /) -> Awaitable[None] | None:
        """Hand the batch over; returning means that the destination has it.

        Raises:
            DeliveryError: it could not; ``permanent`` when trying again cannot help, ``retry_after`` when the
                destination said how long to wait. Any other exception counts as one that may pass.
        """
        ...
