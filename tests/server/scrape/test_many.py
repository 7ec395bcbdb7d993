"""A thousand targets: each has its place in the interval, the same after every restart; none waits for another."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter

import pytest

from mirante.server.scrape.manager import ScrapeManager
from mirante.server.scrape.model import PrometheusConfig, ScrapeJob, StaticSd, TargetGroup
from mirante.server.scrape.target import Target, discovered_labels, make_target
from tests.server.scrape.parts import Exposer, MemoryLog, serving
from tests.waiting import eventually
from tests.write_request import read

INTERVAL_NS = 15_000_000_000


def targets(count: int) -> list[Target]:
    """Targets of one job."""
    job = ScrapeJob("many", interval=15_000)
    made = [make_target(discovered_labels({"__address__": f"host-{n}:9100"}, job), job) for n in range(count)]
    return [target for target in made if target is not None]


def test_places_are_spread_over_the_interval() -> None:
    """Every second of the interval gets about its share."""
    seconds = Counter(target.identity % INTERVAL_NS // 1_000_000_000 for target in targets(1000))
    assert len(seconds) == 15
    assert max(seconds.values()) < 2 * 1000 / 15


def test_places_are_the_same_in_every_process() -> None:
    """Python's own hashes differ from process to process; these do not."""
    program = "from tests.server.scrape.test_many import targets; print([t.identity for t in targets(20)])"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == str([target.identity for target in targets(20)])


@pytest.mark.slow
def test_a_thousand_targets_of_which_one_hangs() -> None:
    """All the others are scraped, each in its own time."""

    async def main() -> None:
        log, exposer, hung = MemoryLog(), Exposer("x 1\n"), asyncio.Event()
        gate = (hung, asyncio.Event())
        async with serving(exposer) as address:
            exposer.gate = gate
            lonely = ScrapeJob("hangs", discoveries=(StaticSd((TargetGroup("0", ({"__address__": address},)),)),),
                               start_at_once=True)  # fmt: skip
            found = tuple({"__address__": address, "instance": f"host-{n}"} for n in range(1000))
            many = ScrapeJob("many", interval=5_000, timeout=5_000, discoveries=(StaticSd((TargetGroup("0", found),)),))
            manager = ScrapeManager(PrometheusConfig((lonely,)), log)
            await manager.start()
            await eventually(hung.is_set)
            exposer.gate = None
            await manager.reload(PrometheusConfig((lonely, many)))
            await eventually(lambda: scraped(log) == 1000)
            await manager.stop()
        times = {series[-1][0] for key, series in read(log.bodies).samples.items() if ("__name__", "x") in key}
        assert len(times) > 100

    def scraped(log: MemoryLog) -> int:
        return len(log.bodies) >= 1000 and sum(("__name__", "x") in key for key in read(log.bodies).samples)

    asyncio.run(main())
