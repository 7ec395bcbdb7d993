"""The way to the engine: ClickHouse in this process (``chdb:///dir``) or a server (``clickhouse://user:pass@host/db``).

Both take the same SQL. One connection runs one statement at a time, so readers come from a small pool and every loader
has a connection of its own: a heavy query never makes the others wait. Limits ride on each statement, and a query is
cancelled by the id that its budget carries.
"""

from __future__ import annotations

import atexit
import itertools
import logging
import os
import queue
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError

from mirante._core.lock import DirectoryLock
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
from mirante.server.store.leftovers import clear_leftovers
from mirante.server.trace import Read, Trace

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from mirante.server.store.api import QueryBudget

_log = logging.getLogger(__name__)

Setting = str | int | float
"""The value of an engine's setting."""


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """Bounds for one process on one machine; the embedded engine would otherwise take a whole server's share.

    Attributes:
        memory_bytes: what all statements together may use.
        mark_cache_bytes: each of the caches of index marks and primary indexes.
        threads: threads of one query.
        pool_threads: threads of the whole engine.
        readers: queries that run at the same time.
        reserve_bytes: free disk space below which inserts are refused: on a full disk nothing can be dropped either.
    """

    memory_bytes: int = 4 << 30
    mark_cache_bytes: int = 64 << 20
    threads: int = min(4, os.cpu_count() or 1)
    pool_threads: int = 256
    readers: int = 4
    reserve_bytes: int = 256 << 20

    @property
    def parallel(self) -> int:
        """Statements that one query may run at the same time: half of the readers are left to others."""
        return max(1, min(self.threads, self.readers // 2))

    def server_options(self) -> dict[str, Setting]:
        """Options that only the embedded engine takes, when it starts."""
        caches = (
            "mark_cache_size",
            "index_mark_cache_size",
            "primary_index_cache_size",
            "vector_similarity_index_cache_size",
        )
        return {
            **dict.fromkeys(caches, self.mark_cache_bytes),
            "compiled_expression_cache_size": 16 << 20,
            "max_server_memory_usage": self.memory_bytes,
            "max_thread_pool_size": self.pool_threads,
        }

    def session_settings(self) -> dict[str, Setting]:
        """Settings of every statement."""
        return {
            "max_threads": self.threads,
            "min_free_disk_bytes_to_perform_insert": self.reserve_bytes,
            "output_format_json_escape_forward_slashes": 0,  # values that views write as JSON keep their slashes
        }


# Engine error codes, as src/Common/ErrorCodes.cpp of ClickHouse numbers them.
_ERRORS: dict[int, type[MiranteError]] = {
    394: QueryCanceledError,  # QUERY_WAS_CANCELLED
    734: QueryCanceledError,  # QUERY_WAS_CANCELLED_BY_CLIENT
    159: QueryTimeoutError,  # TIMEOUT_EXCEEDED
    160: QueryTimeoutError,  # TOO_SLOW
    158: QueryLimitError,  # TOO_MANY_ROWS
    241: QueryLimitError,  # MEMORY_LIMIT_EXCEEDED
    307: QueryLimitError,  # TOO_MANY_BYTES
    396: QueryLimitError,  # TOO_MANY_ROWS_OR_BYTES
    427: BadQueryError,  # CANNOT_COMPILE_REGEXP
    243: StoreFullError,  # NOT_ENOUGH_SPACE
}
_HTTP_OPTIONS = {"autogenerate_session_id": False, "form_encode_query_params": True}
_OPTIONS = re.compile(r"\?[^' ]*")  # of the embedded engine, which it repeats in its messages
_NO_ROOM = ("No space left on device", "Disk quota exceeded")


# What may pass by itself; anything else that an insert raises is the data's fault.
_PASSING = {0, 49, 74, 75, 76, 198, 202, 209, 210, 236, 242, 252, 319, 425, 439, 516, 999, 1000, 1001, 1002}


class RefusedError(StoreError):
    """The engine refuses the data itself: repeating the insert cannot help."""


def translated(error: Exception, *, insert: bool = False) -> MiranteError:
    """The project's own error for one of the engine's, with the beginning of the engine's message."""
    text = str(error).partition("\n")[0].removeprefix("Code: ")[:500]
    if any(words in text for words in _NO_ROOM):
        return StoreFullError(text)
    code = (error.code if isinstance(error, DatabaseError) else None) or 0
    default = RefusedError if insert and code not in _PASSING else StoreError
    return _ERRORS.get(code, default)(text)


class Connection:
    """One connection: runs one statement at a time, from one thread at a time. Made by ``Engine.connect``."""

    def __init__(self, client: Client, embedded_formats: Path | None, wrote: Callable[[], None]) -> None:
        self._client = client
        self._formats = embedded_formats
        self._wrote = wrote  # called after each statement that may have changed something
        self._failed = False

    def command(self, sql: str, parameters: Mapping[str, object] | None = None) -> None:
        """Run a statement that returns nothing. Raises StoreError and its kin."""
        try:
            with _translating():
                self._client.command(sql, parameters=dict(parameters or {}))
        finally:
            self._wrote()

    def arrow(
        self,
        sql: str,
        parameters: Mapping[str, object] | None = None,
        settings: Mapping[str, Setting] | None = None,
    ) -> pa.Table:
        """Run a SELECT (without SETTINGS and FORMAT of its own) and give its answer as an Arrow table.

        ``parameters`` are bound by the engine where the text says ``{name:Type}``. Raises StoreError, QueryError and
        their kin.
        """
        # In the text and not as arguments: the embedded client would otherwise set and reset each by a statement.
        clause = "\nSETTINGS " + ", ".join(f"{k} = {_literal(v)}" for k, v in settings.items()) if settings else ""
        with _translating():
            if self._failed:
                # What a failed statement had written already would come before the next answer of the embedded engine.
                self._client.command("SELECT 1")
            self._failed = True
            raw = self._client.raw_query(f"{sql}{clause}\nFORMAT Arrow", parameters=dict(parameters or {}))
            self._failed = False
        return pa.ipc.open_file(raw).read_all()

    def insert_messages(self, table: str, block: bytes, *, proto: str, message: str, token: str) -> None:
        """Insert protobuf messages, each behind its varint length, one row a message; a token seen before adds nothing.

        Args:
            table: a Null table whose views turn the message into rows.
            block: the messages.
            proto: text of the .proto file.
            message: name of the message in it.
            token: names the block for ever: the same token must always come with the same bytes.
        """
        settings: dict[str, Setting] = {
            **self._format_settings(proto, message),
            "insert_deduplicate": 1,
            "insert_deduplication_token": token,
            "deduplicate_blocks_in_dependent_materialized_views": 1,
            "max_partitions_per_insert_block": 0,  # late samples of many days are no error
            "query_plan_enable_optimizations": 0,  # planning the views is most of a small insert's cost
        }
        try:
            with _translating(insert=True):
                self._client.raw_insert(table, insert_block=block, fmt="Protobuf", settings=settings)
        finally:
            self._wrote()

    def _format_settings(self, proto: str, message: str) -> dict[str, Setting]:
        if self._formats is None:
            return {"format_schema_source": "string", "format_schema": proto, "format_schema_message_name": message}
        # A schema given as text would be cached in the user's current folder; the embedded engine reads a file instead.
        path = self._formats / f"{uuid.uuid5(uuid.NAMESPACE_OID, proto).hex}.proto"
        if not path.exists():
            draft = path.with_suffix(f".{threading.get_ident()}")
            draft.write_text(proto, encoding="utf-8")
            draft.replace(path)
        return {"format_schema": f"{path}:{message}"}

    def close(self) -> None:
        """Close it; waits for the statement that it runs."""
        self._client.close()


@contextmanager
def _translating(*, insert: bool = False) -> Iterator[None]:
    try:
        yield
    except ClickHouseError as error:
        raise translated(error, insert=insert) from None  # the driver's own chain says no more


def _literal(value: Setting) -> str:
    return str(value) if isinstance(value, int | float) else quoted(value)


def quoted(text: str) -> str:
    r"""A string literal of the engine's SQL.

    Example:
        >>> print(quoted("it's"))
        'it\'s'
    """
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\0", "\\0")
    return f"'{escaped}'"


class Engine:
    """An open engine: connections, a pool of readers, cancellation, and a close that leaves nothing running.

    Args:
        dsn: ``chdb:///absolute/dir`` (made when it is missing) or ``clickhouse://user:password@host:port/database``.
        limits: bounds of memory, threads and caches.

    Attributes:
        limits: those bounds.
        writes: another number after each statement through this engine that may have changed what is stored.

    Raises:
        ConfigError: the DSN is neither of the two.
        StoreBusyError: another process holds the directory.
        StoreError: the engine cannot be opened.
    """

    def __init__(self, dsn: str, limits: EngineLimits | None = None) -> None:
        self.limits = limits or EngineLimits()
        self._lock: DirectoryLock | None = None
        self._formats: Path | None = None
        self._arguments = self._prepare(dsn)
        self._running: list[str] = []  # a query may run several statements under its id
        self._running_lock = threading.Lock()
        self._connections: list[Connection] = []
        self._idle: queue.LifoQueue[Connection] = queue.LifoQueue()
        self._writes = itertools.count(1)
        self.writes = 0
        self._closed = False
        atexit.register(self.close)
        try:
            for _ in range(self.limits.readers):
                self._idle.put(self.connect())
            self._control = self.connect()
            self._control_lock = threading.Lock()
        except BaseException:
            self.close()
            raise

    def _prepare(self, dsn: str) -> dict[str, Any]:
        parts = urlsplit(dsn)
        settings = self.limits.session_settings()
        if parts.scheme in {"clickhouse", "clickhouses", "http", "https"} and parts.hostname:
            return {
                "dsn": dsn,
                "settings": settings,
                "autogenerate_session_id": False,
                "form_encode_query_params": True,
            }
        folder = Path(dsn.removeprefix("chdb://"))  # to the letter: a path may have a percent sign
        if parts.scheme != "chdb" or not folder.is_absolute() or folder == Path("/"):
            forms = "chdb:///directory or clickhouse://user:password@host:port/database"
            raise ConfigError(f"{dsn!r} names no store: expected {forms}")
        if set(":?") & set(str(folder)):
            raise ConfigError(f"the engine takes no colon and no question mark in the path of its directory: {folder}")
        formats, temporary = folder / "formats", folder / "tmp"
        try:
            for directory in (formats, temporary):
                directory.mkdir(parents=True, exist_ok=True)
            self._lock = DirectoryLock(folder)
            clear_leftovers(folder)
        except StoreBusyError as error:
            raise StoreBusyError(f"{error}; stop it, or choose another data directory") from None
        except OSError as error:
            raise StoreError(f"cannot use {folder} as a data directory: {error.strerror or error}") from error
        self._formats = formats
        options = self.limits.server_options() | {"format_schema_path": f"{formats}/", "tmp_path": f"{temporary}/"}
        return {"interface": "chdb", "path": str(folder / "engine"), "chdb_options": options, "settings": settings}

    def _wrote(self) -> None:
        self.writes = next(self._writes)

    @property
    def embedded(self) -> bool:
        """Whether the engine runs in this process."""
        return self._formats is not None

    def connect(self) -> Connection:
        """A new connection for the caller alone, closed with the engine at the latest."""
        if self._closed:
            raise StoreError("the store is closed")
        try:
            client = clickhouse_connect.get_client(**self._arguments)
        except ClickHouseError as error:
            reason = _OPTIONS.sub("", str(error)).partition("\n")[0]
            raise StoreError(f"cannot reach the engine: {reason}") from None
        connection = Connection(client, self._formats, self._wrote)
        self._connections.append(connection)
        return connection

    def arrow(
        self,
        sql: str,
        parameters: Mapping[str, object] | None = None,
        budget: QueryBudget | None = None,
        settings: Mapping[str, Setting] | None = None,
    ) -> pa.Table:
        """Run a SELECT on one of the readers within a budget; see ``Connection.arrow``.

        Raises:
            QueryTimeoutError: the budget's deadline passed, waiting for a free reader included.
            QueryCanceledError: the budget was cancelled, or the engine is closing.
            QueryLimitError: more memory or rows than allowed.
            StoreError: the engine failed.
        """
        query_id = (budget.query_id if budget else "") or uuid.uuid4().hex
        bounds: dict[str, Setting] = {"log_comment": query_id, **(settings or {})}
        with self._reader(budget) as connection, self._registered(query_id):
            if budget is not None:
                bounds |= {"max_execution_time": remaining(budget), "max_memory_usage": budget.max_memory_bytes}
                if budget.trace is not None:
                    return _traced(connection, sql, parameters or {}, bounds, budget.trace)
            return connection.arrow(sql, parameters, bounds)

    @contextmanager
    def _reader(self, budget: QueryBudget | None) -> Iterator[Connection]:
        try:
            connection = self._idle.get(timeout=None if budget is None else remaining(budget))
        except queue.Empty:
            raise QueryTimeoutError("the query timed out while it waited for others to finish") from None
        try:
            yield connection
        finally:
            self._idle.put(connection)

    @contextmanager
    def _registered(self, query_id: str) -> Iterator[None]:
        with self._running_lock:
            if self._closed:
                raise QueryCanceledError("the store is closing")
            self._running.append(query_id)
        try:
            yield
        finally:
            with self._running_lock:
                self._running.remove(query_id)

    def cancel(self, query_id: str) -> None:
        """Stop the statements of that budget's ``query_id``; one that has ended already is none to stop."""
        with self._control_lock:
            self._control.command(f"KILL QUERY WHERE Settings['log_comment'] = {quoted(query_id)} ASYNC")

    def close(self) -> None:
        """Cancel what runs, wait for it, close every connection and let go of the directory."""
        with self._running_lock:
            if self._closed:
                return
            self._closed = True
        atexit.unregister(self.close)
        # Leaving the interpreter while the engine works crashes it, so nothing may still run when this returns.
        while self._running:
            for query_id in set(self._running):
                with suppress(MiranteError):
                    self.cancel(query_id)
            time.sleep(0.01)
        for connection in self._connections:
            connection.close()
        if self._lock is not None:
            self._lock.release()


def _traced(
    connection: Connection, sql: str, parameters: Mapping[str, object], bounds: Mapping[str, Setting], trace: Trace
) -> pa.Table:
    """Run a SELECT, and note what it was, how long it took and how much it went through."""
    started = time.perf_counter()
    table = connection.arrow(sql, parameters, bounds)
    seconds = time.perf_counter() - started
    # Asked for itself, because the embedded engine does not tell after a statement how much it has read.
    estimate = connection.arrow(f"SELECT sum(rows) AS rows FROM (EXPLAIN ESTIMATE {sql})", parameters, bounds)  # noqa: S608
    shown = {name: _shortened(value) for name, value in parameters.items()}
    trace.read(Read(sql, shown, seconds, table.num_rows, int(estimate.column("rows")[0].as_py())))
    return table


def _shortened(value: object) -> object:
    return f"{value[:80]}... ({len(value)} characters)" if isinstance(value, str) and len(value) > 120 else value


def remaining(budget: QueryBudget) -> float:
    """Seconds that are left. Raises QueryTimeoutError when there are none, QueryCanceledError after a cancellation."""
    if budget.canceled:
        raise QueryCanceledError("the query was cancelled")
    left = budget.deadline - time.monotonic()
    if left <= 0:
        raise QueryTimeoutError("the query took longer than its time limit")
    return max(left, 0.001)
