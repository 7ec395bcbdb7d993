"""The targets of one job, each with its loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from mirante.errors import StoreError
from mirante.server.scrape.discovery import Discovery
from mirante.server.scrape.fetch import Client
from mirante.server.scrape.loop import Surroundings, TargetLoop
from mirante.server.scrape.model import ScrapeJob, Sd, TargetGroup
from mirante.server.scrape.sd.make import make_discovery
from mirante.server.scrape.target import Target, discovered_labels, make_target

log = logging.getLogger(__name__)

# Targets that stand in the configuration are there when start() returns; a slow discovery does not hold it up.
_FIRST_TARGETS_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class PreparedJob:
    """A job that can be scraped, with everything built that can fail; nothing is open yet.

    Attributes:
        job: what the configuration says.
        client: makes the requests.
        discoveries: one for each entry of ``job.discoveries``.
    """

    job: ScrapeJob
    client: Client
    discoveries: tuple[Discovery, ...]

    @classmethod
    def of(cls, job: ScrapeJob, around: Surroundings) -> PreparedJob:
        """Build the parts.

        Raises:
            OSError: a certificate file cannot be used.
            ConfigError: a discovery's package is missing.
        """
        failures, sleep = around.stats.discovery_failures, around.sleep
        return cls(job, Client(job), tuple(make_discovery(sd, job.name, failures, sleep) for sd in job.discoveries))


@dataclass(eq=False, slots=True)
class _Source:
    """A discovery at work; ``groups`` is None until it has published."""

    sd: Sd
    groups: Sequence[TargetGroup] | None = None
    task: asyncio.Task[None] | None = None


@dataclass(slots=True)
class _Made:
    """What a group comes to under the job's rules: targets by identity, and the labels of those that are dropped."""

    group: TargetGroup
    targets: dict[int, Target] = field(default_factory=dict)
    dropped: list[Mapping[str, str]] = field(default_factory=list)


class ScrapePool:
    """Keeps the loops of a job in step with what its discoveries find.

    Attributes:
        job: what the configuration says.
        loops: by the identity of their targets.
        dropped: labels of the targets that relabeling dropped.
    """

    def __init__(self, prepared: PreparedJob, around: Surroundings) -> None:
        self.job = prepared.job
        self.loops: dict[int, TargetLoop] = {}
        self.dropped: list[Mapping[str, str]] = []
        self._prepared, self._around = prepared, around
        self._sources: list[_Source] = []
        self._retired: list[TargetGroup] = []
        self._made: dict[int, _Made] = {}  # by the id of the group, which it keeps alive
        self._changing = asyncio.Lock()

    async def start(self) -> None:
        """Start finding and scraping targets."""
        pairs = zip(self.job.discoveries, self._prepared.discoveries, strict=True)
        self._sources = [self._started(sd, discovery) for sd, discovery in pairs]
        await self._first_targets(self._sources)

    async def stop(self, *, finish: bool) -> None:
        """Stop all loops; with ``finish`` scrapes under way are completed first."""
        await _cancel(self._sources)
        async with self._changing:
            await asyncio.gather(*(loop.stop(finish=finish) for loop in self.loops.values()))
            await self._prepared.client.close()

    async def end(self) -> None:
        """Stop for good: every series ends."""
        await self.stop(finish=True)
        await _end_all(list(self.loops.values()))

    async def reload(self, prepared: PreparedJob) -> None:
        """Change to other settings of the same job.

        Discoveries and loops to which nothing changed go on. A discovery that is new takes the place of those that went
        away only when it has published, so that no target is lost meanwhile.
        """
        before, left = self._prepared, list(self._sources)
        self.job, self._prepared, self._made = prepared.job, prepared, {}
        self._sources, new = [], []
        for sd, discovery in zip(prepared.job.discoveries, prepared.discoveries, strict=True):
            source = next((source for source in left if source.sd == sd), None)
            if source is None:
                source = self._started(sd, discovery)
                new.append(source)
            else:
                left.remove(source)
            self._sources.append(source)
        self._retired += [group for source in left for group in source.groups or ()]
        await _cancel(left)
        await self._first_targets(new)
        if _of_loops(before.job) == _of_loops(prepared.job):
            self._prepared = replace(prepared, client=before.client)
            await self._sync()
        else:
            await self._sync(anew=True)
            await before.client.close()

    def _started(self, sd: Sd, discovery: Discovery) -> _Source:
        source = _Source(sd)
        source.task = asyncio.create_task(self._discover(source, discovery), name=f"discovery of {self.job.name}")
        return source

    async def _discover(self, source: _Source, discovery: Discovery) -> None:
        try:
            await discovery.run(partial(self._publish, source))
        except Exception:
            log.exception("job %s: discovery ended; its last targets stay", self.job.name)

    async def _first_targets(self, sources: Sequence[_Source]) -> None:
        tasks = [source.task for source in sources if source.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=_FIRST_TARGETS_SECONDS)

    async def _publish(self, source: _Source, groups: Sequence[TargetGroup]) -> None:
        source.groups = groups
        await asyncio.shield(self._sync())  # a discovery that is cancelled here leaves no loop half stopped

    async def _sync(self, *, anew: bool = False) -> None:
        """Make the loops fit the groups; with ``anew`` each loop gives way to one with the job's present settings."""
        async with self._changing:
            if all(source.groups is not None for source in self._sources):
                self._retired = []
            targets = self._find()
            gone = [self.loops.pop(identity) for identity in self.loops.keys() - targets.keys()]
            staying = dict(self.loops)
            for identity in targets.keys() - staying.keys():
                self.loops[identity] = self._loop(targets[identity])
                self.loops[identity].start()
            for identity, loop in staying.items():
                loop.target = targets[identity]  # what was discovered may have changed
            if anew:
                await asyncio.gather(*(self._replace(identity, loop) for identity, loop in staying.items()))
            self._refuse_too_many()
            await asyncio.gather(*(loop.stop(finish=True) for loop in gone))
            await _end_all(gone)

    def _loop(self, target: Target) -> TargetLoop:
        return TargetLoop(target, self.job, self._prepared.client, self._around)

    async def _replace(self, identity: int, old: TargetLoop) -> None:
        """One by one, so that a target that hangs does not make the others miss a scrape."""
        await old.stop(finish=True)
        new = self.loops[identity] = self._loop(old.target)
        new.succeed(old)
        new.start()

    def _refuse_too_many(self) -> None:
        limit, count = self.job.limits.targets, len(self.loops)
        over = f"target_limit exceeded (number of targets: {count}, limit: {limit})" if 0 < limit < count else ""
        for loop in self.loops.values():
            loop.refused = over

    def _find(self) -> dict[int, Target]:
        """The targets of all groups, equal ones once; groups that did not change are not gone through again."""
        published = [group for source in self._sources for group in source.groups or ()]
        made: dict[int, _Made] = {}
        for group in [*self._retired, *published]:
            made[id(group)] = self._made.get(id(group)) or self._make(group)
        self._made = made
        self.dropped = [labels for one in made.values() for labels in one.dropped]
        return {identity: target for one in made.values() for identity, target in one.targets.items()}

    def _make(self, group: TargetGroup) -> _Made:
        made = _Made(group)
        for labels in group.targets:
            discovered = discovered_labels({**group.labels, **labels}, self.job)
            try:
                target = make_target(discovered, self.job)
            except ValueError as error:
                log.warning("job %s: target %s left out: %s", self.job.name, labels.get("__address__", "?"), error)
                continue
            if target is None:
                made.dropped.append(discovered)
            else:
                made.targets[target.identity] = target
        return made


def _of_loops(job: ScrapeJob) -> ScrapeJob:
    """The settings on which a running loop depends; those that make its targets are in the targets' identities."""
    return replace(job, discoveries=(), relabel=())


async def _cancel(sources: Sequence[_Source]) -> None:
    tasks = [source.task for source in sources if source.task is not None]
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


async def _end_all(loops: Sequence[TargetLoop]) -> None:
    """Write the ends of the series of stopped loops; a log that takes nothing is reported and not waited for."""
    for loop in loops:
        try:
            await loop.end()
        except StoreError as error:
            log.warning("the end of the series of %s is not stored: %s", loop.target.url, error)
