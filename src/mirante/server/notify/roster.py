"""The alerts and their groups in memory: what news, time and the configuration do to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import chain

from mirante.server.alert import Alert
from mirante.server.notify.book import Book
from mirante.server.notify.flush import Flush, Parts, Waits
from mirante.server.notify.group import Escalating, Group, Kept, identity, new_group
from mirante.server.notify.inhibit import Inhibitor
from mirante.server.notify.known import Known, completed, merged, same_but_for_times
from mirante.server.notify.model import NotifyConfig
from mirante.server.notify.mute import Muting
from mirante.server.notify.route import RoutingTree
from mirante.server.notify.schedule import Schedule
from mirante.server.notify.storm import StormLimit

# Kinds of what is scheduled, in the order in which they happen when several are due.
_END, _TELL_AGAIN, _GROUP = "0", "1", "2"


class Roster:
    """The book, and all that follows from it and from a configuration.

    Args:
        config: who is told.
        book: what is remembered; changed here.
        kept: of its groups, what outlives their being made anew.
        storm: how much may be told.
        waits: whether something for a target of a group waits to be sent.
        now: milliseconds.

    Attributes:
        book: what is remembered.
        schedule: what happens when.
    """

    def __init__(
        self, config: NotifyConfig, book: Book, kept: Mapping[str, Kept], storm: StormLimit, waits: Waits, now: int
    ) -> None:
        storm.limit = config.storm_limit
        self.book = book
        self.schedule = Schedule()
        self._config = config
        self._tree = RoutingTree(config.route)
        self._inhibitor = Inhibitor(config.inhibit, book.alerts.values())
        self._parts = Parts(config, book, storm, waits)
        self._regroup(kept, now)
        for one in book.acknowledgements.values():
            self.snooze(one.alert_id, one.until)
        self._left = self._told_and_left()
        self._forget_unknown()

    def muting(self, now: int) -> Muting:
        """What is silenced, inhibited and under maintenance now."""
        return Muting(self._config, self.book.silences, self._inhibitor, now)

    def kept(self) -> dict[str, Kept]:
        """What of the groups outlives their being made anew."""
        groups = self.book.groups.values()
        return {group.id: Kept(group.next_flush, group.flushed, group.escalating) for group in groups}

    def put(self, alert: Alert, now: int) -> None:
        """Take an alert, or news of one."""
        alert_id = self.book.id_of(alert.labels)
        news, timeout = completed(alert, now, self._config.resolve_timeout)
        known = self.book.alerts.get(alert_id)
        if known is not None:
            self._update(known, news, timeout, now)
        elif not news.resolved(now):
            known = Known(alert_id, news, timeout)
            self.book.add(known)
            self.book.changes.alerts.add(alert_id)
            self._inhibitor.put(known)
            self.schedule.set(_END + alert_id, news.ends_at)
            self._join(known, now)

    def happen(self, now: int) -> None:
        """Let everything happen whose time has come."""
        muting = self.muting(now)
        while keys := self.schedule.take(now):
            for key in sorted(keys, key=lambda key: key[0]):
                kind, name = key[0], key[1:]
                if kind == _GROUP:
                    self._look_at(self.book.groups[name], muting, now)
                elif kind == _END:
                    self._end(self.book.alerts[name])
                elif name in self.book.acknowledgements:
                    self.tell_again(name, now)

    def snooze(self, alert_id: str, until: int | None) -> None:
        """Set when an alert that is acknowledged is told of again; None for never."""
        self.schedule.set(_TELL_AGAIN + alert_id, until)

    def tell_again(self, alert_id: str, now: int) -> None:
        """An acknowledgement is over before its alert: it is repeated, and its escalation begins anew."""
        self.book.acknowledge(alert_id, None)
        self.snooze(alert_id, None)
        for group_id in self.book.alerts[alert_id].groups:
            group = self.book.groups[group_id]
            for target, told in list(self.book.told.get(group.key, {}).items()):
                if alert_id in told.firing and not told.level:
                    long_ago = now - group.route.repeat_interval
                    self.book.note_told(group.key, target, replace(told, at=min(told.at, long_ago)))
            if alert_id in group.escalating:
                self.book.escalate(group, alert_id, Escalating(now))
            group.next_flush = now
            self.schedule.set(_GROUP + group_id, now)

    def forget_told(self, before: int) -> None:
        """Forget what was told before that time of groups that are no more."""
        live = {group.key for group in self.book.groups.values()}
        for key in [key for key in self.book.told if key not in live]:
            for target, told in list(self.book.told[key].items()):
                if told.at < before:
                    self.book.note_told(key, target, None)
        self._left = self._told_and_left()

    def _regroup(self, kept: Mapping[str, Kept], now: int) -> None:
        """Make the groups of the alerts and the routes."""
        book = self.book
        book.groups.clear()
        for known in list(book.alerts.values()):
            # One that has ended comes back into no group that it has left.
            within = known.groups if known.ended else None
            known.groups = set()
            self._join(known, now, within)
            if not known.ended:
                self.schedule.set(_END + known.id, known.alert.ends_at)
            elif not known.groups:
                self._drop(known)
        for group_id in kept.keys() - book.groups.keys():
            book.changes.groups.add(group_id)
            book.changes.escalating.update((group_id, alert_id) for alert_id in kept[group_id].escalating)
        for group in book.groups.values():
            if group.id in kept:
                self._take_up(group, kept[group.id], now)

    def _take_up(self, group: Group, kept: Kept, now: int) -> None:
        # It is new only in memory.
        self.book.changes.groups.discard(group.id)
        group.flushed = kept.flushed
        group.next_flush = min(kept.next_flush, now + group.route.group_interval)
        policies = self._config.escalations
        members = group.members.keys() if group.route.escalation in policies else ()
        group.escalating = {one: state for one, state in kept.escalating.items() if one in members}
        gone = kept.escalating.keys() - group.escalating.keys()
        self.book.changes.escalating.update((group.id, alert_id) for alert_id in gone)
        # When the next level is told is found out by looking at the group.
        group.escalate_at = now if group.escalating else None
        self.schedule.set(_GROUP + group.id, group.due)

    def _told_and_left(self) -> list[str]:
        """Keys of groups of which somebody was told, of an alert that takes another way since."""
        members: dict[str, set[str]] = {}
        for group in self.book.groups.values():
            members.setdefault(group.key, set()).update(group.members)
        return [
            key
            for key, targets in self.book.told.items()
            if any(not told.firing <= members.get(key, set()) for told in targets.values())
        ]

    def _forget_unknown(self) -> None:
        """Should an alert come back by its old way, it is news there."""
        for key in self._left:
            told = frozenset(chain.from_iterable(one.firing for one in self.book.told.get(key, {}).values()))
            self.book.forget_told(key, told - self.book.alerts.keys())

    def _update(self, known: Known, news: Alert, timeout: bool, now: int) -> None:
        before, was_ended = known.alert, known.ended
        known.alert, known.timeout = merged(known, news, timeout, now)
        ended = known.alert.resolved(now)
        # An end as near as the resolve timeout is granted by every restart anyway.
        far = known.alert.ends_at > known.kept_end and known.alert.ends_at - now > self._config.resolve_timeout
        if far or was_ended or not same_but_for_times(before, known.alert):
            self.book.changes.alerts.add(known.id)
        for group_id in known.groups:
            self._hasten(self.book.groups[group_id], now)
        if ended:
            self._end(known)
            return
        known.ended = False
        self.schedule.set(_END + known.id, known.alert.ends_at)
        if was_ended:
            self._join(known, now)

    def _join(self, known: Known, now: int, within: set[str] | None = None) -> None:
        """Put an alert into the groups of its routes, or into those of them that are given."""
        for node in self._tree.find(known.alert.labels):
            group_id = identity(node, known.alert.labels)
            if within is not None and group_id not in within:
                continue
            group = self.book.groups.get(group_id)
            if group is None:
                group = self.book.groups[group_id] = new_group(node, known.alert.labels, now)
                self.book.changes.groups.add(group_id)
            group.members[known.id] = None
            known.groups.add(group_id)
            if not group.flushed and known.alert.starts_at + group.route.group_wait < now:
                group.next_flush = now
            self._hasten(group, now)
            self.schedule.set(_GROUP + group_id, group.due)

    def _hasten(self, group: Group, now: int) -> None:
        """Where the clock was set back, nobody waits until it has come as far again."""
        latest = now + max(group.route.group_wait, group.route.group_interval)
        if group.next_flush > latest:
            group.next_flush = latest
            self.book.changes.groups.add(group.id)
            self.schedule.set(_GROUP + group.id, group.due)

    def _end(self, known: Known) -> None:
        """An alert has ended, and what depends on it ends with it."""
        known.ended = True
        self.book.changes.alerts.add(known.id)
        self.schedule.set(_END + known.id, None)
        self.book.acknowledge(known.id, None)
        self.snooze(known.id, None)
        for group_id in known.groups:
            self.book.escalate(self.book.groups[group_id], known.id, None)

    def _look_at(self, group: Group, muting: Muting, now: int) -> None:
        members = list(group.members)
        flush = Flush(self._parts, group, muting, now)
        if now >= group.next_flush:
            flush.run()
        else:
            flush.escalate()
        for alert_id in members:
            known = self.book.alerts[alert_id]
            if not known.groups:
                self._drop(known)
        self._forget_unknown()
        if group.members:
            self.schedule.set(_GROUP + group.id, group.due)
        else:
            del self.book.groups[group.id]
            self.book.changes.groups.add(group.id)

    def _drop(self, known: Known) -> None:
        self.book.drop(known)
        self._inhibitor.remove(known)
