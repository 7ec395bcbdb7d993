"""The segment log: what was appended becomes samples and series."""

from __future__ import annotations

import threading
import time

import pytest

from mirante.server.store.api import BodyLog
from mirante.server.store.known import KnownSeries
from tests.server.store.conftest import NOW, Store, body, count, metrics


def test_bodies_become_samples_and_series(store: Store) -> None:
    """What was appended can be read after it was loaded, and the writer counts it."""
    log: BodyLog = store.log
    before = metrics(store.log)
    first = body("loaded", 1.0, job="a") + body("loaded", 2.0, at=NOW + 1, job="a")
    log.append("remote_write", [first, body("loaded", 3.0, job="b")])
    assert store.log.wait_until_loaded(30)
    assert count(store, "loaded") == 3
    assert store.one("SELECT count() FROM series WHERE name = 'loaded'") == 2
    after = metrics(store.log)
    assert after["mirante_store_loaded_bodies_total"] == before["mirante_store_loaded_bodies_total"] + 2
    assert after["mirante_store_load_groups_total"] == before["mirante_store_load_groups_total"] + 1
    assert after["mirante_store_log_bodies"] == after["mirante_store_log_bytes"] == 0


def test_every_stream_is_loaded(store: Store) -> None:
    """Each stream has a log and a table of its own, and an empty body is no fault."""
    for stream in ("remote_write", "otlp_logs", "otlp_traces"):
        store.write(stream, b"")
    assert not list((store.directory / "log").glob("quarantine"))


def test_waiting_has_an_end(store: Store) -> None:
    """Waiting for less time than loading takes says so, and the log is loaded all the same."""
    store.log.append("remote_write", [body("later", job=str(i)) for i in range(2000)])
    assert not store.log.wait_until_loaded(0)
    assert store.log.wait_until_loaded(30)
    assert count(store, "later") == 2000


def test_samples_of_many_days_are_no_fault(store: Store) -> None:
    """A body may bring more days than the engine takes in one insert by default."""
    day = 86_400_000
    store.write("remote_write", b"".join(body("days", at=NOW - i * day) for i in range(150)))
    assert count(store, "days") == 150
    assert store.one("SELECT count() FROM series WHERE name = 'days'") == 150


def test_a_series_is_registered_once_a_day(store: Store) -> None:
    """Loads that follow register a known series no more, on the days that it is known for."""
    for i in range(4):
        store.write("remote_write", body("known", at=NOW + i), body("known", at=NOW - 86_400_000 * 40))
    days = store.rows("SELECT day, count() AS rows FROM series WHERE name = 'known' GROUP BY day ORDER BY day")
    assert [row["rows"] for row in days] == [1, 1]


def test_known_series_start_each_day_anew(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the turn of the day the set forgets older days, and a restart finds what was registered."""
    old = NOW - 86_400_000 * 40
    store.write("remote_write", body("forgotten"), body("forgotten", at=old))
    tomorrow = time.time() + 86_400
    monkeypatch.setattr("mirante.server.store.known.time.time", lambda: tomorrow)
    known = KnownSeries(store.engine.connect())
    known.refresh()
    question = "SELECT count() FROM series WHERE name = 'forgotten' AND cityHash64(series_id, day) IN known_series"
    assert store.one(question) == 1


def test_threads_append_together(store: Store) -> None:
    """Bodies from many threads all arrive."""

    def work(job: str) -> None:
        for i in range(50):
            store.log.append("remote_write", [body("threads", at=NOW + i, job=job)])

    threads = [threading.Thread(target=work, args=(str(i),)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.log.wait_until_loaded(30)
    assert count(store, "threads") == 400
