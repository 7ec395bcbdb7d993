"""What scraping costs: 200 targets with a real node exporter's page, tripled to 1,500 samples, every 15 s for 30 s.

Prints the scraper's share of one core, the log's and the targets' own left out. Needs ``prometheus-node-exporter``.
"""

from __future__ import annotations

import asyncio
import gzip
import multiprocessing
import random
import re
import resource
import subprocess
import time
import urllib.request
from collections.abc import Sequence
from typing import cast

import uvloop

from mirante.server.scrape.manager import ScrapeManager
from mirante.server.scrape.model import PrometheusConfig, ScrapeJob, TargetGroup
from mirante.server.store.api import Stream

TARGETS = 200
INTERVAL_MS = 15_000
MEASURED_SECONDS = 30
VARIANTS = 20
CHANGING = 0.4  # share of the values that differ from scrape to scrape
EXPORTER, POOL = 19_437, 19_438


class CountingLog:
    """Counts what it is given."""

    bodies = size = 0

    def append(self, _: Stream, bodies: Sequence[bytes]) -> None:
        """Count."""
        self.bodies += len(bodies)
        self.size += sum(map(len, bodies))


def node_page() -> str:
    """The page of a real node exporter."""
    command = ["prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{EXPORTER}"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as exporter:
        try:
            for _ in range(50):
                time.sleep(0.1)
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{EXPORTER}/metrics") as reply:
                        return str(reply.read().decode())
                except OSError:
                    continue
            raise SystemExit("the node exporter does not answer")
        finally:
            exporter.terminate()


def variants(page: str) -> list[bytes]:
    """Packed pages of three times the size, each with other values in some lines."""
    name = re.compile(r"^((?:# (?:HELP|TYPE) )?)([a-z_A-Z]+)", re.MULTILINE)
    lines = "".join(name.sub(rf"\g<1>\g<2>_{k}", page) for k in range(3)).splitlines()
    made = []
    for _ in range(VARIANTS):
        changed = [line if line[0] == "#" or random.random() > CHANGING else _other(line) for line in lines]
        made.append(gzip.compress("".join(f"{line}\n" for line in changed).encode(), 1))
    return made


def _other(line: str) -> str:
    series, _, value = line.rpartition(" ")
    return f"{series} {float(value) + random.random() * 100}"


def serve(pages: list[bytes]) -> None:
    """Answer every request with one of the pages."""

    class Target(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance

        def data_received(self, _: bytes) -> None:
            page = random.choice(pages)
            head = f"Content-Type: text/plain\r\nContent-Encoding: gzip\r\nContent-Length: {len(page)}\r\n\r\n"
            self.transport.write(b"HTTP/1.1 200 OK\r\n" + head.encode() + page)

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Target, "127.0.0.1", POOL)
        await server.serve_forever()

    uvloop.run(main())


async def measure() -> None:
    """Scrape, and say what it cost."""
    log = CountingLog()
    targets = tuple({"__address__": f"127.0.0.1:{POOL}", "instance": f"host-{i}"} for i in range(TARGETS))
    job = ScrapeJob("node", interval=INTERVAL_MS, static=(TargetGroup("0", targets),))
    manager = ScrapeManager(PrometheusConfig((job,)), log)
    await manager.start()
    await asyncio.sleep(INTERVAL_MS / 1000 + 1)  # the first scrape of each target learns its series
    cpu, begun, bodies = time.process_time(), time.monotonic(), log.bodies
    await asyncio.sleep(MEASURED_SECONDS)
    cpu, seconds, bodies = time.process_time() - cpu, time.monotonic() - begun, log.bodies - bodies
    errors = {target["lastError"] for target in manager.targets()["activeTargets"]} - {""}
    await manager.stop()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{bodies} scrapes: {cpu / seconds:.1%} of a core, {cpu / bodies * 1e3:.2f} ms each, RSS {memory:.0f} MB")
    print(f"{log.size / log.bodies / 1024:.0f} KB a body; errors: {sorted(errors) or 'none'}")


def main() -> None:
    """Start the targets, scrape them."""
    pages = variants(node_page())
    targets = multiprocessing.get_context("spawn").Process(target=serve, args=(pages,), daemon=True)
    targets.start()
    time.sleep(2)
    try:
        uvloop.run(measure())
    finally:
        targets.terminate()


if __name__ == "__main__":
    main()
