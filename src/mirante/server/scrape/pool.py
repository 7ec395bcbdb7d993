"""The targets of one job, each with its loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from mirante.errors import StoreError
from mirante.server.scrape.discovery import discoveries
from mirante.server.scrape.fetch import Client
from mirante.server.scrape.loop import Surroundings, TargetLoop
from mirante.server.scrape.model import ScrapeJob, TargetGroup
from mirante.server.scrape.target import Target, discovered_labels, make_target

log = logging.getLogger(__name__)

# Targets that stand in the configuration are there when start() returns; a slow discovery does not hold it up.
_FIRST_TARGETS_SECONDS = 0.2


class ScrapePool:
    """Keeps the loops of a job in step with what its discoveries find.

    Attributes:
        job: what the configuration says.
        loops: by the identity of their targets.
        dropped: labels of the targets that relabeling dropped.
    """

    def __init__(self, job: ScrapeJob, client: Client, around: Surroundings) -> None:
        self.job = job
        self.loops: dict[int, TargetLoop] = {}
        self.dropped: list[Mapping[str, str]] = []
        self._client, self._around = client, around
        self._groups: dict[str, TargetGroup] = {}
        self._predecessors: dict[int, TargetLoop] = {}
        self._discoveries: list[asyncio.Task[None]] = []

    async def start(self, predecessors: Mapping[int, TargetLoop]) -> None:
        """Start finding and scraping targets; stopped loops of the same targets hand their series over."""
        self._predecessors = dict(predecessors)
        self._discoveries = [asyncio.create_task(found.run(self.publish)) for found in discoveries(self.job)]
        done, _ = await asyncio.wait(self._discoveries, timeout=_FIRST_TARGETS_SECONDS)
        for task in done:
            task.result()

    async def stop(self, *, finish: bool) -> dict[int, TargetLoop]:
        """Stop all loops and give them; with ``finish`` scrapes under way are completed first."""
        for task in self._discoveries:
            task.cancel()
        await asyncio.gather(*(loop.stop(finish=finish) for loop in self.loops.values()))
        await self._client.close()
        return self.loops

    async def publish(self, groups: Sequence[TargetGroup]) -> None:
        """Take groups from a discovery and make the loops fit."""
        self._groups.update({group.source: group for group in groups})
        targets = self._targets()
        gone = [self.loops.pop(identity) for identity in self.loops.keys() - targets.keys()]
        for identity in targets.keys() - self.loops.keys():
            self._add(identity, targets[identity])
        limit, count = self.job.limits.targets, len(targets)
        over = f"target_limit exceeded (number of targets: {count}, limit: {limit})" if 0 < limit < count else ""
        for loop in self.loops.values():
            loop.refused = over
        await asyncio.gather(*(loop.stop(finish=True) for loop in gone))
        gone += self._predecessors.values()
        self._predecessors.clear()
        await end_all(gone)

    def _add(self, identity: int, target: Target) -> None:
        loop = self.loops[identity] = TargetLoop(target, self.job, self._client, self._around)
        predecessor = self._predecessors.pop(identity, None)
        if predecessor is not None:
            loop.succeed(predecessor)
        loop.start()

    def _targets(self) -> dict[int, Target]:
        """The targets of all groups; equal ones are one target."""
        targets, self.dropped = {}, []
        for group in self._groups.values():
            for found in group.targets:
                discovered = discovered_labels({**group.labels, **found}, self.job)
                try:
                    target = make_target(discovered, self.job)
                except ValueError as error:
                    log.warning("job %s: target %s left out: %s", self.job.name, found.get("__address__", "?"), error)
                    continue
                if target is None:
                    self.dropped.append(discovered)
                else:
                    targets[target.identity] = target
        return targets


async def end_all(loops: Sequence[TargetLoop]) -> None:
    """Write the ends of the series of stopped loops; a log that takes nothing is reported and not waited for."""
    for loop in loops:
        try:
            await loop.end()
        except StoreError as error:
            log.warning("the end of the series of %s is not stored: %s", loop.target.url, error)
