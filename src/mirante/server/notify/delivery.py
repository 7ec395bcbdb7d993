"""Sends what waits in the outbox: several at once, those of one group in order, again until they arrive."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante._core.model import MetricFamily
from mirante.errors import ConfigError, DeliveryError
from mirante.server.http_client.model import HttpClient
from mirante.server.notify import runbook
from mirante.server.notify.channels import SENDERS, Message, Renderer
from mirante.server.notify.channels.caller import Caller
from mirante.server.notify.delivery_metrics import DeliveryMetrics
from mirante.server.notify.model import Integration, NotifyConfig
from mirante.server.notify.notification import Attempt, Notification, Outbox
from mirante.server.notify.trouble import Troubles

log = logging.getLogger(__name__)

Sleep = Callable[[float], Awaitable[object]]
Outcome = Literal["sent", "later", "refused", "expired"]

AT_ONCE = 64
"""Most notifications that are under way at a time."""
EACH = 4
"""Most of them to one integration of one receiver: one that hangs leaves room for the others."""
GIVE_UP_MS = 24 * 3_600_000
"""After this long a notification is news no more."""
ATTEMPT_SECONDS = 30.0
"""How long one attempt may take, unless the integration has a ``timeout`` of its own."""
_THREADED_SECONDS = dict.fromkeys(("email", "apprise", "sms"), 300.0)
# Those have timeouts for each step. A thread that was given up might deliver all the same, and then again, and again.
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS, _FACTOR = 0.5, 60.0, 1.5
_LONGEST_ASKED_SECONDS = 3600.0  # whoever says "Retry-After: a week" is asked again sooner
_LOOK_SECONDS = 1.0  # while some are under way: how soon another one that falls due is seen
_GRACE_SECONDS = 5.0  # for those under way when the server stops

Destination = tuple[str, str, int]
"""Receiver, kind and index of an integration."""


@dataclass(frozen=True, slots=True)
class PreparedDelivery:
    """A configuration with everything built that can fail."""

    config: NotifyConfig
    renderer: Renderer
    callers: Mapping[Destination, tuple[HttpClient, Caller]]


@dataclass(slots=True)
class _Progress:
    """What is known of a notification that did not arrive yet."""

    attempts: int = 0
    done: set[str] = field(default_factory=set)


class Delivery:
    """Sends notifications and settles them.

    All methods are called in one event loop, ``collect`` from any thread.

    Args:
        outbox: where they wait.
        prepared: from ``prepare``: how they are sent.
        clock: the time.
        sleep: waits for a number of seconds.
        chance: a number from 0 to 1, for waits that are not all the same.
    """

    def __init__(
        self,
        outbox: Outbox,
        prepared: PreparedDelivery,
        *,
        clock: Clock = SYSTEM_CLOCK,
        sleep: Sleep = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._outbox, self._in_force = outbox, prepared
        self._clock, self._sleep, self._chance = clock, sleep, chance
        self._wake = asyncio.Event()
        self._stale = True  # whether the outbox may have something that is not queued
        self._queues: dict[Destination, deque[Notification]] = {}
        self._under_way: dict[Destination, dict[str, asyncio.Task[None]]] = {}
        self._progress: dict[str, _Progress] = {}
        self._task: asyncio.Task[None] | None = None
        self._retiring: set[asyncio.Task[None]] = set()
        self._metrics, self._troubles = DeliveryMetrics(), Troubles()
        self._metrics.declare(kind for _, kind, _ in prepared.callers)

    @staticmethod
    def prepare(config: NotifyConfig, renderer: Renderer, before: PreparedDelivery | None = None) -> PreparedDelivery:
        """Build what a configuration needs; connections of integrations that stay as they are are kept.

        Raises:
            ConfigError: an ``http_config`` names files that cannot be used.
        """
        known = before.callers if before else {}
        callers: dict[Destination, tuple[HttpClient, Caller]] = {}
        for destination, http in _destinations(config):
            kept = known.get(destination)
            try:
                callers[destination] = kept if kept is not None and kept[0] == http else (http, Caller(http))
            except OSError as error:
                receiver, kind, index = destination
                raise ConfigError(
                    f'tls_config of {kind}_configs[{index}] of receiver "{receiver}" cannot be used: {error}',
                    source=config.source or None,
                ) from error
        return PreparedDelivery(config, renderer, callers)

    def commit(self, prepared: PreparedDelivery) -> None:
        """Send by another configuration from now on; what is under way goes on as it began."""
        before, self._in_force = self._in_force, prepared
        self._metrics.declare(kind for _, kind, _ in prepared.callers)
        kept = {id(caller) for _, caller in prepared.callers.values()}
        gone = [caller for _, caller in before.callers.values() if id(caller) not in kept]
        task = asyncio.get_running_loop().create_task(_retire(gone, self._tasks()))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)
        self._wake.set()

    def start(self) -> None:
        """Begin to send."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def wake(self) -> None:
        """Say that the outbox has something new."""
        self._stale = True
        self._wake.set()

    async def stop(self) -> None:
        """Stop; what is under way has a few seconds, and what did not arrive by then waits for the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        if tasks := self._tasks():
            grace = asyncio.ensure_future(self._sleep(_GRACE_SECONDS))
            everything = asyncio.ensure_future(asyncio.wait(tasks))
            waits: list[asyncio.Future[Any]] = [grace, everything]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for one in (*waits, *tasks):
                one.cancel()
            await asyncio.gather(*tasks, *self._retiring, return_exceptions=True)
        for _, caller in self._in_force.callers.values():
            await caller.close()

    def collect(self) -> Iterable[MetricFamily]:
        """What was sent, what failed and why, and how long it took."""
        return self._metrics.collect()

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                wait = self._begin()
            except Exception:  # an outbox that fails now may do its work later
                log.exception("The outbox cannot be read; it is tried again in %g s", _LOOK_SECONDS)
                wait = _LOOK_SECONDS
            await self._rest(wait)

    def _begin(self) -> float | None:
        """Send what is due, and give the seconds until the next look; None for when something happens."""
        now = self._now()
        if self._stale:  # thousands may wait: they are not read anew whenever one has ended
            self._queue(self._outbox.waiting(now))
            self._stale = False
        for destination, queue in self._queues.items():
            under_way = self._under_way.setdefault(destination, {})
            while queue and len(under_way) < EACH and len(self._tasks()) < AT_ONCE:
                notification = queue.popleft()
                task = asyncio.get_running_loop().create_task(self._attempt(notification))
                under_way[notification.id] = task
                task.add_done_callback(partial(self._ended, destination, notification.id))
        due = self._outbox.next_at()
        if due is None:
            return None
        # One that is under way is still due; who else falls due meanwhile cannot be told from next_at.
        return max((due - now) / 1000, _LOOK_SECONDS if any(self._under_way.values()) else 0.0)

    def _queue(self, waiting: Iterable[Notification]) -> None:
        """Add what is new. Of one group the outbox gives only the oldest, so that a queue can be sent in any order."""
        known = {told.id for queue in self._queues.values() for told in queue}
        known.update(key for under_way in self._under_way.values() for key in under_way)
        for told in waiting:
            if told.id not in known:
                self._queues.setdefault((told.receiver, told.kind, told.index), deque()).append(told)

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [task for under_way in self._under_way.values() for task in under_way.values()]

    def _ended(self, destination: Destination, key: str, _: asyncio.Task[None]) -> None:
        del self._under_way[destination][key]
        self._stale = self._stale or not self._queues[destination]
        self._wake.set()

    async def _rest(self, seconds: float | None) -> None:
        """Wait until it is time or something happens."""
        waits: list[asyncio.Future[object]] = [asyncio.ensure_future(self._wake.wait())]
        if seconds is not None:
            waits.append(asyncio.ensure_future(self._sleep(seconds)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            self._stale = self._stale or waits[-1].done()
        finally:
            for wait in waits:
                wait.cancel()

    async def _attempt(self, notification: Notification) -> None:
        """Try once, and write down how it went."""
        progress = self._progress.setdefault(notification.id, _Progress())
        began, failure = self._clock.monotonic(), None
        try:
            said = await self._send(notification, progress)
        except DeliveryError as error:
            said, failure = str(error), error
        except Exception as error:  # a fault of ours must not repeat for ever, nor stop the others
            log.exception("A notification to %s cannot be made", notification.receiver)
            said = f"internal error: {type(error).__name__}: {error}"
            failure = DeliveryError(said, permanent=True)
        progress.attempts += 1
        now = self._now()
        retry_at = self._retry_at(notification, progress, failure, now)
        outcome = _outcome(failure, retry_at)
        if outcome == "expired":
            said = f"given up after {GIVE_UP_MS // 3_600_000} h: {said}"
        await self._write_down(notification, Attempt(now, said, ok=failure is None), retry_at)
        if retry_at is None:
            del self._progress[notification.id]
        self._metrics.attempted(notification, outcome, self._clock.monotonic() - began, failure)
        match outcome:
            case "sent":
                self._troubles.arrived(notification)
            case "later":
                self._troubles.later(notification, said, now)
            case _:
                self._troubles.lost(notification, said)

    async def _write_down(self, notification: Notification, attempt: Attempt, retry_at: int | None) -> None:
        """Until it is on disk: what arrived must not be sent again because the disk was full for a while."""
        while True:
            try:
                self._outbox.attempted(notification, attempt, retry_at)
            except Exception:
                log.exception("An attempt cannot be written down; it is tried again in %g s", _LOOK_SECONDS)
                await self._sleep(_LOOK_SECONDS)
            else:
                return

    async def _send(self, notification: Notification, progress: _Progress) -> str:
        prepared = self._in_force
        found = prepared.callers.get((notification.receiver, notification.kind, notification.index))
        if found is None:
            raise DeliveryError(
                f'receiver "{notification.receiver}" has no {notification.kind} number {notification.index} any more',
                permanent=True,
            )
        integration = _integration(prepared.config, notification)
        usual = _THREADED_SECONDS.get(notification.kind, ATTEMPT_SECONDS)
        seconds = float(integration.options.get("timeout") or 0) / 1000 or usual
        message = Message(notification, integration, prepared.renderer, self._now(), progress.done)
        if notification.kind == "runbook":
            book = next(one for one in prepared.config.runbooks if one.name == notification.receiver)
            return await runbook.run(book, message, prepared.config.allowed_commands, found[1])
        try:
            async with asyncio.timeout(seconds):
                return await SENDERS[notification.kind](message, found[1])
        except TimeoutError as error:
            raise DeliveryError(f"no answer within {seconds:g} s") from error

    def _retry_at(
        self, notification: Notification, progress: _Progress, failure: DeliveryError | None, now: int
    ) -> int | None:
        if failure is None or failure.permanent or now - notification.created_at >= GIVE_UP_MS:
            return None
        # The exponent is bounded as the wait is; after so many attempts the power would be no float any more.
        wait = min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * _FACTOR ** min(progress.attempts - 1, 20))
        wait *= 0.5 + self._chance()  # receivers that were down are not asked by everybody at one moment
        asked = min(failure.retry_after or 0.0, _LONGEST_ASKED_SECONDS)
        return now + round(1000 * max(wait, asked))

    def _now(self) -> int:
        return self._clock.time_ns() // 1_000_000


async def _retire(callers: Iterable[Caller], users: Sequence[asyncio.Task[None]]) -> None:
    """Close connections when nobody uses them any more."""
    await asyncio.gather(*users, return_exceptions=True)
    for caller in callers:
        await caller.close()


def _destinations(config: NotifyConfig) -> Iterable[tuple[Destination, HttpClient]]:
    for receiver in config.receivers.values():
        for integration in receiver.integrations:
            yield (receiver.name, integration.kind, integration.index), integration.http
    for book in config.runbooks:
        yield (book.name, "runbook", 0), book.http


def _integration(config: NotifyConfig, notification: Notification) -> Integration:
    if notification.kind == "runbook":
        return Integration("runbook", 0, {})
    place = notification.kind, notification.index
    integrations = config.receivers[notification.receiver].integrations
    return next(one for one in integrations if (one.kind, one.index) == place)


def _outcome(failure: DeliveryError | None, retry_at: int | None) -> Outcome:
    if failure is None:
        return "sent"
    if retry_at is not None:
        return "later"
    return "refused" if failure.permanent else "expired"
