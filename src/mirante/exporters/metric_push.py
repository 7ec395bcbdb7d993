"""Metrics on their way out: a registry, delivered again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante._core.guard import REPORTER
from mirante._core.model import Collector
from mirante._core.periodic import Periodic
from mirante._core.protocols import Exporter
from mirante._core.version import version
from mirante.config import SdkSettings, header_map
from mirante.errors import DeliveryError
from mirante.exporters.http import Tls
from mirante.exporters.otlp import OtlpMetricExporter
from mirante.exporters.resource import resource_attributes
from mirante.metrics.registry import Registry

FIRST_EXPORT = 1.0
"""Seconds from start to the first delivery: soon, so that whoever tries it out sees something."""

MAX_SKIPPED = 4
"""Export rounds between two attempts at a server that stays away, at most: a minute at the usual 15 s."""


class MetricPush:
    """Delivers a registry's metrics again and again, from one daemon thread.

    What is delivered are running totals, so that an attempt which failed needs no repeating: the next one says it all.

    Attributes:
        exporter: the way to the server.
    """

    def __init__(
        self,
        settings: SdkSettings,
        registry: Registry,
        clock: Clock = SYSTEM_CLOCK,
        make: Callable[[SdkSettings], MetricDestination] | None = None,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._clock = clock
        self._make = make or otlp
        self._failures = 0
        self._not_before = 0.0
        self._leaving = False
        self._gone = Registry()
        self.exporter = self._make(settings)
        self._periodic = Periodic("mirante-metrics", self.push, settings.export_interval, first=FIRST_EXPORT)

    def start(self) -> None:
        """Begin; the first delivery follows a second later."""
        self._periodic.start()

    def ask_to_stop(self, *, flush: bool, gone: Iterable[Collector] = ()) -> None:
        """Begin to end, without waiting for it; deliver once more if asked to.

        Args:
            flush: whether to deliver once more.
            gone: collectors that are not in the registry any more, and are to be in the last delivery all the same.
        """
        for collector in gone:
            self._gone.register(collector)
        self._leaving = True
        self.exporter.timeout = min(self._settings.export_timeout, self._settings.shutdown_timeout)
        self._periodic.ask_to_stop(final=flush)

    def stop(self, *, flush: bool) -> bool:
        """Deliver once more if asked to, and end; takes no longer than the configured deadline."""
        self.ask_to_stop(flush=flush)
        return self._periodic.stop(self._settings.shutdown_timeout, final=flush)

    def in_child(self) -> MetricPush:
        """The same for a forked child, which has its own identity and counts from zero."""
        return MetricPush(self._settings, self._registry, self._clock, self._make)

    def push(self) -> None:
        """Deliver now, unless the server asked for a pause or has been away for some rounds; tells of a failure."""
        if self._clock.monotonic() < self._not_before and not self._leaving:
            return
        families = list(self._registry.collect())
        known = {family.name for family in families}
        families += [family for family in self._gone.collect() if family.name not in known]
        try:
            self.exporter.export(families)
        except DeliveryError as error:
            rounds = min(2**self._failures, MAX_SKIPPED)
            self._failures += 1
            # Half a round early, so that the round that is due is not missed by a millisecond.
            wait = max(self._settings.export_interval * (rounds - 0.5), error.retry_after or 0.0)
            self._not_before = self._clock.monotonic() + wait
            REPORTER.warn("metrics were not delivered", f"{error}; they are kept and sent when the server is back")
        else:
            self._failures = 0
            self._not_before = 0.0


class MetricDestination(Exporter, Protocol):
    """Where a MetricPush delivers to.

    Attributes:
        timeout: seconds that one delivery may take.
    """

    timeout: float

    def close(self) -> None:
        """Close the connection; the next delivery opens it again."""
        ...


def otlp(settings: SdkSettings) -> OtlpMetricExporter:
    """The server that takes everything."""
    url = otlp_url(settings, settings.metrics_endpoint, "metrics")
    return OtlpMetricExporter(
        url or "",
        resource_attributes(settings),
        version=version(),
        timeout=settings.export_timeout,
        headers=otlp_headers(settings, settings.metrics_headers),
        compress=settings.metrics_compression == "gzip",
        tls=otlp_tls(settings),
    )


def otlp_url(settings: SdkSettings, own: str | None, signal: str) -> str | None:
    """Where a signal goes: its own address, else the server's; None where neither is given."""
    return own or (settings.endpoint and f"{settings.endpoint.rstrip('/')}/v1/{signal}")


def otlp_tls(settings: SdkSettings) -> Tls:
    """Whom the deliveries of all signals trust, and what they show."""
    return Tls(settings.otlp_certificate, settings.otlp_client_certificate, settings.otlp_client_key)


def otlp_headers(settings: SdkSettings, own: str) -> dict[str, str]:
    """What is sent with every request of a signal: the token, and the signal's own headers, which win."""
    token = {"authorization": f"Bearer {settings.token}"} if settings.token else {}
    return token | header_map(own)


def pushgateway(settings: SdkSettings) -> MetricDestination:
    """A Pushgateway; each process has a group of its own, by job and instance."""
    from mirante.exporters.pushgateway import PushgatewayExporter

    resource = resource_attributes(settings)
    group = {"instance": str(resource["service.instance.id"])}
    job = settings.push_job_name or str(resource["service.name"])
    return PushgatewayExporter(settings.push_gateway or "", job, group, timeout=settings.export_timeout)
