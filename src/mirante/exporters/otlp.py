"""OTLP over HTTP: metrics as compressed protobuf, without the protobuf package."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante._core.convert import families_of
from mirante._core.protocols import Exportable
from mirante.exporters.http import Tls
from mirante.exporters.otlp_sender import OtlpSender
from mirante.formats.otlp import AttributeValue, Times, metrics_request


class OtlpMetricExporter:
    """Sends metric families to an OTLP/HTTP receiver.

    Args:
        url: the full address, such as ``http://127.0.0.1:8503/v1/metrics``.
        resource: attributes of this process.
        version: this package's version, stated as the scope's.
        timeout: seconds that one delivery may take to connect, and as many to answer; may be changed.
        headers: sent with every request.
        compress: whether bodies go out as gzip.
        tls: whom to trust and what to show.
        clock: the source of time.

    Raises:
        ConfigError: the URL is none.

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
        headers: Mapping[str, str] | None = None,
        compress: bool = True,
        tls: Tls = Tls(),  # noqa: B008 - a tuple
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.url = url
        self.resource = resource
        self._scope = ("mirante", version)
        self._clock = clock
        self._start = clock.time_ns()
        self.timeout = timeout
        self._send = OtlpSender(url, headers, compress=compress, tls=tls, clock=clock)

    def export(self, batch: Iterable[Exportable]) -> None:
        """Deliver the families' present values, or measurements.

        Raises:
            DeliveryError: they were not taken; the message says why.
        """
        times = Times(self._start, self._clock.time_ns())
        message = metrics_request(self.resource, self._scope, families_of(batch), times)
        self._send(message, self.timeout)

    def close(self) -> None:
        """Close the connection; the next export opens it again."""
        self._send.close()
