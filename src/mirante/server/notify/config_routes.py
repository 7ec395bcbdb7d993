"""Reads the routing tree and the inhibition rules.

Source: prometheus.io, "Alertmanager configuration", sections ``route`` and ``inhibit_rule``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from mirante.server.notify import config_values as read
from mirante.server.notify.config_names import Names
from mirante.server.notify.matchers import in_order
from mirante.server.notify.model import InhibitRule, Matcher, Route
from mirante.server.yaml_reader import Section, Value

_ALL = "..."


@dataclass(frozen=True, slots=True)
class Known:
    """Names that routes may use."""

    receivers: Names
    intervals: Names
    escalations: Names


def read_root(value: Value, known: Known) -> Route:
    """The tree from its root, which takes every alert and cannot be muted."""
    section = value.section()
    root = _read_route(section, Route(""), known, 0)
    if not root.receiver:
        value.fail("the root route must name a receiver")
    for given, what in (
        (root.matchers, "matchers"),
        (root.mute, "mute_time_intervals"),
        (root.active, "active_time_intervals"),
        (root.continues, "continue"),
    ):
        if given:
            value.fail(f"the root route cannot have {what}: it takes every alert at any time; put a route below it")
    return root


def _read_route(section: Section, parent: Route, known: Known, index: int) -> Route:
    route = replace(
        parent,
        receiver=section.take("receiver", known.receivers.one, "") or parent.receiver,
        matchers=_read_matchers(section, ""),
        group_wait=section.take("group_wait", Value.duration, parent.group_wait),
        group_interval=section.take("group_interval", _not_zero, parent.group_interval),
        repeat_interval=section.take("repeat_interval", _not_zero, parent.repeat_interval),
        continues=section.take("continue", read.flag, default=False),
        mute=section.take("mute_time_intervals", known.intervals.all, ()),
        active=section.take("active_time_intervals", known.intervals.all, ()),
        escalation=section.take("escalation", known.escalations.one, parent.escalation),
        children=(),
        index=index,
    )
    group_by = section.take("group_by", _group_by, None)
    if group_by is not None:
        everything = _ALL in group_by
        route = replace(route, group_by=() if everything else group_by, group_by_all=everything)
    below = section.take("routes", lambda v: tuple(read.sections(v)), ())
    section.finish()
    return replace(route, children=tuple(_read_route(child, route, known, at) for at, child in enumerate(below)))


def _group_by(value: Value) -> tuple[str, ...]:
    found = tuple(map(read.label_name, value.items()))
    names = [name for name in found if name != _ALL]
    if names and _ALL in found:
        value.fail("'...' stands for all labels and cannot be given with others")
    for name in names:
        if names.count(name) > 1:
            value.fail(f'label "{name}" is given twice')
    return found


def _not_zero(value: Value) -> int:
    return value.duration() or value.fail("cannot be zero")


def read_inhibitions(value: Value) -> tuple[InhibitRule, ...]:
    """The inhibition rules, in order."""
    return tuple(map(_read_inhibition, read.sections(value)))


def _read_inhibition(section: Section) -> InhibitRule:
    section.take("name", read.text, "")
    section.refuse("sources")
    source, target = (_read_matchers(section, side) for side in ("source_", "target_"))
    equal = section.take("equal", lambda v: tuple(map(read.label_name, v.items())), ())
    section.finish()
    return InhibitRule(source, target, equal)


def _read_matchers(section: Section, prefix: str) -> tuple[Matcher, ...]:
    none: tuple[Matcher, ...] = ()
    return in_order(
        (
            *section.take(f"{prefix}match", read.equalities, none),
            *section.take(f"{prefix}match_re", read.patterns, none),
            *section.take(f"{prefix}matchers", read.matchers, none),
        )
    )
