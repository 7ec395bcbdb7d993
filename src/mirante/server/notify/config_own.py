"""Reads what Alertmanager does not know: escalation, schedules of who is on call, maintenance, runbooks."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from pathlib import PurePath

from mirante.server.http_client.model import PLAIN
from mirante.server.notify import config_values as read
from mirante.server.notify.config_intervals import read_zone
from mirante.server.notify.config_names import Names
from mirante.server.notify.intervals import zone_of
from mirante.server.notify.model import (
    EscalationLevel,
    EscalationPolicy,
    MaintenanceWindow,
    OnCallOverride,
    OnCallSchedule,
    Runbook,
)
from mirante.server.yaml_reader import Section, Value

_DAY = 86_400_000


def read_escalation(section: Section, name: str, receivers: Names, schedules: Names) -> EscalationPolicy:
    """A policy: who is told when nobody acknowledges."""

    def level(section: Section) -> EscalationLevel:
        found = EscalationLevel(
            after=section.take("after", Value.duration, 0),
            receivers=section.take("receivers", receivers.all, ()),
            on_call=section.take("on_call", schedules.all, ()),
        )
        section.finish()
        if not found.after or not (found.receivers or found.on_call):
            section.value.fail("a level needs after (a duration above zero), and receivers or on_call")
        return found

    levels = section.take("levels", lambda v: tuple(map(level, read.sections(v))), ())
    repeat, every = section.take("repeat", read.count, 0), section.take("every", Value.duration, 0)
    section.finish()
    if not levels:
        section.value.fail("levels must have at least one level, such as {after: 10m, receivers: [pager]}")
    if repeat and not every:
        section.value.fail("every must say how long after the last level they begin again, such as 1h")
    return EscalationPolicy(name, tuple(sorted(levels, key=lambda one: one.after)), repeat, every)


def read_schedule(section: Section, name: str, receivers: Names) -> OnCallSchedule:
    """A rotation: people take turns."""
    zone = section.take("time_zone", read_zone, None)
    start = section.take("start", lambda v: _moment(v, zone), None)
    people = section.take("people", receivers.all, ())
    turn = section.take("turn", Value.duration, 7 * _DAY)

    def override(section: Section) -> OnCallOverride:
        person = section.take("person", receivers.one, "") or section.value.fail("person must be given")
        begins, ends = (section.take(key, lambda v: _moment(v, zone), None) for key in ("start", "end"))
        section.finish()
        if begins is None or ends is None or begins >= ends:
            section.value.fail("start and end must be given, and start must be before end")
        return OnCallOverride(person, begins, ends)

    overrides = section.take("overrides", lambda v: tuple(map(override, read.sections(v))), ())
    section.finish()
    if start is None or not people:
        section.value.fail("people (names of receivers) and start (when the first one's turn begins) must be given")
    if not turn or turn % _DAY:
        section.value.fail("turn must be a number of whole days, such as 7d")
    return OnCallSchedule(name, people, start, turn // _DAY, overrides)


def read_maintenance(section: Section, name: str, intervals: Names) -> MaintenanceWindow:
    """A window in which alerts that match are silenced."""
    zone = section.take("time_zone", read_zone, None)
    window = MaintenanceWindow(
        name,
        matchers=section.take("matchers", read.matchers, ()),
        start=section.take("start", lambda v: _moment(v, zone), None),
        end=section.take("end", lambda v: _moment(v, zone), None),
        intervals=section.take("time_intervals", intervals.all, ()),
        comment=section.take("comment", read.text, ""),
    )
    section.finish()
    if not window.matchers:
        section.value.fail("matchers must say which alerts are silenced")
    if not window.intervals and (window.start is None or window.end is None):
        section.value.fail("start and end must be given, or time_intervals")
    if window.start and window.end and window.start >= window.end:
        section.value.fail("start must be before end")
    return window


def read_runbook(section: Section, name: str, allowed: Collection[str]) -> Runbook:
    """What is done by itself when an alert begins to fire."""
    runbook = Runbook(
        name,
        matchers=section.take("matchers", read.matchers, ()),
        command=section.take("command", read.texts, ()),
        url=section.take("url", read.url, ""),
        timeout=section.take("timeout", Value.duration, 60_000),
        http=section.take("http_config", read.http_config, PLAIN),
    )
    section.finish()
    if not runbook.matchers:
        section.value.fail("matchers must say for which alerts it runs")
    if bool(runbook.command) is bool(runbook.url):
        section.value.fail("exactly one of command (a list: the program and its arguments) and url must be given")
    if runbook.command and runbook.command[0] not in allowed:
        section.value.fail(f'"{runbook.command[0]}" is not among allowed_commands')
    if not runbook.timeout:
        section.value.fail("timeout must be above zero")
    return runbook


def read_allowed(value: Value) -> tuple[str, ...]:
    """Programs that runbooks may run."""
    for item in value.items():
        if not PurePath(read.text(item)).is_absolute():
            item.fail(f'expected the absolute path of a program, got "{read.text(item)}"')
    return read.texts(value)


def _moment(value: Value, zone: str | None) -> datetime:
    """A point in time; without an offset it is what clocks in that zone show."""
    try:
        moment = datetime.fromisoformat(read.text(value))
    except ValueError:
        value.fail(f'expected a time such as 2026-01-05T09:00, got "{read.text(value)}"')
    if zone is not None:
        place = zone_of(zone) or value.fail("time_zone must be the name of one here, not Local")
        return moment.replace(tzinfo=place) if moment.tzinfo is None else moment.astimezone(place)
    if moment.tzinfo is None:
        value.fail("time_zone must be given, such as Europe/Lisbon, or an offset such as +01:00 at the time's end")
    return moment
