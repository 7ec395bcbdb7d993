"""Tells people in a replay: the dispatcher with a memory that nobody keeps; every message arrives at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from mirante.server.alert import Alert
from mirante.server.notify.book import Book, Changes
from mirante.server.notify.dispatcher import Dispatcher
from mirante.server.notify.model import NotifyConfig
from mirante.server.notify.notification import Attempt, Notification
from mirante.server.notify.silence import Silence, Silences
from mirante.server.notify.state import MEMORY, State

_HISTORY = 3_600_000  # long enough for what the dispatcher asks of it
_ARRIVED = "would have arrived"


class Audience:
    """Who is told, and when.

    Args:
        config: routes and receivers.
        silences: whatever was silenced, and when.
        start: beginning of the replay, milliseconds.
        heard: called with everything that is told.
    """

    def __init__(
        self, config: NotifyConfig, silences: Sequence[Silence], start: int, heard: Callable[[Notification], None]
    ) -> None:
        self._state, self._heard, self._now = State(MEMORY), heard, start
        changes = Changes(silences={silence.id for silence in silences})
        self._state.save(Book(silences=Silences(silences), changes=changes))
        self._dispatcher = Dispatcher(config, self._state, start, history=_HISTORY)

    def put(self, alerts: Iterable[Alert], now: int) -> None:
        """Alerts come at that time; whatever is due before happens before."""
        self.wait(now - 1)
        self._now = now
        self._dispatcher.put(alerts, now)

    def wait(self, until: int) -> None:
        """Let time pass, up to and with that moment."""
        while (due := self._dispatcher.due()) <= until:
            self._now = max(due, self._now)
            self._dispatcher.tick(self._now)
            while waiting := self._state.waiting(self._now):
                for one in waiting:
                    self._state.attempted(one, Attempt(self._now, _ARRIVED, ok=True), None)
                    self._heard(one)

    def close(self) -> None:
        """Forget everything."""
        self._state.close()
