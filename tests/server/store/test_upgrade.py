"""Stores of earlier releases are brought up to date with all that is in them, whatever interrupts it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mirante.server.store.client import Engine
from mirante.server.store.migrations import migrations
from tests.peers import wait_for
from tests.server.store.bodies import log_body
from tests.server.store.conftest import NOW, Store, body, count, open_store

RELEASES = sorted(Path(__file__).parent.glob("releases/schema_*.sql"))

# What a store of any release holds already: a sample, a log record and a span.
ROWS = f"""
INSERT INTO samples VALUES (7, fromUnixTimestamp64Milli({NOW - 5}, 'UTC'), 42);
INSERT INTO series (name, series_id, labels, day)
VALUES ('ancient', 7, map('__name__', 'ancient', 'job', 'a'), toDate(fromUnixTimestamp64Milli({NOW - 5}, 'UTC')));
INSERT INTO otel_logs (Timestamp, Body, ServiceName) VALUES (now64(9), 'old words', 'shop');
INSERT INTO otel_traces (Timestamp, TraceId, SpanName, ServiceName) VALUES (now64(9), 'ab', 'old step', 'shop')
"""  # noqa: S608 # only constants


def made_by(release: Path, directory: Path) -> None:
    """A data directory as that release left it."""
    engine = Engine(f"chdb://{directory}")
    connection = engine.connect()
    for statement in f"{release.read_text()}{ROWS}".split(";\n"):
        connection.command(statement)
    engine.close()


def check(store: Store) -> None:
    """Old and new answer together."""
    assert store.one("SELECT max(version) FROM schema_migrations") == len(migrations())
    assert count(store, "ancient") == 1
    store.write("remote_write", body("ancient", 43.0, at=NOW, job="b"))
    store.write("otlp_logs", log_body("new words", NOW))
    assert count(store, "ancient") == 2
    assert store.one("SELECT count() FROM otel_logs WHERE Body IN ('old words', 'new words')") == 2
    assert store.one("SELECT SpanName FROM otel_traces") == "old step"


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.stem)
def test_a_directory_of_an_earlier_release(release: Path, tmp_path: Path) -> None:
    """It opens with everything in it and takes what the new release writes."""
    made_by(release, tmp_path)
    store = open_store(tmp_path)
    check(store)
    store.close()


_SLOW_START = """
import sys, time
from mirante.server.store.client import Connection
from tests.server.store.conftest import open_store
from pathlib import Path
command, number = Connection.command, 0
def slow(self, sql, parameters=None):
    global number
    if "IF NOT EXISTS" in sql or "DROP" in sql or "INSERT INTO schema" in sql:
        number += 1
        if number > int(sys.argv[2]):
            print("here", flush=True)
            time.sleep(600)
    command(self, sql, parameters)
Connection.command = slow
open_store(Path(sys.argv[1]))
print("done", flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("after", [3, 7, 11])
def test_an_upgrade_that_is_killed_is_taken_up_by_the_next_start(after: int, tmp_path: Path) -> None:
    """SIGKILL between any two statements."""
    made_by(RELEASES[0], tmp_path)
    output = tmp_path.parent / f"{tmp_path.name}.out"
    with output.open("w") as sink:
        process = subprocess.Popen(
            [sys.executable, "-c", _SLOW_START, str(tmp_path), str(after)],
            stdout=sink, stderr=subprocess.STDOUT, cwd=Path(__file__).parents[3],
        )  # fmt: skip
        try:
            wait_for(lambda: output.read_text() or process.poll() is not None, what="the statement")
            assert output.read_text() == "here\n"
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    store = open_store(tmp_path)
    check(store)
    store.close()
