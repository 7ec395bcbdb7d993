"""A program that records spans and log lines as it is told: one command a line, one line of JSON in answer to each.

python -m tests.sdk.faults.host PORT SETTINGS
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
import time
from typing import Any

import mirante
from mirante.logging import get_logger
from mirante.metrics import REGISTRY
from mirante.tracing import Tracer

LOG, TRACER = get_logger("host"), Tracer("host")
PAUSE_EVERY = 50

threads: list[threading.Thread] = []


def record(prefix: str, first: int, end: int) -> None:
    """Spans and lines with the names ``prefix-number``."""
    for number in range(first, end):
        with TRACER.start_span(f"{prefix}-{number}", attributes={"padding": "x" * 50}):
            LOG.info("%s-%d", prefix, number, padding="x" * 50)


def record_steadily(prefix: str, count: int) -> None:
    """The same, with pauses in which others may run."""
    for first in range(0, count, PAUSE_EVERY):
        record(prefix, first, first + PAUSE_EVERY)
        time.sleep(0.01)


def begin(prefix: str, count: int) -> None:
    """Record on a thread."""
    threads.append(threading.Thread(target=record_steadily, args=(prefix, count)))
    threads[-1].start()


def join() -> None:
    """Wait for these threads."""
    while threads:
        threads.pop().join()


def stats() -> dict[str, float]:
    """The counts of the queues, by metric and reason."""
    samples = (sample for family in REGISTRY.collect() for sample in family.samples)
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for sample in samples
        if sample.name.startswith(("mirante_spans", "mirante_log"))
    }


def limit_files(size: int) -> None:
    """From now on the disk is full for every file that would become longer."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def fork_sleeper() -> int:
    """A child that does nothing until it is killed."""
    child = os.fork()
    if child == 0:
        while True:
            signal.pause()
    return child


COMMANDS = {
    "record": record, "begin": begin, "join": join, "stats": stats, "flush": mirante.flush, "limit": limit_files,
    "fork": fork_sleeper,
}  # fmt: skip


def main() -> None:
    """Do as told until there is nothing more to do."""
    port, settings = sys.argv[1:]
    mirante.configure(
        service_name="host",
        endpoint=f"http://127.0.0.1:{port}",
        metrics_exporter="none",
        log_stream="none",
        **json.loads(settings),
    )
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        answer: Any = COMMANDS[name](*arguments)  # type: ignore[operator] # each has its own arguments
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
