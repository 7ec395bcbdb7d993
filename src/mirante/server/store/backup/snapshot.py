"""Makes a backup of an open store, and a data directory of a backup.

The engine freezes every table while nothing is inserted, which takes milliseconds: it only links files. They are copied
while everything goes on. A native backup has the shape of a data directory, so that restoring is copying.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante._core.files import sync_folder
from mirante.errors import BackupError, StoreBusyError
from mirante.server.store.backup.manifest import Kind, Manifest, Progress, copy, digest, verify
from mirante.server.store.client import Connection, Engine, quoted
from mirante.server.store.retention import Keeper
from mirante.server.store.tables import SIGNAL_OF, SIGNALS, Signal, tables_of
from mirante.server.store.writer import LogWriter

_LOADING_SECONDS = 60.0
_PARTIAL = ".partial"
# What a restored directory makes anew, or must not have.
_NOT_COPIED = frozenset({"engine", "log", "tmp", "formats", "lock", "ballast", "ballast.tmp", "backups"})
_BESIDE_DATABASES = (".sqlite-wal", ".sqlite-shm")


class Wanted(NamedTuple):
    """What is to be in a backup.

    Attributes:
        signals: which signals.
        kind: how.
        scheduled: whether the server makes it by itself.
    """

    signals: tuple[Signal, ...] = SIGNALS
    kind: Kind = "native"
    scheduled: bool = False


EVERYTHING = Wanted()


class Snapshotter:
    """Makes backups of an open store, one at a time.

    Args:
        engine: the store.
        log: paused while tables are frozen.
        keeper: rests meanwhile.
        data: the data directory.
        directory: where backups go, a folder each.
        extra: files and folders that go with every backup: the configuration.
        clock: dates them.
    """

    def __init__(
        self,
        engine: Engine,
        log: LogWriter,
        keeper: Keeper,
        data: Path,
        directory: Path,
        extra: Sequence[Path] = (),
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._engine = engine
        self._log = log
        self._keeper = keeper
        self._data = data
        self.directory = directory
        self._extra = extra
        self._clock = clock

    def new_name(self) -> str:
        """A name for the next backup, as Prometheus names snapshots."""
        now = datetime.fromtimestamp(self._clock.time_ns() / 1e9, UTC)
        return f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(8)}"

    def create(self, name: str, wanted: Wanted = EVERYTHING, progress: Progress = lambda _: None) -> Manifest:
        """Make a backup of everything that was acknowledged before this call.

        Args:
            name: from ``new_name``.
            wanted: what is to be in it.
            progress: told of the bytes copied.

        Raises:
            StoreBusyError: what was acknowledged cannot be loaded now.
            BackupError: a file cannot be copied; nothing is left of the backup.
            StoreError: the engine failed.
        """
        if not self._log.wait_until_loaded(_LOADING_SECONDS):
            raise StoreBusyError("what was taken in last is not loaded yet; try again later")
        partial = self.directory / f"{name}{_PARTIAL}"
        try:
            partial.mkdir(parents=True)
        except OSError as error:
            raise BackupError(f"cannot make {partial}: {error.strerror or error}") from error
        connection = self._engine.connect()
        try:
            manifest = self._manifest(name, wanted, connection)
            if wanted.kind == "parquet":
                self._export(connection, wanted, manifest, partial, progress)
            else:
                self._copy_store(connection, wanted, manifest, partial, progress)
                self._copy_rest(manifest, partial, progress)
            manifest.write(partial)
            partial.rename(self.directory / name)
            sync_folder(self.directory)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        return manifest

    def _manifest(self, name: str, wanted: Wanted, connection: Connection) -> Manifest:
        schema = connection.arrow("SELECT max(version) AS v FROM schema_migrations").column("v").to_pylist()[0]
        now = self._clock.time_ns() / 1e9
        return Manifest(name, now, version("mirante"), schema, wanted.kind, wanted.signals, wanted.scheduled)

    def _copy_store(
        self, connection: Connection, wanted: Wanted, manifest: Manifest, partial: Path, progress: Progress
    ) -> None:
        engine, frozen = self._data / "engine", f"backup_{secrets.token_hex(8)}"
        with self._freezing(connection, wanted, frozen):
            into = partial / "data" / "engine"
            self._copy_tree(engine / "shadow" / frozen / "store", into / "store", manifest, partial, progress)
            # Definitions of tables, and each table's mark of its format.
            for path in (*engine.glob("store/*/*/*.sql"), *engine.glob("store/*/*/format_version.txt")):
                self._copy_one(path, into / path.relative_to(engine), manifest, partial, progress)
            for path in (*engine.glob("metadata/*"), *engine.glob("data/*/*")):
                if path.is_symlink():
                    link = into / path.relative_to(engine)
                    manifest.links[str(link.relative_to(partial))] = os.readlink(path)  # noqa: PTH115

    @contextmanager
    def _freezing(self, connection: Connection, wanted: Wanted, name: str) -> Iterator[None]:
        found = connection.arrow(
            "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'"
        )
        tables = [t for t in found.column("name").to_pylist() if SIGNAL_OF.get(t) in {None, *wanted.signals}]
        try:
            with self._keeper.working(), self._log.paused():
                for table in tables:
                    connection.command(f"ALTER TABLE {table} FREEZE WITH NAME {quoted(name)}")
            yield
        finally:
            shutil.rmtree(self._data / "engine" / "shadow" / name, ignore_errors=True)

    def _copy_rest(self, manifest: Manifest, partial: Path, progress: Progress) -> None:
        """What else the data directory holds, and the configuration."""
        for path in sorted(self._data.iterdir()):
            if path.name in _NOT_COPIED or path.name.endswith(_BESIDE_DATABASES) or path == self.directory:
                continue
            if path.suffix == ".sqlite":
                self._copy_database(path, partial / "data" / path.name, manifest, partial, progress)
            else:
                self._copy_tree(path, partial / "data" / path.name, manifest, partial, progress)
        for number, path in enumerate(self._extra):
            if path.exists():
                target = partial / "files" / str(number) / path.name
                manifest.origins[str(target.relative_to(partial))] = str(path.absolute())
                self._copy_tree(path, target, manifest, partial, progress)

    def _copy_database(self, source: Path, target: Path, manifest: Manifest, partial: Path, progress: Progress) -> None:
        """A small database that somebody writes to meanwhile: as it is at one moment."""
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(target)) as made:
                live.backup(made)
        except sqlite3.Error as error:
            raise BackupError(f"cannot copy {source}: {error}") from error
        manifest.files[str(target.relative_to(partial))] = digest(target)
        progress(target.stat().st_size)

    def _copy_tree(self, source: Path, target: Path, manifest: Manifest, partial: Path, progress: Progress) -> None:
        paths = [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file())
        for path in paths:
            self._copy_one(path, target / path.relative_to(source), manifest, partial, progress)

    def _copy_one(self, source: Path, target: Path, manifest: Manifest, partial: Path, progress: Progress) -> None:
        manifest.files[str(target.relative_to(partial))] = copy(source, target, progress)

    def _export(
        self, connection: Connection, wanted: Wanted, manifest: Manifest, partial: Path, progress: Progress
    ) -> None:
        for signal in wanted.signals:
            for path in export(connection, signal, partial):
                size = path.stat().st_size
                manifest.files[str(path.relative_to(partial))] = digest(path)
                progress(size)


_SAMPLES = """SELECT timestamp, name, labels, {columns}
FROM {table} INNER JOIN (
    SELECT series_id, name, labels FROM series WHERE toYYYYMMDD(day) = {day} LIMIT 1 BY series_id
) AS known USING series_id
WHERE toYYYYMMDD(timestamp) = {day} ORDER BY name, series_id, timestamp"""
_ROWS = "SELECT * FROM {table} WHERE _partition_id = '{day}' ORDER BY {time}"


def export(connection: Connection, signal: Signal, folder: Path) -> Iterator[Path]:
    """Write a signal as Parquet, a file for each table and day, and give each file when it is whole.

    Samples stand with the name and the labels of their series.

    Raises:
        StoreError: the engine failed.
    """
    for table in tables_of(signal):
        if table.name in {"series", "otel_traces_trace_id_ts"}:
            continue  # they only help to find the others
        found = connection.arrow(
            "SELECT DISTINCT partition_id AS day FROM system.parts"
            " WHERE active AND database = currentDatabase() AND table = {table:String} ORDER BY day",
            {"table": table.name},
        )
        for day in found.column("day").to_pylist():
            path = folder / signal / table.name / f"{day[:4]}-{day[4:6]}-{day[6:]}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            columns = f"{table.name}.* EXCEPT (series_id, timestamp{', labels' if table.name == 'exemplars' else ''})"
            if table.name == "exemplars":
                columns += ", exemplars.labels AS exemplar_labels"
            sql = (_SAMPLES if table.of_series else _ROWS).format(
                table=table.name, day=day, time=table.time, columns=columns
            )
            connection.command(f"INSERT INTO FUNCTION file({quoted(str(path))}, 'Parquet') {sql}")
            yield path


def restore(backup: Path, into: Path, progress: Progress = lambda _: None) -> Manifest:
    """Make a data directory of a backup, which is checked whole before anything is written.

    Files of the configuration come to ``restored-files`` in it, for their owner to put where they belong.

    Args:
        backup: the backup's folder.
        into: a folder that is empty or does not exist.
        progress: told of the bytes checked and copied; each byte twice.

    Raises:
        BackupError: the backup is not whole or cannot be restored, or ``into`` is not empty.
    """
    manifest = verify(backup, progress)
    if manifest.kind != "native":
        raise BackupError(f"{backup} is an export in Parquet; only native backups can be restored")
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise BackupError(f"{into} is not empty; restore into a directory of its own")
    for path, said in manifest.files.items():
        first, _, rest = path.partition("/")
        target = into / rest if first == "data" else into / "restored-files" / rest
        if copy(backup / path, target, progress) != said:
            raise BackupError(f"{backup / path} changed while it was restored")
    for path, link in manifest.links.items():
        place = into / path.partition("/")[2]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(link)
    sync_folder(into)
    return replace(manifest)
