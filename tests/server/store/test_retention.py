"""What is past its time goes, from the disk too; what is not stays."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from mirante.errors import StoreError, StoreFullError
from mirante.server.settings import PatternRetention, RetentionSettings
from mirante.server.store.api import Matcher
from mirante.server.store.client import Connection
from mirante.server.store.mutations import remove
from mirante.server.store.retention import Keeper, longest
from mirante.server.store.space import Ballast
from tests.peers import wait_for
from tests.server.store.bodies import log_body, span_body
from tests.server.store.conftest import NOW, Store, body, budget, count

DAY = 86_400_000
FOREVER = RetentionSettings(metrics=0.0, logs=0.0, traces=0.0)


def days(number: float) -> float:
    """In seconds."""
    return number * 86_400.0


def keeper(store: Store, rules: RetentionSettings, interval: float = 3600) -> Keeper:
    """One that is not started."""
    ballast = Ballast(store.directory / "ballast", 0)
    return Keeper(store.engine, store.log, rules, store.directory, ballast, interval=interval)


def disk(store: Store, table: str) -> int:
    """Bytes of the parts in the table's folder, whatever the engine says."""
    path = Path(store.one(f"SELECT data_paths[1] FROM system.tables WHERE name = '{table}'"))  # noqa: S608
    return sum(file.stat().st_size for part in path.glob("2*") for file in part.iterdir())


def dropped(of: Keeper) -> dict[tuple[str, str], float]:
    """Bytes by signal and reason, as its metric tells."""
    family = next(one for one in of.collect() if one.name == "mirante_store_dropped_bytes")
    return {(one.labels["signal"], one.labels["reason"]): one.value for one in family.samples}


def fill(store: Store, number: int = 5, series: int = 99) -> None:
    """Something of every signal on each of the last days."""
    for age in range(number):
        at = NOW - age * DAY
        store.write("remote_write", *(body(f"aged_{i % 3}", float(i), at=at, job=f"j{i}") for i in range(series)))
        store.write("otlp_logs", log_body("line", at))
        store.write("otlp_traces", span_body("step", at, trace=age + 1))


def test_each_signal_is_kept_for_its_own_time(fresh: Store) -> None:
    """Days that lie wholly in the past of a signal are gone, their files with them; the others are untouched."""
    fill(fresh)
    before = disk(fresh, "samples")
    of = keeper(fresh, RetentionSettings(metrics=days(3), logs=days(1), traces=days(0)))
    of.sweep()
    assert fresh.one("SELECT uniqExact(toDate(timestamp)) FROM samples") == 4
    assert fresh.one("SELECT uniqExact(day) FROM series") == 4
    assert fresh.one("SELECT count() FROM otel_logs") == 2
    assert fresh.one("SELECT count() FROM otel_traces") == 5
    assert disk(fresh, "samples") == pytest.approx(before * 4 / 5, rel=0.02)  # parts differ by some bytes
    assert set(dropped(of)) == {("metrics", "retention"), ("logs", "retention")}
    assert dropped(of)["metrics", "retention"] > 0


def test_a_series_of_a_dropped_day_is_registered_again(fresh: Store) -> None:
    """Late samples of a day that was dropped can be found all the same."""
    fill(fresh, 3)
    keeper(fresh, RetentionSettings(metrics=days(1))).sweep()
    old = NOW - 2 * DAY
    fresh.write("remote_write", body("aged_0", at=old, job="j0"))
    found = fresh.reader.series([Matcher("__name__", "=", "aged_0")], old - 1000, old, budget())
    assert [labels["job"] for labels in found.labels] == ["j0"]


def test_patterns_have_times_of_their_own(fresh: Store) -> None:
    """The first pattern that matches a whole name counts; removed rows are gone from the disk when the round ends."""
    fill(fresh, series=3000)
    before = disk(fresh, "samples")
    rules = RetentionSettings(
        metrics=days(2),
        logs=0.0,
        traces=0.0,
        metric_patterns=(
            PatternRetention("aged_0", 0.0),
            PatternRetention("aged_[01]", days(1)),
            PatternRetention("aged", days(0.1)),
        ),
    )
    of = keeper(fresh, rules)
    of.sweep()
    assert [count(fresh, f"aged_{i}") for i in range(3)] == [5000, 2000, 3000]
    assert fresh.one("SELECT uniqExact(day) FROM series WHERE name = 'aged_1'") == 2
    assert disk(fresh, "samples") < before * 0.85
    assert set(dropped(of)) == {("metrics", "pattern")}
    of.sweep()
    assert [count(fresh, f"aged_{i}") for i in range(3)] == [5000, 2000, 3000]
    fresh.write("remote_write", body("aged_1", at=NOW - 4 * DAY, job="j1"))
    assert fresh.one("SELECT uniqExact(day) FROM series WHERE name = 'aged_1'") == 3


def test_the_store_is_held_below_its_cap(fresh: Store, caplog: pytest.LogCaptureFixture) -> None:
    """The oldest days go first, across signals, and it is told."""
    fill(fresh)
    of = keeper(fresh, FOREVER)
    of.sweep()
    total = sum(one.value for one in next(iter(of.collect())).samples)
    oldest = fresh.one("SELECT toString(min(toDate(timestamp))) FROM samples")
    of.change(RetentionSettings(metrics=0.0, logs=0.0, traces=0.0, size=int(total) - 1))
    with caplog.at_level(logging.INFO):
        of.sweep()
    assert fresh.one("SELECT toString(min(toDate(timestamp))) FROM samples") > oldest
    assert fresh.one("SELECT count() FROM otel_logs") == 5, "the oldest metrics were enough"
    assert set(dropped(of)) == {("metrics", "size")}
    assert "larger than retention.size" in caplog.text
    assert fresh.one("SELECT sum(bytes_on_disk) FROM system.parts WHERE active") < total


def test_of_the_running_day_the_oldest_parts_go_but_never_the_newest(
    fresh: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """A cap that one day exceeds leaves what came last."""
    connection = fresh.engine.connect()
    connection.command("SYSTEM STOP MERGES")
    first = NOW // DAY * DAY
    for minute in range(4):
        fresh.write("otlp_logs", log_body(f"line {minute}", first + minute * 60_000))
    of = keeper(fresh, RetentionSettings(metrics=0.0, logs=0.0, traces=0.0, size=1))
    of.sweep()
    connection.command("SYSTEM START MERGES")
    assert fresh.one("SELECT groupArray(Body) FROM otel_logs") == ["line 3"]
    assert "nothing left to drop" in caplog.text
    of.change(RetentionSettings(metrics=0.0, logs=0.0, traces=0.0, size=1 << 40))
    of.sweep()
    assert fresh.one("SELECT count() FROM otel_logs") == 1


def test_parts_of_the_running_day_go_no_further_than_needed(fresh: Store) -> None:
    """As soon as the store is below its cap it stops."""
    connection = fresh.engine.connect()
    connection.command("SYSTEM STOP MERGES")
    first = NOW // DAY * DAY
    for minute in range(4):
        fresh.write("otlp_logs", log_body(f"line {minute}", first + minute * 60_000))
    of = keeper(fresh, FOREVER)
    of.sweep()
    total = int(sum(one.value for one in next(iter(of.collect())).samples))
    of.change(RetentionSettings(metrics=0.0, logs=0.0, traces=0.0, size=total - 1))
    of.sweep()
    assert fresh.one("SELECT groupArray(Body) FROM (SELECT Body FROM otel_logs ORDER BY Timestamp)") == [
        "line 1", "line 2", "line 3",
    ]  # fmt: skip
    connection.command("SYSTEM START MERGES")


def test_changed_rules_are_applied_without_a_restart(fresh: Store) -> None:
    """The thread takes them at once, and what may come in follows."""
    fill(fresh, 3)
    of = keeper(fresh, FOREVER)
    of.start()
    assert of.past("metrics") is None
    of.change(RetentionSettings(metrics=days(1), logs=0.0, traces=0.0))
    assert of.past("metrics") == days(1)
    wait_for(lambda: fresh.one("SELECT uniqExact(day) FROM series") == 2, what="old days to go")
    of.close()


def test_a_failed_round_is_told_and_repeated(fresh: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine's trouble is counted and logged, and the next round does the work."""
    fill(fresh, 3)
    failures = iter([StoreError("no luck")])
    command = Connection.command

    def failing(self: Connection, sql: str, *rest: object) -> None:
        if "DROP PARTITION" in sql:
            for error in failures:
                raise error
        command(self, sql, *rest)  # type: ignore[arg-type] # passed through

    monkeypatch.setattr(Connection, "command", failing)
    of = keeper(fresh, RetentionSettings(metrics=days(1), logs=0.0, traces=0.0), interval=0.01)
    of.start()
    wait_for(lambda: fresh.one("SELECT uniqExact(day) FROM series") == 2, what="old days to go")
    of.close()
    assert {one.name: one for one in of.collect()}["mirante_store_retention_failures"].samples[0].value == 1


def test_a_failed_change_is_taken_back(fresh: Store) -> None:
    """A mutation that cannot be done is an error that names the table and the reason, and leaves nothing behind."""
    fill(fresh, 1)
    with pytest.raises(StoreError, match=r"samples could not be changed: .*no such thing"):
        remove(fresh.engine.connect(), "samples", "WHERE throwIf(value >= 0, 'no such thing')", deadline=1e12)
    assert fresh.one("SELECT count() FROM system.mutations WHERE NOT is_done") == 0
    assert fresh.one("SELECT count() FROM samples") == 99
    assert not remove(fresh.engine.connect(), "samples", "WHERE value = 1", deadline=0)


def test_a_full_disk_gives_up_its_ballast(fresh: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine wants room even to drop something: when it has none, the ballast goes and the round is repeated."""
    fill(fresh, 3)
    path = fresh.directory / "ballast"
    ballast = Ballast(path, 1 << 20)
    ballast.ensure()
    assert path.stat().st_size == (1 << 20) // 8
    command = Connection.command

    def full(self: Connection, sql: str, *rest: object) -> None:
        if "DROP PARTITION" in sql and path.exists():
            raise StoreFullError("no room")
        command(self, sql, *rest)  # type: ignore[arg-type] # passed through

    monkeypatch.setattr(Connection, "command", full)
    rules = RetentionSettings(metrics=days(1), logs=0.0, traces=0.0)
    Keeper(fresh.engine, fresh.log, rules, fresh.directory, ballast).sweep()
    assert fresh.one("SELECT uniqExact(day) FROM series") == 2
    assert path.exists(), "taken again as soon as there is room"


def test_how_far_back_something_may_lie() -> None:
    """The longest time of any pattern counts at the door."""
    rules = RetentionSettings(metrics=days(2), metric_patterns=(PatternRetention("a", days(400)),))
    assert longest(rules, "metrics") == days(400)
    assert longest(rules, "logs") == days(14)
    assert longest(RetentionSettings(metric_patterns=(PatternRetention("a", 0.0),)), "metrics") is None


def test_every_table_has_a_signal_or_is_kept(fresh: Store) -> None:
    """A table that a migration adds must be said to be dropped with a signal, or to be kept for ever."""
    from mirante.server.store.tables import KEPT, TABLES

    found = fresh.rows("SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'")
    assert {row["name"] for row in found} <= {*KEPT, *(table.name for table in TABLES)}
