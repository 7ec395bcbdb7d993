"""The loaders: whatever fails on the way, each body counts once."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from mirante._core.spool import Spool
from mirante.errors import StoreBusyError, StoreError, StoreFullError
from mirante.formats.protobuf import blob, int64
from mirante.server.store import writer
from mirante.server.store.client import Connection, Engine
from mirante.server.store.migrations import migrate
from mirante.server.store.writer import LogOptions, LogWriter
from tests.server.store.conftest import NOW, Store, body, count, metrics, open_store

BROKEN = b"\x0a\xff\x01"  # claims more bytes than it has


def test_a_group_that_was_cut_short_counts_once(fresh: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An insert that succeeded without our knowing is repeated with the same extent and adds nothing."""
    insert = Connection.insert_messages
    failures = iter([StoreError("the connection was lost"), StoreError("again")])

    def lossy(*args: object, **kwargs: object) -> None:
        insert(*args, **kwargs)  # type: ignore[arg-type] # passed through
        for error in failures:
            fresh.log.append("remote_write", [body("once", job="more")])
            raise error

    monkeypatch.setattr(Connection, "insert_messages", lossy)
    fresh.write("remote_write", body("once", job="a"), body("once", job="b"))
    assert fresh.log.wait_until_loaded(30)
    assert count(fresh, "once") == 4
    assert metrics(fresh.log)["mirante_store_load_retries_total"] == 2


def test_what_was_not_loaded_is_loaded_by_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that was not drained, with a group that was inserted but not committed, counts once after the restart."""
    store = open_store(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Spool, "commit", _raise)
        store.log.append("remote_write", [body("restart", job="a")])
        assert not store.log.wait_until_loaded(0.5)
        store.log.append("remote_write", [body("restart", job="b")])
        store.log.close(0)
        assert count(store, "restart") == 1
        store.engine.close()
    store = open_store(tmp_path)
    assert store.log.wait_until_loaded(30)
    assert count(store, "restart") == 2
    store.close()


def _raise(*_: object, **__: object) -> None:
    raise StoreError("no luck")


def test_a_refused_body_is_set_aside(fresh: Store) -> None:
    """One body that the engine refuses is kept on disk, with the reason, and all others are loaded."""
    good = [body("beside", job=str(i)) for i in range(6)]
    fresh.write("remote_write", *good[:4], BROKEN, *good[4:])
    assert count(fresh, "beside") == 6
    kept = sorted((fresh.directory / "log" / "quarantine").iterdir())
    assert [path.suffix for path in kept] == [".pb", ".txt"]
    assert kept[0].read_bytes() == BROKEN
    assert "PROTOBUF" in kept[1].read_text().upper() or "EOF" in kept[1].read_text()
    assert metrics(fresh.log)["mirante_store_quarantined_bodies_total"] == 1


def test_a_known_field_in_another_encoding_is_passed_over(fresh: Store) -> None:
    """As every parser of the protocol does, the receivers' among them: the engine's own would refuse the body."""
    odd = body("odd", job="a") + blob(1, int64(2, 5))  # samples are messages
    fresh.write("remote_write", body("beside", job="b"), odd)
    assert (count(fresh, "odd"), count(fresh, "beside")) == (1, 1)
    assert metrics(fresh.log)["mirante_store_quarantined_bodies_total"] == 0


def test_small_groups_are_gathered(tmp_path: Path) -> None:
    """Between two groups there is a pause that lets more come, and waiting for the load cuts it short."""
    engine = Engine(f"chdb://{tmp_path}")
    migrate(engine)
    log = LogWriter(engine, tmp_path / "log", LogOptions(interval=3600))
    log.append("remote_write", [body("gathered")])
    assert log.wait_until_loaded(30)
    for i in range(20):
        log.append("remote_write", [body("gathered", at=NOW + 1 + i)])
    assert metrics(log)["mirante_store_log_bodies"] == 20
    started = time.monotonic()
    assert log.wait_until_loaded(30)
    assert time.monotonic() - started < 30
    assert metrics(log)["mirante_store_load_groups_total"] == 2
    log.close()
    engine.close()


def test_refuses_without_room(fresh: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the disk's reserve, and beyond the log's cap, bodies are refused and the sender knows."""
    with monkeypatch.context() as patch:
        patch.setattr(writer, "free_bytes", lambda _: 100)
        with pytest.raises(StoreFullError, match="100 B are free on the disk of .*min_free_disk"):
            fresh.log.append("remote_write", [body("refused")])
    fresh.write("remote_write", body("refused"))
    assert count(fresh, "refused") == 1


def test_one_writer_a_log(fresh: Store) -> None:
    """The log of an open store cannot be opened again."""
    with pytest.raises(StoreBusyError, match="in use by process"):
        LogWriter(fresh.engine, fresh.directory / "log")


def test_closed(fresh: Store) -> None:
    """After close nothing is taken, and what had been taken is loaded."""
    fresh.log.append("remote_write", [body("closing")])
    fresh.log.close(30)
    assert count(fresh, "closing") == 1
    with pytest.raises(StoreError, match="closed"):
        fresh.log.append("remote_write", [body("closing")])
    fresh.log.close()


def test_a_failing_engine_holds_up_no_close(fresh: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """While every insert fails, close keeps its deadline and leaves the bodies in the log."""

    def broken(*_: object, **__: object) -> None:
        raise StoreError("the server is away")

    monkeypatch.setattr(Connection, "insert_messages", broken)
    fresh.log.append("remote_write", [body("waiting")])
    started = time.monotonic()
    fresh.log.close(0.3)
    assert time.monotonic() - started < 5
    assert list((fresh.directory / "log" / "remote_write").glob("*.segment"))


def test_a_damaged_log_is_skipped_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Damage on disk costs the bodies of its segment; what comes after is loaded."""
    store = open_store(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Connection, "insert_messages", _raise)
        store.log.append("remote_write", [body("damaged")])
        store.close(0)
    segment = next((tmp_path / "log" / "remote_write").glob("*.segment"))
    content = bytearray(segment.read_bytes())
    content[-1] ^= 1
    segment.write_bytes(content + b"\0" * 100)
    (segment.parent / f"{1:020}.segment").write_bytes(b"")
    store = open_store(tmp_path)
    store.write("remote_write", body("damaged", job="next"))
    assert count(store, "damaged") == 1
    assert metrics(store.log)["mirante_store_log_damaged_segments_total"] == 1
    store.close()


def test_a_server_on_the_network_gets_the_schema_itself() -> None:
    """A ClickHouse server cannot read our files, so the text of the schema goes with the insert."""
    seen: list[dict[str, object]] = []

    class Client:
        """Stands in for the driver's."""

        def raw_insert(self, table: str, *, insert_block: bytes, fmt: str, settings: dict[str, object]) -> None:
            """Remember."""
            seen.append({"table": table, "block": insert_block, "fmt": fmt} | settings)

    name = "log-1-2"
    Connection(Client(), None, lambda: None).insert_messages("t", b"x", proto="text", message="M", token=name)  # type: ignore[arg-type]
    expected = {
        "table": "t", "block": b"x", "fmt": "Protobuf", "format_schema_source": "string", "format_schema": "text",
        "format_schema_message_name": "M", "insert_deduplication_token": name,
    }  # fmt: skip
    assert seen[0].items() >= expected.items()


def test_a_fault_of_our_own_does_not_end_the_loading(
    fresh: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever is raised on the way is logged, and the load tried again."""
    faults = iter([OSError("the disk is away"), ZeroDivisionError("a bug")])
    insert = Connection.insert_messages

    def faulty(*args: object, **kwargs: object) -> None:
        for fault in faults:
            raise fault
        insert(*args, **kwargs)  # type: ignore[arg-type] # passed through

    monkeypatch.setattr(Connection, "insert_messages", faulty)
    fresh.write("remote_write", body("stubborn"))
    assert count(fresh, "stubborn") == 1
    assert "the disk is away" in caplog.text
    assert "a bug" in caplog.text
