"""SQLAlchemy: one client span a statement, never a value, on a real SQLite database."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from opentelemetry import context as otel_context
from sqlalchemy import event, text
from sqlalchemy.pool import QueuePool

from mirante.integrations import _database
from mirante.integrations import sqlalchemy as integration
from mirante.integrations._operation import SUPPRESS
from mirante.metrics import REGISTRY
from mirante.tracing import AlwaysOff, Tracer
from tests.sdk.integrations.recording import CLIENT, Counted, exception_texts, recording, samples

COUNT = "db_client_operation_duration_seconds_count"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sqlalchemy.Engine]:
    """Made, and used, before the integration is installed."""
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/shop.db", poolclass=QueuePool, pool_size=2, max_overflow=1)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE orders (id INTEGER PRIMARY KEY, name TEXT UNIQUE)"))
    yield engine
    engine.dispose()


@pytest.fixture
def installed(engine: sqlalchemy.Engine) -> Iterator[None]:
    """For all engines."""
    integration.install()
    yield
    integration.uninstall()


def test_a_statement_is_one_client_span_by_the_conventions(
    installed: None, engine: sqlalchemy.Engine, tmp_path: Path
) -> None:
    """Name, kind, attributes and parent; neither the literal nor the parameter's value."""
    counted = Counted(COUNT)
    with recording() as spans, Tracer().start_span("op"), engine.connect() as connection:
        connection.execute(text("SELECT * FROM orders WHERE name = 's3cr3t' AND id = :id"), {"id": 4711})
    span, op = spans
    assert (span.name, span.kind.value, span.parent_id) == ("SELECT orders", CLIENT, op.span_id)
    assert span.attributes == {
        "db.system.name": "sqlite",
        "db.namespace": f"{tmp_path}/shop.db",
        "db.operation.name": "SELECT",
        "db.query.text": "SELECT * FROM orders WHERE name = ? AND id = ?",
        "db.query.summary": "SELECT orders",
    }
    assert (span.status_code, span.scope.name) == (0, "mirante.integrations.sqlalchemy")
    assert counted(db_system_name="sqlite", db_operation_name="SELECT", error_type="") == 1


def test_an_error_is_the_drivers_with_the_databases_code(installed: None, engine: sqlalchemy.Engine) -> None:
    """Not SQLAlchemy's, which quotes the parameters."""
    counted = Counted(COUNT)
    statement = text("INSERT INTO orders VALUES (:id, :name)")
    with recording() as spans, engine.connect() as connection:
        connection.execute(statement, {"id": 1, "name": "s3cr3t"})
        with pytest.raises(sqlalchemy.exc.IntegrityError):
            connection.execute(statement, {"id": 1, "name": "s3cr3t"})
    failed = spans[1]
    assert (failed.name, failed.status_code) == ("INSERT orders", 2)
    assert failed.attributes["error.type"] == "sqlite3.IntegrityError"
    assert failed.attributes["db.response.status_code"] == "SQLITE_CONSTRAINT_PRIMARYKEY"
    assert [told.name for told in failed.events] == ["exception"]
    assert not [told for told in exception_texts(failed) if "s3cr3t" in told]
    assert counted(db_operation_name="INSERT", error_type="sqlite3.IntegrityError") == 1


def test_a_batch_is_one_span_with_its_size(installed: None, engine: sqlalchemy.Engine) -> None:
    """``executemany``."""
    rows = [{"id": number, "name": f"n{number}"} for number in range(3)]
    with recording() as spans, engine.begin() as connection:
        connection.execute(text("INSERT INTO orders VALUES (:id, :name)"), rows)
    (span,) = spans
    assert (span.name, span.attributes["db.operation.name"]) == ("BATCH INSERT orders", "BATCH INSERT")
    assert span.attributes["db.operation.batch.size"] == 3


def test_a_statement_that_says_nothing_is_named_by_its_system(installed: None, engine: sqlalchemy.Engine) -> None:
    """A comment alone."""
    with recording() as spans, engine.connect() as connection:
        connection.exec_driver_sql("-- nothing")
    assert spans[0].name == "sqlite"
    assert "db.query.text" not in spans[0].attributes
    assert "db.operation.name" not in spans[0].attributes


def test_where_recording_is_suppressed_nothing_is_recorded(installed: None, engine: sqlalchemy.Engine) -> None:
    """Somebody has asked for silence."""
    token = otel_context.attach(otel_context.set_value(SUPPRESS, True))
    try:
        with recording() as spans, engine.connect() as connection:
            connection.execute(text("SELECT 1"))
            with pytest.raises(sqlalchemy.exc.OperationalError):
                connection.execute(text("SELECT 1 FROM nowhere"))
    finally:
        otel_context.detach(token)
    assert spans == []


def test_unsampled_statements_are_counted(installed: None, engine: sqlalchemy.Engine) -> None:
    """No span, but the metric."""
    counted = Counted(COUNT)
    with recording(AlwaysOff()) as spans, engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    assert (spans, counted(db_operation_name="SELECT")) == ([], 1)


def test_one_engine_can_be_instrumented(engine: sqlalchemy.Engine) -> None:
    """Only that one, and together with install() still one span a statement."""
    other = sqlalchemy.create_engine("sqlite://")
    integration.instrument(engine)
    integration.instrument(engine)

    def both() -> int:
        before = len(spans)
        for one in (engine, other):
            with one.connect() as connection:
                connection.execute(text("SELECT 1"))
        return len(spans) - before

    with recording() as spans:
        assert both() == 1
        integration.install()
        assert both() == 2
        integration.uninstall()
        assert both() == 1
        integration.uninstrument(engine)
        integration.uninstrument(engine)
        assert both() == 0
    other.dispose()


def test_an_asynchronous_engine_is_instrumented_by_the_one_below() -> None:
    """SQLAlchemy runs the same engine in a greenlet."""

    class AsyncEngineLike:
        sync_engine = sqlalchemy.create_engine("sqlite://")

    engine: Any = AsyncEngineLike()
    integration.instrument(engine)
    with recording() as spans, engine.sync_engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    integration.uninstrument(engine)
    assert len(spans) == 1
    engine.sync_engine.dispose()


def test_a_statement_of_whose_end_nobody_was_told_does_not_hide_the_next(
    installed: None, engine: sqlalchemy.Engine
) -> None:
    """SQLAlchemy can be told to keep errors to itself."""
    with recording() as spans, engine.connect() as plain:
        connection = plain.execution_options(skip_user_error_events=True)
        with pytest.raises(sqlalchemy.exc.OperationalError):
            connection.execute(text("SELECT 1 FROM nowhere"))
        connection.execute(text("SELECT 1 FROM orders"))
    assert [span.name for span in spans] == ["SELECT nowhere", "SELECT orders"]


def test_a_connection_that_cannot_be_made_is_no_statement(installed: None, tmp_path: Path) -> None:
    """The error is the caller's; there is nothing to record."""
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/none/x.db")
    with recording() as spans, pytest.raises(sqlalchemy.exc.OperationalError):
        engine.connect()
    assert spans == []


def test_pools_are_gauges(installed: None, engine: sqlalchemy.Engine, tmp_path: Path) -> None:
    """Used and idle connections and their bound; engines of one database are added up, forgotten ones gone."""
    pool = f"{tmp_path}/shop.db".lstrip("/")
    other = sqlalchemy.create_engine(engine.url, poolclass=QueuePool, pool_size=4, max_overflow=-1)
    with engine.connect() as one, engine.connect() as two, other.connect() as three:
        for connection in (one, two, three):
            connection.execute(text("SELECT 1"))
        two.close()
        assert _gauge("db_client_connection_count", pool, db_client_connection_state="used") == 2
        assert _gauge("db_client_connection_count", pool, db_client_connection_state="idle") == 1
        assert _gauge("db_client_connection_max", pool) == 3
    other.dispose()
    gone = weakref.ref(other)
    del other, connection, three
    gc.collect()
    assert gone() is None
    integration.uninstall()
    assert not samples("db_client_connection")


def test_pools_without_a_bound_have_no_gauges(installed: None) -> None:
    """SQLite's in memory."""
    engine = sqlalchemy.create_engine("sqlite://")
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        assert not samples("db_client_connection")
    engine.dispose()


def test_a_pool_on_a_host_is_named_by_it(installed: None) -> None:
    """Address, port and database, without anybody's password."""
    with_host = sqlalchemy.create_engine("sqlite://", poolclass=QueuePool)
    with_host.url = sqlalchemy.make_url("sqlite://me:s3cr3t@db.example:5432/shop")
    with with_host.connect() as connection:
        connection.execute(text("SELECT 1"))
    assert _gauge("db_client_connection_count", "db.example:5432/shop", db_client_connection_state="idle") == 1
    with_host.dispose()


def _gauge(name: str, pool: str, **labels: str) -> float:
    labels["db_client_connection_pool_name"] = pool
    return samples(name)[name, frozenset(labels.items())]


def test_uninstalling_takes_all_listeners_away(engine: sqlalchemy.Engine) -> None:
    """Twice on and twice off is once on and once off."""
    integration.install()
    integration.install()
    with recording() as spans, engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        integration.uninstall()
        integration.uninstall()
        connection.execute(text("SELECT 1"))
    assert len(spans) == 1
    assert integration._POOLS not in REGISTRY._collectors
    for name, listener in integration._LISTENERS:
        assert not event.contains(sqlalchemy.Engine, name, listener)


def test_faults_of_telemetry_never_reach_the_caller(
    installed: None, engine: sqlalchemy.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The statement is executed whatever breaks in recording it."""

    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.delenv("MIRANTE_RAISE_FAULTS", raising=False)
    with recording() as spans, engine.connect() as connection:
        monkeypatch.setattr(integration, "describe", broken)
        assert connection.execute(text("SELECT 1")).scalar() == 1
        monkeypatch.undo()
        monkeypatch.delenv("MIRANTE_RAISE_FAULTS", raising=False)
        monkeypatch.setattr(_database, "duration", broken)
        assert connection.execute(text("SELECT 2")).scalar() == 2
    assert len(spans) == 1


def test_a_forked_child_does_not_wait_for_its_parents_lock() -> None:
    """Another thread may have held it."""
    held = integration._POOLS._lock
    with held:
        integration._POOLS.after_fork()
        integration._POOLS.forget_all()
