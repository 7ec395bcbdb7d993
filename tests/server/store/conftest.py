"""A store of one's own: the embedded engine in a temporary folder, its log and its reader."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mirante.formats import remote_write
from mirante.server.store.api import QueryBudget, Stream
from mirante.server.store.client import Engine
from mirante.server.store.migrations import migrate
from mirante.server.store.reader import StoreReader
from mirante.server.store.writer import LogOptions, LogWriter

NOW = int(time.time() * 1000)
"""The tests' own time, in milliseconds."""


@dataclass
class Store:
    """All parts of an open store."""

    directory: Path
    engine: Engine
    log: LogWriter
    reader: StoreReader

    def write(self, stream: Stream, *bodies: bytes) -> None:
        """Append and load."""
        self.log.append(stream, bodies)
        assert self.log.wait_until_loaded(30)

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a SELECT."""
        rows: list[dict[str, Any]] = self.engine.arrow(sql).to_pylist()
        return rows

    def one(self, sql: str) -> Any:
        """The only value of a SELECT."""
        return next(iter(self.rows(sql)[0].values()))

    def close(self, deadline: float = 10) -> None:
        """Close everything, in order."""
        self.log.close(deadline)
        self.engine.close()


def open_store(directory: Path) -> Store:
    """A store in that folder, old or new."""
    engine = Engine(f"chdb://{directory}")
    migrate(engine)
    return Store(directory, engine, LogWriter(engine, directory / "log", LogOptions(interval=0)), StoreReader(engine))


def body(name: str, value: float = 1.0, at: int = NOW, **labels: str) -> bytes:
    """A body with one sample."""
    return remote_write.series(remote_write.labels({"__name__": name, **labels}), remote_write.sample(value, at))


def count(store: Store, name: str) -> int:
    """Samples of that metric."""
    sql = (
        "SELECT count() AS n FROM samples WHERE series_id IN (SELECT series_id FROM series WHERE name = {name:String})"
    )
    number: int = store.engine.arrow(sql, {"name": name}).column("n").to_pylist()[0]
    return number


def metrics(log: LogWriter) -> dict[str, float]:
    """The writer's own metrics of remote write."""
    families = [family.samples[0] for family in log.collect()]
    return {sample.name: sample.value for sample in families if sample.labels == {"stream": "remote_write"}}


def budget(**limits: Any) -> QueryBudget:
    """A generous budget but for what is given."""
    return QueryBudget(deadline=time.monotonic() + 30, **limits)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store for all tests of a module; each uses names of its own."""
    opened = open_store(tmp_path_factory.mktemp("store"))
    yield opened
    opened.close()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Store]:
    """A store for one test."""
    opened = open_store(tmp_path)
    yield opened
    opened.close()
