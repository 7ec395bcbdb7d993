"""5,000 rules over 100,000 series in mirante and in Prometheus 2.42 (Debian's package), with the ratio.

``python benchmarks/bench_rules.py [--metrics 100] [--series 1000] [--groups 100] [--rules 50] [--rounds 3]``. Both hold
``python benchmarks/bench_rules.py [--metrics 100] [--series 1000] [--groups 100] [--rules 50] [--rounds 3]``. Both
hold the same series and evaluate the same rule files: thresholds, rates, ratios and aggregations, most of them alerts
that do not fire. What is compared is processor time for one evaluation of every rule: ours of the rounds of an
interval, that of Prometheus by its ``process_cpu_seconds_total`` over two intervals in which it does nothing else.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import cramjam

from mirante.formats import remote_write
from mirante.server.rules.evaluation import RuleOptions
from mirante.server.rules.group import Group
from mirante.server.rules.query import Budgets
from mirante.server.rules.read import read_rules
from mirante.server.rules.rounds import Member, by_place
from mirante.server.rules.store import ServerStore
from mirante.server.store.client import Engine as Store
from mirante.server.store.client import EngineLimits
from mirante.server.store.migrations import migrate
from mirante.server.store.reader import StoreReader
from mirante.server.store.user_sql import UserSql
from mirante.server.store.writer import LogWriter

SCRAPE, INTERVAL, PROMISED = 15_000, 30_000, 30.0
SERIES_TO_A_BODY = 1_000
ALERTS = (
    "rate(m{n}[5m]) > 1e6",
    'm{n}{{job="j1"}} > 1e12',
    'sum by (job) (rate(m{n}{{code="500"}}[5m])) / sum by (job) (rate(m{n}[5m])) > 1',
    'sum by (instance) (rate(m{n}{{job=~"j[12]"}}[5m])) > 1e6',
    'increase(m{n}{{code="500",job="j3"}}[10m]) > 1e12',
    'absent(m{n}{{job="j4"}})',
    "max by (job) (m{n}) - min by (job) (m{n}) > 1e12",
    "count by (job) (m{n} == 0) > 3",
)
RECORDS = ("sum by (job) (rate(m{n}[5m]))", 'avg without (instance) (m{n}{{code="200"}})')


def labels(metric: int, series: int) -> dict[str, str]:
    code = ("200", "500")[series % 10 == 9]
    return {"__name__": f"m{metric}", "job": f"j{series % 8}", "instance": f"i{series // 8}", "code": code}


def bodies(metrics: int, series: int, scrapes: Sequence[int]) -> Iterator[bytes]:
    """Uncompressed remote-write requests with those scrapes (milliseconds) of every series."""
    for metric in range(metrics):
        for low in range(0, series, SERIES_TO_A_BODY):
            yield b"".join(
                remote_write.series(
                    remote_write.labels(labels(metric, number)),
                    b"".join(remote_write.sample(float(at // 1000 % 1_000_000 * (number % 7)), at) for at in scrapes),
                )
                for number in range(low, min(low + SERIES_TO_A_BODY, series))
            )


def write_rules(folder: Path, groups: int, rules: int, metrics: int) -> Path:
    """Rule files: a group a file, its rules about one metric; one in ten records."""
    for group in range(groups):
        found = []
        for number in range(rules):
            table, kind = (RECORDS, "record") if number % 10 == 0 else (ALERTS, "alert")
            expression = table[(number // 10 if kind == "record" else number) % len(table)].format(n=group % metrics)
            name = f"g{group}:r{number}" if kind == "record" else f"G{group}R{number}"
            found.append({kind: name, "expr": expression, **({"for": "1m"} if kind == "alert" else {})})
        spec = {"groups": [{"name": f"g{group}", "interval": f"{INTERVAL // 1000}s", "rules": found}]}
        (folder / f"{group:04}.rules.yml").write_text(json.dumps(spec))
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("metrics", 100), ("series", 1_000), ("groups", 100), ("rules", 50), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--threads", type=int, default=2, help="groups that are evaluated at the same time")
    parser.add_argument("--alone", action="store_true", help="without Prometheus")
    options = parser.parse_args()
    print(f"{options.groups * options.rules} rules over {options.metrics * options.series} series")
    folder = Path(tempfile.mkdtemp(prefix="bench_rules"))
    (folder / "rules").mkdir()
    try:
        rules = write_rules(folder / "rules", options.groups, options.rules, options.metrics)
        end = int(time.time()) * 1000 // SCRAPE * SCRAPE
        ours = mirante(folder, rules, options, end)
        print(f"mirante: {ours:.2f} s of processor time an interval")
        if not options.alone:
            theirs = prometheus(folder, rules, options)
            print(f"prometheus: {theirs:.2f} s, {theirs / ours:.1f} times ours")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def mirante(folder: Path, rules: Path, options: argparse.Namespace, end: int) -> float:
    """Processor time of one evaluation of every group, at best of the intervals after the first."""
    store = Store(f"chdb://{folder / 'mirante'}", EngineLimits(readers=options.threads + 2))
    migrate(store)
    writer = LogWriter(store, folder / "log")
    budgets = Budgets(120, 50_000_000, store.cancel)
    joined = ServerStore(StoreReader(store), UserSql(store), writer, budgets)
    try:
        started = time.perf_counter()
        scrapes = range(end - 900_000, end + 1, SCRAPE)
        load(writer, options, scrapes)
        print(f"loaded in {time.perf_counter() - started:.1f} s")
        specs = read_rules(sorted(rules.glob("*.yml")))
        groups = [Group(spec, joined.log(), RuleOptions(monotonic=time.perf_counter)) for spec in specs]
        rounds = [
            ([member.group for member in members], joined.together([member.group.spec for member in members]))
            for members in by_place(Member(group) for group in groups).values()
        ]
        best = float("inf")
        with ThreadPoolExecutor(options.threads) as pool:
            for number in range(options.rounds):
                now = end + number * INTERVAL
                if number:
                    load(writer, options, range(now - INTERVAL + SCRAPE, now + 1, SCRAPE))
                used, started = time.process_time(), time.perf_counter()
                for members, ask in rounds:
                    query = ask(now)
                    list(pool.map(lambda group, now=now, query=query: group.evaluate(now, query), members))
                taken, used = time.perf_counter() - started, time.process_time() - used
                print(
                    f"interval {number}: all evaluated in {taken:.2f} s, promised {PROMISED:.0f} s; {used:.2f} s used"
                )
                best = min(best, used) if number else best
        failed = [one.error for group in groups for one in group.rules if one.error]
        assert not failed, failed[:3]
    finally:
        writer.close()
        store.close()
    return best


def load(writer: LogWriter, options: argparse.Namespace, scrapes: Sequence[int]) -> None:
    for body in bodies(options.metrics, options.series, scrapes):
        writer.append("remote_write", [body])
    assert writer.wait_until_loaded(600)


def prometheus(folder: Path, rules: Path, options: argparse.Namespace) -> float:
    """Processor time that the real one uses in an interval."""
    with running(folder, rules) as url:
        started = int(time.time()) * 1000 // SCRAPE * SCRAPE
        for body in bodies(options.metrics, options.series, range(started - 600_000, started + 1, SCRAPE)):
            write(url, body)
        time.sleep(INTERVAL / 1000)  # every group has been evaluated once
        before = used(url)
        time.sleep(2 * INTERVAL / 1000)
        return (used(url) - before) / 2


def used(url: str) -> float:
    with urllib.request.urlopen(f"{url}/metrics", timeout=60) as reply:
        line = next(line for line in reply.read().decode().splitlines() if line.startswith("process_cpu_seconds_total"))
    return float(line.split()[1])


@contextmanager
def running(folder: Path, rules: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    config = folder / "prometheus.yml"
    config.write_text(f"global: {{evaluation_interval: 30s}}\nrule_files: ['{rules}/*.yml']\n")
    command = [
        shutil.which("prometheus") or "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--web.enable-remote-write-receiver",
        f"--web.listen-address={address}",
        "--log.level=error",
    ]
    process = subprocess.Popen(command)
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://{address}/-/ready", timeout=5)
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(30)


def write(url: str, body: bytes) -> None:
    headers = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}
    request = urllib.request.Request(f"{url}/api/v1/write", bytes(cramjam.snappy.compress_raw(body)), headers)
    urllib.request.urlopen(request, timeout=60)


if __name__ == "__main__":
    main()
