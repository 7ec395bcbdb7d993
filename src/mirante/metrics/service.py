"""The small standard bundle of a service: its requests, their time, and how many are open."""

from __future__ import annotations

import math

from mirante.metrics.registry import REGISTRY, Registry
from mirante.metrics.shorthand import gauge, histogram


class MetricsCollector:
    """What every service measures; the web middlewares feed it.

    The names and labels follow OpenTelemetry's HTTP semantic conventions, as Prometheus writes them.

    Args:
        registry: where its metrics live; the process's own when not given.

    Attributes:
        duration: ``http_server_request_duration_seconds`` by method, route template and status.
        active: ``http_server_active_requests`` by method.

    Example:
        >>> service = MetricsCollector(registry=Registry())
        >>> service.duration.labels("GET", "/items/{item}", "200").observe(0.25)
        DONE
        >>> service.collect()
        {'requests': 1, 'errors': 0, 'response_time': 0.25, 'connections': 0}
    """

    def __init__(self, registry: Registry = REGISTRY) -> None:
        self.duration = histogram(
            "http_server_request_duration_seconds",
            "Duration of HTTP server requests.",
            ("http_request_method", "http_route", "http_response_status_code"),
            registry=registry,
            unit="seconds",
        )
        self.active = gauge(
            "http_server_active_requests",
            "Number of active HTTP server requests.",
            ("http_request_method",),
            registry=registry,
        )

    def collect(self) -> dict[str, float]:
        """The present figures.

        Returns:
            ``requests`` answered, ``errors`` among them (status 5xx), mean ``response_time`` in seconds (0 before the
            first request) and open ``connections``.
        """
        requests, errors, seconds = 0, 0, []
        for child in self.duration.children():
            counts, total = child.snapshot()
            requests += sum(counts)
            seconds.append(total)
            if child.label_values[2].startswith("5"):
                errors += sum(counts)
        mean = math.fsum(seconds) / requests if requests else 0.0
        return {
            "requests": requests,
            "errors": errors,
            "response_time": mean,
            "connections": round(self.active.value),
        }
