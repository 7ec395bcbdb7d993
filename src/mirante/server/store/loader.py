"""Drains one stream's log into the engine, in large groups, each of which counts once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import DecodeError

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante._core.spool import Spool
from mirante.errors import MiranteError
from mirante.formats.protobuf import delimited
from mirante.server.store.api import Stream
from mirante.server.store.client import Connection, RefusedError
from mirante.server.store.protos import message_class, proto

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class LoadStats:
    """Counts since the start.

    Attributes:
        bodies: bodies loaded.
        bytes: bytes of those bodies.
        groups: inserts that succeeded.
        seconds: time spent in inserts.
        retries: inserts that failed for a reason that may pass, and were repeated.
        quarantined: bodies that the engine refused, set aside on disk.
    """

    bodies: int = 0
    bytes: int = 0
    groups: int = 0
    seconds: float = 0.0
    retries: int = 0
    quarantined: int = 0


class Loader:
    """The thread that loads one stream.

    A group's extent is on disk before it is inserted (the spool sees to it) and its token is made of the log's name and
    the numbers of its records: a group that was cut short is repeated as it was, and the engine counts it once.

    Args:
        stream: which stream.
        spool: its log.
        connection: for this loader alone.
        quarantine: folder for bodies that the engine refuses.
        after_load: called in the loader's thread after each group.
        group_bytes: size of a large group.
        interval: seconds between the starts of two groups, as long as less than a group's bytes wait: every insert has
            its price, whatever its size.
        clock: tells the time between groups.

    Attributes:
        stream: which stream.
        spool: its log.
        stats: counts since the start.
        idle: held while a group is being inserted; whoever holds it keeps the loader from inserting.
    """

    def __init__(
        self,
        stream: Stream,
        spool: Spool,
        connection: Connection,
        *,
        quarantine: Path,
        after_load: Callable[[], None] | None = None,
        group_bytes: int = 16 << 20,
        interval: float = 0.5,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.stream = stream
        self.spool = spool
        self.stats = LoadStats()
        self._connection = connection
        self._quarantine = quarantine
        self._after_load = after_load
        self._group_bytes = group_bytes
        self._interval = interval
        self._clock = clock
        self._hurry = threading.Event()
        self.idle = threading.Lock()
        self._stop = threading.Event()
        self._committed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=f"mirante-load-{stream}", daemon=True)
        self._thread.start()

    def wait_until_loaded(self, timeout: float | None = None) -> bool:
        """Load what is in the log now, at once; false when that took longer than ``timeout`` seconds."""
        position = self.spool.position
        self._hurry.set()
        with self._committed:
            return self._committed.wait_for(lambda: self.spool.committed >= position, timeout)

    def close(self, deadline: float) -> None:
        """Load what is left for up to ``deadline`` seconds; what is not loaded by then stays in the log."""
        if self._stop.is_set():
            return
        self.wait_until_loaded(deadline)
        self._stop.set()
        self._hurry.set()
        self.spool.close()
        self._thread.join()

    def _run(self) -> None:
        next_start = penalty = 0.0
        while self.spool.wait():
            self._gather(next_start - self._clock.monotonic())
            next_start = self._clock.monotonic() + self._interval
            try:
                self._load_next()
                penalty = 0.0
            except Exception as error:  # noqa: BLE001 - a thread that ends would hold up its stream for ever
                self.stats.retries += 1
                penalty = min(max(2 * penalty, 0.25), 10.0)
                _log.warning("loading %s failed and is repeated in %g s: %r", self.stream, penalty, error)
                self._stop.wait(penalty)

    def _gather(self, seconds: float) -> None:
        """Let more come, unless a group's worth is there or someone waits."""
        if seconds > 0 and self.spool.waiting_bytes < self._group_bytes:
            self._hurry.wait(seconds)

    def _load_next(self) -> None:
        self._hurry.clear()
        batch = self.spool.read(self._group_bytes)
        if not batch.records:
            return
        with self.idle:
            self._load(batch.first, batch.records)
            self.spool.commit(batch.end)
            if self._after_load is not None:
                self._after_load()
        with self._committed:
            self._committed.notify_all()

    def _load(self, first: int, bodies: Sequence[bytes]) -> None:
        try:
            self._insert(first, bodies)
        except RefusedError as error:
            # One body must not hold up all that came with it. The engine refuses while it parses, before any row is
            # stored, and halves have names of their own: so they count once too.
            if len(bodies) == 1:
                self._load_cleaned(first, bodies[0], error)
            else:
                half = len(bodies) // 2
                self._load(first, bodies[:half])
                self._load(first + half, bodies[half:])

    def _load_cleaned(self, number: int, body: bytes, refused: RefusedError) -> None:
        """Load a body without its unknown fields, or set it aside.

        A known field in another encoding is an unknown one for the protocol's own parsers, and so for the receivers;
        the engine's refuses it.
        """
        try:
            message = message_class(self.stream).FromString(body)
            message.DiscardUnknownFields()
            self._insert(number, [message.SerializePartialToString()])
        except (DecodeError, RefusedError):
            self._set_aside(number, body, refused)

    def _insert(self, first: int, bodies: Sequence[bytes]) -> None:
        source = proto(self.stream)
        started = self._clock.monotonic()
        self._connection.insert_messages(
            f"{self.stream}_in",
            b"".join(map(delimited, bodies)),
            proto=source.text,
            message=source.root,
            token=f"{self.stream}-{self.spool.id}-{first}-{first + len(bodies)}",
        )
        self.stats.seconds += self._clock.monotonic() - started
        self.stats.groups += 1
        self.stats.bodies += len(bodies)
        self.stats.bytes += sum(map(len, bodies))

    def _set_aside(self, number: int, body: bytes, error: MiranteError) -> None:
        self._quarantine.mkdir(parents=True, exist_ok=True)
        path = self._quarantine / f"{self.stream}-{self.spool.id}-{number}.pb"
        path.write_bytes(body)
        path.with_suffix(".txt").write_text(f"{error}\n", encoding="utf-8")
        self.stats.quarantined += 1
        _log.error("the engine refused a body of %s, kept as %s: %s", self.stream, path, error)
