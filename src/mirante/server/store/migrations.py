"""Brings the schema of a store up to date: numbered ``schema/*.sql`` files, each applied once, in order.

Every statement can be repeated (``IF NOT EXISTS``), so a start that was cut short is simply repeated. A file that was
released is never changed: what comes later is a new file.
"""

from __future__ import annotations

import re
from importlib import resources
from typing import NamedTuple, cast

from mirante.errors import StoreError
from mirante.server.store.api import Stream
from mirante.server.store.client import Engine
from mirante.server.store.protos import proto

_COMMENT = re.compile(r"^\s*--.*$", re.MULTILINE)
_COLUMNS = re.compile(r"\{\{(\w+)\}\}")
_JOURNAL = (
    "CREATE TABLE IF NOT EXISTS schema_migrations"
    " (version UInt32, name String, applied DateTime('UTC') DEFAULT now()) ENGINE = MergeTree ORDER BY version"
)


class Migration(NamedTuple):
    """One numbered file.

    Attributes:
        version: the number before the first underscore.
        name: the file's name.
        statements: its statements, without comments.
    """

    version: int
    name: str
    statements: tuple[str, ...]


def migrations() -> list[Migration]:
    """The files that this release brings, by version."""
    found = []
    for file in (resources.files(__package__) / "schema").iterdir():
        if file.name.endswith(".sql"):
            text = _COMMENT.sub("", file.read_text(encoding="utf-8"))
            text = _COLUMNS.sub(lambda match: proto(cast("Stream", match[1])).columns(), text)
            statements = tuple(part.strip() for part in text.split(";\n") if part.strip())
            found.append(Migration(int(file.name.partition("_")[0]), file.name, statements))
    return sorted(found)


def migrate(engine: Engine, known: list[Migration] | None = None) -> int:
    """Apply what is missing and return the version reached; ``known`` stands in for this release's own files.

    Raises:
        StoreError: a statement failed, or a later release has written the store.
    """
    known = migrations() if known is None else known
    connection = engine.connect()
    connection.command(_JOURNAL)
    applied = set(connection.arrow("SELECT version FROM schema_migrations").column("version").to_pylist())
    newest = known[-1].version if known else 0
    if max(applied, default=0) > newest:
        raise StoreError(
            f"the store has schema {max(applied)}, this release knows up to {newest}: a later release has written it"
        )
    for migration in known:
        if migration.version not in applied:
            for statement in migration.statements:
                connection.command(statement)
            connection.command(
                "INSERT INTO schema_migrations (version, name) VALUES ({version:UInt32}, {name:String})",
                {"version": migration.version, "name": migration.name},
            )
    connection.close()
    return newest
