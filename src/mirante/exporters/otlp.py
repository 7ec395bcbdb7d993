"""OTLP over HTTP: metrics as compressed protobuf, without the protobuf package."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante._core.model import MetricFamily
from mirante.errors import DeliveryError
from mirante.formats.otlp import AttributeValue, Times, metrics_request

if TYPE_CHECKING:
    import urllib3

_RETRYABLE = frozenset({429, 502, 503, 504})
"""OTLP 1.x, "Retryable response codes"; what else is not 2xx refuses the data itself."""


class OtlpMetricExporter:
    """Sends metric families to an OTLP/HTTP receiver.

    Args:
        url: the full address, such as ``http://127.0.0.1:8503/v1/metrics``.
        resource: attributes of this process.
        version: this package's version, stated as the scope's.
        timeout: seconds that one delivery may take to connect, and as many to answer.
        clock: the source of time.

    Example:
        >>> exporter = OtlpMetricExporter("http://127.0.0.1:8503/v1/metrics", {"service.name": "orders"})
        >>> exporter.close()
    """

    def __init__(
        self,
        url: str,
        resource: Mapping[str, AttributeValue],
        *,
        version: str = "",
        timeout: float = 10.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.url = url
        self.resource = resource
        self.timeout = timeout
        self._scope = ("mirante", version)
        self._clock = clock
        self._start = clock.time_ns()
        self._pool: urllib3.PoolManager | None = None
        self._pool_pid = 0

    def export(self, families: Iterable[MetricFamily]) -> None:
        """Deliver the families' present values.

        Raises:
            DeliveryError: they were not taken; the message says why.
        """
        times = Times(self._start, self._clock.time_ns())
        body = zlib.compress(metrics_request(self.resource, self._scope, families, times), level=1, wbits=31)
        self._post(body)

    def close(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            self._pool.clear()

    def _post(self, body: bytes) -> None:
        import urllib3  # here, because it takes 30 ms to import

        timeout = urllib3.Timeout(connect=self.timeout, read=self.timeout)
        headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip", "User-Agent": "mirante"}
        try:
            response = self._connections().request(
                "POST", self.url, body=body, headers=headers, timeout=timeout, retries=False
            )
        except urllib3.exceptions.HTTPError as error:
            raise DeliveryError(f"{self.url} cannot be reached: {error}") from error
        if not 200 <= response.status < 300:
            said = response.data[:200].decode("utf-8", "replace").strip()
            raise DeliveryError(
                f"{self.url} answered {response.status}: {said}",
                retry_after=_seconds(response.headers.get("Retry-After")),
                permanent=response.status not in _RETRYABLE,
            )

    def _connections(self) -> urllib3.PoolManager:
        import urllib3

        if self._pool is None or self._pool_pid != os.getpid():  # a forked child must not write to its parent's sockets
            self._pool = urllib3.PoolManager(num_pools=1, maxsize=1)
            self._pool_pid = os.getpid()
        return self._pool


def _seconds(retry_after: str | None) -> float | None:
    """The header's number of seconds; its other form, a date, is rare enough to ignore."""
    return float(retry_after) if retry_after is not None and retry_after.isdecimal() else None
