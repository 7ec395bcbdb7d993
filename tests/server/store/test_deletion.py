"""What somebody asks to be removed is removed, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from mirante.errors import BadRequestError, StoreBusyError, StoreFullError
from mirante.server.settings import RetentionSettings
from mirante.server.store import deletion
from mirante.server.store.api import Matcher
from mirante.server.store.deletion import Deleter, Removal
from mirante.server.store.retention import Keeper
from mirante.server.store.space import Ballast
from mirante.server.store.writer import LogWriter
from tests.server.store.bodies import log_body, span_body
from tests.server.store.conftest import NOW, Store, body, budget, count

DAY = 86_400_000
ALL = (-(1 << 60), 1 << 60)


def deleter(store: Store, patience: float = 600.0) -> Deleter:
    """One over that store."""
    keeper = Keeper(store.engine, store.log, RetentionSettings(), store.directory, Ballast(store.directory / "b", 0))
    return Deleter(store.engine, store.log, keeper, store.directory, 0, patience)


def files(store: Store, table: str) -> bytes:
    """Everything that is on disk of a table."""
    path = Path(store.one(f"SELECT data_paths[1] FROM system.tables WHERE name = '{table}'"))  # noqa: S608
    return b"".join(file.read_bytes() for part in path.glob("2*") for file in part.iterdir())


def named(name: str, **labels: str) -> list[Matcher]:
    """Matchers for equality."""
    return [Matcher("__name__", "=", name), *(Matcher(key, "=", value) for key, value in labels.items())]


def test_series_are_hidden_at_once_and_gone_when_cleaned(store: Store) -> None:
    """Every sample of the series that match, whatever of it was acknowledged before, and their labels too."""
    store.write("remote_write", *(body("doomed", float(i), at=NOW - i * DAY, job=f"j{i % 2}") for i in range(6)))
    store.log.append("remote_write", [body("doomed", 9.0, at=NOW - 1, job="j0"), body("spared", job="j0")])
    of = deleter(store)
    assert of.series([named("doomed", job="j0")], *ALL)
    assert count(store, "doomed") == 3
    assert store.reader.label_values("job", [named("doomed")], *ALL, budget()) == ["j1"]
    assert count(store, "spared") == 1
    assert of.clean_tombstones()
    assert store.one("SELECT count() FROM system.parts WHERE table = 'samples' AND has_lightweight_delete") == 0
    assert store.one("SELECT count() FROM system.parts WHERE table = 'samples' AND NOT active") == 0


def test_a_range_of_time_is_removed_to_the_millisecond(store: Store) -> None:
    """Both ends are inclusive, as in Prometheus; the series stays listed on days that it keeps samples of."""
    store.write("remote_write", *(body("ranged", float(i), at=NOW + i) for i in range(5)))
    assert deleter(store).series([named("ranged")], NOW + 1, NOW + 3)
    of_series = "series_id IN (SELECT series_id FROM series WHERE name = 'ranged')"
    left = store.rows(f"SELECT value FROM samples WHERE {of_series} ORDER BY value")  # noqa: S608
    assert left == [{"value": 0.0}, {"value": 4.0}]


def test_a_removed_series_may_come_again(store: Store) -> None:
    """Its registration is forgotten with it, so that new samples are found."""
    store.write("remote_write", body("phoenix", job="a"))
    deleter(store).series([named("phoenix"), named("phoenix", job="b")], *ALL)
    assert not store.reader.label_values("job", [named("phoenix")], *ALL, budget())
    store.write("remote_write", body("phoenix", 2.0, job="a"))
    assert store.reader.label_values("job", [named("phoenix")], *ALL, budget()) == ["a"]
    assert count(store, "phoenix") == 1


def test_log_records_of_a_person_leave_the_disk(store: Store) -> None:
    """By attributes of the record or its resource, all of which must be there; counted first when asked."""
    subject = "S3cretSubject"
    store.write(
        "otlp_logs",
        log_body(f"hello {subject}", NOW, user="42"),
        log_body("bye", NOW, user="42", service="blog"),
        log_body("other", NOW, user="43"),
    )
    of = deleter(store)
    where = {"user": "42", "service.name": "shop"}
    assert subject.encode() in files(store, "otel_logs")
    assert of.records("logs", where, dry_run=True) == Removal(1, "counted")
    assert of.records("logs", {"user": ""}, dry_run=True).matched == 0
    assert of.records("logs", {"nothing": ""}, dry_run=True).matched == 0
    assert of.records("logs", where) == Removal(1, "gone")
    assert subject.encode() not in files(store, "otel_logs")
    assert store.one("SELECT count() FROM otel_logs WHERE LogAttributes['user'] IN ('42', '43')") == 2


def test_spans_are_found_by_attributes_and_ids_within_times(store: Store) -> None:
    """The same for spans, by their trace too."""
    store.write("otlp_traces", *(span_body("step", NOW + i, trace=70 + i, user="7") for i in range(4)))
    of = deleter(store)
    assert of.records("traces", {"user": "7"}, NOW + 1, NOW + 2, dry_run=True).matched == 2
    assert of.records("traces", {"trace_id": f"{70:032x}"}) == Removal(1, "gone")
    assert of.records("traces", {"user": "7"}, start=NOW + 3).matched == 1
    assert of.records("traces", {"user": "7"}, end=NOW + 9) == Removal(2, "gone")


def test_nothing_is_removed_without_a_condition(store: Store) -> None:
    """A request that forgot to say what is no request for everything."""
    with pytest.raises(BadRequestError, match="at least one attribute"):
        deleter(store).records("logs", {})


def test_a_full_disk_and_a_stuck_log_are_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows cannot be removed without room to write in, nor while what came in last is not loaded."""
    of = deleter(store)
    with monkeypatch.context() as patch:
        patch.setattr(deletion, "free_bytes", lambda _: -1)
        with pytest.raises(StoreFullError, match="only -1 B are free"):
            of.clean_tombstones()
    monkeypatch.setattr(LogWriter, "wait_until_loaded", lambda *_: False)
    with pytest.raises(StoreBusyError, match="not loaded yet"):
        of.clean_tombstones()


def test_what_takes_longer_is_pending(store: Store) -> None:
    """The engine goes on with it, and the answer says so."""
    store.write("otlp_logs", log_body("slow", NOW, user="pending"))
    store.log.wait_until_loaded(60)
    connection = store.engine.connect()
    connection.command("SYSTEM STOP MERGES otel_logs")
    of = deleter(store, patience=0.2)
    assert of.records("logs", {"user": "pending"}) == Removal(1, "pending")
    connection.command("SYSTEM START MERGES otel_logs")
    assert deleter(store).records("logs", {"user": "pending"}).state == "gone"
