"""Joins what tells people of alerts: its configuration, the notifier, and the Alertmanagers that get alerts too."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Self

from mirante._core.model import MetricFamily
from mirante.errors import ConfigError
from mirante.server.alert import Alert
from mirante.server.application_settings import ApplicationSettings
from mirante.server.notify.config import default_config, read_config
from mirante.server.notify.forward import Alertmanager, Forwarder
from mirante.server.notify.model import NotifyConfig
from mirante.server.notify.notifier import Notifier
from mirante.server.notify.state import FILE, State
from mirante.server.reload import Commit
from mirante.server.scrape.alerting import alertmanager_urls
from mirante.server.scrape.model import AlertmanagerGroup, PrometheusConfig
from mirante.server.scrape.relabel import RelabelRule, relabel
from mirante.server.settings import ServerSettings

log = logging.getLogger(__name__)


class NotifySources(NamedTuple):
    """Where it stands who is told.

    Attributes:
        settings: what the user asked for.
        prometheus: gives what ``prometheus.yml`` says now; raises ConfigError.
        applications: what applications have asked for.
        external_url: where people reach this server.
    """

    settings: ServerSettings
    prometheus: Callable[[], PrometheusConfig]
    applications: ApplicationSettings
    external_url: str

    def read(self) -> NotifyConfig:
        """The ``alertmanager.yml``; without one what flags, environment and applications say.

        Raises:
            ConfigError: it cannot be used.
        """
        if self.settings.alertmanager_config is not None:
            config = read_config(self.settings.alertmanager_config)
            if self.settings.alerting.slack_webhook or self.settings.alerting.email:
                log.warning("%s says who is told: ALERT_SLACK_WEBHOOK and alerting.email have no effect", config.source)
            return config
        wanted = self.applications.alerting(self.settings.alerting)
        return default_config(slack_webhook=wanted.slack_webhook, email=wanted.email, smarthost=wanted.smarthost)

    def alertmanagers(self, config: PrometheusConfig) -> tuple[Alertmanager, ...]:
        """The Alertmanagers that flags, environment and ``prometheus.yml`` name."""
        given = map(Alertmanager.at, self.settings.alertmanager)
        return (*given, *(one for group in config.alertmanagers for one in _alertmanagers_of(group)))


class Notifying:
    """An AlertSink: people, and other Alertmanagers. A context manager: leaving it closes the state.

    Args:
        sources: where it stands who is told.
        data: the data directory.

    Raises:
        ConfigError: the configuration cannot be used.
        StoreError: the state cannot be opened.

    Attributes:
        notifier: tells people.
    """

    def __init__(self, sources: NotifySources, data: Path) -> None:
        self._sources, config = sources, sources.prometheus()
        prepared = Notifier.prepare(sources.read(), sources.external_url)
        self._outgoing = Outgoing(config.external_labels, config.alert_relabel)
        self._forwarded = sources.alertmanagers(config)
        self._forwarder = _forwarder(self._forwarded)
        self._state = State(data / FILE)
        try:
            history = round(sources.settings.alerting.history * 1000)
            self.notifier = Notifier(prepared, self._state, history=history)
        except BaseException:
            self._state.close()
            raise
        self._started = False

    def outgoing(self, alerts: Iterable[Alert]) -> list[Alert]:
        """Alerts as whoever is told gets them."""
        return list(self._outgoing(alerts))

    def put(self, alerts: Iterable[Alert]) -> None:
        """See AlertSink."""
        changed = self.outgoing(alerts)
        self.notifier.put(changed)
        self.notifier.soon(lambda: self._forwarder.put(changed))

    def start(self) -> None:
        """Begin to tell."""
        self._started = True
        self.notifier.start()
        self._forwarder.start()

    async def stop(self) -> None:
        """Stop telling."""
        self._started = False
        await self.notifier.stop()
        await self._forwarder.stop()

    def prepare(self) -> Commit:
        """Reload: read and check who is told.

        Raises:
            ConfigError: the configuration cannot be used.
        """
        config = self._sources.prometheus()
        prepared = self.notifier.prepared(self._sources.read(), self._sources.external_url)
        alertmanagers = self._sources.alertmanagers(config)
        forwarder = None if alertmanagers == self._forwarded else _forwarder(alertmanagers)

        async def commit() -> None:
            self.notifier.commit(prepared)
            self._outgoing = Outgoing(config.external_labels, config.alert_relabel)
            if forwarder is not None:
                before, self._forwarder, self._forwarded = self._forwarder, forwarder, alertmanagers
                if self._started:
                    forwarder.start()
                await before.stop()

        return commit

    def alertmanagers(self) -> Mapping[str, Sequence[Mapping[str, str]]]:
        """See RuleLister."""
        return {"activeAlertmanagers": [{"url": url} for url in self._forwarder.urls()], "droppedAlertmanagers": []}

    def collect(self) -> Iterable[MetricFamily]:
        """Metrics of both."""
        yield from self.notifier.collect()
        yield from self._forwarder.collect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._state.close()


class Outgoing(NamedTuple):
    """What is done to alerts before anybody is told: external labels where they have none of that name, relabeling.

    Example:
        >>> outgoing = Outgoing({"region": "eu"}, ())
        >>> [dict(alert.labels) for alert in outgoing([Alert({"alertname": "Down"}, {}, 0, 0, 0)])]
        [{'region': 'eu', 'alertname': 'Down'}]
    """

    external_labels: Mapping[str, str]
    rules: Sequence[RelabelRule]

    def __call__(self, alerts: Iterable[Alert]) -> Iterator[Alert]:
        """The alerts as they leave; those that a rule drops do not."""
        for alert in alerts:
            labels = relabel({**self.external_labels, **alert.labels}, self.rules)
            if labels:
                yield replace(alert, labels=labels)


def _alertmanagers_of(group: AlertmanagerGroup) -> Iterator[Alertmanager]:
    change = _Relabel(group.alert_relabel) if group.alert_relabel else None
    for url in alertmanager_urls(group):
        yield Alertmanager(url, group.http, group.timeout, change)


@dataclass(frozen=True, slots=True)
class _Relabel:
    rules: Sequence[RelabelRule]

    def __call__(self, alert: Alert) -> Alert | None:
        labels = relabel(alert.labels, self.rules)
        return replace(alert, labels=labels) if labels else None


def _forwarder(alertmanagers: Iterable[Alertmanager]) -> Forwarder:
    try:
        return Forwarder(alertmanagers)
    except OSError as error:
        raise ConfigError(f"tls_config of an Alertmanager cannot be used: {error}") from error
