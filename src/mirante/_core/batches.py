"""Telemetry items on their way out: a bounded queue, and a daemon thread that encodes and delivers.

Putting an item in never waits. Whatever happens to the destination, the queue has its size, one encoded batch is in
flight, and every item that is given up is counted by its reason.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypedDict, TypeVar, Unpack

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante._core.fork import watch
from mirante._core.guard import REPORTER
from mirante._core.model import MetricFamily, Sample
from mirante._core.spool import Spool
from mirante._core.spool_slots import body_of, items_of, record_of
from mirante.errors import DeliveryError, StoreError

T = TypeVar("T")

Send = Callable[[bytes, float], bytes]
"""Sends a body within about so many seconds and returns the response; raises DeliveryError."""

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0

_here = threading.local()


def delivering() -> bool:
    """Whether the calling thread is one that delivers telemetry: what it has to tell must not feed itself.

    Example:
        >>> delivering()
        False
    """
    return getattr(_here, "delivering", False)


@dataclass(frozen=True, slots=True)
class Signal(Generic[T]):
    """What a queue needs to know of what it carries.

    Attributes:
        name: names the thread and the fault reports, such as ``logs``.
        noun: of many items, such as ``log records``; with underscores it is part of the metrics' names.
        encode: one item; may raise.
        resource: what the process says about itself, encoded; asked again in a forked child.
        request: a whole request from that and encoded items.
        refused: how many items a response says were refused, and why.
    """

    name: str
    noun: str
    encode: Callable[[T], Any]
    resource: Callable[[], bytes]
    request: Callable[[bytes, Sequence[Any]], bytes]
    refused: Callable[[bytes], tuple[int, str]]


@dataclass(slots=True)
class ExportStats:
    """Counts of items since the start, or since the fork.

    Attributes:
        exported: taken by the destination.
        spooled: written to disk for later; counted as exported too when they are delivered.
        dropped: given up, by reason: ``queue_full``, ``rejected`` (the destination refused them), ``unreachable``
            (tried for too long), ``spool_full``, ``unencodable``, ``shutdown``, ``fault`` (ours).
    """

    exported: int = 0
    spooled: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    def drop(self, reason: str, count: int = 1) -> None:
        """Count what is given up."""
        self.dropped[reason] = self.dropped.get(reason, 0) + count


class _Body(NamedTuple):
    """An encoded request and the number of items in it."""

    data: bytes
    items: int


class QueueOptions(TypedDict, total=False):
    """How a queue behaves.

    Attributes:
        queue_size: items that wait at most; beyond it the newest are dropped.
        batch_size: items in one request at most.
        interval: seconds after which an incomplete batch is sent.
        timeout: seconds that one request may take.
        give_up_after: seconds for which a batch is tried again, where there is no spool.
        spool: opens what holds batches on disk while the destination is away; called by the delivering thread when it
            starts, in a forked child again.
        clock: the time.
    """

    queue_size: int
    batch_size: int
    interval: float
    timeout: float
    give_up_after: float
    spool: Callable[[], Spool | None]
    clock: Clock


class BatchQueue(Generic[T]):
    """Takes items and delivers them in batches.

    The thread is started by the first item, so that a process that forks before has none, and a forked child that
    records gets its own.

    Args:
        signal: what it carries.
        send: hands one request over.
        options: 2,048 items wait, 512 go in a batch, every 5 seconds, for 10 seconds each, for a minute at most.

    Example:
        >>> numbers = Signal("numbers", "numbers", encode=str, resource=lambda: b"all: ",
        ...                  request=lambda resource, all: resource + ",".join(all).encode(),
        ...                  refused=lambda response: (0, ""))
        >>> sent = []
        >>> queue = BatchQueue(numbers, lambda body, timeout: sent.append(body) or b"")
        >>> queue.put(1); queue.put(2)
        >>> queue.shutdown(), sent
        (True, [b'all: 1,2'])
    """

    def __init__(self, signal: Signal[T], send: Send, **options: Unpack[QueueOptions]) -> None:
        self._signal = signal
        self._where = f"{signal.name} export"
        self._send = send
        self._queue_size = options.get("queue_size", 2048)
        self._batch_size = min(options.get("batch_size", 512), self._queue_size)
        self._interval = options.get("interval", 5.0)
        self._timeout = options.get("timeout", 10.0)
        self._give_up_after = options.get("give_up_after", 60.0)
        self._clock = options.get("clock", SYSTEM_CLOCK)
        self._deadline: float | None = None  # set by shutdown
        self._open = options.get("spool", lambda: None)
        self._begin()
        watch(self)

    def _begin(self) -> None:
        self.stats = ExportStats()
        self._queue: deque[T] = deque()
        self._spool: Spool | None = None
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        # Released to wake the thread: unlike an Event's, a bare lock's release never waits, not even when a signal
        # handler or a finalizer of this very thread interrupts it.
        self._wake = threading.Lock()
        self._wake.acquire()
        self._halt = threading.Event()
        self._flushes: deque[threading.Event] = deque()
        # Neither queued nor on disk, one at most: whoever pops it, the thread or shutdown, accounts for it.
        self._in_flight: deque[_Body] = deque()
        self._resource: bytes | None = None
        self._pause = 0.0  # seconds until the destination is tried again; 0 while it answers
        self._try_again = 0.0

    def after_fork(self) -> None:
        """Leave to the parent what it has queued and spooled, and begin anew without a thread."""
        self._begin()

    def put(self, item: T) -> None:
        """Queue an item; never waits and never raises."""
        queue = self._queue
        if self._deadline is not None:
            self.stats.drop("shutdown")
            return
        if len(queue) >= self._queue_size:
            self.stats.drop("queue_full")
            return
        queue.append(item)
        if self._thread is None:
            self._start()
        if len(queue) == self._batch_size:
            self._rouse()

    def _rouse(self) -> None:
        with suppress(RuntimeError):  # it was awake already
            self._wake.release()

    def _start(self) -> None:
        if not self._starting.acquire(blocking=False):
            return  # another thread is at it, or it was done
        thread = threading.Thread(target=self._run, name=f"mirante-{self._signal.name}", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no threads at the interpreter's end, or the system has no more: the next item tries
            self._starting.release()
        else:
            self._thread = thread

    def flush(self, timeout: float = 10.0) -> bool:
        """Send now what is queued.

        Args:
            timeout: seconds to wait.

        Returns:
            Whether all that was queued has been dealt with by then: delivered, spooled, or given up and counted.
        """
        if self._thread is None:
            return not self._queue
        done = threading.Event()
        self._flushes.append(done)
        self._rouse()
        return done.wait(timeout)

    def end(self, timeout: float = 2.0) -> None:
        """Take no further items and begin to deliver what is queued, without waiting for it; ``shutdown`` waits.

        Args:
            timeout: seconds after which the process may go on.
        """
        if self._deadline is not None:
            return
        self._deadline = self._clock.monotonic() + timeout
        self._halt.set()
        self._rouse()

    def shutdown(self, timeout: float = 2.0) -> bool:
        """Deliver what is queued, then end the thread; from now on items are dropped.

        Args:
            timeout: seconds after which the process may go on; what is left is spooled, or dropped and counted.

        Returns:
            Whether nothing was left.
        """
        self.end(timeout)
        if self._thread is not None:
            self._thread.join(timeout)
        return self._leave()

    def _leave(self) -> bool:
        """Save or count what the thread did not get to."""
        stuck = self._land()
        left = [*([stuck] if stuck else []), *self._bodies()]
        for body in left:
            self._keep(body, "shutdown")
        return not left

    def _land(self) -> _Body | None:
        """Take what is in flight, unless it was taken."""
        try:
            return self._in_flight.pop()
        except IndexError:
            return None

    def _close_spool(self) -> None:
        if self._spool is not None:
            with suppress(StoreError):
                self._spool.close()

    def _run(self) -> None:
        _here.delivering = True
        self._spool = self._open()
        _suppress_instrumentation()
        while True:
            self._wake.acquire(timeout=self._interval)
            last = self._halt.is_set()
            waiting = len(self._flushes)
            try:
                self._cycle()
            except Exception as error:  # noqa: BLE001 - the thread outlives any fault of one batch
                if lost := self._land():
                    self.stats.drop("fault", lost.items)
                REPORTER.fault(self._where, error)
            for _ in range(waiting):
                self._flushes.popleft().set()
            if last:
                self._close_spool()
                return

    def _cycle(self) -> None:
        if self._spool is None:
            for body in self._bodies():
                self._in_flight.append(body)
                self._deliver(body)
            return
        for body in self._bodies():
            self._in_flight.append(body)
            sent = not self._spool.waiting_records and self._due() and self._attempt(body)
            if self._land() and not sent:
                self._keep(body, "spool_full")
        self._replay(self._spool)

    def _bodies(self) -> Iterator[_Body]:
        """Encode what is queued, a batch at a time."""
        if self._resource is None:
            self._resource = self._signal.resource()
        while self._queue:
            batch: list[T] = []
            with suppress(IndexError):
                while len(batch) < self._batch_size:
                    batch.append(self._queue.popleft())
            encoded = list(self._encoded(batch))
            if encoded:
                yield _Body(self._signal.request(self._resource, encoded), len(encoded))

    def _encoded(self, batch: Iterable[T]) -> Iterator[Any]:
        for item in batch:
            try:
                yield self._signal.encode(item)
            except Exception as error:  # noqa: BLE001 - one broken item must not take its neighbours along
                self.stats.drop("unencodable")
                REPORTER.warn(self._where, f"one of the {self._signal.noun} cannot be encoded, dropped: {error!r}")

    def _deliver(self, body: _Body) -> None:
        """Try until it is taken or refused, shutdown asks to hurry, or it was tried for long enough."""
        until = self._clock.monotonic() + self._give_up_after
        while not self._attempt(body):
            late = self._clock.monotonic() + self._pause > until
            if late or self._halt.is_set():
                if self._land():
                    self.stats.drop("shutdown" if self._halt.is_set() else "unreachable", body.items)
                return
            self._halt.wait(self._pause)
        self._land()

    def _attempt(self, body: _Body) -> bool:
        """Try once; false where trying again may help."""
        try:
            response = self._send(body.data, self._patience())
        except DeliveryError as error:
            if not error.permanent:
                self._back_off(error)
                return False
            self.stats.drop("rejected", body.items)
            REPORTER.warn(self._where, f"{body.items} {self._signal.noun} were refused and dropped: {error}")
        else:
            self._count(body.items, response)
        self._pause = 0.0
        return True

    def _count(self, items: int, response: bytes) -> None:
        refused, reason = self._signal.refused(response)
        self.stats.exported += max(0, items - refused)
        if refused:
            self.stats.drop("rejected", refused)
        if refused or reason:
            told = f"the server refused {refused} of {items} {self._signal.noun}: {reason or 'no reason given'}"
            REPORTER.warn(self._where, told)

    def _patience(self) -> float:
        if self._deadline is None:
            return self._timeout
        return max(0.05, min(self._timeout, self._deadline - self._clock.monotonic()))

    def _back_off(self, error: DeliveryError) -> None:
        pause = min(_LONGEST_PAUSE, self._pause * 2 or _FIRST_PAUSE)
        if error.retry_after is not None:
            pause = max(pause, min(error.retry_after, 2 * _LONGEST_PAUSE))
        self._pause = pause
        # Spread, so that a fleet of processes does not come back at the same instant.
        self._try_again = self._clock.monotonic() + pause * random.uniform(0.5, 1.0)  # noqa: S311
        REPORTER.warn(self._where, f"{error}; trying again")

    def _due(self) -> bool:
        return not self._pause or self._clock.monotonic() >= self._try_again

    def _keep(self, body: _Body, otherwise: str) -> None:
        """Write to disk, or count as dropped."""
        if self._spool is None:
            self.stats.drop(otherwise, body.items)
            return
        lost = self._spool.stats.dropped_weight
        try:
            self._spool.append([record_of(body.items, body.data)])
            self.stats.spooled += body.items
        except StoreError as error:
            self.stats.drop("spool_full", body.items)
            REPORTER.warn(self._where, f"{body.items} {self._signal.noun} were dropped: {error}")
        if lost := self._spool.stats.dropped_weight - lost:
            self.stats.drop("spool_full", lost)
            REPORTER.warn(f"{self._signal.name} spool", f"it is full; the oldest {lost} {self._signal.noun} made room")

    def _replay(self, spool: Spool) -> None:
        while spool.waiting_records and self._due() and not (self._halt.is_set() and self._hurried()):
            try:
                batch = spool.read(max_records=1)
                for record in batch.records:
                    if not self._attempt(_Body(body_of(record), items_of(record))):
                        return
                spool.commit(batch.end)
            except StoreError as error:
                told = f"{error}; what it holds is sent when it can be read again"
                REPORTER.warn(f"{self._signal.name} spool", told)
                return

    def _hurried(self) -> bool:
        return self._deadline is not None and self._clock.monotonic() >= self._deadline

    def collect(self) -> Iterable[MetricFamily]:
        """The counts as metrics."""
        stats, noun = self.stats, self._signal.noun
        name = f"mirante_{noun.replace(' ', '_')}"
        dropped = tuple(
            Sample(f"{name}_dropped_total", {"reason": reason}, count)
            for reason, count in sorted(stats.dropped.copy().items())
        )
        exported = (Sample(f"{name}_exported_total", {}, stats.exported),)
        waiting = (Sample(f"{name}_queued", {}, len(self._queue)),)
        what = noun.capitalize()
        yield MetricFamily(f"{name}_exported", "counter", f"{what} that the destination has taken.", "", exported)
        yield MetricFamily(f"{name}_dropped", "counter", f"{what} that were given up, by reason.", "", dropped)
        yield MetricFamily(f"{name}_queued", "gauge", f"{what} that wait to be sent.", "", waiting)


def _suppress_instrumentation() -> None:
    """Keep OpenTelemetry's instrumentations from making spans of our own requests: they would feed themselves."""
    from opentelemetry import context
    from opentelemetry.context import (  # private in name only: every instrumentation looks at it
        _SUPPRESS_INSTRUMENTATION_KEY as SUPPRESS,
    )

    context.attach(context.set_value(SUPPRESS, True))
