"""Encoded requests to an OTLP/HTTP receiver, of any signal; queue and retry are the pipelines'."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante.exporters.http import Connection, Tls

_RETRYABLE = frozenset({429, 502, 503, 504})


class OtlpSender:
    """Posts encoded requests of one signal.

    Args:
        url: the full address, such as ``http://127.0.0.1:8503/v1/traces``.
        headers: sent with every request.
        compress: whether bodies go out as gzip.
        tls: whom to trust and what to show.
        clock: the source of time.

    Raises:
        ConfigError: the URL is none.

    Example:
        >>> sender = OtlpSender("http://127.0.0.1:8503/v1/traces")
        >>> sender.close()
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        compress: bool = True,
        tls: Tls = Tls(),  # noqa: B008 - a tuple
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._compress = compress
        encoding = {"Content-Encoding": "gzip"} if compress else {}
        fixed = {"Content-Type": "application/x-protobuf", **encoding, **(headers or {})}
        self._connection = Connection(url, 10.0, fixed, clock, _RETRYABLE.__contains__, tls)

    def __call__(self, body: bytes, timeout: float) -> bytes:
        """Send one request and return the response's body.

        Args:
            body: such as an ``ExportTraceServiceRequest``.
            timeout: seconds to connect, and as many to be answered.

        Raises:
            DeliveryError: it was not taken; the message says why.
        """
        self._connection.timeout = timeout
        payload = zlib.compress(body, level=1, wbits=31) if self._compress else body
        return self._connection.request("POST", body=payload).data

    def close(self) -> None:
        """Close the connection; the next request opens it again."""
        self._connection.close()
