"""The life of one target against a real server, with a clock that moves when told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from mirante.server.scrape import loop as loop_module
from mirante.server.scrape.fetch import Client
from mirante.server.scrape.loop import ScrapeStats, Surroundings, TargetLoop
from mirante.server.scrape.model import Limits, ScrapeJob
from mirante.server.scrape.target import Target, discovered_labels, make_target
from tests.server.scrape.parts import NOW_MS, Exposer, FakeClock, MemoryLog, serving
from tests.write_request import Written, bits

STALE = 0x7FF0000000000002
SECOND = 1_000_000_000
INTERVAL = 15 * SECOND


@dataclass
class Rig:
    """A loop and everything around it."""

    loop: TargetLoop
    exposer: Exposer
    log: MemoryLog = field(default_factory=MemoryLog)
    clock: FakeClock = field(default_factory=FakeClock)
    stats: ScrapeStats = field(default_factory=ScrapeStats)

    async def scrape(self) -> Written:
        """One scrape now; gives what it wrote."""
        self.clock.now += SECOND
        await self.loop.scrape(self.clock.now)
        return self.log.take()


@asynccontextmanager
async def rigged(page: str = "x 1\n", **settings: Any) -> AsyncIterator[Rig]:
    """A loop before its start, against a real server."""
    exposer, log, clock, stats = Exposer(page), MemoryLog(), FakeClock(), ScrapeStats()
    job = ScrapeJob("node", **{"interval": 15_000, **settings})
    client = Client(job)
    with ThreadPoolExecutor(1) as workers:
        async with serving(exposer) as address:
            target = make_target(discovered_labels({"__address__": address, "instance": "a"}, job), job)
            assert isinstance(target, Target)
            around = Surroundings(log, clock, clock.sleep, workers, stats)
            try:
                yield Rig(TargetLoop(target, job, client, around), exposer, log, clock, stats)
            finally:
                await client.close()


def reports(written: Written) -> dict[str, float]:
    """The values of the series that describe the scrape."""
    return {name: written.of(name)[-1][1] for name in loop_module._REPORTS if name != "scrape_duration_seconds"}


def test_a_scrape_writes_samples_and_how_it_went() -> None:
    """Page and reports have one timestamp and the target's labels."""

    async def main() -> None:
        async with rigged("# TYPE x gauge\nx 1\ny 2\n") as rig:
            written = await rig.scrape()
            at = NOW_MS + 1000
            assert written.of("x", job="node", instance="a") == [(at, 1.0)]
            assert written.of("scrape_duration_seconds", job="node", instance="a") == [(at, 0.0)]
            assert reports(written) == {
                "up": 1.0,
                "scrape_samples_scraped": 2.0,
                "scrape_samples_post_metric_relabeling": 2.0,
                "scrape_series_added": 2.0,
            }
            assert reports(await rig.scrape())["scrape_series_added"] == 0.0
            assert (rig.loop.health.health, rig.loop.health.error, rig.loop.health.started) == ("up", "", rig.clock.now)
            assert (rig.stats.scrapes, rig.stats.samples) == ({"ok": 2}, 4)

    asyncio.run(main())


def test_a_failed_scrape_ends_every_series() -> None:
    """``up`` is 0, the series are stale, and the next good scrape brings them back."""

    async def main() -> None:
        async with rigged() as rig:
            await rig.scrape()
            rig.exposer.status = 500
            failed = await rig.scrape()
            assert [bits(v) for _, v in failed.of("x")] == [STALE]
            assert reports(failed)["up"] == 0.0
            assert (rig.loop.health.health, rig.loop.health.error) == (
                "down",
                "server returned HTTP status 500 Internal Server Error",
            )
            assert (await rig.scrape()).of("x") == []
            rig.exposer.status = 200
            back = await rig.scrape()
            assert (back.of("x")[0][1], reports(back)["up"], reports(back)["scrape_series_added"]) == (1.0, 1.0, 1.0)
            assert rig.stats.scrapes == {"ok": 2, "failed": 2}

    asyncio.run(main())


def test_a_page_that_is_none_fails_the_scrape() -> None:
    """The target's error names the line."""

    async def main() -> None:
        async with rigged("x 1\nthis is no metric\n") as rig:
            written = await rig.scrape()
            assert reports(written)["up"] == 0.0
            assert written.of("x") == []
            assert rig.loop.health.error == (
                'line 2: expected value and timestamp after the series, got " is no metric"'
            )

    asyncio.run(main())


def test_the_sample_limit_fails_the_scrape() -> None:
    """Nothing of the page is stored, and the reports say how much there was."""

    async def main() -> None:
        async with rigged("x 1\ny 1\nz 1\n", limits=Limits(samples=2)) as rig:
            written = await rig.scrape()
            assert (written.of("x"), reports(written)["up"]) == ([], 0.0)
            assert reports(written)["scrape_samples_post_metric_relabeling"] == 3.0
            assert rig.loop.health.error == "sample_limit exceeded (samples: 3, limit: 2)"

    asyncio.run(main())


def test_a_target_that_may_not_be_scraped_says_why() -> None:
    """It is not even asked."""

    async def main() -> None:
        async with rigged() as rig:
            rig.loop.refused = "target_limit exceeded"
            assert reports(await rig.scrape())["up"] == 0.0
            assert (rig.loop.health.error, rig.exposer.requests) == ("target_limit exceeded", [])

    asyncio.run(main())


def test_a_full_log_is_counted_and_does_not_stop_the_loop() -> None:
    """What could not be stored is not remembered as stored: the next scrape ends the series that went meanwhile."""

    async def main() -> None:
        async with rigged("x 1\ny 1\n") as rig:
            await rig.scrape()
            rig.exposer.page, rig.log.full = "y 1\n", True
            assert (await rig.scrape()).samples == {}
            assert rig.loop.health.error == "scraped, but not stored: no room left on the disk"
            assert rig.stats.scrapes == {"ok": 1, "not_stored": 1}
            rig.log.full = False
            assert [bits(v) for _, v in (await rig.scrape()).of("x")] == [STALE]
            assert rig.loop.health.health == "up"

    asyncio.run(main())


def test_a_fault_of_our_own_does_not_stop_the_loop(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged with its traceback and shown as the target's error."""

    async def main() -> None:
        async with rigged() as rig:
            rig.log.append = lambda *_: 1 // 0  # type: ignore[assignment, method-assign]
            await rig.scrape()
            assert rig.loop.health.error == "internal error: ZeroDivisionError: integer division or modulo by zero"

    asyncio.run(main())
    assert "ZeroDivisionError" in caplog.text


def test_a_large_page_becomes_several_bodies(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many series there are, a body has a bounded size."""
    monkeypatch.setattr(loop_module, "_FIELDS_PER_BODY", 10)

    async def main() -> None:
        async with rigged("".join(f"x{i} 1\n" for i in range(25))) as rig:
            await rig.loop.scrape(rig.clock.now)
            assert len(rig.log.bodies) == 3
            assert len(rig.log.take().names()) == 30

    asyncio.run(main())


def test_the_end_of_a_target_ends_its_series() -> None:
    """Its reports too; a second end, or that of a target that was never scraped, writes nothing."""

    async def main() -> None:
        async with rigged() as rig:
            await rig.loop.end()
            assert rig.log.bodies == []
            await rig.scrape()
            await rig.loop.end()
            written = rig.log.take()
            assert {bits(v) for samples in written.samples.values() for _, v in samples} == {STALE}
            assert written.names() == {"x", *loop_module._REPORTS}
            await rig.loop.end()
            assert rig.log.bodies == []

    asyncio.run(main())


async def run_for(rig: Rig, steps: int) -> list[int]:
    """Run the loop for so many sleeps; gives the timestamps (nanoseconds past the start) of its scrapes."""
    rig.clock.steps, begun = steps, rig.clock.now
    rig.loop.start()
    await rig.clock.spent.wait()
    await rig.loop.stop(finish=True)
    return [t * 1_000_000 - begun for t, _ in rig.log.take().of("up")]


def test_scrapes_are_an_interval_apart_at_the_targets_own_place() -> None:
    """The first one waits for the place; being a millisecond late does not show in the timestamps."""

    async def main() -> None:
        async with rigged() as rig:
            rig.clock.late_ns = 1_000_000
            first, *others = await run_for(rig, 4)
            place = rig.loop.target.identity % INTERVAL
            assert (rig.clock.now // INTERVAL - 3) * INTERVAL <= NOW_MS * 1_000_000 + first
            assert (NOW_MS * 1_000_000 + first - place // 1_000_000 * 1_000_000) % INTERVAL == 0
            assert [at - first for at in others] == [INTERVAL, 2 * INTERVAL, 3 * INTERVAL]

    asyncio.run(main())


def test_scrapes_that_are_late_have_their_own_time() -> None:
    """More than two milliseconds are not hidden."""

    async def main() -> None:
        async with rigged() as rig:
            rig.clock.late_ns = 5_000_000
            first, second = await run_for(rig, 2)
            assert second - first == INTERVAL
            place = rig.loop.target.identity % INTERVAL // 1_000_000 * 1_000_000
            assert (NOW_MS * 1_000_000 + first - place) % INTERVAL == 5_000_000

    asyncio.run(main())


def test_a_builtin_target_starts_at_once() -> None:
    """And goes on at its place."""

    async def main() -> None:
        async with rigged(start_at_once=True) as rig:
            first, second, third = await run_for(rig, 2)
            assert first == 0
            assert 0 < second <= INTERVAL
            assert third - second == INTERVAL

    asyncio.run(main())


def test_slots_that_were_missed_are_left_out() -> None:
    """A machine that slept does not scrape for the past."""

    async def main() -> None:
        async with rigged() as rig:
            rig.clock.late_ns = 4 * INTERVAL
            first, second = await run_for(rig, 2)
            assert second - first > 4 * INTERVAL

    asyncio.run(main())


def test_a_clock_that_is_set_back_moves_the_slot() -> None:
    """Nobody waits for an hour that comes twice."""

    async def main() -> None:
        async with rigged() as rig:
            rig.clock.late_ns = -3600 * SECOND
            await run_for(rig, 3)
            assert max(rig.clock.slept) <= INTERVAL / SECOND

    asyncio.run(main())


def test_stopping_lets_a_scrape_finish() -> None:
    """With ``finish`` what is under way is stored, without it is not waited for."""

    async def main(finish: bool) -> set[str]:
        async with rigged(start_at_once=True) as rig:
            asked, answer = asyncio.Event(), asyncio.Event()
            rig.exposer.gate = (asked, answer)
            rig.clock.steps = 0
            rig.loop.start()
            await asked.wait()
            stopping = asyncio.create_task(rig.loop.stop(finish=finish))
            await asyncio.sleep(0)
            answer.set()
            await stopping
            await rig.loop.stop(finish=finish)  # a second time does nothing
            return rig.log.take().names()

    assert "x" in asyncio.run(main(finish=True))
    assert asyncio.run(main(finish=False)) == set()


def test_a_successor_ends_what_it_does_not_see() -> None:
    """The loop of a changed job takes over the series of the old one, and its health."""

    async def main() -> None:
        async with rigged("x 1\ny 1\n") as rig:
            await rig.scrape()
            job = ScrapeJob("node", interval=15_000)
            successor = TargetLoop(rig.loop.target, job, rig.loop._client, rig.loop._around)
            successor.succeed(rig.loop)
            assert successor.health.health == "up"
            rig.exposer.page = "y 1\n"
            await successor.scrape(rig.clock.now + SECOND)
            assert [bits(v) for _, v in rig.log.take().of("x")] == [STALE]

    asyncio.run(main())
