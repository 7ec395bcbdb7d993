"""What scraping costs, beside Debian's Prometheus: a real node exporter's page, tripled to 1,500 samples, every 15 s.

First the reader alone: nanoseconds a line. Then the scraper alone, the log's and the targets' own cost left out. Then
the whole servers, one after the other, on the same targets and the same ``prometheus.yml``: CPU time and memory.
Needs ``prometheus-node-exporter`` and ``prometheus``. Numbers of targets as arguments, 200 and 1000 by default.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import multiprocessing
import random
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, cast

import psutil
import uvloop

from mirante.server.scrape.manager import ScrapeManager
from mirante.server.scrape.model import PrometheusConfig, ScrapeJob, StaticSd, TargetGroup
from mirante.server.scrape.page import SeriesCache
from mirante.server.store.api import Stream

INTERVAL_MS = 15_000
MEASURED_SECONDS = 30
VARIANTS = 20
CHANGING = 0.4  # share of the values that differ from scrape to scrape
EXPORTER, POOL, SERVER = 19_437, 19_438, 19_439


class CountingLog:
    """Counts what it is given."""

    bodies = size = 0

    def append(self, _: Stream, bodies: Sequence[bytes]) -> None:
        """Count."""
        self.bodies += len(bodies)
        self.size += sum(map(len, bodies))


class Cost(NamedTuple):
    """What a process used, per second, and holds."""

    cores: float
    rss_mb: float

    def __str__(self) -> str:
        return f"{self.cores:6.1%} of a core, RSS {self.rss_mb:5.0f} MB"


def node_page() -> str:
    """The page of a real node exporter."""
    command = ["prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{EXPORTER}"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as exporter:
        try:
            return answer(f"http://127.0.0.1:{EXPORTER}/metrics").decode()
        finally:
            exporter.terminate()


def answer(url: str) -> bytes:
    """What comes from there, as soon as something does."""
    for _ in range(600):
        try:
            with urllib.request.urlopen(url) as reply:
                return bytes(reply.read())
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"{url} does not answer")


def variants(page: str) -> list[bytes]:
    """Pages of three times the size, each with other values in some lines."""
    name = re.compile(r"^((?:# (?:HELP|TYPE) )?)([a-z_A-Z]+)", re.MULTILINE)
    lines = "".join(name.sub(rf"\g<1>\g<2>_{k}", page) for k in range(3)).splitlines()
    made = []
    for _ in range(VARIANTS):
        changed = [line if line[0] == "#" or random.random() > CHANGING else _other(line) for line in lines]
        made.append("".join(f"{line}\n" for line in changed).encode())
    return made


def _other(line: str) -> str:
    series, _, value = line.rpartition(" ")
    return f"{series} {float(value) + random.random() * 100}"


def read_lines(pages: list[bytes]) -> None:
    """What the reader costs a line, by what it knows already."""
    shuffled = []
    for page in pages:
        lines = page.splitlines(keepends=True)
        comments = [line for line in lines if line[:1] == b"#"]
        samples = [line for line in lines if line[:1] != b"#"]
        random.shuffle(samples)
        shuffled.append(b"".join(comments + samples))
    lines_of_one = pages[0].count(b"\n")
    for what, found, known in (
        ("new series", pages, False),
        ("known series, lines in any order: a look-up each", shuffled, True),
        ("known series in the order of the last page", pages, True),
    ):
        cache, now, spent = SeriesCache(ScrapeJob("node"), {"job": "node", "instance": "a:1"}), 1_700_000_000_000, 0
        for page in found:
            if not known:
                cache = SeriesCache(ScrapeJob("node"), {"job": "node", "instance": "a:1"})
            begun = time.thread_time_ns()
            reading = cache.read(page, openmetrics=False, now=now)
            if not known or page is not found[0]:
                spent += time.thread_time_ns() - begun
            cache.commit(reading)
            now += INTERVAL_MS
        print(f"{spent / lines_of_one / (len(found) - known):7.0f} ns a line: {what}")


def serve(pages: list[bytes]) -> None:
    """Answer every request with one of the pages."""
    packed = [gzip.compress(page, 1) for page in pages]

    class Target(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance

        def data_received(self, _: bytes) -> None:
            page = random.choice(packed)
            head = f"Content-Type: text/plain\r\nContent-Encoding: gzip\r\nContent-Length: {len(page)}\r\n\r\n"
            self.transport.write(b"HTTP/1.1 200 OK\r\n" + head.encode() + page)

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Target, "127.0.0.1", POOL)
        await server.serve_forever()

    uvloop.run(main())


async def scrape(count: int) -> None:
    """Scrape with nothing behind, and say what it cost."""
    log = CountingLog()
    targets = tuple({"__address__": f"127.0.0.1:{POOL}", "instance": f"host-{i}"} for i in range(count))
    job = ScrapeJob("node", interval=INTERVAL_MS, discoveries=(StaticSd((TargetGroup("0", targets),)),))
    manager = ScrapeManager(PrometheusConfig((job,)), log)
    await manager.start()
    while any(target["health"] == "unknown" for target in manager.targets()["activeTargets"]):  # noqa: ASYNC110
        await asyncio.sleep(1)  # the first scrape of each target learns its series
    await asyncio.sleep(INTERVAL_MS / 1000)
    me, bodies = psutil.Process(), log.bodies
    cpu, begun = _cpu(me), time.monotonic()
    await asyncio.sleep(MEASURED_SECONDS)
    cpu, seconds, bodies = _cpu(me) - cpu, time.monotonic() - begun, log.bodies - bodies
    errors = {target["lastError"] for target in manager.targets()["activeTargets"]} - {""}
    await manager.stop()
    cost = Cost(cpu / seconds, me.memory_info().rss / 1e6)
    print(f"  scraper alone   {cost}, {cpu / bodies * 1e3:.2f} ms a scrape; errors: {sorted(errors) or 'none'}")


def scrape_alone(count: int) -> None:
    """The entry of a process of its own, so that its memory is its own."""
    uvloop.run(scrape(count))


def count_up() -> int:
    """How many targets the server has scraped."""
    listed = json.loads(answer(f"http://127.0.0.1:{SERVER}/api/v1/targets?state=active"))["data"]
    return sum(target["health"] == "up" for target in listed["activeTargets"])


def whole(name: str, command: list[str], folder: Path, count: int) -> Cost:
    """What a whole server costs."""
    with (
        (folder / f"{name}.log").open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output) as server,
    ):
        try:
            answer(f"http://127.0.0.1:{SERVER}/-/ready")
            while count_up() < count:  # the first scrape of each target learns its series
                time.sleep(1)
            time.sleep(INTERVAL_MS / 1000)
            process = psutil.Process(server.pid)
            cpu, begun = _cpu(process), time.monotonic()
            time.sleep(MEASURED_SECONDS)
            cost = Cost((_cpu(process) - cpu) / (time.monotonic() - begun), process.memory_info().rss / 1e6)
            print(f"  {name:15} {cost}; {count_up()} targets up")
            return cost
        finally:
            server.terminate()
            server.wait()


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def compare(count: int) -> None:
    """The scraper alone, then both servers on the same targets."""
    print(f"{count} targets x 1,500 samples every {INTERVAL_MS / 1000:g} s")
    alone = multiprocessing.get_context("spawn").Process(target=scrape_alone, args=(count,))
    alone.start()
    alone.join()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        groups = [{"targets": [f"127.0.0.1:{POOL}"], "labels": {"instance": f"host-{i}"}} for i in range(count)]
        (folder / "targets.json").write_text(json.dumps(groups))
        config = folder / "prometheus.yml"
        config.write_text(
            f"global: {{scrape_interval: {INTERVAL_MS // 1000}s}}\n"
            "scrape_configs: [{job_name: node, file_sd_configs: [{files: [targets.json]}]}]\n"
        )
        theirs = whole("prometheus", [
            "prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{SERVER}"], folder, count)  # fmt: skip
        ours = whole("mirante serve", [
            sys.executable, "-m", "mirante", "serve", "--prometheus-config", str(config), "--no-host-metrics",
            "--data", str(folder / "data"), "--port", str(SERVER)], folder, count)  # fmt: skip
    print(f"  ratio           CPU {ours.cores / theirs.cores:.2f}, RSS {ours.rss_mb / theirs.rss_mb:.2f}")


def main() -> None:
    """Start the targets, scrape them."""
    pages = variants(node_page())
    read_lines(pages)
    targets = multiprocessing.get_context("spawn").Process(target=serve, args=(pages,), daemon=True)
    targets.start()
    time.sleep(2)
    try:
        for count in map(int, sys.argv[1:] or ("200", "1000")):
            compare(count)
    finally:
        targets.terminate()


if __name__ == "__main__":
    main()
