"""Joins what keeps the store: room on the disk, retention, removal, backups, damage, usage; with their HTTP paths."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

from starlette.routing import BaseRoute

from mirante.config import SECRET, entries, resolve
from mirante.errors import ConfigError, StoreError
from mirante.metrics import Registry
from mirante.server.api.admin import AdminApi
from mirante.server.api.runner import QueryRunner
from mirante.server.api.status import StatusApi
from mirante.server.application_settings import ApplicationSettings
from mirante.server.notify.config import read_config as read_notify
from mirante.server.reload import Commit
from mirante.server.rules.read import files_of
from mirante.server.scrape.config import read_config as read_prometheus
from mirante.server.settings import RetentionSettings, ServerSettings
from mirante.server.slo.read import slo_files
from mirante.server.store.backup.service import Backups
from mirante.server.store.backup.snapshot import Snapshotter
from mirante.server.store.client import Engine, EngineLimits
from mirante.server.store.damage import DamageReport
from mirante.server.store.deletion import Deleter
from mirante.server.store.migrations import migrate
from mirante.server.store.retention import Keeper, describe
from mirante.server.store.space import Ballast, reserve_bytes
from mirante.server.store.usage import StoreUsage
from mirante.server.store.writer import LogOptions, LogWriter

log = logging.getLogger(__name__)


class OpenStore(NamedTuple):
    """An engine whose schema is up to date, and its log.

    Attributes:
        engine: the engine.
        writer: the log.
        reserve: free bytes on the disk below which nothing is taken in.
    """

    engine: Engine
    writer: LogWriter
    reserve: int


def open_store(settings: ServerSettings, closing: ExitStack, readers: int) -> OpenStore:
    """Open the data directory; ``closing`` closes it.

    Raises:
        StoreError: it cannot be opened, or another process holds it.
    """
    data = settings.data.absolute()
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot use {data} as a data directory: {error.strerror or error}") from error
    reserve = reserve_bytes(settings.min_free_disk, data)
    # The engine may go on below the reserve of the log: what was taken in must find its place.
    engine = Engine(f"chdb://{data}", EngineLimits(readers=readers, reserve_bytes=reserve // 2))
    closing.callback(engine.close)
    migrate(engine)
    writer = LogWriter(engine, data / "log", LogOptions(reserve_bytes=reserve))
    closing.callback(writer.close)
    return OpenStore(engine, writer, reserve)


class Keeping:
    """The parts, joined.

    Args:
        settings: what the user asked for.
        store: the open store.
        runner: the pool for reads.
        reread: the settings as file, environment and flags say now; raises ConfigError.
        asked: what applications have asked for, which changes the retention.
    """

    def __init__(
        self,
        settings: ServerSettings,
        store: OpenStore,
        runner: QueryRunner,
        reread: Callable[[], ServerSettings],
        asked: ApplicationSettings,
    ) -> None:
        engine, writer, reserve = store
        data = settings.data.absolute()
        self._reread, self._asked = reread, asked
        self.keeper = Keeper(
            engine, writer, asked.retention(settings.retention), data, Ballast(data / "ballast", reserve)
        )
        self._damage = DamageReport(engine)
        directory = (settings.backup.directory or data / "backups").absolute()
        snapshotter = Snapshotter(engine, writer, self.keeper, data, directory, extra_files(settings))
        self._backups = Backups(snapshotter, settings.backup.every, settings.backup.keep)
        self._status = StatusApi(
            StoreUsage(engine),
            runner,
            settings.prometheus_config,
            flags_of(settings),
            lambda: {"broken_parts": self._damage.parts()},
            lambda: describe(self.keeper.rules),
        )
        self._admin = AdminApi(
            Deleter(engine, writer, self.keeper, data, reserve // 2),
            self.keeper,
            self._backups,
            self._damage.check,
            changed_retention,
            enabled=settings.admin_api,
        )

    def start(self) -> Self:
        """Tell what is broken, and begin to keep."""
        self._damage.tell()
        self.keeper.start()
        self._backups.start()
        return self

    def close(self) -> None:
        """Stop keeping; waits for what is being done."""
        self._backups.close()
        self.keeper.close()

    def routes(self) -> list[BaseRoute]:
        """``/api/v1/status`` and ``/api/v1/admin``."""
        return [*self._status.routes(), *self._admin.routes()]

    def register(self, registry: Registry) -> None:
        """Show the parts' own metrics there."""
        registry.register(self.keeper)
        registry.register(self._damage)
        registry.register(self._backups)

    def prepare(self) -> Commit:
        """Reload: the rules of retention are taken anew.

        Raises:
            ConfigError: the settings cannot be used.
        """
        rules = self._asked.retention(self._reread().retention)

        async def commit() -> None:
            self.keeper.change(rules)

        return commit


def extra_files(settings: ServerSettings) -> list[Path]:
    """The configuration: files that settings name, rules and templates that those name, what the user wants besides."""
    found: list[Path] = []
    # A backup beside a configuration that is being repaired is one all the same.
    if path := settings.prometheus_config:
        found.append(path)
        with suppress(ConfigError):
            found += files_of(read_prometheus(path).rule_files)
    if path := settings.alertmanager_config:
        found.append(path)
        with suppress(ConfigError):
            found += files_of(map(str, read_notify(path).templates))
    with suppress(ConfigError):
        found += slo_files(settings.slo_files)
    found += [Path(text).expanduser() for text in settings.backup.files.split(":") if text]
    return list(dict.fromkeys(found))


def flags_of(settings: ServerSettings) -> dict[str, str]:
    """Every setting's value by its flag, as Prometheus's ``status/flags`` shows them."""
    found: dict[str, str] = {}
    for row in entries(ServerSettings):
        value: Any = settings
        for name in row.key.split("."):
            value = getattr(value, name)
        shown = SECRET if row.secret and value else str(value)
        found[row.flag.removeprefix("--")] = shown.lower() if isinstance(value, bool) else shown
    return found


def changed_retention(wanted: Mapping[str, Any], rules: RetentionSettings) -> RetentionSettings:
    """The rules with those changes, each written as in the settings file.

    Raises:
        ConfigError: one cannot be used.

    Example:
        >>> changed_retention({"logs": "1d"}, RetentionSettings()).logs
        86400.0
    """
    now = {row.key: getattr(rules, row.key) for row in entries(RetentionSettings)}
    return resolve(RetentionSettings, code={**now, **wanted}, environ={})
