"""Escalation: who is told of an alert that nobody acknowledges, and when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from mirante.server.notify.model import EscalationLevel, EscalationPolicy, OnCallSchedule
from mirante.server.notify.on_call import on_call


class Step(NamedTuple):
    """One step of an escalation.

    Attributes:
        at: when, milliseconds.
        level: number of the level, from 1.
    """

    at: int
    level: int


def next_step(policy: EscalationPolicy, told_at: int, done: int) -> Step | None:
    """What comes next for an alert, or None after the last step.

    Args:
        policy: its levels and how often they are gone through.
        told_at: when the alert was first told of.
        done: number of steps that were taken.

    Example:
        >>> policy = EscalationPolicy("p", (EscalationLevel(600), EscalationLevel(1200)), repeat=1, every=3600)
        >>> [next_step(policy, 0, done) for done in (0, 2)]
        [Step(at=600, level=1), Step(at=4200, level=1)]
        >>> next_step(policy, 0, 4)
    """
    count = len(policy.levels)
    if not count or done >= count * (policy.repeat + 1):
        return None
    turn, level = divmod(done, count)
    every = policy.every or policy.levels[-1].after
    return Step(told_at + turn * every + policy.levels[level].after, level + 1)


def receivers(level: EscalationLevel, schedules: Mapping[str, OnCallSchedule], now: int) -> list[str]:
    """Names of the receivers that a level tells at that time, each once."""
    on_duty = (on_call(schedules[name], now) for name in level.on_call)
    return list(dict.fromkeys((*level.receivers, *on_duty)))
