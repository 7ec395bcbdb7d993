"""The SDK's composition root: joins the process's metrics to the server that keeps them.

``mirante.configure(service_name="orders", endpoint="http://127.0.0.1:8503")`` is all that an application needs to say.
The module itself can be called, so that the name means the function whatever was imported first.
"""

from __future__ import annotations

import atexit
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Protocol
from urllib.parse import unquote, urlsplit

from mirante._core import destinations
from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante._core.guard import REPORTER
from mirante._core.periodic import Periodic
from mirante._core.protocols import Exporter
from mirante._core.version import version
from mirante.collectors.process import ProcessCollector
from mirante.collectors.runtime import RuntimeCollector
from mirante.config import SdkSettings, resolve
from mirante.errors import ConfigError, DeliveryError
from mirante.exporters.otlp import OtlpMetricExporter
from mirante.metrics.registry import REGISTRY, Registry

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
        self.exporter = self._make(settings)
        self._periodic = Periodic("mirante-metrics", self.push, settings.export_interval, first=FIRST_EXPORT)

    def start(self) -> None:
        """Begin; the first delivery follows a second later."""
        self._periodic.start()

    def ask_to_stop(self, *, flush: bool) -> None:
        """Begin to end, without waiting for it; deliver once more if asked to."""
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
        try:
            self.exporter.export(list(self._registry.collect()))
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
    return OtlpMetricExporter(
        f"{(settings.endpoint or '').rstrip('/')}/v1/metrics",
        resource_attributes(settings),
        version=version(),
        timeout=settings.export_timeout,
    )


def pushgateway(settings: SdkSettings) -> MetricDestination:
    """A Pushgateway; each process has a group of its own, by job and instance."""
    from mirante.exporters.pushgateway import PushgatewayExporter

    resource = resource_attributes(settings)
    group = {"instance": str(resource["service.instance.id"])}
    job = str(resource["service.name"])
    return PushgatewayExporter(settings.push_gateway or "", job, group, timeout=settings.export_timeout)


def resource_attributes(settings: SdkSettings) -> dict[str, str | int]:
    """What is said about this process as a whole; attributes that the settings name win over the detected ones.

    The instance id is ``host:pid``: readable, the same for the whole life of a process, and different for every process
    of a host. A random one would say less; where containers share a host name, set ``service.instance.id``.
    """
    host = socket.gethostname()
    found: dict[str, str | int] = {
        "service.name": settings.service_name,
        "service.instance.id": f"{host}:{os.getpid()}",
        "host.name": host,
        "process.pid": os.getpid(),
        "telemetry.sdk.name": "mirante",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": version(),
    }
    given = dict(_attributes(settings.resource_attributes))
    if settings.service_name != SdkSettings().service_name:
        given.pop("service.name", None)  # the setting of its own wins, as OpenTelemetry says
    return {**found, **given}


def _attributes(text: str) -> Iterator[tuple[str, str]]:
    for pair in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"resource_attributes: {pair!r} is not key=value", key="resource_attributes")
        yield unquote(key.strip()), unquote(value.strip())


class _State:
    """What runs in this process; guarded by the lock, which is held only to exchange it."""

    lock = threading.Lock()
    settings: SdkSettings | None = None
    registry: Registry | None = None
    pushes: tuple[MetricPush, ...] = ()
    at_exit = False


def configure(
    service_name: str | None = None, endpoint: str | None = None, *, registry: Registry = REGISTRY, **settings: object
) -> SdkSettings:
    """Begin to deliver this process's metrics to a server.

    Calling it again with the same settings does nothing; with others, they take the place of the earlier ones.

    Args:
        service_name: name of the service; becomes the ``job`` label.
        endpoint: base URL of the server, such as ``http://127.0.0.1:8503``; without it nothing is sent.
        registry: the metrics to deliver; collectors of process and interpreter are added to it.
        settings: other fields of SdkSettings. What is not said here comes from the environment, else from the defaults.

    Returns:
        The settings in force.

    Raises:
        ConfigError: a setting is unknown or cannot be used.

    Example:
        >>> import mirante
        >>> mirante.configure(service_name="orders", disabled=True).service_name
        'orders'
    """
    resolved = resolve(SdkSettings, code={"service_name": service_name, "endpoint": endpoint, **settings})
    _check(resolved)
    with _State.lock:
        if resolved == _State.settings and registry is _State.registry:
            return resolved
        before = _State.pushes
        _State.settings, _State.registry = resolved, registry
        _State.pushes = () if resolved.disabled else _begin(resolved, registry)
        destinations.set_configured(tuple(push.exporter for push in _State.pushes))
        if not _State.at_exit:
            atexit.register(shutdown)
            _State.at_exit = True
    for push in before:
        push.stop(flush=True)
    return resolved


def _begin(settings: SdkSettings, registry: Registry) -> tuple[MetricPush, ...]:
    from mirante.metrics import otel  # here, because it loads OpenTelemetry's API

    registry.register(_PROCESS)
    registry.register(_RUNTIME)
    otel.install(registry)
    makers: list[Callable[[SdkSettings], MetricDestination]] = [otlp] if settings.endpoint else []
    makers += [pushgateway] if settings.push_gateway else []
    pushes = tuple(MetricPush(settings, registry, make=make) for make in makers)
    for push in pushes:
        push.start()
    return pushes


def shutdown() -> bool:
    """Deliver what is left and stop; done by itself when the process ends. ``configure()`` may follow.

    Returns:
        Whether it ended within the configured deadline, two seconds by default.
    """
    return _stop(flush=True)


def disable() -> None:
    """Stop at once, without a last delivery. ``configure()`` may follow."""
    _stop(flush=False)


def _stop(*, flush: bool) -> bool:
    with _State.lock:
        pushes, _State.pushes, _State.settings = _State.pushes, (), None
        destinations.set_configured(())
        if "mirante.metrics.otel" in sys.modules:
            sys.modules["mirante.metrics.otel"].uninstall()
    for push in pushes:  # all at once, so that the deadline holds for all of them together
        push.ask_to_stop(flush=flush)
    ended = [push.stop(flush=flush) for push in pushes]
    return all(ended)


def _check(settings: SdkSettings) -> None:
    resource_attributes(settings)
    url = urlsplit(settings.endpoint or "http://none")
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ConfigError(
            f"endpoint = {settings.endpoint!r} cannot be used: expected a URL such as http://127.0.0.1:8503",
            key="endpoint",
        )
    if settings.export_interval <= 0:
        raise ConfigError("export_interval must be more than zero seconds", key="export_interval")


def _after_fork_in_child() -> None:
    """The child counts from zero and is an instance of its own: what the parent counted is the parent's to report."""
    _State.lock.release()
    if not _State.pushes or _State.registry is None:
        return
    _State.registry.reset()
    sys.modules["mirante.metrics.otel"].PROVIDER.reset()
    _State.pushes = tuple(push.in_child() for push in _State.pushes)
    destinations.set_configured(tuple(push.exporter for push in _State.pushes))
    for push in _State.pushes:
        push.start()


_PROCESS = ProcessCollector()
_RUNTIME = RuntimeCollector()

if hasattr(os, "register_at_fork"):  # pragma: no branch - absent on Windows, where nothing forks
    os.register_at_fork(
        before=_State.lock.acquire, after_in_parent=_State.lock.release, after_in_child=_after_fork_in_child
    )


class _CallableModule(ModuleType):
    __call__ = staticmethod(configure)


sys.modules[__name__].__class__ = _CallableModule
