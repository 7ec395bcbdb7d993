"""A job that changes: what stays the same goes on, and no target is lost on the way."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from mirante.server.scrape import pool as pool_module
from mirante.server.scrape.discovery import Discovery, Publish, kept
from mirante.server.scrape.loop import ScrapeStats, Surroundings, TargetLoop
from mirante.server.scrape.model import FileSd, HttpSd, Limits, ScrapeJob, Sd, StaticSd, TargetGroup
from mirante.server.scrape.pool import PreparedJob, ScrapePool
from mirante.server.scrape.relabel import RelabelRule, compile_regex
from tests.server.scrape.parts import Exposer, FakeClock, MemoryLog, serving
from tests.waiting import eventually
from tests.write_request import bits, read

STALE = 0x7FF0000000000002


def group(*addresses: str, **labels: str) -> TargetGroup:
    """Targets."""
    return TargetGroup("test", tuple({"__address__": address} for address in addresses), labels)


def static(*addresses: str, **labels: str) -> StaticSd:
    """A list of targets."""
    return StaticSd((group(*addresses, **labels),))


@dataclass
class Switchboard:
    """Discoveries that the test speaks for.

    Attributes:
        lines: by what asked for them.
        begun: how often each was started.
    """

    lines: dict[Sd, Publish] = field(default_factory=dict)
    begun: Counter[Sd] = field(default_factory=Counter)
    ended: Counter[Sd] = field(default_factory=Counter)

    def make(self, sd: Sd, *_: object) -> Discovery:
        """Instead of the real ones."""
        return Line(self, sd)


class Line:
    """One of them; ``HttpSd("x:/broken")`` raises."""

    def __init__(self, board: Switchboard, sd: Sd) -> None:
        self._board, self._sd = board, sd

    async def run(self, publish: Publish) -> None:
        """Wait for the test."""
        if isinstance(self._sd, StaticSd):
            return await publish(self._sd.groups)
        self._board.lines[self._sd] = publish
        self._board.begun[self._sd] += 1
        if self._sd == HttpSd("broken"):
            raise RuntimeError("a bug")
        try:
            await asyncio.Event().wait()
        finally:
            self._board.ended[self._sd] += 1


@dataclass
class Rig:
    """A pool and everything around it."""

    pool: ScrapePool
    around: Surroundings
    clock: FakeClock

    def instances(self) -> list[str]:
        """The targets."""
        return sorted(loop.target.labels["instance"] for loop in self.pool.loops.values())

    def loops(self) -> set[TargetLoop]:
        """All loops."""
        return set(self.pool.loops.values())

    async def reload(self, job: ScrapeJob) -> None:
        """Change the job."""
        await self.pool.reload(PreparedJob.of(job, self.around))


@asynccontextmanager
async def rigged(job: ScrapeJob, log: MemoryLog | None = None, steps: int = 0) -> AsyncIterator[Rig]:
    """A started pool whose clock stands still."""
    clock = FakeClock()
    clock.steps = steps
    with ThreadPoolExecutor(1) as workers:
        around = Surroundings(log or MemoryLog(), clock, clock.sleep, workers, ScrapeStats())
        pool = ScrapePool(PreparedJob.of(job, around), around)
        await pool.start()
        try:
            yield Rig(pool, around, clock)
        finally:
            await pool.stop(finish=False)


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Switchboard:
    """All discoveries are the test's; nobody waits for first targets."""
    found = Switchboard()
    monkeypatch.setattr(pool_module, "make_discovery", found.make)
    monkeypatch.setattr(pool_module, "_FIRST_TARGETS_SECONDS", 0.01)
    return found


def test_targets_that_stay_keep_their_loops() -> None:
    """When only the list of targets or the rules that make them change."""

    async def main() -> None:
        job = ScrapeJob("a", discoveries=(static("a:1", "b:1"),))
        async with rigged(job) as rig:
            before = rig.loops()
            rule = RelabelRule(("__address__",), regex=compile_regex("b:.*"), action="drop")
            await rig.reload(replace(job, discoveries=(static("a:1", "b:1", "c:1"),), relabel=(rule,)))
            assert rig.instances() == ["a:1", "c:1"]
            assert len(before & rig.loops()) == 1
            assert [labels["__address__"] for labels in rig.pool.dropped] == ["b:1"]
            kept = rig.loops()
            await rig.reload(replace(rig.pool.job, discoveries=(static("a:1", "c:1", __meta_zone="z"),)))
            assert rig.loops() == kept
            assert {loop.target.discovered["__meta_zone"] for loop in kept} == {"z"}

    asyncio.run(main())


def test_a_loop_that_is_replaced_goes_on_at_its_time() -> None:
    """A change of how pages are read replaces loops; each successor scrapes when its predecessor would have."""

    async def main() -> None:
        log = MemoryLog()
        async with serving(Exposer("x 1\ny 1\n")) as address:
            job = ScrapeJob("a", interval=15_000, discoveries=(static(address),))
            async with rigged(job, log, steps=1) as rig:
                (old,) = rig.loops()
                await eventually(rig.clock.spent.is_set)  # it has scraped once, and sleeps until its second slot
                first, second = rig.clock.now // 1_000_000, old._slot // 1_000_000
                rig.clock.spent.clear()
                rig.clock.now = old._slot + 1_000_000  # just as it is due
                rule = RelabelRule(("__name__",), regex=compile_regex("y"), action="drop")
                await rig.reload(replace(job, metric_relabel=(rule,)))
                await eventually(rig.clock.spent.is_set)
                assert old not in rig.loops()
                written = read(log.bodies)
                assert written.of("x") == [(first, 1.0), (second, 1.0)]
                assert [at for at, _ in written.of("y")] == [first, second]
                assert bits(written.of("y")[-1][1]) == STALE

    asyncio.run(main())


def test_a_discovery_that_stays_is_not_started_again(board: Switchboard) -> None:
    """Nor does what it found get lost."""
    http, file = HttpSd("http://one"), FileSd(("x.yml",))

    async def main() -> None:
        job = ScrapeJob("a", discoveries=(http, file))
        async with rigged(job) as rig:
            await board.lines[http]([group("a:1")])
            await board.lines[file]([group("b:1")])
            before = rig.loops()
            await rig.reload(replace(job, discoveries=(file, http, static("c:1")), honor_labels=False))
            assert (board.begun[http], board.begun[file]) == (1, 1)
            assert rig.instances() == ["a:1", "b:1", "c:1"]
            assert before < rig.loops()
            await board.lines[http]([])
            assert rig.instances() == ["b:1", "c:1"]
        assert (board.ended[http], board.ended[file]) == (1, 1)

    asyncio.run(main())


def test_groups_that_did_not_change_are_not_gone_through_again(
    board: Switchboard, caplog: pytest.LogCaptureFixture
) -> None:
    """A target that cannot be made is told once, not with every change elsewhere; new rules look at all anew."""
    http = HttpSd("http://one")

    async def main() -> None:
        job = ScrapeJob("a", discoveries=(http,))
        async with rigged(job) as rig:
            broken = group("a:1", "bad/1")
            await board.lines[http]([broken])
            await board.lines[http](kept([broken], [replace(broken), replace(group("b:1"), source="other")]))
            assert rig.instances() == ["a:1", "b:1"]
            assert caplog.text.count("target bad/1 left out") == 1
            rule = RelabelRule(("__address__",), regex=compile_regex("a:.*"), action="drop")
            await rig.reload(replace(job, relabel=(rule,)))
            assert (rig.instances(), len(rig.pool.dropped)) == (["b:1"], 1)
            assert caplog.text.count("target bad/1 left out") == 2

    asyncio.run(main())


def test_a_new_discovery_takes_over_when_it_has_something(board: Switchboard) -> None:
    """Until then the targets of the old one stay, with their loops."""
    old, new = HttpSd("http://old"), HttpSd("http://new")

    async def main() -> None:
        job = ScrapeJob("a", discoveries=(old,))
        async with rigged(job) as rig:
            await board.lines[old]([group("a:1", "b:1")])
            before = rig.loops()
            await rig.reload(replace(job, discoveries=(new,)))
            assert (rig.instances(), rig.loops()) == (["a:1", "b:1"], before)
            assert board.ended[old] == 1
            await board.lines[new]([group("b:1", "c:1")])
            assert rig.instances() == ["b:1", "c:1"]
            assert len(before & rig.loops()) == 1

    asyncio.run(main())


def test_the_same_target_twice_is_one(board: Switchboard) -> None:
    """From two discoveries; it goes when both have lost it."""
    one, two = HttpSd("http://one"), HttpSd("http://two")

    async def main() -> None:
        async with rigged(ScrapeJob("a", limits=Limits(targets=1), discoveries=(one, two))) as rig:
            await asyncio.gather(board.lines[one]([group("a:1")]), board.lines[two]([group("a:1")]))
            (loop,) = rig.loops()
            assert loop.refused == ""
            await board.lines[one]([])
            assert rig.instances() == ["a:1"]
            await board.lines[two]([group("a:1", "b:1")])
            assert {loop.refused[:21] for loop in rig.loops()} == {"target_limit exceeded"}
            await board.lines[two]([])
            assert rig.instances() == []

    asyncio.run(main())


def test_a_discovery_that_breaks_ends_alone(board: Switchboard, caplog: pytest.LogCaptureFixture) -> None:
    """The error is logged; the others go on."""
    broken, fine = HttpSd("broken"), HttpSd("http://fine")

    async def main() -> None:
        async with rigged(ScrapeJob("a", discoveries=(broken, fine))) as rig:
            await board.lines[fine]([group("a:1")])
            assert rig.instances() == ["a:1"]

    asyncio.run(main())
    assert "job a: discovery ended; its last targets stay" in caplog.text
    assert "a bug" in caplog.text


def test_a_publication_that_is_cancelled_leaves_no_loop_behind(board: Switchboard) -> None:
    """A reload may end a discovery just while it ends a target that is being scraped."""
    sd = HttpSd("http://one")

    async def main() -> None:
        exposer, log = Exposer("x 1\n"), MemoryLog()
        exposer.gate = (asyncio.Event(), asyncio.Event())
        async with serving(exposer) as address:
            job = ScrapeJob("a", discoveries=(sd,), start_at_once=True)
            async with rigged(job, log) as rig:
                await board.lines[sd]([group(address)])
                await exposer.gate[0].wait()  # the scrape is under way
                publishing = asyncio.create_task(_publish(board.lines[sd], []))
                await asyncio.sleep(0)
                publishing.cancel()
                await asyncio.wait({publishing})
                exposer.gate[1].set()
                await rig.pool.end()
                written = read(log.bodies)
                assert bits(written.of("x")[-1][1]) == STALE
                assert bits(written.of("up")[-1][1]) == STALE

    asyncio.run(main())


async def _publish(publish: Publish, groups: Sequence[TargetGroup]) -> None:
    await publish(groups)


def test_what_cannot_be_built_leaves_nothing_open() -> None:
    """A job is built whole before anything is opened."""

    async def main() -> None:
        clock = FakeClock()
        with ThreadPoolExecutor(1) as workers:
            around = Surroundings(MemoryLog(), clock, clock.sleep, workers, ScrapeStats())
            prepared = PreparedJob.of(ScrapeJob("a", discoveries=(HttpSd("http://a"), FileSd(("a.yml",)))), around)
            assert len(prepared.discoveries) == 2
            with pytest.raises(FileNotFoundError):
                PreparedJob.of(
                    ScrapeJob(
                        "a", http=replace(prepared.job.http, tls=replace(prepared.job.http.tls, ca_file=Path("/x")))
                    ),
                    around,
                )

    asyncio.run(main())
