"""All scraping of a server, started, stopped and reconfigured as a whole."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante._core.model import MetricFamily, Sample
from mirante.errors import ConfigError
from mirante.formats.duration import format_duration
from mirante.formats.exposition_parser import Metadata
from mirante.formats.rfc3339 import rfc3339_nano
from mirante.server.scrape.discovery import Sleep
from mirante.server.scrape.loop import ScrapeStats, Surroundings, TargetLoop
from mirante.server.scrape.model import PrometheusConfig
from mirante.server.scrape.pool import PreparedJob, ScrapePool
from mirante.server.store.api import BodyLog

_WORKERS = 2


@dataclass(frozen=True, slots=True)
class PreparedScrape:
    """A configuration of which everything is built that can fail.

    Attributes:
        names: of all its jobs.
        changed: the jobs that are new or not what they are now.
    """

    names: frozenset[str]
    changed: tuple[PreparedJob, ...]


class ScrapeManager:
    """Scrapes the targets of a configuration into a log.

    All methods are called in one event loop, ``collect`` from any thread.

    Args:
        config: what to scrape.
        log: takes the WriteRequest bodies.
        hostname: how other machines call this one, for ``globalUrl``; the system's own name by default.
        clock: the time.
        sleep: waits for a number of seconds.
    """

    def __init__(
        self,
        config: PrometheusConfig,
        log: BodyLog,
        *,
        hostname: str = "",
        clock: Clock = SYSTEM_CLOCK,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._config = config
        self._hostname = hostname or socket.gethostname()
        self._pools: dict[str, ScrapePool] = {}
        self._changing = asyncio.Lock()
        self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix="mirante-scrape")
        self._around = Surroundings(log, clock, sleep, self._workers, ScrapeStats())

    async def start(self) -> None:
        """Start scraping.

        Raises:
            ConfigError: a job's ``tls_config`` names files that cannot be used.
        """
        await self.reload(self._config)

    async def stop(self) -> None:
        """Stop scraping; what was read by then is in the log, and no series is ended, as a restart may follow."""
        async with self._changing:
            pools, self._pools = self._pools, {}
            await asyncio.gather(*(pool.stop(finish=False) for pool in pools.values()))
            await asyncio.to_thread(self._workers.shutdown)

    async def reload(self, config: PrometheusConfig) -> None:
        """Change to another configuration.

        Raises:
            ConfigError: as in ``prepare``; the old configuration stays in force.
        """
        await self.commit(self.prepare(config))

    def prepare(self, config: PrometheusConfig) -> PreparedScrape:
        """Build what a configuration needs, without changing anything.

        Raises:
            ConfigError: a job names files that cannot be used, or needs a package that is missing.
        """
        changed = []
        for job in config.jobs:
            pool = self._pools.get(job.name)
            if pool is None or pool.job != job:
                try:
                    changed.append(PreparedJob.of(job, self._around))
                except OSError as error:
                    raise ConfigError(f'tls_config of job name "{job.name}" cannot be used: {error}') from error
        return PreparedScrape(frozenset(job.name for job in config.jobs), tuple(changed))

    async def commit(self, prepared: PreparedScrape) -> None:
        """Change over: jobs and targets that stay the same go on undisturbed, the others lose no scrape."""
        async with self._changing:
            gone = [self._pools.pop(name) for name in self._pools.keys() - prepared.names]
            await asyncio.gather(*(pool.end() for pool in gone), *(self._change(one) for one in prepared.changed))

    async def _change(self, prepared: PreparedJob) -> None:
        pool = self._pools.get(prepared.job.name)
        if pool is None:
            pool = self._pools[prepared.job.name] = ScrapePool(prepared, self._around)
            await pool.start()
        else:
            await pool.reload(prepared)

    def targets(self) -> Mapping[str, Any]:
        """``activeTargets`` and ``droppedTargets`` as Prometheus's ``/api/v1/targets`` gives them."""
        pools = [pool for _, pool in sorted(self._pools.items())]
        return {
            "activeTargets": [
                _describe(loop, pool.job.name, self._hostname) for pool in pools for loop in _in_order(pool)
            ],
            "droppedTargets": [
                {"discoveredLabels": dict(sorted(labels.items())), "scrapePool": pool.job.name}
                for pool in pools
                for labels in pool.dropped
            ],
            "droppedTargetCounts": {pool.job.name: len(pool.dropped) for pool in pools},
        }

    def scrape_pools(self) -> list[str]:
        """Names of all jobs, in order."""
        return sorted(self._pools)

    def target_metadata(self) -> Iterator[tuple[Mapping[str, str], Mapping[str, Metadata]]]:
        """Labels of every target, with what it said of its metric families when it was scraped last."""
        for _, pool in sorted(self._pools.items()):
            for loop in _in_order(pool):
                yield loop.target.labels, loop.cache.metadata

    def collect(self) -> Iterable[MetricFamily]:
        """The scraper's own metrics."""
        stats, targets = self._around.stats, sum(len(pool.loops) for pool in list(self._pools.values()))
        yield _family("mirante_scrape_targets", "gauge", "Targets that are scraped.", "", {"": targets})
        yield _family("mirante_scrapes", "counter", "Scrapes by result.", "result", stats.scrapes)
        yield _family("mirante_scrape_samples", "counter", "Samples that scrapes stored.", "", {"": stats.samples})
        yield _family("mirante_scrape_samples_refused", "counter", "Samples left out.", "reason", stats.refused)
        yield _family(
            "mirante_discovery_failures",
            "counter",
            "Refreshes of a discovery that failed.",
            "mechanism",
            stats.discovery_failures,
        )


def _in_order(pool: ScrapePool) -> list[TargetLoop]:
    return sorted(pool.loops.values(), key=lambda loop: loop.target.url)


def _family(name: str, kind: str, text: str, label: str, values: Mapping[str, int]) -> MetricFamily:
    exposed = f"{name}_total" if kind == "counter" else name
    samples = [Sample(exposed, {label: key} if label else {}, float(n)) for key, n in sorted(values.items())]
    return MetricFamily(name, kind, text, samples=tuple(samples))


def _describe(loop: TargetLoop, pool: str, hostname: str) -> dict[str, Any]:
    target, health = loop.target, loop.health
    return {
        "discoveredLabels": dict(sorted(target.discovered.items())),
        "labels": dict(sorted(target.labels.items())),
        "scrapePool": pool,
        "scrapeUrl": target.url,
        "globalUrl": target.global_url(hostname),
        "lastError": health.error,
        "lastScrape": rfc3339_nano(health.started),
        "lastScrapeDuration": health.seconds,
        "health": health.health,
        "scrapeInterval": format_duration(target.interval),
        "scrapeTimeout": format_duration(target.timeout),
    }
