"""Libraries that talk to others and that mirante has no integration for, with what OpenTelemetry has for them.

Those packages work as they are: mirante is OpenTelemetry's global provider. Source: the list of instrumentations of
``opentelemetry-python-contrib``, and that project's packages on the package index.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from inspect import isabstract

_PREFIX = "opentelemetry-instrumentation-"

PACKAGES: Mapping[str, str] = {
    "MySQLdb": "mysqlclient",
    "aio_pika": "aio-pika",
    "aiohttp": "aiohttp-client",
    "aiokafka": "aiokafka",
    "aiopg": "aiopg",
    "asyncpg": "asyncpg",
    "botocore": "botocore",
    "cassandra": "cassandra",
    "confluent_kafka": "confluent-kafka",
    "elasticsearch": "elasticsearch",
    "falcon": "falcon",
    "grpc": "grpc",
    "kafka": "kafka-python",
    "mysql.connector": "mysql",
    "pika": "pika",
    "psycopg": "psycopg",
    "psycopg2": "psycopg2",
    "pymemcache": "pymemcache",
    "pymongo": "pymongo",
    "pymssql": "pymssql",
    "pymysql": "pymysql",
    "pyramid": "pyramid",
    "remoulade": "remoulade",
    "tornado": "tornado",
    "tortoise": "tortoiseorm",
}
"""Module to the end of the package's name."""

_BELOW_SQLALCHEMY = frozenset(
    {"MySQLdb", "aiopg", "asyncpg", "psycopg", "psycopg2", "pymssql", "pymysql", "mysql.connector"}
)


def unmonitored(*, sqlalchemy: bool) -> dict[str, str]:
    """The libraries that are imported and that nobody instruments, and the package that would.

    Args:
        sqlalchemy: whether SQLAlchemy is looked after, and with it the drivers below it.
    """
    return {
        module: _PREFIX + package
        for module, package in PACKAGES.items()
        if module in sys.modules and not _instrumented(package) and not (sqlalchemy and module in _BELOW_SQLALCHEMY)
    }


def _instrumented(package: str) -> bool:
    """Whether OpenTelemetry's package is imported and its instrumentor at work."""
    name = package.removesuffix("-python").replace("-", "_")
    module = sys.modules.get(f"opentelemetry.instrumentation.{name}")
    kinds = [one for one in vars(module).values() if isinstance(one, type)] if module else []
    working = [one for one in kinds if hasattr(one, "is_instrumented_by_opentelemetry") and not isabstract(one)]
    return any(one().is_instrumented_by_opentelemetry for one in working)  # they are singletons
