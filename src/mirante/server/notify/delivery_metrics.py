"""What the delivery counts, under its own names and under those that Alertmanager's dashboards ask for."""

from __future__ import annotations

from collections.abc import Iterable

from mirante._core.model import MetricFamily
from mirante.errors import DeliveryError
from mirante.metrics import Registry, counter, histogram
from mirante.server.notify.notification import Notification

_BUCKETS = (0.1, 0.5, 1.0, 5.0, 10.0, 15.0, 20.0, 30.0)


class DeliveryMetrics:
    """Counts attempts and what became of notifications."""

    def __init__(self) -> None:
        self._registry = registry = Registry()
        self._settled = counter(
            "mirante_notifications_total",
            "Notifications that are settled: sent, refused by the receiver, or expired after a day of attempts.",
            ("receiver", "integration", "result"),
            registry=registry,
        )
        self._attempts = counter(
            "mirante_notification_attempts_total",
            "Attempts to send a notification.",
            ("receiver", "integration", "result"),
            registry=registry,
        )
        kind = ("integration",)
        self._total = counter("alertmanager_notifications_total", "Attempted notifications.", kind, registry=registry)
        self._failed = counter(
            "alertmanager_notifications_failed_total",
            "Failed notifications.",
            ("integration", "reason"),
            registry=registry,
        )
        self._requests = counter(
            "alertmanager_notification_requests_total", "Attempted requests.", kind, registry=registry
        )
        self._requests_failed = counter(
            "alertmanager_notification_requests_failed_total", "Failed requests.", kind, registry=registry
        )
        self._latency = histogram(
            "alertmanager_notification_latency_seconds",
            "How long an attempt took.",
            kind,
            buckets=_BUCKETS,
            registry=registry,
        )

    def declare(self, kinds: Iterable[str]) -> None:
        """Show zeros for kinds that are configured, so that an increase is seen from the first one on."""
        for kind in set(kinds):
            for family in (self._total, self._requests, self._requests_failed):
                family.labels(kind).inc(0)
            for reason in ("clientError", "serverError", "other"):
                self._failed.labels(kind, reason).inc(0)

    def attempted(self, told: Notification, outcome: str, seconds: float, failure: DeliveryError | None) -> None:
        """Count an attempt; with an outcome other than ``later`` its notification is settled."""
        self._requests.labels(told.kind).inc()
        self._latency.labels(told.kind).observe(seconds)
        self._attempts.labels(told.receiver, told.kind, "sent" if failure is None else "failed").inc()
        if failure is not None:
            self._requests_failed.labels(told.kind).inc()
        if outcome == "later":
            return
        self._settled.labels(told.receiver, told.kind, outcome).inc()
        self._total.labels(told.kind).inc()
        if failure is not None:
            reason = "clientError" if failure.permanent else "serverError"
            self._failed.labels(told.kind, reason).inc()

    def collect(self) -> Iterable[MetricFamily]:
        """All of it."""
        return self._registry.collect()
