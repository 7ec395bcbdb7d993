"""A call to a database, as OpenTelemetry's conventions for database clients describe it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from mirante.integrations._operation import Operation
from mirante.metrics.distributions import Histogram
from mirante.metrics.shorthand import histogram
from mirante.tracing.spans import Span

if TYPE_CHECKING:
    from mirante.tracing.provider import ProviderTracer

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Database(NamedTuple):
    """Which database.

    Attributes:
        system: as ``db.system.name`` has it.
        namespace: the database's name there.
        address: host, or path of a socket.
        port: 0 where there is none.
    """

    system: str
    namespace: str
    address: str
    port: int


@cache
def duration() -> Histogram:
    """``db_client_operation_duration_seconds``; declared by the first call."""
    return histogram(
        "db_client_operation_duration_seconds",
        "Duration of database client operations.",
        ("db_system_name", "db_namespace", "db_operation_name", "server_address", "server_port", "error_type"),
        buckets=_BUCKETS,
    )


class DatabaseCall(Operation):
    """One statement or command, or one batch of them.

    Args:
        tracer: starts the span.
        name: the span's.
        operation: what kind of statement; empty where that is not known.
        database: where it goes.
        batch: how many of a batch; 1 is none.
    """

    __slots__ = ("_batch", "_database", "_operation")

    def __init__(self, tracer: ProviderTracer, name: str, operation: str, database: Database, batch: int = 1) -> None:
        super().__init__(tracer, name)
        self._operation = operation
        self._database = database
        self._batch = batch

    def describe(self, span: Span) -> None:
        """System, namespace, address and operation."""
        system, namespace, address, port = self._database
        span.set_attribute("db.system.name", system)
        if namespace:
            span.set_attribute("db.namespace", namespace)
        if self._operation:
            span.set_attribute("db.operation.name", self._operation)
        if address:
            span.set_attribute("server.address", address)
        if port:
            span.set_attribute("server.port", port)
        if self._batch != 1:
            span.set_attribute("db.operation.batch.size", self._batch)

    def measure(self, seconds: float) -> None:
        """Add to ``db_client_operation_duration_seconds``."""
        system, namespace, address, port = self._database
        child = duration().labels(system, namespace, self._operation, address, str(port or ""), self.error_type)
        child.observe(seconds)
