"""Hands alerts to real Alertmanagers, as Prometheus does.

Source: github.com/prometheus/alertmanager, ``api/v2/openapi.yaml``, ``postAlerts``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from urllib.parse import urlsplit

from mirante._core.model import MetricFamily
from mirante.errors import DeliveryError
from mirante.formats.rfc3339 import rfc3339
from mirante.metrics import Registry, counter, gauge
from mirante.server.alert import Alert
from mirante.server.http_client.model import PLAIN, HttpClient
from mirante.server.notify.channels.caller import Caller

log = logging.getLogger(__name__)

BATCH = 64
"""Most alerts in a request; Prometheus's own number is the same."""
CAPACITY = 10_000
"""Most alerts that wait for one Alertmanager."""
_PATH = "/api/v2/alerts"
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.5, 30.0
_STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Alertmanager:
    """One that is told.

    Attributes:
        url: where alerts are posted, path included.
        http: how.
        timeout: of a request, milliseconds.
        change: what is done to an alert on its way to this one; None for one that is not sent.
    """

    url: str
    http: HttpClient = PLAIN
    timeout: int = 10_000
    change: Callable[[Alert], Alert | None] | None = None

    @classmethod
    def at(cls, base: str) -> Alertmanager:
        """The one at a base URL, as ``--alertmanager`` names it.

        Example:
            >>> Alertmanager.at("http://am:9093/prefix/").url
            'http://am:9093/prefix/api/v2/alerts'
        """
        return cls(base.rstrip("/") + _PATH)


class Forwarder:
    """Sends alerts to Alertmanagers; each has a queue of its own, so that one that is down holds up none of the others.

    An AlertSink. Of an alert that waits only its latest state is kept. ``put`` is called in the event loop.

    Args:
        alertmanagers: who is told.

    Raises:
        OSError: a certificate file cannot be read.
    """

    def __init__(self, alertmanagers: Iterable[Alertmanager]) -> None:
        self._metrics = _Metrics()
        self._queues = [_Queue(one, self._metrics) for one in dict.fromkeys(alertmanagers)]

    def start(self) -> None:
        """Begin to send."""
        for queue in self._queues:
            queue.start()

    async def stop(self) -> None:
        """Send what waits if that takes no more than a few seconds, then stop."""
        await asyncio.gather(*(queue.stop() for queue in self._queues))

    def put(self, alerts: Iterable[Alert]) -> None:
        """Take alerts; when too many wait the oldest are dropped, and counted."""
        taken = list(alerts)
        for queue in self._queues:
            queue.put(taken)

    def urls(self) -> list[str]:
        """Where alerts are posted: ``activeAlertmanagers`` of ``/api/v1/alertmanagers``."""
        return [queue.to.url for queue in self._queues]

    def collect(self) -> Iterable[MetricFamily]:
        """Under Prometheus's names."""
        self._metrics.discovered.set(len(self._queues))
        self._metrics.length.set(max((len(queue) for queue in self._queues), default=0))
        return self._metrics.registry.collect()


class _Metrics:
    def __init__(self) -> None:
        self.registry = registry = Registry()
        whom = ("alertmanager",)
        self.sent = counter("prometheus_notifications_sent_total", "Alerts sent.", whom, registry=registry)
        self.errors = counter("prometheus_notifications_errors_total", "Failed requests.", whom, registry=registry)
        self.dropped = counter("prometheus_notifications_dropped_total", "Alerts dropped.", registry=registry)
        self.length = gauge("prometheus_notifications_queue_length", "Alerts that wait.", registry=registry)
        capacity = gauge("prometheus_notifications_queue_capacity", "Most that may wait.", registry=registry)
        capacity.set(CAPACITY)
        self.discovered = gauge(
            "prometheus_notifications_alertmanagers_discovered", "Alertmanagers that are told.", registry=registry
        )
        self.dropped.inc(0)


class _Queue:
    """Alerts for one Alertmanager."""

    def __init__(self, to: Alertmanager, metrics: _Metrics) -> None:
        self.to, self._metrics = to, metrics
        self._shown = _without_user(to.url)
        self._caller = Caller(to.http)
        self._waiting: dict[str, Alert] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        metrics.sent.labels(self._shown).inc(0)
        metrics.errors.labels(self._shown).inc(0)

    def __len__(self) -> int:
        return len(self._waiting)

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        self._stopping.set()
        self._changed.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=_STOP_SECONDS)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._caller.close()

    def put(self, alerts: Sequence[Alert]) -> None:
        for alert in alerts if self.to.change is None else filter(None, map(self.to.change, alerts)):
            self._waiting.pop(key := alert.id, None)
            self._waiting[key] = alert
        self._drop()
        self._changed.set()

    def _drop(self) -> None:
        surplus = len(self._waiting) - CAPACITY
        if surplus > 0:
            for key in list(islice(self._waiting, surplus)):
                del self._waiting[key]
            self._metrics.dropped.inc(surplus)
            log.error("%d alerts for %s are dropped: it has not taken any for too long", surplus, self._shown)

    async def _run(self) -> None:
        wait = _FIRST_WAIT_SECONDS
        while self._waiting or not self._stopping.is_set():
            self._changed.clear()
            if not self._waiting:
                await self._changed.wait()
            elif await self._send():
                wait = _FIRST_WAIT_SECONDS
            elif self._stopping.is_set():
                return
            else:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), wait)
                wait = min(2 * wait, _LONGEST_WAIT_SECONDS)

    async def _send(self) -> bool:
        """Send the oldest; false when a later attempt may go better."""
        batch = dict(islice(self._waiting.items(), BATCH))
        body = [_json(alert) for alert in batch.values()]
        try:
            async with asyncio.timeout(self.to.timeout / 1000):
                await self._caller.post_json(self.to.url, body, "")
        except (DeliveryError, TimeoutError) as error:
            self._metrics.errors.labels(self._shown).inc()
            permanent = isinstance(error, DeliveryError) and error.permanent
            log.warning("%d alerts did not reach %s: %s", len(batch), self._shown, str(error) or "no answer in time")
            if not permanent:
                return False
            self._metrics.dropped.inc(len(batch))
        else:
            self._metrics.sent.labels(self._shown).inc(len(batch))
        for key, alert in batch.items():
            if self._waiting.get(key) is alert:  # a newer state of it waits for its own turn
                del self._waiting[key]
        return True


def _json(alert: Alert) -> dict[str, object]:
    return {
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "startsAt": rfc3339(alert.starts_at),
        "endsAt": rfc3339(alert.ends_at),
        "generatorURL": alert.generator_url,
    }


def _without_user(url: str) -> str:
    """The URL as it may be shown."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
