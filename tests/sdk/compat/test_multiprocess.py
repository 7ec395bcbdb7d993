"""Several processes on mirante's face, beside the same program on prometheus_client."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import multiprocessing, os, sys
from {module} import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

jobs = Counter("jobs_total", "Jobs.", ["kind"])
wait = Histogram("wait", "Waiting.", buckets=[1, 10])
highest = Gauge("highest", "Of all.", multiprocess_mode="max")

def work(number):
    jobs.labels("a").inc(number)
    wait.observe(number)
    highest.set(number)

if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=work, args=(number,)) for number in (1, 2, 3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        multiprocess.mark_process_dead(worker.pid)
    jobs.labels("a").inc(10)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    text = generate_latest(registry).decode()
    lines = [line.replace(".0", "") for line in text.splitlines() if line.startswith(("jobs", "wait", "high"))]
    print("\\n".join(sorted(lines)))
"""


def run(module: str, folder: Path) -> str:
    """What the program prints."""
    folder.mkdir()
    env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM.format(module=module)]
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.mark.slow
def test_the_dead_still_count(tmp_path: Path) -> None:
    """The documented program gives what it gives on prometheus_client, and leaves no file behind."""
    ours = run("mirante.compat.prometheus_client", tmp_path / "ours")
    assert ours == run("prometheus_client", tmp_path / "theirs")
    assert 'jobs_total{kind="a"} 16\n' in ours
    assert not list((tmp_path / "ours").iterdir())


def test_without_a_directory_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a ValueError, as prometheus_client does."""
    from mirante.compat.prometheus_client import CollectorRegistry, multiprocess

    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    with pytest.raises(ValueError, match="PROMETHEUS_MULTIPROC_DIR"):
        multiprocess.MultiProcessCollector(CollectorRegistry())


def test_a_collector_may_stay_without_a_registry(tmp_path: Path) -> None:
    """Its names are not looked up; whoever has it asks it."""
    from mirante.compat.prometheus_client import multiprocess
    from mirante.metrics import multiprocess as own

    try:
        collector = multiprocess.MultiProcessCollector(None, str(tmp_path))
        assert collector.describe() == []
        multiprocess.mark_process_dead(os.getpid())
        assert all(family.name for family in collector.collect())
    finally:
        own.stop()
