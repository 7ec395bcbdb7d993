"""The way to the engine."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mirante.errors import (
    BadQueryError,
    ConfigError,
    MiranteError,
    QueryCanceledError,
    QueryLimitError,
    QueryTimeoutError,
    StoreBusyError,
    StoreError,
    StoreFullError,
)
from mirante.server.store.api import QueryBudget
from mirante.server.store.client import Engine, EngineLimits, RefusedError, quoted, translated

FOREVER = "SELECT sum(sipHash64(number)) FROM numbers(1000000000000)"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An empty engine with one reader."""
    opened = Engine(f"chdb://{tmp_path}", EngineLimits(readers=1))
    yield opened
    opened.close()


def budget(seconds: float = 30, **limits: int | str | bool) -> QueryBudget:
    """A budget that ends in so many seconds."""
    return QueryBudget(deadline=time.monotonic() + seconds, **limits)  # type: ignore[arg-type] # the tests' own values


def failing(engine: Engine, sql: str, query_budget: QueryBudget) -> tuple[threading.Thread, list[MiranteError]]:
    """Run a query that must fail on a thread of its own."""
    errors: list[MiranteError] = []

    def run() -> None:
        try:
            engine.arrow(sql, budget=query_budget)
        except MiranteError as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while engine.connect().arrow("SELECT count() > 1 AS busy FROM system.processes").column("busy").to_pylist() != [1]:
        assert thread.is_alive()
    return thread, errors


def test_answers_with_bound_parameters(engine: Engine) -> None:
    """Parameters reach the engine as they are, and answers come back as columns."""
    text = "it's \\ \t\n {x} 'quoted' \u00e9"
    table = engine.arrow("SELECT {text:String} AS text, {ids:Array(UInt64)} AS ids", {"text": text, "ids": [1, 2**63]})
    assert table.to_pylist() == [{"text": text, "ids": [1, 2**63]}]
    assert engine.arrow(f"SELECT {quoted(text)} AS text").to_pylist() == [{"text": text}]
    assert engine.arrow("SELECT 1 AS x WHERE 0").num_rows == 0
    assert engine.embedded


def test_a_deadline_ends_a_query(engine: Engine) -> None:
    """A query that takes too long ends with QueryTimeoutError, and the engine goes on."""
    with pytest.raises(QueryTimeoutError):
        engine.arrow(FOREVER, budget=budget(0.3))
    with pytest.raises(QueryTimeoutError):
        engine.arrow("SELECT 1", budget=budget(-1))
    assert engine.arrow("SELECT 1 AS x").to_pylist() == [{"x": 1}]


def test_an_answer_has_nothing_of_a_failed_one(engine: Engine) -> None:
    """The embedded engine keeps what a failed statement had written; the next answer comes without it."""
    for _ in range(3):
        with pytest.raises(StoreError, match="throwIf"):
            engine.arrow("SELECT throwIf(number = 5) FROM numbers(10)")
        assert engine.arrow("SELECT 1 AS x").to_pylist() == [{"x": 1}]


def test_memory_and_wrong_sql_and_wrong_regex(engine: Engine) -> None:
    """Each fault has its own error."""
    with pytest.raises(QueryLimitError, match="memory limit"):
        engine.arrow("SELECT groupArray(number) FROM numbers(100000000)", budget=budget(max_memory_bytes=50 << 20))
    with pytest.raises(BadQueryError):
        engine.arrow("SELECT match('a', '(')")
    with pytest.raises(StoreError, match="nonsense"):
        engine.arrow("SELECT nonsense")


def test_a_query_can_be_cancelled(engine: Engine) -> None:
    """Whoever knows a budget's id can stop its query; a cancelled budget starts none."""
    mine = budget(query_id="it's mine")
    thread, errors = failing(engine, FOREVER, mine)
    engine.cancel("another")
    assert thread.is_alive()
    with pytest.raises(QueryTimeoutError, match="waited for others"):
        engine.arrow("SELECT 1", budget=budget(0.1))
    engine.cancel("it's mine")
    thread.join(60)
    assert [type(error) for error in errors] == [QueryCanceledError]
    mine.canceled = True
    with pytest.raises(QueryCanceledError):
        engine.arrow("SELECT 1", budget=mine)


def test_close_cancels_what_runs(tmp_path: Path) -> None:
    """Closing takes no longer than cancelling, and what comes later is refused."""
    engine = Engine(f"chdb://{tmp_path}")
    thread, errors = failing(engine, FOREVER, budget())
    started = time.monotonic()
    engine.close()
    engine.close()
    assert time.monotonic() - started < 5
    thread.join(60)
    assert [type(error) for error in errors] == [QueryCanceledError]
    with pytest.raises(QueryCanceledError, match="closing"):
        engine.arrow("SELECT 1")
    with pytest.raises(StoreError, match="closed"):
        engine.connect()


LEAVES = """
import sys, threading, time
from mirante.server.store.client import Engine
engine = Engine(sys.argv[1])
threading.Thread(target=lambda: engine.arrow("SELECT sleepEachRow(0.01) FROM numbers(100000) SETTINGS max_block_size=1"
    .replace(" SETTINGS max_block_size=1", "")), daemon=True).start()
while len(engine._running) == 0:
    time.sleep(0.01)
time.sleep(0.2)
print("leaving")
"""


@pytest.mark.slow
def test_leaving_without_close_does_not_crash(tmp_path: Path) -> None:
    """A program that forgets to close ends in order though a daemon thread is in a query."""
    done = subprocess.run(
        [sys.executable, "-c", LEAVES, f"chdb://{tmp_path}"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "leaving\n")


def test_one_process_at_a_time(engine: Engine, tmp_path: Path) -> None:
    """Whoever comes second gets one clear line that names the holder."""
    with pytest.raises(StoreBusyError, match=rf"^{tmp_path} is in use by process {os.getpid()}; stop it, or choose"):
        Engine(f"chdb://{tmp_path}")
    assert engine.arrow("SELECT 1 AS x").num_rows == 1


def test_one_directory_a_process(engine: Engine, tmp_path: Path) -> None:
    """The embedded engine refuses a second directory in the same process, and says so."""
    with pytest.raises(StoreError, match=str(tmp_path)):
        Engine(f"chdb://{tmp_path / 'other'}")
    assert engine.arrow("SELECT 1 AS x").num_rows == 1


@pytest.mark.parametrize("dsn", ["", "nonsense", "chdb://", "chdb://relative/dir", "clickhouse://", "chdb:///"])
def test_a_wrong_dsn_is_named(dsn: str) -> None:
    """An address that is no store's is refused with the forms that are."""
    with pytest.raises(ConfigError, match="expected chdb:///directory or clickhouse://"):
        Engine(dsn)


@pytest.mark.parametrize("name", ["a:b", "a?b=c"])
def test_a_path_that_the_engine_cannot_have(tmp_path: Path, name: str) -> None:
    """Some signs cannot stand in the engine's path, which is said at once and not at the first insert."""
    with pytest.raises(ConfigError, match="no colon and no question mark"):
        Engine(f"chdb://{tmp_path}/{name}")


def test_a_path_is_taken_to_the_letter(tmp_path: Path) -> None:
    """Percent signs, spaces, quotes and letters of any alphabet stand for themselves."""
    directory = tmp_path / "100% m\u00e9 #1 it's %20"
    engine = Engine(f"chdb://{directory}")
    assert engine.arrow("SELECT 1 AS x").num_rows == 1
    engine.close()
    assert (directory / "engine").is_dir()


def test_a_directory_that_cannot_be(tmp_path: Path) -> None:
    """A path below a file is refused with the system's reason."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="Not a directory"):
        Engine(f"chdb://{tmp_path}/file/data")


def test_a_server_that_is_not_there() -> None:
    """A network address on which nobody listens is a StoreError."""
    with pytest.raises(StoreError, match="refused"):
        Engine("clickhouse://user:secret@127.0.0.1:1/default")


def test_nothing_is_left_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Message schemas are cached in the data directory, not where the user happens to be."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    odd = "100% m\u00e9 it's"
    engine = Engine(f"chdb://{tmp_path / odd}")
    connection = engine.connect()
    connection.command("CREATE TABLE numbers_in (n Int64) ENGINE = MergeTree ORDER BY n")

    def insert(block: bytes, name: str) -> None:
        text = 'syntax = "proto3"; message M { int64 n = 1; }'
        connection.insert_messages("numbers_in", block, proto=text, message="M", token=name)

    insert(b"\x02\x08\x07", "a")
    insert(b"\x02\x08\x07", "b")
    with pytest.raises(RefusedError):
        insert(b"\x09\x08", "c")
    assert engine.arrow("SELECT n FROM numbers_in").to_pylist() == [{"n": 7}] * 2
    engine.close()
    assert list(here.iterdir()) == []


def test_limits_reach_the_engine(tmp_path: Path) -> None:
    """The engine's caches, memory and threads have our bounds and not a server's."""
    limits = EngineLimits(memory_bytes=1 << 30, mark_cache_bytes=5 << 20, threads=1, reserve_bytes=7)
    engine = Engine(f"chdb://{tmp_path}", limits)
    server = engine.arrow("SELECT name, value FROM system.server_settings WHERE changed").to_pylist()
    found = {row["name"]: row["value"] for row in server}
    assert found["max_server_memory_usage"] == str(1 << 30)
    assert found["mark_cache_size"] == found["primary_index_cache_size"] == str(5 << 20)
    session = engine.arrow("SELECT name, value FROM system.settings WHERE changed").to_pylist()
    assert {"name": "max_threads", "value": "1"} in session
    assert {"name": "min_free_disk_bytes_to_perform_insert", "value": "7"} in session
    engine.close()


def test_a_full_disk_is_told_apart() -> None:
    """Whatever its number, an error that says there is no room is StoreFullError."""
    assert isinstance(translated(OSError("write failed: No space left on device")), StoreFullError)
    assert isinstance(translated(ValueError("something else")), StoreError)
