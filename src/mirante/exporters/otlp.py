"""OTLP over HTTP: metrics as compressed protobuf, without the protobuf package."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante._core.convert import families_of
from mirante._core.protocols import Exportable
from mirante.exporters.http import Connection
from mirante.formats.otlp import AttributeValue, Times, metrics_request

_HEADERS = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}

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
        self._scope = ("mirante", version)
        self._clock = clock
        self._start = clock.time_ns()
        self._connection = Connection(url, timeout, {}, clock, _RETRYABLE.__contains__)

    @property
    def timeout(self) -> float:
        """Seconds that one delivery may take to connect, and as many to answer."""
        return self._connection.timeout

    @timeout.setter
    def timeout(self, seconds: float) -> None:
        self._connection.timeout = seconds

    def export(self, batch: Iterable[Exportable]) -> None:
        """Deliver the families' present values, or measurements.

        Raises:
            DeliveryError: they were not taken; the message says why.
        """
        times = Times(self._start, self._clock.time_ns())
        message = metrics_request(self.resource, self._scope, families_of(batch), times)
        self._connection.request("POST", body=zlib.compress(message, level=1, wbits=31), headers=_HEADERS)

    def close(self) -> None:
        """Close the connection; the next export opens it again."""
        self._connection.close()
