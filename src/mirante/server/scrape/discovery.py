"""Discovery: finding the targets of a job, and finding them anew when they change."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from mirante.server.scrape.model import TargetGroup

log = logging.getLogger(__name__)

Publish = Callable[[Sequence[TargetGroup]], Awaitable[None]]
"""Takes all groups that a discovery knows now; they replace those that it published before.

A group that did not change is best given as the object that it was: see ``kept``.
"""

Sleep = Callable[[float], Awaitable[object]]


class Discovery(Protocol):
    """One way of finding targets, such as a list in the configuration, a watched file or a DNS name."""

    async def run(self, publish: Publish) -> None:
        """Publish what is there, then every change, until cancelled; ends when nothing can change any more.

        A source that fails keeps what it published last, and the reporter is told.
        """
        ...


@dataclass(slots=True)
class Reporter:
    """Tells when a source of targets fails, once for each reason, and counts every failure.

    Attributes:
        mechanism: ``file``, ``http`` and so on.
        job: whose targets they are.
        failures: failed refreshes by mechanism; shared by all reporters of a server.
    """

    mechanism: str
    job: str
    failures: Counter[str]
    _told: dict[str, str] = field(default_factory=dict)

    def failed(self, source: str, reason: str) -> None:
        """The source could not be read; what it said before stays in force."""
        self.failures[self.mechanism] += 1
        if self._told.get(source) != reason:
            self._told[source] = reason
            log.warning("job %s: %s: %s; its last targets stay", self.job, source, reason)

    def worked(self, source: str) -> None:
        """The source could be read."""
        if self._told.pop(source, None) is not None:
            log.info("job %s: %s can be read again", self.job, source)


def kept(before: Iterable[TargetGroup] | None, now: Iterable[TargetGroup]) -> list[TargetGroup]:
    """The groups of now; those that are as they were, as the very objects: their targets need not be made again."""
    known = {group.source: group for group in before or ()}
    return [known[group.source] if known.get(group.source) == group else group for group in now]


class StaticDiscovery:
    """The ``static_configs`` of a job: published once."""

    def __init__(self, groups: Sequence[TargetGroup]) -> None:
        self._groups = groups

    async def run(self, publish: Publish) -> None:
        """Publish the groups."""
        await publish(self._groups)
