"""The way to one destination: a bounded queue, a thread of its own, attempts, and what happens when they fail.

Each destination has its own, so that none waits for another or fails with it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from typing import Any

from mirante._core.clock import Clock
from mirante._core.done import DONE
from mirante._core.guard import REPORTER
from mirante._core.protocols import Exportable, Exporter
from mirante._core.record import Metric
from mirante.errors import DeliveryError, StoreError
from mirante.telemetry.backlog import Backlog
from mirante.telemetry.config import TelemetryConfig
from mirante.telemetry.stages.base import DeliveryContext, DeliveryStage, Send
from mirante.telemetry.stages.retry import Retry

Tick = Callable[[], float]
"""Hands over what is due; returns the seconds until something is due again."""


class Delivery:
    """Takes batches and hands them to one exporter, in order.

    Args:
        exporter: the destination.
        name: tells it from the collector's others.
        config: sizes and times.
        stages: what stands between the queue and the exporter.
        batch_size: records in one batch at most.
        backlog: keeps what could not be delivered; None to drop it. A batch goes there at the first failure, and is
            tried again from there as often as it takes, with the pauses of the ``Retry`` stage.
        tick: called by the thread whenever it has time.
        clock: the time.
        closes: whether the exporter is closed at the end; one that others use too is not.
    """

    def __init__(
        self,
        exporter: Exporter,
        *,
        name: str,
        config: TelemetryConfig,
        stages: Sequence[DeliveryStage],
        batch_size: int,
        backlog: Backlog | None,
        tick: Tick,
        clock: Clock,
        closes: bool = True,
    ) -> None:
        self.name = name
        self.exported = self.retries = 0
        self._exporter = exporter
        self._where = f"telemetry {config.name} to {name}"
        self._config = config
        self._batch_size = batch_size
        self._backlog = backlog
        self._tick = tick
        self._clock = clock
        self._closes = closes
        self._retry = next((stage for stage in stages if isinstance(stage, Retry)), Retry())
        self._dropped: dict[str, int] = {}
        self._changed = threading.Condition()
        self._queue: deque[Sequence[Metric] | Future[bool]] = deque()
        self._queued = 0
        self._in_flight: Sequence[Metric] = ()
        self._ended: Future[bool] = running_future()
        self._deadline: float | None = None
        self._abandoned = False
        self._failures = 0
        self._replay_at = 0.0
        self._runner: Any = None  # asyncio.Runner, once a coroutine has to be run
        self._thread = threading.Thread(target=self._run, name=self._where, daemon=True)
        self._send = self._wrapped(stages)

    def _wrapped(self, stages: Sequence[DeliveryStage]) -> Send:
        send: Send = self._export
        for stage in reversed(stages):
            send = stage.wrap(send, DeliveryContext(self._wait, self._count_retry))
        return send

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    # What other threads call.

    def submit(self, batch: Sequence[Metric]) -> None:
        """Queue records; when too many wait already, the oldest are dropped and counted as ``queue_full``."""
        with self._changed:
            for start in range(0, len(batch), self._batch_size):
                self._queue.append(batch[start : start + self._batch_size])
            self._queued += len(batch)
            self._make_room()
            self._changed.notify_all()

    def _make_room(self) -> None:
        passed = []
        while (excess := self._queued - self._config.queue_size) > 0:
            item = self._queue.popleft()
            if isinstance(item, Future):
                passed.append(item)
                continue
            if len(item) > excess:
                self._queue.appendleft(item[excess:])
            gone = min(len(item), excess)
            self._queued -= gone
            self._drop("queue_full", gone)
        self._queue.extendleft(reversed(passed))  # what stood before them has been dealt with

    def barrier(self) -> Future[bool]:
        """Done when all that was queued before has been dealt with; true when nothing waits on disk either."""
        reached = running_future()
        with self._changed:
            if self._ended.done():
                reached.set_result(self.spooled == 0)
            else:
                self._queue.append(reached)
                self._changed.notify_all()
        return reached

    def stop(self, timeout: float) -> Future[bool]:
        """Deal with what is queued, for ``timeout`` seconds at most, then end; done when the thread has ended."""
        with self._changed:
            self._deadline = self._clock.monotonic() + timeout
            self._changed.notify_all()
        return self._ended

    def abandon(self) -> None:
        """After the deadline: keep what was not delivered in the backlog, or count it as lost to ``shutdown``."""
        with self._changed:
            if self._ended.done():
                return
            self._abandoned = True
            rest = [batch for batch in (self._in_flight, *self._take_all()) if batch]
            self._changed.notify_all()
        for batch in rest:
            self._keep(batch, "shutdown")

    @property
    def queued(self) -> int:
        """Records that wait in memory."""
        return self._queued

    @property
    def spooled(self) -> int:
        """Records that wait on disk."""
        return self._backlog.waiting if self._backlog else 0

    @property
    def spooled_bytes(self) -> int:
        """Bytes that they take."""
        return self._backlog.waiting_bytes if self._backlog else 0

    @property
    def torn_bytes(self) -> int:
        """Bytes of half-written records that were cut off when the backlog was opened."""
        return self._backlog.torn_bytes if self._backlog else 0

    def dropped(self) -> dict[str, int]:
        """Records that were lost on this way, by reason."""
        with self._changed:
            out = dict(self._dropped)
        for reason, count in (self._backlog.losses() if self._backlog else {}).items():
            out[reason] = out.get(reason, 0) + count
        return out

    def _drop(self, reason: str, count: int) -> None:
        with self._changed:
            self._dropped[reason] = self._dropped.get(reason, 0) + count

    # What the thread does.

    def _run(self) -> None:
        try:
            while not self._abandoned and self._step():
                pass
        finally:
            self._end()

    def _step(self) -> bool:
        """One batch, barrier or replay; false when there is nothing left to do before the end."""
        item = self._next(self._tick())
        if isinstance(item, Future):
            item.set_result(self.spooled == 0)
        elif item:
            if self.spooled:
                self._keep(item, "delivery_failed")  # behind what waits, to stay in order
            else:
                self._attempt(item)
        elif self._backlog and self._replay_is_due():
            self._replay(self._backlog)
        elif self._deadline is not None:
            return False
        return True

    def _replay_is_due(self) -> bool:
        now = self._clock.monotonic()
        return bool(self.spooled) and now >= self._replay_at and (self._deadline is None or now < self._deadline)

    def _next(self, idle: float) -> Sequence[Metric] | Future[bool] | None:
        """The next thing in the queue, waited for at most so many seconds."""
        with self._changed:
            if not self._queue and self._deadline is None:
                if self.spooled:
                    idle = min(idle, self._replay_at - self._clock.monotonic())
                self._changed.wait(max(idle, 0.0))
            if not self._queue:
                return None
            item = self._queue.popleft()
            if not isinstance(item, Future):
                self._queued -= len(item)
                self._in_flight = item
            return item

    def _attempt(self, batch: Sequence[Metric]) -> None:
        error = self._delivered(batch)
        if error is not None and not self._abandoned:
            self._failed(batch, error)
        self._in_flight = ()

    def _delivered(self, batch: Sequence[Metric]) -> BaseException | None:
        """Try; gives the fault where there was one."""
        try:
            self._send(batch)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever an exporter does, the pipeline lives on
            return error
        if not self._abandoned:
            self._failures = 0
            self._replay_at = 0.0
            self.exported += len(batch)
        return None

    def _failed(self, batch: Sequence[Metric], error: BaseException) -> None:
        if _is_permanent(error):
            self._refused(batch, error)
            return
        self._pause(error)
        self._keep(batch, "delivery_failed")
        fate = "kept on disk" if self._backlog else "dropped"
        REPORTER.warn(self._where, f"{len(batch)} records could not be delivered and were {fate}: {_text(error)}")

    def _refused(self, batch: Sequence[Metric], error: BaseException) -> None:
        self._drop("rejected", len(batch))
        REPORTER.warn(f"{self._where}, refused", f"{len(batch)} records were dropped: {error}")

    def _pause(self, error: BaseException) -> None:
        self._failures += 1
        asked = error.retry_after if isinstance(error, DeliveryError) else None
        self._replay_at = self._clock.monotonic() + max(self._retry.pause(self._failures), asked or 0.0)

    def _keep(self, batch: Sequence[Metric], reason: str) -> None:
        if self._backlog:
            self._backlog.append(batch)
        else:
            self._drop(reason, len(batch))

    def _replay(self, backlog: Backlog) -> None:
        """Hand over the oldest of what waits on disk."""
        try:
            batch = backlog.read(self._batch_size)
            error = self._delivered(batch) if batch else None
            if error is None or _is_permanent(error):
                backlog.commit()
        except StoreError as disk:
            error = disk
            REPORTER.warn(f"{self._where}, spool", f"what waits on disk cannot be read: {disk}")
        if error is None:
            return
        if _is_permanent(error):
            self._refused(batch, error)
        else:
            self._pause(error)

    def _export(self, batch: Sequence[Exportable]) -> None:
        result = self._exporter.export(batch)
        if result is None or result is DONE:
            return
        import asyncio  # only where an exporter needs it

        if self._runner is None:
            self._runner = asyncio.Runner()
        self._runner.run(_bounded(result, self._config.export_timeout))

    def _wait(self, seconds: float) -> bool:
        """See ``DeliveryContext``. With a backlog the waiting is done there, where nothing can be lost."""
        if self._backlog:
            return False
        until = self._clock.monotonic() + seconds
        with self._changed:
            while (left := until - self._clock.monotonic()) > 0:
                if self._deadline is not None and until > self._deadline:
                    return False
                self._changed.wait(left)
        return not self._abandoned

    def _count_retry(self) -> None:
        self.retries += 1

    def _end(self) -> None:
        """Let go of everything; nothing here may raise, or whoever waits for the end would wait for ever."""
        # Without the lock: completing a file may take longer than anybody who wants the lock has time.
        for what in (self._runner, self._backlog, self._exporter if self._closes else None):
            _close(what, self._where)
        with self._changed:
            self._take_all()
            self._ended.set_result(self.spooled == 0)

    def _take_all(self) -> list[Sequence[Metric]]:
        """Empty the queue; barriers in it are told that they were not reached."""
        items, self._queue, self._queued = self._queue, deque(), 0
        for item in items:
            if isinstance(item, Future):
                item.set_result(False)
        return [item for item in items if not isinstance(item, Future)]


def running_future() -> Future[bool]:
    """A future that whoever waits for it cannot cancel, so that setting its result never fails."""
    future: Future[bool] = Future()
    future.set_running_or_notify_cancel()
    return future


def _close(what: object, where: str) -> None:
    close = getattr(what, "close", None)
    if close is None:
        return
    try:
        close()
    except Exception as error:  # noqa: BLE001 - an exporter's fault at the end stays its own
        REPORTER.warn(f"{where}, closing {type(what).__name__}", _text(error))


async def _bounded(result: Awaitable[None], seconds: float) -> None:
    import asyncio

    try:
        await asyncio.wait_for(result, seconds)
    except asyncio.CancelledError:
        raise DeliveryError("the exporter cancelled itself") from None
    except TimeoutError:
        raise DeliveryError(f"no answer within {seconds:g} s") from None


def _is_permanent(error: BaseException) -> bool:
    return isinstance(error, DeliveryError) and error.permanent


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
