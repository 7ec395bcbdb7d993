"""Schema files are applied once, in order, from every earlier version."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mirante.errors import StoreError
from mirante.formats import remote_write
from mirante.formats.native_histogram import NativeHistogram
from mirante.formats.protobuf import delimited
from mirante.server.store.client import Engine
from mirante.server.store.migrations import Migration, migrate, migrations
from mirante.server.store.protos import proto


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An empty engine."""
    opened = Engine(f"chdb://{tmp_path}")
    yield opened
    opened.close()


def tables(engine: Engine) -> set[str]:
    """Names of all tables and views."""
    names = engine.arrow("SELECT name FROM system.tables WHERE database = currentDatabase()").column("name").to_pylist()
    return set(names)


def test_numbers_are_in_order_without_gaps() -> None:
    """The release's own files are numbered 1, 2, 3 and so on."""
    assert [one.version for one in migrations()] == list(range(1, len(migrations()) + 1))


@pytest.mark.parametrize("earlier", range(len(migrations())))
def test_from_every_earlier_version(engine: Engine, earlier: int) -> None:
    """A store of any earlier version is brought to the newest, and then left alone."""
    known = migrations()
    assert migrate(engine, known[:earlier]) == earlier
    assert migrate(engine) == len(known)
    assert {"samples", "series", "otel_logs", "otel_traces", "schema_migrations"} <= tables(engine)
    before = engine.arrow("SELECT * FROM schema_migrations ORDER BY version").to_pylist()
    assert [row["version"] for row in before] == [one.version for one in known]
    migrate(engine)
    assert engine.arrow("SELECT * FROM schema_migrations ORDER BY version").to_pylist() == before


def test_a_start_that_was_cut_short_is_repeated(engine: Engine) -> None:
    """Every statement can be applied again, so a file that was half applied is applied whole."""
    first = migrations()[0]
    broken = Migration(1, first.name, (*first.statements[:3], "NONSENSE"))
    with pytest.raises(StoreError, match="NONSENSE"):
        migrate(engine, [broken])
    assert "samples" in tables(engine)
    assert migrate(engine) == len(migrations())
    for one in migrations():
        for statement in one.statements:
            engine.connect().command(statement)


def test_a_later_release_has_written_the_store(engine: Engine) -> None:
    """A store with a schema from the future is refused instead of guessed at."""
    migrate(engine, [Migration(99, "0099_future.sql", ())])
    with pytest.raises(StoreError, match="has schema 99, this release knows up to"):
        migrate(engine)


OLD_COLUMNS = (
    "timeseries Array(Tuple(labels Array(Tuple(name String, value String)), "
    "samples Array(Tuple(value Float64, timestamp Int64)), exemplars Array(Tuple(labels Array(Tuple(name String, "
    "value String)), value Float64, timestamp Int64)))), metadata Array(Tuple(type Int32, metric_family_name String, "
    "help String, unit String))"
)
"""What the first release's .proto text of remote write was made into."""


def test_a_store_of_before_native_histograms(engine: Engine) -> None:
    """It keeps its samples, and takes histograms after the upgrade."""
    migrate(engine, [one for one in migrations() if one.version < 3])
    connection = engine.connect()
    connection.command("DROP TABLE remote_write_in")
    connection.command(f"CREATE TABLE remote_write_in ({OLD_COLUMNS}) ENGINE = Null")
    pairs, samples = "[('__name__', 'before')]", "[(5.0, toInt64(1700000000000))]"
    connection.command(f"INSERT INTO points_in (series_id, pairs, samples) VALUES (1, {pairs}, {samples})")  # noqa: S608 # ours
    migrate(engine)
    one = remote_write.histogram(NativeHistogram(1, 2.0, positive={0: 1}), 1_700_000_000_000)
    body = remote_write.series(remote_write.labels({"__name__": "after"}), one)
    source = proto("remote_write")
    block = {"proto": source.text, "message": source.root, "token": "t"}
    connection.insert_messages("remote_write_in", delimited(body), **block)
    assert engine.arrow("SELECT name FROM series ORDER BY name").column("name").to_pylist() == ["after", "before"]
    assert engine.arrow("SELECT sum(value) AS n FROM samples").column("n").to_pylist() == [5.0]
    assert engine.arrow("SELECT sum(sum) AS n FROM histogram_samples").column("n").to_pylist() == [2.0]
