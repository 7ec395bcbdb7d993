"""The dispatcher's memory on disk: one SQLite file; a decision and what follows from it are one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from mirante.errors import StoreError, StoreFullError
from mirante.server.notify.book import Book
from mirante.server.notify.group import Escalating, Kept, Target
from mirante.server.notify.notification import Attempt, Notification
from mirante.server.notify.silence import Silences
from mirante.server.notify.storm import MINUTE
from mirante.server.notify.tables import (
    NOTIFICATION_COLUMNS,
    SCHEMA,
    TABLES,
    VERSION,
    acknowledgement_of,
    escalating_of,
    held_of,
    known_of,
    notification_of,
    notification_row,
    silence_of,
    told_of,
)

FILE = "alerting.sqlite"
MEMORY = ":memory:"
_PRAGMAS = ("journal_mode = WAL", "synchronous = FULL", "busy_timeout = 10000")
# The oldest of each queue: what follows must not overtake it.
_HEADS = (
    f"SELECT {NOTIFICATION_COLUMNS}, min(place) AS head, next_at FROM notification WHERE settled_at IS NULL "  # noqa: S608
    "GROUP BY receiver, kind, number, group_key"
)
_PLACE = "(SELECT place FROM notification WHERE id = ?)"


class Loaded(NamedTuple):
    """What was kept.

    Attributes:
        book: without groups: they are made of its alerts and of the routes.
        groups: what outlives that, by id.
    """

    book: Book
    groups: dict[str, Kept]


class Sent(NamedTuple):
    """A notification and what became of it.

    Attributes:
        notification: what was to be sent.
        attempts: every try, in order.
        settled_at: since when nothing more is tried, milliseconds; None while it waits.
        arrived: whether it was sent.
    """

    notification: Notification
    attempts: tuple[Attempt, ...]
    settled_at: int | None
    arrived: bool


class State:
    """The file. It belongs to one thread at a time, and to one process.

    It is the ``Outbox`` of the delivery, too.

    Args:
        path: of the file, or ``MEMORY`` for one that nobody keeps.

    Attributes:
        path: of the file. Whoever only reads may open another ``State`` of it, in a thread of its own.

    Raises:
        StoreError: the file cannot be opened, is damaged, or was written by a later release.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = path
        with _explained(path):
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            with _explained(path):
                self._prepare()
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def load(self) -> Loaded:
        """Everything that was kept.

        Raises:
            StoreError: the file cannot be read.
        """
        with _explained(self.path):
            book = Book(silences=Silences(silence_of(row) for row in self._rows("silence")))
            for row in self._rows("alert"):
                book.add(known_of(row))
            for row in self._rows("told"):
                key, target, told = told_of(row)
                book.told.setdefault(key, {})[target] = told
            book.acknowledgements.update((row[0], acknowledgement_of(row)) for row in self._rows("acknowledgement"))
            book.held.update(held_of(row) for row in self._rows("held"))
            book.lately = self._lately()
            return Loaded(book, self._groups())

    def save(self, book: Book) -> None:
        """Write what changed, in one transaction: when it returns it is on the disk, when it raises nothing changed.

        Raises:
            StoreFullError: there is no room.
            StoreError: it cannot be written.
        """
        with self._transaction():
            for table in TABLES:
                keys = table.changed(book.changes)
                rows = {key: table.row(book, key) for key in keys}
                self._db.executemany(table.drop, [key for key, row in rows.items() if row is None])
                self._db.executemany(table.put, [key + row for key, row in rows.items() if row is not None])
            self._db.executemany(
                f"INSERT INTO notification ({NOTIFICATION_COLUMNS}, next_at, arrived) "  # noqa: S608 - our names
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
                [(*notification_row(one), one.created_at) for one in book.changes.notifications],
            )
            if book.changes.forget is not None:
                self._forget(book.changes.forget)

    def waiting(self, now: int) -> list[Notification]:
        """Notifications whose time has come, oldest first; of one (receiver, integration, group) only the oldest."""
        with _explained(self.path):
            rows = self._db.execute(f"SELECT * FROM ({_HEADS}) WHERE next_at <= ? ORDER BY head", (now,))  # noqa: S608
            return [notification_of(row[:-2]) for row in rows]

    def next_at(self) -> int | None:
        """When the next one is due, milliseconds; None when there is none."""
        with _explained(self.path):
            at: int | None = self._db.execute(f"SELECT min(next_at) FROM ({_HEADS})").fetchone()[0]  # noqa: S608
            return at

    def attempted(self, notification: Notification, attempt: Attempt, retry_at: int | None) -> None:
        """Note a try; without ``retry_at`` it is settled, as sent or as given up. Durable when it returns.

        Raises:
            StoreFullError: there is no room.
            StoreError: it cannot be written.
        """
        settled_at = attempt.at if retry_at is None else None
        with self._transaction():
            self._db.execute(
                f"INSERT INTO attempt VALUES ({_PLACE}, ?, ?, ?)",  # noqa: S608 - our names
                (notification.id, attempt.at, attempt.answer, attempt.ok),
            )
            self._db.execute(
                "UPDATE notification SET next_at = ?, settled_at = ?, arrived = ? WHERE id = ?",
                (retry_at, settled_at, attempt.ok, notification.id),
            )

    def waits(self, target: Target, group_key: str) -> bool:
        """Whether a notification for that target of that group is not settled."""
        with _explained(self.path):
            found = self._db.execute(
                "SELECT 1 FROM notification WHERE settled_at IS NULL "
                "AND receiver = ? AND kind = ? AND number = ? AND group_key = ?",
                (*target, group_key),
            )
            return found.fetchone() is not None

    def history(
        self,
        *,
        since: int = 0,
        until: int | None = None,
        receiver: str | None = None,
        group_key: str | None = None,
        alert_id: str | None = None,
        limit: int = 100,
    ) -> list[Sent]:
        """What was told, newest first.

        Args:
            since: earliest time of the decision, milliseconds.
            until: latest; None for any.
            receiver: only what it was told.
            group_key: only about that group.
            alert_id: only about that alert.
            limit: most entries.

        Raises:
            StoreError: the file cannot be read.
        """
        query = (
            f"SELECT {NOTIFICATION_COLUMNS}, place, settled_at, arrived FROM notification "  # noqa: S608 - our names
            "WHERE created_at >= ? AND created_at <= coalesce(?, created_at) "
            "AND receiver = coalesce(?, receiver) AND group_key = coalesce(?, group_key) ORDER BY place DESC"
        )
        found: list[Sent] = []
        with _explained(self.path), closing(self._db.execute(query, (since, until, receiver, group_key))) as rows:
            while len(found) < limit and (row := rows.fetchone()) is not None:
                notification = notification_of(row[:-3])
                if alert_id is None or any(alert.id == alert_id for alert in notification.alerts):
                    found.append(Sent(notification, self._attempts(row[-3]), row[-2], bool(row[-1])))
        return found

    def _prepare(self) -> None:
        found = self._db.execute("PRAGMA user_version").fetchone()[0]
        if found > VERSION:
            raise StoreError(f"{self.path} was written by a later release of mirante; this one cannot read it")
        for pragma in _PRAGMAS:
            self._db.execute(f"PRAGMA {pragma}")
        if not found:
            self._db.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")

    def _forget(self, before: int) -> None:
        old = "FROM notification WHERE created_at < ? AND settled_at IS NOT NULL"
        self._db.execute(f"DELETE FROM attempt WHERE place IN (SELECT place {old})", (before,))  # noqa: S608 - our names
        self._db.execute(f"DELETE {old}", (before,))

    def _rows(self, table: str) -> sqlite3.Cursor:
        return self._db.execute(f"SELECT * FROM {table} ORDER BY 1")  # noqa: S608 - our names

    def _groups(self) -> dict[str, Kept]:
        escalating: dict[str, dict[str, Escalating]] = {}
        for row in self._rows("escalating"):
            group_id, alert_id, state = escalating_of(row)
            escalating.setdefault(group_id, {})[alert_id] = state
        return {
            group_id: Kept(next_flush, bool(flushed), escalating.get(group_id, {}))
            for group_id, next_flush, flushed in self._rows("alert_group")
        }

    def _lately(self) -> list[int]:
        newest = self._db.execute("SELECT max(created_at) FROM notification").fetchone()[0] or 0
        rows = self._db.execute(
            "SELECT created_at FROM notification WHERE created_at > ? AND reason NOT IN ('runbook', 'acknowledged')",
            (newest - MINUTE,),
        )
        return [at for (at,) in rows]

    def _attempts(self, place: int) -> tuple[Attempt, ...]:
        rows = self._db.execute("SELECT at, answer, arrived FROM attempt WHERE place = ? ORDER BY rowid", (place,))
        return tuple(Attempt(at, answer, bool(arrived)) for at, answer, arrived in rows)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with _explained(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                # A commit that failed for want of room may have rolled back by itself.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise


@contextmanager
def _explained(path: Path | str) -> Iterator[None]:
    """Turns SQLite's errors into ours."""
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            raise StoreFullError(f"no room to write {path}: free some on its disk") from error
        raise StoreError(f"the state of alerts in {path} cannot be used: {error}") from error
