"""Prometheus remote write, 1.0 and 2.0: to Prometheus itself, Mimir, Thanos, VictoriaMetrics, mirante and others.

Source: prometheus.io, "Prometheus Remote-Write 1.0 specification" and "... 2.0 specification".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante._core.convert import families_of, in_order
from mirante._core.extras import require
from mirante._core.guard import REPORTER
from mirante._core.model import MetricFamily
from mirante._core.protocols import Exportable
from mirante._core.version import version as own_version
from mirante.errors import DeclarationError
from mirante.exporters.http import Connection
from mirante.formats import remote_write, remote_write2

if TYPE_CHECKING:
    import urllib3

_HEADERS = {
    "1.0": {"Content-Type": "application/x-protobuf", "X-Prometheus-Remote-Write-Version": "0.1.0"},
    "2.0": {
        "Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request",
        "X-Prometheus-Remote-Write-Version": "2.0.0",
    },
}
_WRITTEN = "X-Prometheus-Remote-Write-Samples-Written"


class RemoteWriteExporter:
    """Sends samples to a remote-write receiver. Needs the extra ``mirante[remote-write]``.

    Args:
        url: the receiver's full address, such as ``http://127.0.0.1:9090/api/v1/write``.
        version: the protocol's version. A receiver that does not know 2.0 gets 1.0 from then on.
        labels: added to every series that does not have them, such as ``{"job": "orders", "instance": "host:80"}``.
        timeout: seconds to connect, and as many to be answered.
        headers: sent along, such as ``Authorization`` or ``X-Scope-OrgID``.
        clock: the source of time.

    Raises:
        DeclarationError: the version is none.
        ConfigError: the extra is not installed, or the URL cannot be used.

    Example:
        >>> exporter = RemoteWriteExporter("http://127.0.0.1:9090/api/v1/write", labels={"job": "orders"})
        >>> exporter.version
        '1.0'
    """

    def __init__(
        self,
        url: str,
        *,
        version: Literal["1.0", "2.0"] = "1.0",
        labels: Mapping[str, str] | None = None,
        timeout: float = 10.0,
        headers: Mapping[str, str] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if version not in _HEADERS:
            raise DeclarationError(f"RemoteWriteExporter: version must be 1.0 or 2.0, not {version!r}")
        self.version = version
        self._snappy = require("cramjam", extra="remote-write", purpose="RemoteWriteExporter").snappy
        self._labels = dict(labels or {})
        self._clock = clock
        always = {"Content-Encoding": "snappy", "User-Agent": f"mirante/{own_version()}", **(headers or {})}
        self._connection = Connection(url, timeout, always, clock)

    def export(self, batch: Sequence[Exportable]) -> None:
        """Send the batch; samples that bring no time of their own get the present one.

        Of several samples of one series in one millisecond the last one counts: aggregate before, where each counts.

        Raises:
            DeliveryError: the receiver did not take it.
        """
        now = self._clock.time_ns() // 1_000_000
        families = [self._labelled(family) for family in in_order(families_of(batch), now / 1000)]
        if not any(family.samples for family in families):
            return
        if self.version == "2.0" and self._sent_as_2(families, now):
            return
        self._post(remote_write.write_request(families, now), "1.0")

    def close(self) -> None:
        """Close the connection; the next export opens it again."""
        self._connection.close()

    def _labelled(self, family: MetricFamily) -> MetricFamily:
        if not self._labels:
            return family
        samples = (sample._replace(labels={**self._labels, **sample.labels}) for sample in family.samples)
        return replace(family, samples=tuple(samples))

    def _sent_as_2(self, families: Sequence[MetricFamily], now: int) -> bool:
        """False when the receiver does not know 2.0: it says so, or it does not say how much it wrote."""
        answer = self._post(remote_write2.write_request(families, now), "2.0", accept=(415,))
        if answer.status != 415 and _WRITTEN in answer.headers:
            return True
        self.version = "1.0"
        REPORTER.warn("remote write", f"{self._connection.url} does not know remote write 2.0; it gets 1.0")
        return False

    def _post(self, body: bytes, version: str, accept: Collection[int] = ()) -> urllib3.BaseHTTPResponse:
        compressed = bytes(self._snappy.compress_raw(body))
        return self._connection.request("POST", body=compressed, headers=_HEADERS[version], accept=accept)
