"""The server's telemetry about itself and its machine: a registry for each, and the built-in jobs that scrape them."""

from __future__ import annotations

import socket

from starlette.routing import BaseRoute, Route

from mirante.collectors.process import ProcessCollector
from mirante.collectors.runtime import RuntimeCollector
from mirante.collectors.system import SystemCollector
from mirante.integrations.asgi import MetricsEndpoint
from mirante.metrics import Registry
from mirante.server.http_client.model import Authorization, HttpClient, Secret, Tls
from mirante.server.scrape.model import ScrapeJob, StaticSd, TargetGroup

HOST_INTERVAL_MS = 5_000
"""The machine is read often, so that its graphs move soon after the start; it costs a few milliseconds each time."""
OWN_INTERVAL_MS = 15_000


class OwnTelemetry:
    """What ``/metrics`` and ``/metrics/host`` show.

    Attributes:
        registry: the server's own metrics; the parts of the server register their collectors here.
        host: the metrics of the machine.
    """

    def __init__(self) -> None:
        self.registry = Registry()
        self.host = Registry()
        self.registry.register(ProcessCollector())
        self.registry.register(RuntimeCollector())
        self.host.register(SystemCollector())

    def routes(self) -> list[BaseRoute]:
        """Their paths."""
        pages = {"/metrics": self.registry, "/metrics/prometheus": self.registry, "/metrics/host": self.host}
        return [Route(path, MetricsEndpoint(registry)) for path, registry in pages.items()]


def builtin_jobs(host: str, port: int, token: str = "", *, tls: bool = False) -> tuple[ScrapeJob, ScrapeJob]:
    """Scrape jobs for the two pages, at the address that the server listens on.

    Args:
        host: what it listens on.
        port: the same.
        token: what it asks of itself.
        tls: whether it speaks TLS; its own certificate need not be checked.
    """
    address = f"{'127.0.0.1' if host in {'0.0.0.0', ''} else '[::1]' if host == '::' else host}:{port}"
    http = HttpClient(
        authorization=Authorization("Bearer", Secret(token)) if token else None, tls=Tls(insecure_skip_verify=tls)
    )

    def job(name: str, path: str, interval: int, instance: str) -> ScrapeJob:
        group = TargetGroup(f"{name}/0", ({"__address__": address},), {"instance": instance})
        return ScrapeJob(
            name,
            interval=interval,
            timeout=interval,
            scheme="https" if tls else "http",
            path=path,
            http=http,
            discoveries=(StaticSd((group,)),),
            start_at_once=True,
        )

    return (
        job("host", "/metrics/host", HOST_INTERVAL_MS, socket.gethostname()),
        job("mirante", "/metrics", OWN_INTERVAL_MS, address),
    )
