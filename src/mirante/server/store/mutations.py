"""Changes of stored rows: the engine rewrites the parts that are concerned, in the background."""

from __future__ import annotations

import time
from collections.abc import Mapping

from mirante.errors import StoreError
from mirante.server.store.client import Connection

_PENDING = (
    "SELECT count() AS pending, anyLast(latest_fail_reason) AS reason FROM system.mutations"
    " WHERE database = currentDatabase() AND table = {table:String} AND NOT is_done"
)
_OLD_PARTS = (
    "SELECT count() AS old FROM system.parts"
    " WHERE database = currentDatabase() AND table = {table:String} AND NOT active"
)


def remove(
    connection: Connection,
    table: str,
    where: str,
    parameters: Mapping[str, object] | None = None,
    *,
    deadline: float,
) -> bool:
    """Remove rows for good and wait for it.

    Args:
        connection: for this caller alone.
        table: the table's name.
        where: what follows ``DELETE``: a condition, perhaps after ``IN PARTITION``.
        parameters: bound by the engine.
        deadline: ``time.monotonic()`` value until which to wait.

    Returns:
        True when the rows are gone from the disk, false when the engine still works on it.

    Raises:
        StoreError: it failed; it has been taken back, and rows that were not removed yet stay.
    """
    connection.command(f"ALTER TABLE {table} DELETE {where} SETTINGS mutations_sync = 0", parameters)
    return finished(connection, table, deadline) and purge(connection, table, deadline)


def hide(connection: Connection, table: str, where: str, parameters: Mapping[str, object], *, deadline: float) -> bool:
    """Mark rows as removed, so that no query sees them; they leave the disk with the next merge, or ``clean``.

    Returns and raises as ``remove`` does.
    """
    statement = f"DELETE FROM {table} WHERE {where} SETTINGS lightweight_deletes_sync = 0"  # noqa: S608
    connection.command(statement, parameters)
    return finished(connection, table, deadline)


def clean(connection: Connection, table: str, *, deadline: float) -> bool:
    """Take from the disk what was marked as removed. Returns and raises as ``remove`` does."""
    connection.command(f"ALTER TABLE {table} APPLY DELETED MASK SETTINGS mutations_sync = 0")
    return finished(connection, table, deadline) and purge(connection, table, deadline)


def finished(connection: Connection, table: str, deadline: float) -> bool:
    """Wait for all changes of a table; false when some go on at the deadline. Raises StoreError when one failed."""
    pause = 0.005
    while True:
        state = connection.arrow(_PENDING, {"table": table}).to_pylist()[0]
        if not state["pending"]:
            return True
        if state["reason"]:
            connection.command(
                "KILL MUTATION WHERE database = currentDatabase() AND table = {table:String} AND NOT is_done",
                {"table": table},
            )
            raise StoreError(f"{table} could not be changed: {state['reason']}")
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(2 * pause, 0.5)


def purge(connection: Connection, table: str, deadline: float) -> bool:
    """Have the files of replaced parts removed, which would take the engine half a minute by itself."""
    pause = 0.005
    while connection.arrow(_OLD_PARTS, {"table": table}).column("old").to_pylist()[0]:
        if time.monotonic() > deadline:
            return False
        connection.command(f"SYSTEM STOP CLEANUP {table}")
        connection.command(f"SYSTEM START CLEANUP {table}")
        time.sleep(pause)
        pause = min(2 * pause, 0.5)
    return True
