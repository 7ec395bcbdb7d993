"""Discovery: finding the targets of a job, and finding them anew when they change."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from mirante.server.scrape.model import ScrapeJob, TargetGroup

Publish = Callable[[Sequence[TargetGroup]], Awaitable[None]]
"""Takes groups that are new or changed; a group without targets says that the source has none any more."""


class Discovery(Protocol):
    """One way of finding targets, such as a list in the configuration, a watched file or a DNS name."""

    async def run(self, publish: Publish) -> None:
        """Publish what is there, then every change, until cancelled; ends when nothing can change any more."""
        ...


class StaticDiscovery:
    """The ``static_configs`` of a job: published once."""

    def __init__(self, groups: Sequence[TargetGroup]) -> None:
        self._groups = groups

    async def run(self, publish: Publish) -> None:
        """Publish the groups."""
        await publish(self._groups)


def discoveries(job: ScrapeJob) -> list[Discovery]:
    """Every discovery that the job asks for."""
    return [StaticDiscovery(job.static)]
