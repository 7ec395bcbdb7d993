"""Prometheus Pushgateway: where jobs that end before they could be scraped leave their metrics.

Source: the Pushgateway's README, "API".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante._core.convert import families_of, latest
from mirante._core.model import Collector
from mirante._core.protocols import Exportable
from mirante.exporters.http import Connection
from mirante.formats.exposition import TEXT_CONTENT_TYPE, render
from mirante.formats.pushgateway import group_path


class PushgatewayExporter:
    """Pushes metrics into one group of a Pushgateway.

    The gateway keeps a group until it is deleted, and knows only the present: samples go without timestamps, and of
    each series the last one counts. A metric's label that the group has too is overwritten by it.

    Args:
        url: the gateway, such as ``http://127.0.0.1:9091``; ``http://`` may be left out.
        job: value of the label ``job``, not empty.
        grouping_key: further labels of the group, such as ``{"instance": "batch-7"}``.
        timeout: seconds to connect, and as many to be answered.
        headers: sent along, for example for authentication; ``user:password@`` in the URL is basic authentication.
        clock: the source of time.

    Raises:
        DeclarationError: the job is empty or a label's name is none.
        ConfigError: the URL cannot be used.

    Example:
        >>> PushgatewayExporter("127.0.0.1:9091", "backup", {"path": "/var/tmp", "disk": ""}).path
        '/metrics/job/backup/path@base64/L3Zhci90bXA=/disk@base64/='
    """

    def __init__(
        self,
        url: str,
        job: str,
        grouping_key: Mapping[str, str] | None = None,
        *,
        timeout: float = 10.0,
        headers: Mapping[str, str] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.path = group_path(job, grouping_key or {})
        address = url if "://" in url else f"http://{url}"
        self._connection = Connection(address, timeout, headers or {}, clock)

    @property
    def timeout(self) -> float:
        """Seconds that one request may take to connect, and as many to answer."""
        return self._connection.timeout

    @timeout.setter
    def timeout(self, seconds: float) -> None:
        self._connection.timeout = seconds

    def push(self, metrics: Collector | Iterable[Exportable]) -> None:
        """Replace the whole group by these metrics (``PUT``).

        Raises:
            DeliveryError: the gateway did not take them.
        """
        self._send("PUT", metrics)

    def replace(self, metrics: Collector | Iterable[Exportable]) -> None:
        """Replace those metrics of the group that have the same names, and keep the others (``POST``).

        Raises:
            DeliveryError: the gateway did not take them.
        """
        self._send("POST", metrics)

    def delete(self) -> None:
        """Delete the group.

        Raises:
            DeliveryError: the gateway did not do it.
        """
        self._connection.request("DELETE", self.path)

    def export(self, batch: Sequence[Exportable]) -> None:
        """``replace`` with what a pipeline or registry hands over."""
        self.replace(batch)

    def close(self) -> None:
        """Close the connection; the group stays."""
        self._connection.close()

    def _send(self, method: str, metrics: Collector | Iterable[Exportable]) -> None:
        batch = metrics if isinstance(metrics, Iterable) else metrics.collect()
        body = render(latest(families_of(batch)))
        self._connection.request(method, self.path, body=body, headers={"Content-Type": TEXT_CONTENT_TYPE})
