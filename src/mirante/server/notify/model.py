"""What an ``alertmanager.yml`` says, as frozen values. Times are milliseconds.

What Alertmanager does not know stands in keys of its own: ``escalation`` of a route, ``escalation_policies``,
``on_call``, ``maintenance``, ``runbooks``, ``sms_configs`` and ``apprise_configs``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from mirante.server.http_client.model import PLAIN, HttpClient

MatchType = Literal["=", "!=", "=~", "!~"]
_RESERVED = frozenset("{}!=~,\\\"'`")


class Pattern(Protocol):
    """What a regular expression has to be able to do; ``notify.regex`` has it in RE2's notation."""

    def fullmatch(self, text: str, /) -> object:
        """Something true when the whole text matches."""
        ...


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label; a label that is not there counts as empty. ``notify.matchers`` makes them.

    Attributes:
        regex: for ``=~`` and ``!~`` the whole value must match it.
    """

    name: str
    type: MatchType
    value: str
    regex: Pattern | None = field(default=None, compare=False, repr=False)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the condition holds."""
        value = labels.get(self.name, "")
        found = value == self.value if self.regex is None else bool(self.regex.fullmatch(value))
        return found is not self.type.startswith("!")

    def __str__(self) -> str:
        reserved = any(char in _RESERVED or char.isspace() for char in self.name)
        name = _quoted(self.name) if reserved else self.name
        return f"{name}{self.type}{_quoted(self.value)}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


@dataclass(frozen=True, slots=True)
class Route:
    """A node of the routing tree; what a child does not say it has from its parent.

    Attributes:
        receiver: name of the receiver.
        matchers: all must hold; those of ``match`` and ``match_re`` are among them.
        group_by: labels whose values make a group.
        group_by_all: ``group_by: ['...']``: every alert is its own group.
        continues: also try the siblings after this one.
        mute: names of time intervals in which nothing is sent.
        active: names of time intervals outside of which nothing is sent; any time when empty.
        escalation: name of the policy for alerts that nobody acknowledges; none when empty.
        children: in order.
        index: its place among its siblings; with those above, Alertmanager's identity of a route.
    """

    receiver: str
    matchers: tuple[Matcher, ...] = ()
    group_by: tuple[str, ...] = ()
    group_by_all: bool = False
    group_wait: int = 30_000
    group_interval: int = 300_000
    repeat_interval: int = 14_400_000
    continues: bool = False
    mute: tuple[str, ...] = ()
    active: tuple[str, ...] = ()
    escalation: str = ""
    children: tuple[Route, ...] = ()
    index: int = 0


@dataclass(frozen=True, slots=True)
class InhibitRule:
    """While a source fires, targets with the same values of the ``equal`` labels are not told of."""

    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """One entry of a time interval: all that is given must hold; an empty tuple is no condition.

    Attributes:
        times: minutes of the day, start inclusive, end exclusive.
        weekdays: inclusive, Sunday is 0.
        days: of the month, inclusive; negative ones count from its end.
        months: inclusive, January is 1.
        years: inclusive.
        location: an IANA time zone; UTC when empty.
    """

    times: tuple[tuple[int, int], ...] = ()
    weekdays: tuple[tuple[int, int], ...] = ()
    days: tuple[tuple[int, int], ...] = ()
    months: tuple[tuple[int, int], ...] = ()
    years: tuple[tuple[int, int], ...] = ()
    location: str = ""


@dataclass(frozen=True, slots=True)
class Integration:
    """One way in which a receiver is told.

    Attributes:
        kind: key of the configuration without ``_configs``: ``webhook``, ``slack``, ``email``, ``sms``...
        index: its place among those of its kind in its receiver.
        options: every key of the entry under Alertmanager's own name, with the defaults (also those of ``global``)
            filled in; secrets are ``Secret``, durations milliseconds, templates are unrendered text, mappings dicts,
            lists tuples. ``send_resolved`` and ``http_config`` are not among them.
        send_resolved: whether it is also told when all is well again.
        http: how requests are made.
    """

    kind: str
    index: int
    options: Mapping[str, Any]
    send_resolved: bool = True
    http: HttpClient = PLAIN


@dataclass(frozen=True, slots=True)
class Receiver:
    """Who is told, in one or more ways."""

    name: str
    integrations: tuple[Integration, ...] = ()


@dataclass(frozen=True, slots=True)
class EscalationLevel:
    """Who is told next.

    Attributes:
        after: how long after an alert was first told of, while it is neither acknowledged nor resolved.
        receivers: names of receivers.
        on_call: names of schedules: the receiver of whoever is on call is told.
    """

    after: int
    receivers: tuple[str, ...] = ()
    on_call: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EscalationPolicy:
    """Levels, in order of their time; after the last one they begin again ``repeat`` times, ``every`` apart."""

    name: str
    levels: tuple[EscalationLevel, ...]
    repeat: int = 0
    every: int = 0


@dataclass(frozen=True, slots=True)
class OnCallOverride:
    """Somebody else for some time."""

    person: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class OnCallSchedule:
    """Who is on call: people take turns.

    Attributes:
        people: names of receivers, in order of their turns.
        start: when the first one's first turn begins, with a time zone: turns change at its wall-clock time.
        turn_days: length of a turn in days (a weekly rotation: 7).
    """

    name: str
    people: tuple[str, ...]
    start: datetime
    turn_days: int = 7
    overrides: tuple[OnCallOverride, ...] = ()


@dataclass(frozen=True, slots=True)
class MaintenanceWindow:
    """Alerts that match are silenced between two times, or in named time intervals again and again."""

    name: str
    matchers: tuple[Matcher, ...]
    start: datetime | None = None
    end: datetime | None = None
    intervals: tuple[str, ...] = ()
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Runbook:
    """What is done by itself when an alert begins to fire: a command of the allow list, or a webhook.

    Attributes:
        command: program and arguments (templates), run without a shell; the program stands in ``allowed_commands``.
        url: webhook instead of a command.
        timeout: after which it is ended.
    """

    name: str
    matchers: tuple[Matcher, ...]
    command: tuple[str, ...] = ()
    url: str = ""
    timeout: int = 60_000
    http: HttpClient = PLAIN


@dataclass(frozen=True, slots=True)
class NotifyConfig:
    """The whole file.

    Attributes:
        route: root of the tree.
        receivers: by name.
        inhibit: inhibition rules.
        intervals: time intervals by name.
        templates: paths and patterns of template files.
        resolve_timeout: after which an alert without an end that nobody mentions any more counts as resolved.
        escalations: policies by name.
        on_call: schedules by name.
        maintenance: windows.
        runbooks: automatic ones.
        allowed_commands: absolute paths of programs that runbooks may run.
        storm_limit: most notifications a minute of the whole server; what is held back is told. 0 for any.
        text: the file with its secrets hidden.
        alertmanager_text: the same without the keys that Alertmanager does not know, as ``/api/v2/status`` shows it to
            ``amtool``.
        source: path of the file, or the empty string for the built-in default.
    """

    route: Route
    receivers: Mapping[str, Receiver]
    inhibit: tuple[InhibitRule, ...] = ()
    intervals: Mapping[str, tuple[TimeSpan, ...]] = field(default_factory=dict)
    templates: tuple[Path, ...] = ()
    resolve_timeout: int = 300_000
    escalations: Mapping[str, EscalationPolicy] = field(default_factory=dict)
    on_call: Mapping[str, OnCallSchedule] = field(default_factory=dict)
    maintenance: tuple[MaintenanceWindow, ...] = ()
    runbooks: tuple[Runbook, ...] = ()
    allowed_commands: tuple[str, ...] = ()
    storm_limit: int = 0
    text: str = ""
    alertmanager_text: str = ""
    source: str = ""
