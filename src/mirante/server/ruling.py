"""Joins what evaluates rules: files that ``prometheus.yml`` names, those of applications, what ships, objectives."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from mirante._core.clock import SYSTEM_CLOCK
from mirante.server.application_settings import ApplicationSettings
from mirante.server.notifying import Notifying
from mirante.server.reload import Commit
from mirante.server.rules.evaluation import RuleOptions
from mirante.server.rules.manager import WORKERS, RuleManager, RuleSet
from mirante.server.rules.query import Budgets
from mirante.server.rules.read import files_of, parse_rules, read_rules, shipped_file
from mirante.server.rules.store import ServerStore
from mirante.server.scrape.model import PrometheusConfig
from mirante.server.settings import ServerSettings
from mirante.server.slo.model import Slo
from mirante.server.slo.read import read_slos, slo_files
from mirante.server.slo.rules import rule_groups
from mirante.server.store.api import MetricReader
from mirante.server.store.client import Engine
from mirante.server.store.user_sql import UserSql
from mirante.server.store.writer import LogWriter

log = logging.getLogger(__name__)

READERS = WORKERS
"""Reads of the store that rules do at the same time."""
_EVERY_ADDRESS = ("", "0.0.0.0", "::")


class Wanted(NamedTuple):
    """What is to be evaluated.

    Attributes:
        rules: all rules, those of the objectives too.
        slos: the objectives.
    """

    rules: RuleSet
    slos: tuple[Slo, ...]


class RuleSources(NamedTuple):
    """Where rules come from.

    Attributes:
        settings: what the user asked for.
        config: gives what ``prometheus.yml`` says now; raises ConfigError.
        applications: what applications have sent.
        external_url: where people reach this server.
    """

    settings: ServerSettings
    config: Callable[[], PrometheusConfig]
    applications: ApplicationSettings
    external_url: str

    def read(self) -> Wanted:
        """The rules and objectives as they are now.

        Raises:
            ConfigError: a file cannot be used.
        """
        config = self.config()
        shipped = [shipped_file(name) for name in self.settings.shipped()]
        for pattern in config.rule_files:
            if not files_of([pattern]):  # no error, as in Prometheus: it may wait for its files
                log.warning("rule_files: no file matches %s", pattern)
        files = [*files_of(config.rule_files), *self.applications.rule_files(parse_rules), *shipped]
        slos = read_slos(slo_files(self.settings.slo_files))
        options = RuleOptions(
            interval=config.evaluation_interval,
            query_offset=config.rule_query_offset,
            external_labels=config.external_labels,
            external_url=self.external_url,
            monotonic=SYSTEM_CLOCK.monotonic,
        )
        return Wanted(RuleSet((*read_rules(files), *rule_groups(slos)), options), slos)


class Ruling:
    """The manager with its sources.

    Args:
        sources: where rules come from.
        engine: where SQL runs.
        reader: reads metrics.
        writer: the store's log.
        notifying: tells people of alerts.

    Raises:
        ConfigError: a rule cannot be used.

    Attributes:
        manager: evaluates.
        slos: the objectives that are in force.
    """

    def __init__(
        self,
        sources: RuleSources,
        engine: Engine,
        reader: MetricReader,
        writer: LogWriter,
        notifying: Notifying,
    ) -> None:
        self._sources, query = sources, sources.settings.query
        budgets = Budgets(query.timeout, query.max_samples, engine.cancel)
        store = ServerStore(reader, UserSql(engine), writer, budgets, round(query.lookback_delta * 1000))
        rules, self.slos = sources.read()
        self.manager = RuleManager(rules, store, [notifying], alertmanagers=notifying.alertmanagers)
        self.manager.prepare(rules)

    def prepare(self) -> Commit:
        """Reload: read and check all rules.

        Raises:
            ConfigError: one cannot be used.
        """
        rules, slos = self._sources.read()
        return partial(self._commit, self.manager.prepare(rules), slos)

    async def _commit(self, rules: RuleSet, slos: tuple[Slo, ...]) -> None:
        await self.manager.commit(rules)
        self.slos = slos


def external_url(settings: ServerSettings, port: int) -> str:
    """Where people reach this server: as they say, or at the address that it listens on.

    Args:
        settings: what the user asked for.
        port: on which it listens.

    Example:
        >>> external_url(ServerSettings(host="127.0.0.1"), 8503)
        'http://127.0.0.1:8503'
    """
    if settings.web_external_url:
        return settings.web_external_url
    scheme = "https" if settings.tls_cert else "http"
    host = socket.gethostname() if settings.host in _EVERY_ADDRESS else settings.host
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
