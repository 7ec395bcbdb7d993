"""SQLAlchemy: a client span and its duration for every statement, and gauges of connection pools.

The statement's text has ``?`` for every literal; values of parameters are never told. Asynchronous engines are the same
to it, and the ORM is, because both execute through an engine.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

from mirante._core.fork import watch
from mirante._core.guard import REPORTER
from mirante._core.model import MetricFamily, Sample
from mirante.integrations._database import Database, DatabaseCall
from mirante.integrations._operation import suppressed, tracer
from mirante.integrations._sql import Statement, describe
from mirante.metrics.registry import REGISTRY

if TYPE_CHECKING:
    import sqlalchemy
    from sqlalchemy.engine import ExceptionContext
    from sqlalchemy.ext.asyncio import AsyncEngine

    from mirante.tracing.provider import ProviderTracer
    from mirante.tracing.spans import Span

_SYSTEMS = {
    "postgresql": "postgresql", "mysql": "mysql", "mariadb": "mariadb", "sqlite": "sqlite", "oracle": "oracle.db",
    "mssql": "microsoft.sql_server", "cockroachdb": "cockroachdb", "clickhouse": "clickhouse",
    "redshift": "aws.redshift", "trino": "trino", "firebird": "firebirdsql",
}  # fmt: skip
_CODES = ("sqlstate", "pgcode", "sqlite_errorname")  # where drivers keep the database's code of an error
_OPEN = "_mirante_call"


def install() -> None:
    """Record the statements of all engines, made before and after.

    Example:
        >>> install()
        >>> uninstall()
    """
    from sqlalchemy.engine import Engine  # where versions 1.4 and 2 both have it

    _listen(Engine)


def uninstall() -> None:
    """Take the listeners away again, and the gauges; of engines that were given to ``instrument`` they stay."""
    from sqlalchemy.engine import Engine  # where versions 1.4 and 2 both have it

    _silence(Engine)
    _POOLS.forget_all()


def instrument(engine: sqlalchemy.Engine | AsyncEngine) -> None:
    """Record the statements of one engine; together with ``install`` they still have one span each.

    Example:
        >>> import sqlalchemy
        >>> engine = sqlalchemy.create_engine("sqlite://")
        >>> instrument(engine)
        >>> with engine.connect() as connection:
        ...     connection.execute(sqlalchemy.text("SELECT 1")).scalar()
        1
        >>> uninstrument(engine)
    """
    _listen(_sync(engine))


def uninstrument(engine: sqlalchemy.Engine | AsyncEngine) -> None:
    """Take that engine's listeners away again."""
    _silence(_sync(engine))


def _sync(engine: Any) -> sqlalchemy.Engine:  # noqa: ANN401 - an Engine, or an AsyncEngine, which has one
    return cast("sqlalchemy.Engine", getattr(engine, "sync_engine", engine))


def _listen(target: Any) -> None:  # noqa: ANN401 - the class or an engine
    from sqlalchemy import event

    for name, listener in _LISTENERS:
        if not event.contains(target, name, listener):
            event.listen(target, name, listener)


def _silence(target: Any) -> None:  # noqa: ANN401 - see above
    from sqlalchemy import event

    for name, listener in _LISTENERS:
        if event.contains(target, name, listener):
            event.remove(target, name, listener)


@cache
def _tracer() -> ProviderTracer:
    return tracer("sqlalchemy")


class _Call(DatabaseCall):
    __slots__ = ("_code", "_text", "cursor")

    def __init__(self, cursor: object, statement: Statement, database: Database, batch: int) -> None:
        text, summary, operation = statement
        if batch != 1:
            summary, operation = f"BATCH {summary}", f"BATCH {operation}"
        super().__init__(_tracer(), summary or database.system, operation, database, batch)
        self.cursor = cursor
        self._text = text
        self._code = ""

    def describe(self, span: Span) -> None:
        """What every database call has, and the statement."""
        super().describe(span)
        if self._text:
            span.set_attribute("db.query.text", self._text)
        span.set_attribute("db.query.summary", span.name)

    def conclude(self, span: Span) -> None:
        """The database's own code of an error."""
        if self._code:
            span.set_attribute("db.response.status_code", self._code)

    def failed(self, error: BaseException) -> None:
        """End it by the driver's error."""
        self._code = next((str(code) for name in _CODES if (code := getattr(error, name, None))), "")
        self.end(error)


# A statement's span is not made current: nothing of the host's runs during it, and where SQLAlchemy does not tell of
# its end, it must not stay current for ever.


def _before(
    connection: sqlalchemy.Connection,
    cursor: object,
    statement: str,
    parameters: Any,  # noqa: ANN401 - of any driver
    _context: object,
    executemany: bool,
) -> None:
    if suppressed():
        return
    lost = _taken(connection)
    if lost is not None:
        if lost.cursor is cursor:  # the engine and all engines are listened to
            vars(connection)[_OPEN] = lost
            return
        lost.end()
    try:
        database = _POOLS.see(connection.engine)
        told = describe(statement, connection.dialect.name)
        call = _Call(cursor, told, database, len(parameters) if executemany else 1)
        call.begin()
        vars(connection)[_OPEN] = call
    except Exception as fault:  # noqa: BLE001 - telemetry never raises into the host
        REPORTER.fault("integrations.sqlalchemy", fault)


def _after(connection: sqlalchemy.Connection, *_: object) -> None:
    if (call := _taken(connection)) is not None:
        call.end()


def _failed(context: ExceptionContext) -> None:
    if context.connection is not None and (call := _taken(context.connection)) is not None:
        call.failed(context.original_exception)


def _taken(connection: sqlalchemy.Connection) -> _Call | None:
    return cast("_Call | None", vars(connection).pop(_OPEN, None))


_LISTENERS = (("before_cursor_execute", _before), ("after_cursor_execute", _after), ("handle_error", _failed))


class _Pools:
    """Which database each engine leads to, and how its pool is used; asked when metrics are collected."""

    per_process = True

    def __init__(self) -> None:
        self._seen: WeakKeyDictionary[sqlalchemy.Engine, Database] = WeakKeyDictionary()
        self._lock = threading.Lock()
        watch(self)

    def after_fork(self) -> None:
        """A child must not wait for a lock that a thread of its parent held."""
        self._lock = threading.Lock()

    def see(self, engine: sqlalchemy.Engine) -> Database:
        """Where that engine leads to; its pool is told of from now on."""
        found = self._seen.get(engine)
        if found is None:
            url = engine.url
            system = _SYSTEMS.get(engine.dialect.name, "other_sql")
            found = Database(system, url.database or "", url.host or "", url.port or 0)
            with self._lock:
                self._seen[engine] = found
            REGISTRY.register(self)
        return found

    def forget_all(self) -> None:
        """Begin anew with the next statement."""
        with self._lock:
            self._seen.clear()
        REGISTRY.unregister(self)

    def collect(self) -> Iterator[MetricFamily]:
        """The gauges; engines of one database are added up."""
        with self._lock:
            engines = list(self._seen.items())
        used: Counter[tuple[str, str]] = Counter()
        most: Counter[str] = Counter()
        for engine, database in engines:
            pool: Any = engine.pool
            if not hasattr(pool, "checkedout"):
                continue  # one without a bound has nothing to tell
            address = f"{database.address}:{database.port}" if database.port else database.address
            name = f"{address}/{database.namespace}".lstrip("/")
            used[name, "used"] += pool.checkedout()
            used[name, "idle"] += pool.checkedin()
            if (overflow := getattr(pool, "_max_overflow", -1)) >= 0:
                most[name] += pool.size() + overflow
        name = "db_client_connection_count"
        states = tuple(Sample(name, {_POOL: pool, _STATE: state}, n) for (pool, state), n in used.items())
        yield MetricFamily(name, "gauge", "Connections of database pools.", samples=states)
        name = "db_client_connection_max"
        bounds = tuple(Sample(name, {_POOL: pool}, n) for pool, n in most.items())
        yield MetricFamily(name, "gauge", "Most connections that bounded database pools may have.", samples=bounds)


_POOL, _STATE = "db_client_connection_pool_name", "db_client_connection_state"
_POOLS = _Pools()
