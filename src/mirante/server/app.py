"""The server's composition root: builds every part, joins them, runs them, and takes them apart in order."""

from __future__ import annotations

import gc
import logging
import socket
import sys
from contextlib import ExitStack
from importlib.metadata import version
from typing import Self

import uvloop
from starlette.applications import Starlette
from starlette.middleware import Middleware

from mirante.integrations.asgi import MiranteMiddleware
from mirante.server import http, own
from mirante.server.api import page
from mirante.server.api.prometheus import PrometheusApi
from mirante.server.api.runner import QueryLimits, QueryRunner
from mirante.server.ingest import routes as ingest
from mirante.server.ingest.counts import IngestCounts
from mirante.server.promql.engine import Engine as PromqlEngine
from mirante.server.scrape.config import read_config
from mirante.server.scrape.manager import ScrapeManager
from mirante.server.scrape.model import PrometheusConfig
from mirante.server.settings import ServerSettings
from mirante.server.store.client import Engine, EngineLimits
from mirante.server.store.migrations import migrate
from mirante.server.store.reader import StoreReader
from mirante.server.store.writer import LogWriter

log = logging.getLogger("mirante")


def serve(settings: ServerSettings) -> None:
    """Run the server until it is told to stop.

    Raises:
        ConfigError: a configuration file cannot be used.
        ListenError: the address cannot be listened on.
        StoreError: the store cannot be opened, or another process holds it.
    """
    logging.basicConfig(
        level=settings.log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # when it starts and stops is said here
    config = read_config(settings.prometheus_config) if settings.prometheus_config else PrometheusConfig()
    listener = http.bind(settings.host, settings.port)
    port = listener.getsockname()[1]
    if settings.host_metrics:
        config = config.with_builtin(*own.builtin_jobs(settings.host, port))
    with listener, Server(settings, config) as server:
        gc.freeze()  # what has been loaded stays: the collector need not look at it again
        uvloop.run(server.run(listener))


class Server:
    """All parts, joined. A context manager: leaving it loads what the log holds and closes the store.

    Args:
        settings: what the user asked for.
        config: what to scrape.
    """

    def __init__(self, settings: ServerSettings, config: PrometheusConfig) -> None:
        self._closing = ExitStack()
        try:
            self._build(settings, config)
        except BaseException:
            self._closing.close()
            raise

    def _build(self, settings: ServerSettings, config: PrometheusConfig) -> None:
        query = settings.query
        data = self._data = settings.data.absolute()
        engine = Engine(f"chdb://{data}", EngineLimits(readers=query.max_concurrency + 1))
        self._closing.callback(engine.close)
        migrate(engine)
        writer = LogWriter(engine, data / "log")
        self._closing.callback(writer.close)
        reader = StoreReader(engine)
        limits = QueryLimits(round(query.timeout * 1000), query.max_samples, query.max_concurrency)
        runner = QueryRunner(limits, engine.cancel)
        self._closing.callback(runner.close)
        self._scraper = ScrapeManager(config, writer)
        self._ready = False
        prometheus = PrometheusApi(
            PromqlEngine(reader, lookback_ms=round(query.lookback_delta * 1000)),
            reader,
            runner,
            self._scraper,
            lambda: self._ready,
        )
        telemetry = own.OwnTelemetry()
        received = IngestCounts()
        for collector in (writer, self._scraper, received):
            telemetry.registry.register(collector)
        self.app = Starlette(
            routes=[*prometheus.routes(), *ingest.routes(writer, counts=received), *telemetry.routes(), *page.routes()],
            middleware=[Middleware(MiranteMiddleware, registry=telemetry.registry)],
        )

    async def run(self, listener: socket.socket) -> None:
        """Serve until a signal to stop."""
        host, port = listener.getsockname()[:2]
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

        async def started() -> None:
            await self._scraper.start()
            self._ready = True
            log.info("mirante %s listens on http://%s, data in %s", version("mirante"), address, self._data)

        await http.run(self.app, listener, started)
        self._ready = False
        await self._scraper.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()
