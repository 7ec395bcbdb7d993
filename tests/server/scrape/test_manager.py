"""Jobs start, stop and change as a whole; what is scraped is listed as Prometheus lists it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from mirante.errors import ConfigError, StoreError
from mirante.formats.exposition_parser import Metadata
from mirante.server.http_client.model import HttpClient, Tls
from mirante.server.scrape.config import read_config
from mirante.server.scrape.manager import ScrapeManager
from mirante.server.scrape.model import Limits, PrometheusConfig, ScrapeJob, StaticSd, TargetGroup
from mirante.server.scrape.relabel import RelabelRule, compile_regex
from mirante.server.store.api import BodyLog
from tests.peers import free_port, program, running
from tests.server.scrape.parts import Exposer, MemoryLog, serving
from tests.waiting import eventually
from tests.write_request import Written, bits, read

STALE = 0x7FF0000000000002


def job(name: str, *addresses: str, **settings: Any) -> ScrapeJob:
    """A job that scrapes at once."""
    group = TargetGroup("0", tuple({"__address__": address} for address in addresses))
    return ScrapeJob(name, **{"discoveries": (StaticSd((group,)),), "start_at_once": True, **settings})


@asynccontextmanager
async def managing(log: BodyLog, *jobs: ScrapeJob) -> AsyncIterator[ScrapeManager]:
    """A started manager."""
    manager = ScrapeManager(PrometheusConfig(jobs), log, hostname="box")
    await manager.start()
    try:
        yield manager
    finally:
        await manager.stop()


async def until(log: MemoryLog, *series: str) -> Written:
    """What the log has as soon as all these series are there."""
    await eventually(lambda: set(series) <= read(log.bodies).names())
    return read(log.bodies)


async def scraped(manager: ScrapeManager) -> list[dict[str, Any]]:
    """The active targets as soon as each has been scraped that is scraped at all soon."""

    def settled() -> bool:
        active = manager.targets()["activeTargets"]
        return all(t["health"] != "unknown" for t in active if t["scrapePool"] != "later")

    await eventually(settled)
    found: list[dict[str, Any]] = manager.targets()["activeTargets"]
    return found


def test_targets_are_listed_as_prometheus_lists_them() -> None:
    """Before the first scrape and after it; dropped ones with their labels."""
    drop = RelabelRule(("__address__",), regex=compile_regex("gone:1"), action="drop")

    async def main() -> None:
        log = MemoryLog()
        async with serving(Exposer("x 1\n")) as address:
            waiting = job("later", address, start_at_once=False, interval=3_600_000)
            async with managing(log, waiting, job("a", address, "gone:1", relabel=(drop,), interval=15_000)) as manager:
                assert [t["scrapePool"] for t in manager.targets()["activeTargets"]] == ["a", "later"]
                first, later = await scraped(manager)
                port = address.partition(":")[2]
                assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", first.pop("lastScrape"))
                assert 0 < first.pop("lastScrapeDuration") < 10
                assert first == {
                    "discoveredLabels": {
                        "__address__": address,
                        "__metrics_path__": "/metrics",
                        "__scheme__": "http",
                        "__scrape_interval__": "15s",
                        "__scrape_timeout__": "10s",
                        "job": "a",
                    },
                    "labels": {"instance": address, "job": "a"},
                    "scrapePool": "a",
                    "scrapeUrl": f"http://{address}/metrics",
                    "globalUrl": f"http://box:{port}/metrics",
                    "lastError": "",
                    "health": "up",
                    "scrapeInterval": "15s",
                    "scrapeTimeout": "10s",
                }
                assert (later["health"], later["lastScrape"]) == ("unknown", "0001-01-01T00:00:00Z")
                assert (later["lastScrapeDuration"], later["scrapeInterval"]) == (0.0, "1h")
                (dropped,) = manager.targets()["droppedTargets"]
                assert (dropped["scrapePool"], dropped["discoveredLabels"]["__address__"]) == ("a", "gone:1")
                assert manager.targets()["droppedTargetCounts"] == {"a": 1, "later": 0}

    asyncio.run(main())


def test_what_targets_say_of_their_metrics_is_listed() -> None:
    """By job and target, as it was scraped last."""

    async def main() -> None:
        log = MemoryLog()
        page = "# TYPE x counter\n# HELP x Of all.\nx 1\n"
        async with serving(Exposer(page)) as address, managing(log, job("b", address), job("a", address)) as manager:
            assert manager.scrape_pools() == ["a", "b"]
            await scraped(manager)
            said = [(labels["job"], dict(families)) for labels, families in manager.target_metadata()]
            assert said == [(name, {"x": Metadata("counter", "Of all.")}) for name in ("a", "b")]

    asyncio.run(main())


def test_one_broken_target_disturbs_no_other() -> None:
    """Its error is its own."""

    async def main() -> None:
        log, nobody = MemoryLog(), f"127.0.0.1:{free_port()}"
        async with serving(Exposer("x 1\n")) as address, managing(log, job("a", address, nobody)) as manager:
            errors = {t["labels"]["instance"]: t["lastError"] for t in await scraped(manager)}
            assert log.take().of("up", instance=address)[0][1] == 1.0
            assert errors == {address: "", nobody: "connection refused"}

    asyncio.run(main())


def test_too_many_targets_are_all_refused() -> None:
    """``target_limit`` fails every target of the job and says so."""

    async def main() -> None:
        async with managing(MemoryLog(), job("a", "a:1", "b:1", limits=Limits(targets=1))) as manager:
            errors = {target["lastError"] for target in await scraped(manager)}
            assert errors == {"target_limit exceeded (number of targets: 2, limit: 1)"}

    asyncio.run(main())


def test_a_target_that_cannot_be_made_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged with its reason; the same target twice is one."""
    rule = RelabelRule(("__address__",), regex=compile_regex("bad:1"), target_label="__scheme__", replacement="ftp")

    async def main() -> None:
        async with managing(MemoryLog(), job("a", "b:1", "b:1", "bad:1", relabel=(rule,))) as manager:
            assert [t["labels"]["instance"] for t in manager.targets()["activeTargets"]] == ["b:1"]

    asyncio.run(main())
    assert 'job a: target bad:1 left out: __scheme__ must be http or https, got "ftp"' in caplog.text


def test_reload_ends_what_is_gone_and_leaves_the_rest_alone() -> None:
    """A job that stays the same keeps its loops; the series of one that goes end; a new one starts."""

    async def main() -> None:
        log = MemoryLog()
        async with serving(Exposer("x 1\n")) as address:
            stays, goes = job("stays", address), job("goes", address)
            async with managing(log, stays, goes) as manager:
                await scraped(manager)
                log.bodies.clear()
                await manager.reload(PrometheusConfig((stays, job("new", address))))
                written = await until(log, "x")
                assert bits(written.of("x", job="goes")[-1][1]) == STALE
                assert bits(written.of("up", job="goes")[-1][1]) == STALE
                assert written.of("x", job="stays") == []
                assert [t["scrapePool"] for t in manager.targets()["activeTargets"]] == ["new", "stays"]

    asyncio.run(main())


def test_a_changed_job_goes_on_with_its_series() -> None:
    """A target that stays is not ended; what the new rules drop is."""
    drop = RelabelRule(("__name__",), regex=compile_regex("y"), action="drop")

    async def main() -> None:
        log = MemoryLog()

        def ended() -> bool:
            written = read(log.bodies)
            series = written.of("y"), written.of("up", instance="127.0.0.1:1")
            return all(samples and bits(samples[-1][1]) == STALE for samples in series)

        async with serving(Exposer("x 1\ny 1\n")) as address:
            before = job("a", address, "127.0.0.1:1", interval=2_000, timeout=2_000)
            after = replace(job("a", address, interval=2_000, timeout=2_000), metric_relabel=(drop,))
            async with managing(log, before) as manager:
                await until(log, "y")
                await manager.reload(PrometheusConfig((after,)))
                await eventually(ended)
                written = read(log.bodies)
                assert {value for _, value in written.of("x")} == {1.0}
                assert {value for _, value in written.of("up", instance=address)} == {1.0}

    asyncio.run(main())


def test_stopping_ends_no_series() -> None:
    """A restart follows: the lines on the chart go on."""

    async def main() -> None:
        log = MemoryLog()
        async with serving(Exposer("x 1\n")) as address, managing(log, job("a", address)):
            await until(log, "x")
        assert [bits(v) for _, v in read(log.bodies).of("x") if bits(v) == STALE] == []

    asyncio.run(main())


def test_certificates_that_cannot_be_used_leave_the_old_configuration_in_force() -> None:
    """The error names the job and the reason."""

    async def main() -> None:
        async with managing(MemoryLog(), job("old", "127.0.0.1:1")) as manager:
            broken = job("new", "a:1", http=HttpClient(tls=Tls(ca_file=Path("/nowhere/ca.pem"))))
            with pytest.raises(ConfigError, match='tls_config of job name "new" cannot be used: .*No such file'):
                await manager.reload(PrometheusConfig((job("fine", "a:1"), broken)))
            assert [t["scrapePool"] for t in manager.targets()["activeTargets"]] == ["old"]

    asyncio.run(main())


def test_an_end_that_cannot_be_stored_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    """A reload does not fail because the log is full."""

    async def main() -> None:
        log = MemoryLog()
        async with serving(Exposer("x 1\n")) as address, managing(log, job("a", address)) as manager:
            await scraped(manager)
            log.full = True
            await manager.reload(PrometheusConfig())
            assert manager.targets()["activeTargets"] == []

    asyncio.run(main())
    assert "is not stored: no room left on the disk" in caplog.text


def test_the_scraper_counts_what_it_does() -> None:
    """Its own metrics are families of the common model."""

    async def main() -> None:
        log = MemoryLog()
        async with serving(Exposer("x 1\nx 2\n")) as address, managing(log, job("a", address)) as manager:
            await until(log, "x")
            await scraped(manager)
            samples = {(s.name, *s.labels.values()): s.value for f in manager.collect() for s in f.samples}
            assert samples == {
                ("mirante_scrape_targets",): 1.0,
                ("mirante_scrapes_total", "ok"): 1.0,
                ("mirante_scrape_samples_total",): 1.0,
                ("mirante_scrape_samples_refused_total", "duplicate"): 1.0,
            }

    asyncio.run(main())


@pytest.mark.slow
def test_a_real_node_exporter(tmp_path: Path) -> None:
    """A file as people have it, a page as they have it: hundreds of series with their metadata, second after second."""
    port = free_port()
    command = [program("prometheus-node-exporter"), f"--web.listen-address=127.0.0.1:{port}"]
    path = tmp_path / "prometheus.yml"
    path.write_text(
        "global: {scrape_interval: 2s}\n"
        f"scrape_configs:\n- job_name: node\n  static_configs:\n  - targets: ['127.0.0.1:{port}']\n"
    )

    async def main() -> Written:
        log = MemoryLog()
        manager = ScrapeManager(read_config(path), log)
        await manager.start()
        await eventually(lambda: len(read(log.bodies).of("up")) >= 2)
        await manager.stop()
        return log.take()

    with running(command, f"http://127.0.0.1:{port}", "/metrics", tmp_path / "node_exporter.log"):
        written = asyncio.run(main())
    assert len(written.samples) > 300
    assert {value for _, value in written.of("up", job="node", instance=f"127.0.0.1:{port}")} == {1.0}
    kinds: Mapping[str, int] = {family: kind for kind, family, _, _ in written.metadata}
    assert (kinds["node_cpu_seconds_total"], kinds["node_load1"]) == (1, 2)
    idle = written.of("node_cpu_seconds_total", cpu="0", mode="idle")
    assert [value for _, value in idle] == sorted(value for _, value in idle)
    assert all(earlier < later for (earlier, _), (later, _) in pairwise(idle))


class ClosedLog:
    """A log after its end."""

    def append(self, *_: object) -> None:
        """Refuse."""
        raise StoreError("the log is closed")


def test_a_closed_log_is_the_targets_error() -> None:
    """Nobody is told that the target itself is broken."""

    async def main() -> None:
        async with serving(Exposer()) as address, managing(ClosedLog(), job("a", address)) as manager:
            (target,) = await scraped(manager)
            assert target["lastError"] == "scraped, but not stored: the log is closed"

    asyncio.run(main())
