"""The receivers' own metrics."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable

from mirante._core.model import MetricFamily, Sample


class IngestCounts:
    """Counts what came in, by signal; any thread may count.

    Args:
        charge: is told the signal and how many items of it were taken, in the context of the request.
    """

    def __init__(self, charge: Callable[[str, int], None] | None = None) -> None:
        self._charge = charge
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._items: Counter[tuple[str, str]] = Counter()

    def request(self, receiver: str, status: int) -> None:
        """A request was answered with that status."""
        with self._lock:
            self._requests[receiver, status] += 1

    def items(self, signal: str, *, accepted: int, rejected: int) -> None:
        """So many samples, spans or log records of a request were taken, and so many refused."""
        if self._charge is not None:
            self._charge(signal, accepted)
        with self._lock:
            self._items[signal, "accepted"] += accepted
            self._items[signal, "rejected"] += rejected

    def collect(self) -> Iterable[MetricFamily]:
        """``mirante_ingest_requests_total`` and ``mirante_ingest_items_total``."""
        with self._lock:
            requests, items = sorted(self._requests.items()), sorted(self._items.items())
        name = "mirante_ingest_requests"
        yield MetricFamily(
            name,
            "counter",
            "Requests answered.",
            samples=tuple(
                Sample(f"{name}_total", {"receiver": receiver, "code": str(status)}, count)
                for (receiver, status), count in requests
            ),
        )
        name = "mirante_ingest_items"
        yield MetricFamily(
            name,
            "counter",
            "Samples, log records and spans that came in.",
            samples=tuple(
                Sample(f"{name}_total", {"signal": signal, "outcome": outcome}, count)
                for (signal, outcome), count in items
            ),
        )
