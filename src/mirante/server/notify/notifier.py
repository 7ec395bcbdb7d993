"""Keeps the dispatcher and the delivery going: the notifier of a running server."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante._core.model import MetricFamily, Sample
from mirante.errors import StoreError
from mirante.server.alert import Alert
from mirante.server.notify.delivery import Delivery, PreparedDelivery
from mirante.server.notify.dispatcher import HISTORY, Dispatcher
from mirante.server.notify.model import NotifyConfig
from mirante.server.notify.state import State
from mirante.server.notify.templates import Templates

log = logging.getLogger(__name__)

_LONGEST_SLEEP_SECONDS = 60.0  # the clock may be set meanwhile
_AGAIN_SECONDS = 1.0
_COUNT_MS = 5_000
_NO_ALERTS: Mapping[str, int] = dict.fromkeys(("active", "suppressed"), 0)
_NO_SILENCES: Mapping[str, int] = dict.fromkeys(("active", "pending", "expired"), 0)


@dataclass(frozen=True, slots=True)
class PreparedNotifier:
    """A configuration with everything built that can fail."""

    config: NotifyConfig
    delivery: PreparedDelivery


class Notifier:
    """An AlertSink that tells people. Belongs to one event loop; ``put`` and ``collect`` may be called by any thread.

    Args:
        prepared: from ``prepare``.
        state: where everything is kept.
        history: how long notifications are remembered, milliseconds; 0 for ever.
        clock: the time.
        sleep: waits for a number of seconds.

    Raises:
        StoreError: the state cannot be read or written.

    Attributes:
        config: what is in force.
        dispatcher: decides. Whoever changes something through it calls ``changed``.
        state: where everything is kept.
        delivery: sends.
    """

    def __init__(
        self,
        prepared: PreparedNotifier,
        state: State,
        *,
        history: int = HISTORY,
        clock: Clock = SYSTEM_CLOCK,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.config, self.state = prepared.config, state
        self._in_force, self._clock, self._sleep = prepared, clock, sleep
        self.dispatcher = Dispatcher(prepared.config, state, self.now(), history=history)
        self.delivery = Delivery(state, prepared.delivery, clock=clock, sleep=sleep)
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._alerts, self._silences = _NO_ALERTS, _NO_SILENCES
        self._uncounted, self._count_at = True, 0

    @staticmethod
    def prepare(config: NotifyConfig, external_url: str, before: PreparedNotifier | None = None) -> PreparedNotifier:
        """Build what a configuration needs.

        Raises:
            ConfigError: a template or certificate that it names cannot be used.
        """
        templates = Templates(config.templates, external_url)
        return PreparedNotifier(config, Delivery.prepare(config, templates, before.delivery if before else None))

    def prepared(self, config: NotifyConfig, external_url: str) -> PreparedNotifier:
        """The same, with the connections of what stays as it is.

        Raises:
            ConfigError: a template or certificate that it names cannot be used.
        """
        return self.prepare(config, external_url, self._in_force)

    def commit(self, prepared: PreparedNotifier) -> None:
        """Tell by another configuration from now on."""
        self.dispatcher.reconfigure(prepared.config, self.now())
        self.delivery.commit(prepared.delivery)
        self._in_force, self.config = prepared, prepared.config
        self.changed()

    def now(self) -> int:
        """Milliseconds since 1970."""
        return self._clock.time_ns() // 1_000_000

    def start(self) -> None:
        """Begin to decide and to send."""
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._run(), name="decide who is told")
        self.delivery.start()

    async def stop(self) -> None:
        """Stop; what was decided and not sent is sent after the next start."""
        self._loop = None
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        await self.delivery.stop()

    def put(self, alerts: Iterable[Alert]) -> None:
        """See AlertSink: what cannot be written now is said again by whoever evaluates rules."""
        taken = list(alerts)
        self.soon(lambda: self._take(taken))

    def soon(self, call: Callable[[], None]) -> None:
        """Call something in the event loop, unless the server ends meanwhile. Any thread may ask."""
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # the loop was closed
                loop.call_soon_threadsafe(lambda: call() if self._loop is not None else None)

    def _take(self, alerts: Sequence[Alert]) -> None:
        try:
            self.dispatcher.put(alerts, self.now())
        except StoreError as error:
            log.error("%d alerts cannot be written down, and are taken when they come again: %s", len(alerts), error)  # noqa: TRY400
        self.changed()

    def changed(self) -> None:
        """Say that the dispatcher was told something."""
        self._uncounted = True
        self._wake.set()
        self.delivery.wake()

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            wait = self._decide()
            waits: list[asyncio.Future[object]] = [asyncio.ensure_future(self._wake.wait())]
            waits.append(asyncio.ensure_future(self._sleep(min(wait, _LONGEST_SLEEP_SECONDS))))
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for one in waits:
                    one.cancel()

    def _decide(self) -> float:
        """Decide what is due; gives the seconds until something is again."""
        now = self.now()
        try:
            if self.dispatcher.due() <= now:
                self.dispatcher.tick(now)
                self.delivery.wake()
                self._uncounted = True
            if now >= self._count_at:  # also where nothing was changed: silences end by themselves
                self._count(now)
            next_at = min(self.dispatcher.due(), self._count_at) if self._uncounted else self.dispatcher.due()
            return max(next_at - now, 0) / 1000
        except Exception:  # the disk may be full: what is due stays due
            log.exception("Who is told of alerts cannot be decided; it is tried again in %g s", _AGAIN_SECONDS)
            return _AGAIN_SECONDS

    def collect(self) -> Iterable[MetricFamily]:
        """Alerts and silences by state under Alertmanager's names, and the delivery's metrics."""
        yield from self.delivery.collect()
        yield _gauge("alertmanager_alerts", "How many alerts by state.", self._alerts)
        yield _gauge("alertmanager_silences", "How many silences by state.", self._silences)

    def _count(self, now: int) -> None:
        """Now and then: whoever collects is in another thread and must not look into the dispatcher."""
        self._uncounted, self._count_at = False, now + _COUNT_MS
        self._alerts = {**_NO_ALERTS, **Counter(one.state for one in self.dispatcher.status(now).alerts())}
        self._silences = {**_NO_SILENCES, **Counter(one.state(now) for one in self.dispatcher.silences())}


def _gauge(name: str, text: str, counts: Mapping[str, int]) -> MetricFamily:
    samples = tuple(Sample(name, {"state": state}, float(count)) for state, count in counts.items())
    return MetricFamily(name, "gauge", text, samples=samples)
