"""What the store holds: bytes and rows by signal, metric and service, and where the many series come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mirante.server.store.api import QueryBudget
from mirante.server.store.client import Engine
from mirante.server.store.tables import SIGNAL_OF, SIGNALS

# Cardinality is that of the newest day: what is written now, as in Prometheus's head.
_NEWEST = "day = (SELECT max(day) FROM series)"
_SERIES = f"(SELECT name, series_id, labels FROM series WHERE {_NEWEST} LIMIT 1 BY series_id)"  # noqa: S608

_HEAD = f"""SELECT count() AS numSeries, uniqExactArray(arrayZip(mapKeys(labels), mapValues(labels))) AS numLabelPairs
FROM {_SERIES}"""  # noqa: S608
_TIMES = """SELECT toUnixTimestamp64Milli(min(timestamp)) AS minTime, toUnixTimestamp64Milli(max(timestamp)) AS maxTime
FROM samples WHERE toYYYYMMDD(timestamp) = (SELECT toYYYYMMDD(max(day)) FROM series)"""
_CHUNKS = """SELECT sum(marks) AS chunkCount FROM system.parts
WHERE active AND database = currentDatabase() AND table = 'samples'"""

# One list of the status page each: its name in Prometheus, and how it is counted.
_TOP: Mapping[str, str] = {
    "seriesCountByMetricName": f"SELECT name, count() AS value FROM {_SERIES} GROUP BY name",  # noqa: S608
    "labelValueCountByLabelName": f"""SELECT pair.1 AS name, uniqExact(pair.2) AS value
FROM {_SERIES} ARRAY JOIN arrayZip(mapKeys(labels), mapValues(labels)) AS pair GROUP BY name""",  # noqa: S608
    "memoryInBytesByLabelName": f"""SELECT pair.1 AS name, sum(length(pair.2)) AS value
FROM {_SERIES} ARRAY JOIN arrayZip(mapKeys(labels), mapValues(labels)) AS pair GROUP BY name""",  # noqa: S608
    "seriesCountByLabelValuePair": f"""SELECT concat(pair.1, '=', pair.2) AS name, count() AS value
FROM {_SERIES} ARRAY JOIN arrayZip(mapKeys(labels), mapValues(labels)) AS pair GROUP BY name""",  # noqa: S608
}

_TABLES = """SELECT table, sum(rows) AS rows, sum(bytes_on_disk) AS bytes, sum(data_uncompressed_bytes) AS uncompressed,
       count() AS parts, min(partition_id) AS first, max(partition_id) AS last
FROM system.parts WHERE active AND database = currentDatabase() GROUP BY table"""
_METRICS = f"""SELECT name, count() AS series, sum(samples) AS samples
FROM {_SERIES} AS known
INNER JOIN (
    SELECT series_id, count() AS samples FROM samples
    WHERE toYYYYMMDD(timestamp) = (SELECT toYYYYMMDD(max(day)) FROM series) GROUP BY series_id
) AS counted USING series_id
GROUP BY name ORDER BY samples DESC, name LIMIT {{limit:UInt32}}"""  # noqa: S608
_SERVICES = """SELECT ServiceName AS service, count() AS rows FROM {table} GROUP BY service
ORDER BY rows DESC, service LIMIT {{limit:UInt32}}"""


class StoreUsage:
    """Answers from the engine's own bookkeeping where it can, and from the newest day where it must count.

    Args:
        engine: the store.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def _rows(self, sql: str, budget: QueryBudget, **bound: object) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._engine.arrow(sql, bound, budget).to_pylist()
        return rows

    def tsdb(self, limit: int, budget: QueryBudget) -> dict[str, Any]:
        """The ``data`` of Prometheus's ``/api/v1/status/tsdb``: series of the newest day, ``limit`` rows a list.

        ``chunkCount`` counts the store's own blocks of rows.

        Raises:
            QueryError: one of the budget's limits was met.
            StoreError: the engine failed.
        """
        head = {**self._rows(_HEAD, budget)[0], **self._rows(_CHUNKS, budget)[0], **self._rows(_TIMES, budget)[0]}
        tops = {
            name: self._rows(f"{sql} ORDER BY value DESC, name LIMIT {{limit:UInt32}}", budget, limit=limit)
            for name, sql in _TOP.items()
        }
        return {"headStats": head, **tops}

    def store(self, limit: int, budget: QueryBudget) -> dict[str, Any]:
        """What is on disk by signal and table, and the largest metrics and services.

        Bytes of a metric or service are its share of the rows of its table: the engine does not count them apart.

        Raises:
            QueryError: one of the budget's limits was met.
            StoreError: the engine failed.
        """
        tables = {row.pop("table"): row for row in self._rows(_TABLES, budget)}
        signals = {
            signal: _summed([row for name, row in tables.items() if SIGNAL_OF.get(name) == signal])
            for signal in SIGNALS
        }
        services = {
            signal: _with_bytes(self._rows(_SERVICES.format(table=table), budget, limit=limit), tables.get(table))
            for signal, table in (("logs", "otel_logs"), ("traces", "otel_traces"))
        }
        metrics = self._rows(_METRICS, budget, limit=limit)
        return {
            "bytes": sum(row["bytes"] for row in tables.values()),
            "signals": signals,
            "tables": {name: _table(row) for name, row in sorted(tables.items())},
            "metrics": _with_bytes(metrics, tables.get("samples"), count="samples"),
            "services": services,
        }


def _table(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "bytes": row["bytes"],
        "uncompressed_bytes": row["uncompressed"],
        "compression": round(row["uncompressed"] / row["bytes"], 2) if row["bytes"] else 1.0,
        "rows": row["rows"],
        "parts": row["parts"],
        "oldest_day": _iso(row["first"]),
        "newest_day": _iso(row["last"]),
    }


def _summed(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    if not rows:
        nothing = {"bytes": 0, "uncompressed_bytes": 0, "compression": 1.0, "rows": 0, "parts": 0}
        return {**nothing, "oldest_day": None, "newest_day": None}
    sums = {key: sum(row[key] for row in rows) for key in ("bytes", "uncompressed", "rows", "parts")}
    return _table({**sums, "first": min(row["first"] for row in rows), "last": max(row["last"] for row in rows)})


def _iso(partition: str) -> str | None:
    if not partition.isdecimal():
        return None  # the table has no days
    return f"{partition[:4]}-{partition[4:6]}-{partition[6:]}"


def _with_bytes(
    rows: list[dict[str, Any]], table: Mapping[str, Any] | None, count: str = "rows"
) -> list[dict[str, Any]]:
    a_row = table["bytes"] / table["rows"] if table and table["rows"] else 0.0
    return [{**row, "bytes": round(row[count] * a_row)} for row in rows]
