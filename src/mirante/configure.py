"""The SDK's composition root: joins a process's metrics, spans and log lines to the server that keeps them.

``mirante.configure(service_name="orders", endpoint="http://127.0.0.1:8503")`` is all that an application needs to say.
The module itself can be called, so that the name means the function whatever was imported first.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any
from urllib.parse import quote, urlsplit

from mirante._core import destinations
from mirante._core.batches import BatchQueue, Send
from mirante._core.model import Collector
from mirante._core.serving import at_server_start, at_server_stop
from mirante._core.workers import at_worker_exit
from mirante.alerts.registry import at_change, registered
from mirante.alerts.rule_file import rule_groups
from mirante.collectors.process import ProcessCollector
from mirante.collectors.runtime import RuntimeCollector
from mirante.config import SdkSettings, declared, resolve
from mirante.errors import ConfigError
from mirante.exporters.metric_push import (
    MetricDestination,
    MetricPush,
    otlp,
    otlp_headers,
    otlp_tls,
    otlp_url,
    pushgateway,
)
from mirante.exporters.otlp_sender import OtlpSender
from mirante.exporters.resource import resource_attributes
from mirante.exporters.server_settings import SettingsPush
from mirante.integrations import catalog
from mirante.integrations.settings import WebSettings, set_excluded_urls
from mirante.logging import setup as logging_setup
from mirante.logging import uncaught
from mirante.logging.settings import LoggingSettings
from mirante.metrics import otel
from mirante.metrics.registry import REGISTRY, Registry
from mirante.tracing import setup as tracing_setup
from mirante.tracing.process import uninstall
from mirante.tracing.settings import TracingSettings

_AT_ONCE = 0.05
"""Seconds that ``disable`` leaves the delivering threads to notice."""


@dataclass(frozen=True)
class Settings(SdkSettings, TracingSettings, LoggingSettings, WebSettings):
    """Everything that ``mirante.configure`` can be told."""


class _Running:
    """What ``configure`` has begun, and how all of it is put back."""

    def __init__(self, settings: Settings, registry: Registry, again: Callable[[], object]) -> None:
        self.settings = settings
        self.registry = registry
        self.again = again
        self.pushes: tuple[MetricPush, ...] = ()
        self.asking: SettingsPush | None = None
        self.queues: list[BatchQueue[Any]] = []
        self.counts: list[Collector] = []
        self._adopt: Callable[[], None] | None = None
        self._undo = ExitStack()
        try:
            if settings.disabled:
                self._only_propagate()
            else:
                self._begin()
        except BaseException:
            self._undo.close()
            raise

    def _only_propagate(self) -> None:
        """Turned off, a service still hands on the headers of others, as OpenTelemetry says."""
        tracing_setup.turn_off(self.settings)
        self._undo.callback(uninstall)

    def _begin(self) -> None:
        registry = self.registry
        for collector in (_PROCESS, _RUNTIME):
            registry.register(collector)
            self._undo.callback(registry.unregister, collector)
        otel.install(registry)
        self._undo.callback(otel.uninstall)
        self._begin_logging()
        self._begin_tracing()
        for count in self.counts:
            registry.register(count)
            self._undo.callback(registry.unregister, count)
        self._begin_metrics()
        self._begin_asking()
        if self.settings.uncaught_exceptions:
            uncaught.install()
            self._undo.callback(uncaught.uninstall)
        set_excluded_urls(self.settings.web_excluded_urls)
        self._undo.callback(set_excluded_urls, None)
        catalog.install(self.settings.integrations)
        self._undo.callback(catalog.uninstall)

    def _begin_logging(self) -> None:
        settings = self.settings
        send = self._send("logs", settings.logs_endpoint, settings.logs_headers, settings.logs_compression)
        logging = logging_setup.start(settings, send, self._resource)
        self._undo.callback(logging.undo)
        self._adopt = logging.adopt
        self.counts.append(logging)
        self._keep(logging.exporter)

    def _begin_tracing(self) -> None:
        settings = self.settings
        send = self._send("traces", settings.traces_endpoint, settings.traces_headers, settings.traces_compression)
        tracing = tracing_setup.start(settings, send, self._resource)
        self._undo.callback(tracing.undo)
        self._keep(tracing.exporter)

    def _begin_metrics(self) -> None:
        settings = self.settings
        makers: list[Callable[[SdkSettings], MetricDestination]] = []
        if settings.metrics_exporter == "otlp" and (settings.metrics_endpoint or settings.endpoint):
            makers.append(otlp)
        if settings.push_gateway:
            makers.append(pushgateway)
        self.pushes = tuple(MetricPush(settings, self.registry, make=make) for make in makers)
        for push in self.pushes:
            push.start()

    def _begin_asking(self) -> None:
        if self.settings.endpoint is None:
            return
        self.asking = SettingsPush(self.settings, partial(wishes, self.settings))
        self.asking.start()
        at_change(self.asking.start)
        self._undo.callback(at_change, None)

    def _send(self, signal: str, endpoint: str | None, headers: str, compression: str) -> Send | None:
        url = otlp_url(self.settings, endpoint, signal)
        if url is None:
            return None
        fixed = otlp_headers(self.settings, headers)
        return OtlpSender(url, fixed, compress=compression == "gzip", tls=otlp_tls(self.settings))

    def _resource(self) -> dict[str, str | int]:
        return resource_attributes(self.settings)

    def _keep(self, queue: BatchQueue[Any] | None) -> None:
        if queue is not None:
            self.queues.append(queue)
            self.counts.append(queue)

    def flush(self, timeout: float) -> bool:
        """Deliver now what was recorded until now."""
        deadline = time.monotonic() + timeout
        for push in self._pushing():
            push.push()
        dealt_with = [queue.flush(max(0.0, deadline - time.monotonic())) for queue in self.queues]
        return all(dealt_with)

    def end(self, *, flush: bool) -> None:
        """Put everything back, and begin to deliver what is left, all at once and without waiting for it."""
        timeout = self.settings.shutdown_timeout if flush else _AT_ONCE
        self._undo.close()
        for queue in self.queues:
            queue.end(timeout)
        for push in self.pushes:
            push.ask_to_stop(flush=flush, gone=[_PROCESS, _RUNTIME, otel.PROVIDER, *self.counts])
        if self.asking is not None:
            self.asking.ask_to_stop(flush=flush)
        self._deadline = time.monotonic() + timeout

    def wait(self, *, flush: bool) -> bool:
        """Wait until all of it has ended or the deadline is over; false in the latter case."""
        ended = [queue.shutdown(max(0.0, self._deadline - time.monotonic())) for queue in self.queues]
        ended += [push.stop(flush=flush) for push in self._pushing()]
        return all(ended)

    def _pushing(self) -> list[MetricPush | SettingsPush]:
        return [*self.pushes, *([] if self.asking is None else [self.asking])]

    def publish(self) -> None:
        """Let whoever has measurements to send know where to, and servers that stop what to do."""
        at_server_start(self._adopt)
        at_server_stop(self.flush, self.settings.shutdown_timeout)
        destinations.set_configured(tuple(push.exporter for push in self.pushes))
        declared.publish(self.settings, self.again)

    def in_child(self) -> None:
        """The child counts from zero and is an instance of its own: what the parent counted is the parent's to report.

        The queues of spans and lines take care of themselves.
        """
        self.registry.reset()
        otel.PROVIDER.reset()
        self.pushes = tuple(push.in_child() for push in self.pushes)
        if self.asking is not None:
            self.asking = self.asking.in_child()
            at_change(self.asking.start)
        self.publish()
        for push in self._pushing():
            push.start()


def wishes(settings: SdkSettings) -> dict[str, Any]:
    """What the application asks of the server's settings, by path; None for what it says nothing of."""
    days, told = settings.retention.metrics_days, settings.alerts
    routes = {"slack_webhook": told.slack_webhook, "email": told.email}
    return {
        f"rules/{quote(settings.service_name, safe='')}": {"groups": rule_groups()} if registered() else None,
        "retention": None if days is None else {"metrics_days": days},
        "alerts": {name: value for name, value in routes.items() if value} or None,
    }


class _State:
    """What runs in this process; guarded by the lock, which is held only to exchange it."""

    lock = threading.Lock()
    running: _Running | None = None
    at_exit = False


def configure(
    service_name: str | None = None, endpoint: str | None = None, *, registry: Registry = REGISTRY, **settings: object
) -> Settings:
    """Set this process's telemetry up: metrics, spans and log lines, and their delivery to a server.

    OpenTelemetry's global tracer and meter providers and its propagators are set, the standard library's logging and
    warnings are taken over, exceptions that nobody catches are logged, and the libraries that the program imports are
    monitored. Calling it again with the same settings does nothing; with others, they take the place of
    the earlier ones. ``disable()`` puts everything back.

    Args:
        service_name: name of the service; becomes the ``job`` label.
        endpoint: base URL of the server, such as ``http://127.0.0.1:8503``; without it nothing is sent.
        registry: the metrics to deliver; collectors of process and interpreter are added to it.
        settings: other fields of Settings. What is not said here comes from the environment, else from the defaults.

    Returns:
        The settings in force.

    Raises:
        ConfigError: a setting is unknown or cannot be used.

    Example:
        >>> import mirante
        >>> mirante.configure(service_name="orders", disabled=True).service_name
        'orders'
        >>> mirante.disable()
    """
    said = {"service_name": service_name, "endpoint": endpoint, **settings}
    given = {key: value for key, value in said.items() if value is not None}
    resolved = resolve(Settings, code={**declared.declared(), **given})
    _check(resolved)
    with _State.lock:
        before = _State.running
        if before is not None and resolved == before.settings and registry is before.registry:
            return resolved
        _replace(before, resolved, registry, partial(configure, service_name, endpoint, registry=registry, **settings))
        if not _State.at_exit:
            atexit.register(shutdown)
            at_worker_exit(shutdown)
            _State.at_exit = True
    if before is not None:
        before.wait(flush=True)
    return resolved


def _replace(before: _Running | None, settings: Settings, registry: Registry, again: Callable[[], object]) -> None:
    """Begin anew in the place of what runs; where the new settings turn out to be of no use, with the earlier ones."""
    if before is not None:
        before.end(flush=True)
        _State.running = None
    try:
        _State.running = _Running(settings, registry, again)
    except BaseException:
        if before is not None:
            _State.running = _Running(before.settings, before.registry, before.again)
        raise
    finally:
        if _State.running is not None:
            _State.running.publish()


def flush(timeout: float = 10.0) -> bool:
    """Deliver now what was recorded until now: for functions that are frozen between two calls, and for tests.

    Args:
        timeout: seconds to wait.

    Returns:
        Whether it was all dealt with by then.

    Example:
        >>> flush()
        True
    """
    running = _State.running
    return running is None or running.flush(timeout)


def shutdown() -> bool:
    """Deliver what is left and stop; done by itself when the process ends. ``configure()`` may follow.

    Returns:
        Whether it ended within the configured deadline, two seconds by default.
    """
    return _stop(flush=True)


def disable() -> None:
    """Stop at once, without a last delivery, and put back all that ``configure`` changed; it may be called again."""
    _stop(flush=False)


def _stop(*, flush: bool) -> bool:
    with _State.lock:
        running, _State.running = _State.running, None
        if running is None:
            return True
        destinations.set_configured(())
        declared.publish(None, None)
        at_server_start(None)
        at_server_stop(None)
        running.end(flush=flush)
    return running.wait(flush=flush)


def _check(settings: Settings) -> None:
    resource_attributes(settings)
    catalog.select(settings.integrations)
    for key in ("endpoint", "metrics_endpoint", "traces_endpoint", "logs_endpoint"):
        written = getattr(settings, key)
        url = urlsplit(written or "http://none")
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ConfigError(
                f"{key} = {written!r} cannot be used: expected a URL such as http://127.0.0.1:8503", key=key
            )
    if settings.export_interval <= 0:
        raise ConfigError("export_interval must be more than zero seconds", key="export_interval")


def _after_fork_in_child() -> None:
    _State.lock.release()
    if _State.running is not None:
        _State.running.in_child()


_PROCESS = ProcessCollector()
_RUNTIME = RuntimeCollector()

if hasattr(os, "register_at_fork"):  # pragma: no branch - absent on Windows, where nothing forks
    os.register_at_fork(
        before=_State.lock.acquire, after_in_parent=_State.lock.release, after_in_child=_after_fork_in_child
    )


class _CallableModule(ModuleType):
    __call__ = staticmethod(configure)


sys.modules[__name__].__class__ = _CallableModule
