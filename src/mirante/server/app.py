"""The server's composition root: builds every part, joins them, runs them, and takes them apart in order."""

from __future__ import annotations

import gc
import logging
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from importlib.metadata import version
from typing import Self

import uvloop
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from mirante.errors import ConfigError
from mirante.integrations.asgi import MiranteMiddleware
from mirante.server import http, own
from mirante.server.access import login
from mirante.server.access.guard import Guard
from mirante.server.access.limits import LimitGuard
from mirante.server.access.log import AccessLog
from mirante.server.access.setup import logs_access, loopback, make_access, make_limits
from mirante.server.api import page, runbooks
from mirante.server.api.acknowledge_page import AcknowledgePage
from mirante.server.api.alerting import AlertingApi
from mirante.server.api.alertmanager import AlertmanagerApi
from mirante.server.api.backtest import BacktestApi, InForce
from mirante.server.api.exemplars import ExemplarsApi
from mirante.server.api.prometheus import PrometheusApi
from mirante.server.api.rules import RulesApi
from mirante.server.api.runner import QueryLimits, QueryRunner
from mirante.server.api.settings import SettingsApi
from mirante.server.api.slos import SlosApi
from mirante.server.application_settings import ApplicationSettings
from mirante.server.backtest.replay import Source
from mirante.server.ingest import pushgateway
from mirante.server.ingest import routes as ingest
from mirante.server.ingest.counts import IngestCounts
from mirante.server.ingest.exchange import Bounds
from mirante.server.ingest.push_groups import PushGroups
from mirante.server.ingest.series_limit import SeriesLimitedLog
from mirante.server.keeping import Keeping, open_store
from mirante.server.notify.notifier import Notifier
from mirante.server.notifying import Notifying, NotifySources
from mirante.server.otlp_ports import OtlpPorts
from mirante.server.promql.engine import Engine as PromqlEngine
from mirante.server.reload import Commit, Reloading
from mirante.server.ruling import READERS, RuleSources, Ruling, external_url
from mirante.server.scrape.config import read_config
from mirante.server.scrape.manager import ScrapeManager
from mirante.server.scrape.model import PrometheusConfig
from mirante.server.settings import ServerSettings
from mirante.server.store.reader import StoreReader
from mirante.server.store.user_sql import UserSql

log = logging.getLogger("mirante")


def serve(settings: ServerSettings, reread: Callable[[], ServerSettings] | None = None) -> None:
    """Run the server until it is told to stop.

    Args:
        settings: what the user asked for.
        reread: the same, read anew from file and environment; what can change without a restart is taken from it.

    Raises:
        ConfigError: a configuration file cannot be used.
        ListenError: the address cannot be listened on.
        StoreError: the store cannot be opened, or another process holds it.
    """
    logging.basicConfig(
        level=settings.log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # when it starts and stops is said here
    config = scrape_config(settings)
    listener = http.bind(settings.host, settings.port)
    port = listener.getsockname()[1]
    with listener, OtlpPorts(settings.host, settings.otlp) as otlp, Server(settings, config, port, reread) as server:
        gc.freeze()  # what has been loaded stays: the collector need not look at it again
        uvloop.run(server.run(listener, otlp))


def scrape_config(settings: ServerSettings) -> PrometheusConfig:
    """What the user's file says of scraping, as it is now.

    Raises:
        ConfigError: the file cannot be used.
    """
    return read_config(settings.prometheus_config) if settings.prometheus_config else PrometheusConfig()


class Server:
    """All parts, joined. A context manager: leaving it loads what the log holds and closes the store.

    Args:
        settings: what the user asked for.
        config: what to scrape.
        port: on which it is going to listen.
        reread: see ``serve``.
    """

    def __init__(
        self,
        settings: ServerSettings,
        config: PrometheusConfig,
        port: int = 0,
        reread: Callable[[], ServerSettings] | None = None,
    ) -> None:
        self._reread = reread or (lambda: settings)
        self._closing = ExitStack()
        self._certificate = certificate_of(settings)
        try:
            self._build(settings, config, port)
        except BaseException:
            self._closing.close()
            raise

    def _build(self, settings: ServerSettings, config: PrometheusConfig, port: int) -> None:
        self._settings, query = settings, settings.query
        data = self._data = settings.data.absolute()
        store = open_store(settings, self._closing, query.max_concurrency + 1 + READERS)
        engine, writer, _ = store
        reader = StoreReader(engine, grid_bytes=query.cache_size)
        limits = QueryLimits(round(query.timeout * 1000), query.max_samples, query.max_concurrency)
        runner = QueryRunner(limits, engine.cancel)
        self._closing.callback(runner.close)
        asked = ApplicationSettings(data)
        keeping = Keeping(settings, store, runner, self._reread, asked).start()
        self._closing.callback(keeping.close)
        telemetry = own.OwnTelemetry()
        self._access = make_access(settings, data, telemetry.registry)
        token = self._access.own_token if self._access.needed else ""
        jobs = own.builtin_jobs(settings.host, port, token, tls=self._certificate is not None)
        self._builtin = jobs if settings.host_metrics else ()
        self._scraper = ScrapeManager(config.with_builtin(*self._builtin), writer)
        sources = (settings, lambda: scrape_config(settings), asked, external_url(settings, port))
        self._notifying = self._closing.enter_context(Notifying(NotifySources(*sources), data))
        ruling = Ruling(RuleSources(*sources), engine, reader, writer, self._notifying)
        self._rules = ruling.manager
        self._reloading = Reloading([self._notifying.prepare, self._prepare_scrape, keeping.prepare, ruling.prepare])
        self._ready = False
        lookback = round(query.lookback_delta * 1000)
        promql = PromqlEngine(reader, lookback_ms=lookback, histograms=reader)
        prometheus = PrometheusApi(promql, reader, runner, self._scraper, lambda: self._ready)
        senders = make_limits(settings.limits, telemetry.registry)
        received, bounds = IngestCounts(senders.charge), Bounds(past=keeping.keeper.past)
        log_of_senders = SeriesLimitedLog(writer, senders) if settings.limits.series else writer
        pushed = PushGroups(data / "pushgateway", log_of_senders, writer)
        self._closing.callback(pushed.close)
        for collector in (writer, self._scraper, self._rules, self._notifying, self._reloading, received, pushed):
            telemetry.registry.register(collector)
        keeping.register(telemetry.registry)
        self.app = Starlette(
            routes=[
                *prometheus.routes(),
                *ExemplarsApi(reader, runner).routes(),
                *RulesApi(self._rules).routes(),
                *SlosApi(lambda: ruling.slos, promql, runner).routes(),
                *runbooks.routes(),
                *notifier_routes(self._notifying.notifier),
                *BacktestApi(runner, Source(reader, UserSql(engine), lookback), self._in_force()).routes(),
                *self._reloading.routes(),
                *keeping.routes(),
                *SettingsApi(asked, self._reloading.reload).routes(),
                *ingest.routes(log_of_senders, bounds, received, promoted=settings.otlp.promoted()),
                *pushgateway.routes(pushed, bounds, received),
                *telemetry.routes(),
                *login.routes(self._access, secure=self._certificate is not None),
                *page.routes(),
            ],
            middleware=[
                *([Middleware(AccessLog)] if logs_access(settings) else []),
                Middleware(MiranteMiddleware, registry=telemetry.registry),
                Middleware(Guard, access=self._access),
                Middleware(LimitGuard, limits=senders),
            ],
        )

    async def run(self, listener: socket.socket, otlp: OtlpPorts) -> None:
        """Serve until a signal to stop."""
        host, port = listener.getsockname()[:2]
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

        async def started() -> None:
            await otlp.start(self.app, Bounds().max_body, self._certificate)
            await self._scraper.start()
            self._notifying.start()
            await self._rules.start()
            self._ready = True
            scheme = "https" if self._certificate else "http"
            log.info("mirante %s listens on %s://%s, data in %s", version("mirante"), scheme, address, self._data)
            if self._access.needed:
                code = self._access.sessions.new_code()
                log.info("open the page once with %s://%s/login?code=%s", scheme, address, code)
            elif not loopback(host):
                log.warning("anybody who reaches %s may read and write: --auth off was given", address)

        await http.run(self.app, [listener, *otlp.sockets], started, self._reloading.on_signal, self._certificate)
        self._ready = False
        await otlp.stop()
        await self._rules.stop()
        await self._notifying.stop()
        await self._scraper.stop()

    def _in_force(self) -> InForce:
        notifier = self._notifying.notifier
        return InForce(
            options=lambda: self._rules.options,
            config=lambda: notifier.config,
            silences=notifier.dispatcher.silences,
            outgoing=self._notifying.outgoing,
        )

    def _prepare_scrape(self) -> Commit:
        config = scrape_config(self._settings).with_builtin(*self._builtin)
        return partial(self._scraper.commit, self._scraper.prepare(config))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()


def notifier_routes(notifier: Notifier) -> list[BaseRoute]:
    """What people and programs see of the notifier, and tell it: Alertmanager's API, ours, the page behind links."""
    faces = (AlertmanagerApi(notifier), AlertingApi(notifier), AcknowledgePage(notifier))
    return [route for face in faces for route in face.routes()]


def certificate_of(settings: ServerSettings) -> http.Certificate | None:
    """With what to speak TLS, if with anything.

    Raises:
        ConfigError: there is a key without a certificate.
    """
    if settings.tls_cert is None:
        if settings.tls_key is not None:
            raise ConfigError("tls_key needs tls_cert, the certificate that it belongs to", key="tls_key")
        return None
    return http.Certificate(settings.tls_cert, settings.tls_key)
