"""Who is told of which alerts, and when. Every decision takes the time as an argument; nothing is sent from here.

What an operation decides, and what it changes in the memory of the dispatcher, is written as one transaction before the
call returns. When that fails, memory is read anew from the disk, so that the two never part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

from mirante.errors import SilenceError, StoreError
from mirante.server.alert import Alert
from mirante.server.notify.acknowledge import Acknowledgement
from mirante.server.notify.book import Changes
from mirante.server.notify.flush import tell_of_acknowledgement
from mirante.server.notify.model import Matcher, NotifyConfig
from mirante.server.notify.roster import Roster
from mirante.server.notify.silence import RETENTION, Silence
from mirante.server.notify.state import State
from mirante.server.notify.status import StatusView
from mirante.server.notify.storm import StormLimit

HISTORY = 90 * 86_400_000
_HOUR = 3_600_000


class Dispatcher:
    """Alerts, groups and everything that decides about them.

    Args:
        config: who is told.
        state: where everything is kept; what it holds is taken up.
        now: milliseconds since 1970.
        history: how long notifications are remembered, milliseconds; 0 for ever.

    Raises:
        StoreError: the state cannot be read or written.

    Example:
        >>> from mirante.server.notify.model import Integration, Receiver, Route
        >>> config = NotifyConfig(Route("team"), {"team": Receiver("team", (Integration("webhook", 0, {}),))})
        >>> state = State(":memory:")
        >>> dispatcher = Dispatcher(config, state, now=0)
        >>> dispatcher.put([Alert({"alertname": "Down"}, {}, 0, 0, 0)], now=0)
        >>> dispatcher.tick(now=30_000)
        >>> [(one.receiver, one.reason) for one in state.waiting(now=30_000)]
        [('team', 'firing')]
        >>> state.close()
    """

    _roster: Roster
    _storm: StormLimit

    def __init__(self, config: NotifyConfig, state: State, now: int, *, history: int = HISTORY) -> None:
        self._config = config
        self._state = state
        self._history = history
        self._tidy_at = now
        self._load(now)
        self._save()

    def put(self, alerts: Iterable[Alert], now: int) -> None:
        """Take alerts, or news of them; a start or an end of 0 is one that the sender does not tell.

        That an alert which nobody knows has ended is no news.

        Raises:
            StoreError: it cannot be written; nothing is taken then.
        """
        with self._writing(now):
            for alert in alerts:
                self._roster.put(alert, now)

    def due(self) -> int:
        """When ``tick`` has something to do next, milliseconds."""
        next_at = self._roster.schedule.next_at()
        return self._tidy_at if next_at is None else min(next_at, self._tidy_at)

    def tick(self, now: int) -> None:
        """Decide everything whose time has come.

        Raises:
            StoreError: it cannot be written; nothing is decided then.
        """
        tidy = now >= self._tidy_at
        with self._writing(now):
            self._roster.happen(now)
            if tidy:
                self._tidy(now)
        if tidy:
            self._tidy_at = now + _HOUR

    def acknowledge(
        self, alerts: Iterable[str], author: str, comment: str, now: int, until: int | None = None
    ) -> list[str]:
        """Somebody takes alerts on: nobody is told of them again until they have resolved.

        Args:
            alerts: their ids; ``matching`` finds them.
            author: who.
            comment: what they say.
            now: milliseconds.
            until: when people are told again all the same (snooze); None for never.

        Returns:
            ids of those that were taken on; the others do not fire.

        Raises:
            StoreError: it cannot be written.
        """
        with self._writing(now):
            book = self._roster.book
            firing = [one for one in dict.fromkeys(alerts) if one in book.alerts and not book.alerts[one].ended]
            made = [Acknowledgement(one, author, comment, now, until) for one in firing]
            for acknowledgement in made:
                book.acknowledge(acknowledgement.alert_id, acknowledgement)
                self._roster.snooze(acknowledgement.alert_id, until)
            book.changes.notifications += tell_of_acknowledgement(book, self._config, made, now)
        return firing

    def unacknowledge(self, alerts: Iterable[str], now: int) -> list[str]:
        """Take acknowledgements back: people are told of the alerts again.

        Returns:
            ids of those that were acknowledged.

        Raises:
            StoreError: it cannot be written.
        """
        with self._writing(now):
            found = [one for one in dict.fromkeys(alerts) if one in self._roster.book.acknowledgements]
            for alert_id in found:
                self._roster.tell_again(alert_id, now)
        return found

    def matching(self, matchers: Sequence[Matcher], now: int) -> list[str]:
        """Ids of the alerts that fire and match."""
        return [
            known.id
            for known in self._roster.book.alerts.values()
            if not known.alert.resolved(now) and all(matcher.matches(known.alert.labels) for matcher in matchers)
        ]

    def silence(self, wanted: Silence, now: int) -> str:
        """Keep a silence or change one, and give its id.

        Raises:
            SilenceError: it cannot be kept or changed so.
            StoreError: it cannot be written.
        """
        with self._writing(now):
            book = self._roster.book
            changed = book.silences.put(wanted, now)
            book.changes.silences.update(one.id for one in changed)
        return changed[-1].id

    def expire(self, silence_id: str, now: int) -> None:
        """End a silence.

        Raises:
            SilenceError: there is none, or it has ended.
            StoreError: it cannot be written.
        """
        with self._writing(now):
            self._roster.book.silences.expire(silence_id, now)
            self._roster.book.changes.silences.add(silence_id)

    def silences(self) -> list[Silence]:
        """All silences, those that ended lately among them."""
        return self._roster.book.silences.all()

    def status(self, now: int) -> StatusView:
        """Alerts and groups as they are now."""
        return StatusView(self._roster.book, self._roster.muting(now), self._config.escalations, now)

    def reconfigure(self, config: NotifyConfig, now: int) -> None:
        """Take another configuration. Nobody is told again of what they know.

        Raises:
            StoreError: it cannot be written; the old one stays in force then.
        """
        before = self._config
        try:
            with self._writing(now):
                self._config = config
                self._roster = Roster(
                    config, self._roster.book, self._roster.kept(), self._storm, self._state.waits, now
                )
        except BaseException:
            self._config = before
            self._reload(now)
            raise

    @contextmanager
    def _writing(self, now: int) -> Iterator[None]:
        """Everything that the block changes is written, or nothing of it is changed."""
        if self._stale:
            self._load(now)
        try:
            yield
            self._save()
        except SilenceError:
            raise
        except BaseException:
            self._reload(now)
            raise

    def _save(self) -> None:
        book = self._roster.book
        if book.changes:
            self._state.save(book)
            book.changes = Changes()

    def _reload(self, now: int) -> None:
        """Take memory from the disk; where that cannot be read either, before the next operation."""
        self._stale = True
        with suppress(StoreError):
            self._load(now)

    def _load(self, now: int) -> None:
        book, kept = self._state.load()
        for known in book.alerts.values():
            if not known.ended:
                # While nobody listened nobody was heard of.
                ends_at = max(known.alert.ends_at, now + self._config.resolve_timeout)
                known.alert = replace(known.alert, ends_at=ends_at)
        self._storm = StormLimit(self._config.storm_limit, book.lately, book.held)
        self._roster = Roster(self._config, book, kept, self._storm, self._state.waits, now)
        self._stale = False

    def _tidy(self, now: int) -> None:
        """Forget what is older than it needs to be."""
        book = self._roster.book
        book.changes.silences.update(book.silences.forget(now))
        book.changes.forget = now - self._history if self._history else None
        self._roster.forget_told(now - RETENTION)
