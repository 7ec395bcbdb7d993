"""The life of one target: wait for its slot, fetch, read, store, again; and its series' end when it goes away."""

from __future__ import annotations

import asyncio
import logging
import struct
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, TypeVar

from mirante._core.clock import Clock
from mirante.errors import ScrapeError, StoreError
from mirante.formats import remote_write
from mirante.server.scrape.discovery import Sleep
from mirante.server.scrape.fetch import Client, Fetched
from mirante.server.scrape.model import ScrapeJob
from mirante.server.scrape.page import Reading, SeriesCache
from mirante.server.scrape.slots import next_slot, scrape_time
from mirante.server.scrape.target import Target
from mirante.server.store.api import BodyLog

log = logging.getLogger(__name__)

T = TypeVar("T")

_FIELDS_PER_BODY = 20_000  # a body of some megabytes, however large the page
_REPORTS = (
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
)
_double = struct.Struct("<d").pack


@dataclass(slots=True)
class ScrapeStats:
    """Counts over all targets since the start.

    Attributes:
        scrapes: by result: ``ok``, ``failed`` (the target), ``not_stored`` (our own side).
        samples: samples stored, reports and staleness markers left out.
        refused: samples left out, by reason.
        discovery_failures: refreshes of a discovery that failed, by mechanism.
    """

    scrapes: Counter[str] = field(default_factory=Counter)
    samples: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    discovery_failures: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Health:
    """What ``/api/v1/targets`` says of the last scrape; ``started`` in nanoseconds since the epoch, 0 for never."""

    health: Literal["unknown", "up", "down"] = "unknown"
    error: str = ""
    started: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every loop of a manager shares.

    Attributes:
        log: where bodies go.
        clock: the time.
        sleep: waits for seconds.
        workers: threads that read pages and write the log, so that a large page holds up no other target.
        stats: counted up by every loop.
    """

    log: BodyLog
    clock: Clock
    sleep: Sleep
    workers: Executor
    stats: ScrapeStats


class TargetLoop:
    """Scrapes one target.

    Attributes:
        target: what to scrape.
        health: what became of the last scrape.
        refused: why the target may not be scraped at all, or the empty string.
        cache: what is known of its series.
    """

    def __init__(self, target: Target, job: ScrapeJob, client: Client, around: Surroundings) -> None:
        self.target = target
        self.health = Health()
        self.refused = ""
        self.cache = SeriesCache(job, target.labels)
        self._job, self._client, self._around = job, client, around
        self._heads = [
            remote_write.series_head(remote_write.labels({**target.labels, "__name__": name})) for name in _REPORTS
        ]
        self._reported = False
        self._slot = 0  # nanoseconds since the epoch of the next scrape, 0 before the first
        self._sleeping = False
        self._task: asyncio.Task[None] | None = None

    def succeed(self, predecessor: TargetLoop) -> None:
        """Go on where a stopped loop of the same target ended, at the time of its next scrape."""
        self.health = predecessor.health
        self.cache.adopt(predecessor.cache)
        self._reported = predecessor._reported
        self._slot = predecessor._slot

    def start(self) -> None:
        """Start the loop in the running event loop."""
        self._task = asyncio.create_task(self._run(), name=f"scrape {self.target.url}")

    async def stop(self, *, finish: bool) -> None:
        """Stop; with ``finish`` a scrape under way is completed first."""
        task, self._task = self._task, None
        if task is None:
            return
        if not finish or self._sleeping:
            task.cancel()
        await asyncio.wait({task})

    async def end(self) -> None:
        """Write the end of every series, when the target is gone for good."""
        if self._reported:
            await self._in_worker(self._end)

    async def _run(self) -> None:
        clock, interval = self._around.clock, self.target.interval * 1_000_000
        place = self.target.identity % interval
        now = clock.time_ns()
        self._slot = self._slot or (now if self._job.start_at_once else next_slot(now, interval, place))
        while self._task is not None:
            await self._wait(interval, place)
            await self.scrape(scrape_time(clock.time_ns(), self._slot, interval))
            self._slot = next_slot(clock.time_ns(), interval, place)

    async def _wait(self, interval: int, place: int) -> None:
        """Wait until the slot; a clock that was set back moves it."""
        self._sleeping = True
        while (missing := self._slot - self._around.clock.time_ns()) > 0:
            if missing > interval:
                self._slot = next_slot(self._around.clock.time_ns(), interval, place)
                continue
            await self._around.sleep(missing / 1e9)
        self._sleeping = False

    async def scrape(self, at: int) -> None:
        """One scrape with the timestamp ``at`` (nanoseconds); whatever goes wrong ends up in ``health``."""
        stats, begun = self._around.stats, self._around.clock.monotonic()
        try:
            fetched, error = await self._fetch()
            error = await self._in_worker(partial(self._store, fetched, error, at // 1_000_000, begun))
            stats.scrapes["failed" if error else "ok"] += 1
        except StoreError as failure:
            error = f"scraped, but not stored: {failure}"
            stats.scrapes["not_stored"] += 1
        except Exception as failure:
            log.exception("scraping %s failed", self.target.url)
            error = f"internal error: {type(failure).__name__}: {failure}"
            stats.scrapes["not_stored"] += 1
        seconds = self._around.clock.monotonic() - begun
        self.health = Health("down" if error else "up", error, at, seconds)

    async def _fetch(self) -> tuple[Fetched | None, str]:
        if self.refused:
            return None, self.refused
        try:
            return await self._client.fetch(self.target.url, self.target.timeout), ""
        except ScrapeError as error:
            return None, str(error)

    async def _in_worker(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._around.workers, work)

    def _store(self, fetched: Fetched | None, error: str, now: int, begun: float) -> str:
        """Read what came and append it with its reports; gives the scrape's error, empty when there was none."""
        reading, counts = self.cache.nothing(), Reading()
        if fetched is not None:
            try:
                counts = self._read(fetched, now)
                self._check_sample_limit(counts)
                reading = counts
            except (ScrapeError, ValueError) as failure:
                error = str(failure)
        added = len(reading.live - self.cache.live)
        seconds = self._around.clock.monotonic() - begun
        reports = (float(not error), seconds, counts.scraped, counts.kept, added)
        self._append([*reading.fields, *self.cache.stale(reading, now), *self._report(now, reports)])
        self.cache.commit(reading)
        self._reported = True
        self._around.stats.samples += reading.kept - sum(reading.refused.values())
        self._around.stats.refused.update(reading.refused)
        return error

    def _read(self, fetched: Fetched, now: int) -> Reading:
        if fetched.format == "protobuf":
            return self.cache.read_protobuf(fetched.page(), now=now)
        return self.cache.read(fetched.page(), openmetrics=fetched.format == "openmetrics", now=now)

    def _end(self) -> None:
        now = self._around.clock.time_ns() // 1_000_000
        reports = self._report(now, [remote_write.STALE_NAN] * len(_REPORTS))
        self._append([*self.cache.stale(Reading(), now), *reports])
        self.cache.commit(self.cache.nothing())
        self._reported = False

    def _report(self, now: int, values: Iterable[float]) -> list[bytes]:
        tail = remote_write.sample_tail(now)
        return [head + _double(value) + tail for head, value in zip(self._heads, values, strict=True)]

    def _append(self, fields: list[bytes]) -> None:
        parts = range(0, len(fields), _FIELDS_PER_BODY)
        self._around.log.append("remote_write", [b"".join(fields[i : i + _FIELDS_PER_BODY]) for i in parts])

    def _check_sample_limit(self, counts: Reading) -> None:
        limit = self._job.limits.samples
        if limit and counts.kept > limit:
            raise ScrapeError(f"sample_limit exceeded (samples: {counts.kept}, limit: {limit})")
