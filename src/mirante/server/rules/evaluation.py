"""What evaluating rules asks for and gives: small Protocols that unit tests, the backtest and the server fill."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from mirante.server.rules.model import Expression
from mirante.server.store.api import Labels

NAME = "__name__"
LabelKey = frozenset[tuple[str, str]]
"""A label set that can be looked up."""


class Point(NamedTuple):
    """One series of a vector: its labels, ``__name__`` included where it has one, and its value."""

    labels: Labels
    value: float


class RuleSample(NamedTuple):
    """One sample that a rule writes; its time in milliseconds."""

    labels: Labels
    time: int
    value: float


class RuleQuery(Protocol):
    """Answers what rules ask."""

    def vector(self, expression: Expression, at: int) -> Sequence[Point]:
        """The expression's value at that time (milliseconds); a scalar is one point without labels.

        It sees whatever was given to ``RuleLog.write`` before, at once. May be called from any thread.

        Raises:
            QueryError: it is wrong, cannot be evaluated, or its value is neither a vector nor a scalar.
            StoreError: the store failed.
        """
        ...


QueryAt = Callable[[int], RuleQuery]
"""Answers what is asked at one time (milliseconds)."""


class RuleLog(Protocol):
    """Takes what rules write."""

    def write(self, samples: Sequence[RuleSample]) -> None:
        """Take samples; when it returns they will survive a crash. May be called from any thread.

        Raises:
            StoreError: they cannot be kept.
        """
        ...


@dataclass(frozen=True, slots=True)
class RuleOptions:
    """What all groups of a server share. Times are milliseconds.

    Attributes:
        interval: between evaluations of a group that says nothing of it.
        query_offset: how far before the present a group looks that says nothing of it.
        external_labels: what alerts get when they leave, where they have no such label.
        external_url: where people reach this server.
        resend_delay: between two times that a firing alert is sent.
        outage_tolerance: how old a state may be that is restored.
        grace_period: how long a restored alert that was about to fire still waits.
        monotonic: tells how long evaluations take, in seconds.
    """

    interval: int = 60_000
    query_offset: int = 0
    external_labels: Mapping[str, str] = field(default_factory=dict)
    external_url: str = ""
    resend_delay: int = 60_000
    outage_tolerance: int = 3_600_000
    grace_period: int = 600_000
    monotonic: Callable[[], float] = float


def key_of(labels: Labels) -> LabelKey:
    """The labels as a key.

    Example:
        >>> sorted(key_of({"b": "2", "a": "1"}))
        [('a', '1'), ('b', '2')]
    """
    return frozenset(labels.items())


def relabeled(labels: Labels, changes: Labels) -> dict[str, str]:
    """The labels without the metric's name, with others put in their place; an empty value takes a label away.

    Example:
        >>> relabeled({"__name__": "up", "job": "a", "env": "x"}, {"env": "", "team": "b"})
        {'job': 'a', 'team': 'b'}
    """
    merged = {**labels, **changes}
    if NAME not in changes:
        merged.pop(NAME, None)
    return {name: value for name, value in merged.items() if value}
