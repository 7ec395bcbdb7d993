"""How what the dispatcher remembers stands in the tables of its SQLite file."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from mirante.server.alert import Alert
from mirante.server.notify.acknowledge import Acknowledgement
from mirante.server.notify.book import Book, Changes
from mirante.server.notify.group import Escalating, Target, Told
from mirante.server.notify.known import Known
from mirante.server.notify.matchers import make_matcher
from mirante.server.notify.notification import Notification
from mirante.server.notify.silence import Silence

VERSION = 1
_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
SCHEMA = """
CREATE TABLE alert (
    id TEXT PRIMARY KEY, labels TEXT, annotations TEXT, starts_at INTEGER, ends_at INTEGER, updated_at INTEGER,
    generator_url TEXT, timeout INTEGER, ended INTEGER, begun INTEGER, groups TEXT
) WITHOUT ROWID;
CREATE TABLE alert_group (id TEXT PRIMARY KEY, next_flush INTEGER, flushed INTEGER) WITHOUT ROWID;
CREATE TABLE escalating (
    group_id TEXT, alert_id TEXT, told_at INTEGER, steps INTEGER, PRIMARY KEY (group_id, alert_id)
) WITHOUT ROWID;
CREATE TABLE told (
    group_key TEXT, receiver TEXT, kind TEXT, number INTEGER, firing TEXT, resolved TEXT, at INTEGER, level INTEGER,
    PRIMARY KEY (group_key, receiver, kind, number)
) WITHOUT ROWID;
CREATE TABLE acknowledgement (alert_id TEXT PRIMARY KEY, author TEXT, comment TEXT, at INTEGER, until INTEGER)
    WITHOUT ROWID;
CREATE TABLE silence (
    id TEXT PRIMARY KEY, matchers TEXT, starts_at INTEGER, ends_at INTEGER, author TEXT, comment TEXT,
    updated_at INTEGER
) WITHOUT ROWID;
CREATE TABLE held (receiver TEXT, kind TEXT, number INTEGER, groups TEXT, PRIMARY KEY (receiver, kind, number))
    WITHOUT ROWID;
CREATE TABLE notification (
    place INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE, receiver TEXT, kind TEXT, number INTEGER, group_key TEXT,
    reason TEXT, level INTEGER, created_at INTEGER, content BLOB, next_at INTEGER, settled_at INTEGER, arrived INTEGER
);
CREATE INDEX waiting ON notification (receiver, kind, number, group_key, place) WHERE settled_at IS NULL;
CREATE INDEX lately ON notification (created_at);
CREATE TABLE attempt (place INTEGER, at INTEGER, answer TEXT, arrived INTEGER);
CREATE INDEX attempts ON attempt (place);
"""


class Table(NamedTuple):
    """How one part of the book stands on disk.

    Attributes:
        name: of the table.
        key: its key columns.
        columns: how many there are.
        changed: keys that changed, each as the values of the key columns.
        row: what follows the key columns; None where there is nothing of that key any more.
    """

    name: str
    key: tuple[str, ...]
    columns: int
    changed: Callable[[Changes], list[tuple[Any, ...]]]
    row: Callable[[Book, tuple[Any, ...]], tuple[Any, ...] | None]

    @property
    def put(self) -> str:
        """The statement that writes a row."""
        return f"INSERT OR REPLACE INTO {self.name} VALUES ({', '.join('?' * self.columns)})"  # noqa: S608 - our names

    @property
    def drop(self) -> str:
        """The statement that removes one."""
        where = " AND ".join(f"{column} = ?" for column in self.key)
        return f"DELETE FROM {self.name} WHERE {where}"  # noqa: S608 - our names


def _alert(book: Book, key: tuple[Any, ...]) -> tuple[Any, ...] | None:
    known = book.alerts.get(key[0])
    if known is None:
        return None
    alert = known.alert
    known.kept_end = alert.ends_at
    return (
        _json(alert.labels),
        _json(alert.annotations),
        alert.starts_at,
        alert.ends_at,
        alert.updated_at,
        alert.generator_url,
        known.timeout,
        known.ended,
        known.begun,
        # Of one that fires they follow from the routes.
        _json(sorted(known.groups)) if known.ended else "[]",
    )


def _group(book: Book, key: tuple[Any, ...]) -> tuple[Any, ...] | None:
    group = book.groups.get(key[0])
    return None if group is None else (group.next_flush, group.flushed)


def _escalating(book: Book, key: tuple[Any, ...]) -> tuple[Any, ...] | None:
    group = book.groups.get(key[0])
    state = None if group is None else group.escalating.get(key[1])
    return None if state is None else (state.told_at, state.steps)


def _told(book: Book, key: tuple[Any, ...]) -> tuple[Any, ...] | None:
    told = book.told.get(key[0], {}).get(Target(*key[1:]))
    return None if told is None else (_json(sorted(told.firing)), _json(sorted(told.resolved)), told.at, told.level)


def _acknowledgement(book: Book, key: tuple[Any, ...]) -> tuple[Any, ...] | None:
    one = book.acknowledgements.get(key[0])
    return None if one is None else (one.author, one.comment, one.at, one.until)


def _silence(book: Book, key: tuple[Any, ...]) -> tuple[Any, ...] | None:
    one = book.silences.get(key[0])
    if one is None:
        return None
    matchers = _json([[matcher.name, matcher.type, matcher.value] for matcher in one.matchers])
    return matchers, one.starts_at, one.ends_at, one.author, one.comment, one.updated_at


def _held(book: Book, key: tuple[Any, ...]) -> tuple[Any, ...] | None:
    groups = book.held.get(Target(*key))
    return (_json(sorted(groups)),) if groups else None


def _single(keys: set[str]) -> list[tuple[Any, ...]]:
    return [(key,) for key in keys]


TABLES = (
    Table("alert", ("id",), 11, lambda changes: _single(changes.alerts), _alert),
    Table("alert_group", ("id",), 3, lambda changes: _single(changes.groups), _group),
    Table("escalating", ("group_id", "alert_id"), 4, lambda changes: list(changes.escalating), _escalating),
    Table(
        "told",
        ("group_key", "receiver", "kind", "number"),
        8,
        lambda changes: [(key, *target) for key, target in changes.told],
        _told,
    ),
    Table("acknowledgement", ("alert_id",), 5, lambda changes: _single(changes.acknowledgements), _acknowledgement),
    Table("silence", ("id",), 7, lambda changes: _single(changes.silences), _silence),
    Table("held", ("receiver", "kind", "number"), 4, lambda changes: list(changes.held), _held),
)


def known_of(row: tuple[Any, ...]) -> Known:
    """An alert of its row."""
    alert_id, labels, annotations, starts_at, ends_at, updated_at, url, timeout, ended, begun, groups = row
    alert = Alert(json.loads(labels), json.loads(annotations), starts_at, ends_at, updated_at, url)
    return Known(alert_id, alert, bool(timeout), bool(ended), ends_at, begun, set(json.loads(groups)))


def escalating_of(row: tuple[Any, ...]) -> tuple[str, str, Escalating]:
    """Group, alert and how far it has come."""
    return row[0], row[1], Escalating(*row[2:])


def told_of(row: tuple[Any, ...]) -> tuple[str, Target, Told]:
    """Group key, target and what it was told."""
    key, receiver, kind, number, firing, resolved, at, level = row
    told = Told(frozenset(json.loads(firing)), frozenset(json.loads(resolved)), at, level)
    return key, Target(receiver, kind, number), told


def acknowledgement_of(row: tuple[Any, ...]) -> Acknowledgement:
    """An acknowledgement of its row."""
    return Acknowledgement(*row)


def silence_of(row: tuple[Any, ...]) -> Silence:
    """A silence of its row."""
    silence_id, matchers, *rest = row
    starts_at, ends_at, author, comment, updated_at = rest
    read = tuple(make_matcher(*parts) for parts in json.loads(matchers))
    return Silence(read, starts_at, ends_at, author, comment, silence_id, updated_at)


def held_of(row: tuple[Any, ...]) -> tuple[Target, set[str]]:
    """A target and the groups that are withheld from it."""
    return Target(*row[:3]), set(json.loads(row[3]))


def content_of(notification: Notification) -> bytes:
    """What of a notification has no column of its own; alike alerts pack well."""
    content = {
        "group_labels": notification.group_labels,
        "alerts": [
            [a.labels, a.annotations, a.starts_at, a.ends_at, a.updated_at, a.generator_url]
            for a in notification.alerts
        ],
        "author": notification.author,
        "comment": notification.comment,
        "held_back": notification.held_back,
    }
    return zlib.compress(_json(content).encode(), 1)


NOTIFICATION_COLUMNS = "id, receiver, kind, number, group_key, reason, level, created_at, content"


def notification_row(notification: Notification) -> tuple[Any, ...]:
    """The values of ``NOTIFICATION_COLUMNS``."""
    one = notification
    return (
        one.id,
        one.receiver,
        one.kind,
        one.index,
        one.group_key,
        one.reason,
        one.level,
        one.created_at,
        content_of(one),
    )


def notification_of(row: tuple[Any, ...]) -> Notification:
    """A notification of the values of ``NOTIFICATION_COLUMNS``."""
    notification_id, receiver, kind, number, group_key, reason, level, created_at, packed = row
    content: Mapping[str, Any] = json.loads(zlib.decompress(packed))
    return Notification(
        notification_id,
        receiver,
        kind,
        number,
        group_key,
        content["group_labels"],
        tuple(Alert(*fields) for fields in content["alerts"]),
        reason,
        created_at,
        level,
        content["author"],
        content["comment"],
        content["held_back"],
    )
