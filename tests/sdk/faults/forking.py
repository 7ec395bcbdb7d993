"""A program that forks in the middle of its work, in all the ways there are.

    python -m tests.sdk.faults.forking PORT

Threads record while it forks. At its end it prints how much they have recorded, and the ids of its children.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import sys
import threading
from typing import Any

import mirante
from mirante.logging import get_logger
from mirante.tracing import Tracer

FORKS, WORKERS, SPAWNED, ITEMS, THREADS = 12, 4, 2, 30, 3


def record(name: str) -> None:
    """A span and a line."""
    with Tracer("forking").start_span(name):
        get_logger("forking").info(name)


def work(kind: str) -> None:
    """What a child does."""
    for number in range(ITEMS):
        record(f"{kind}-{os.getpid()}-{number}")


def configure(port: str) -> None:
    """The queues take everything, and there is plenty of time to deliver it."""
    mirante.configure(
        service_name="forking", endpoint=f"http://127.0.0.1:{port}", metrics_exporter="none", log_stream="none",
        traces_queue_size=1_000_000, logs_queue_size=1_000_000, shutdown_timeout=120.0, traces_interval=0.05,
        logs_interval=0.05, traces_timeout=120.0, logs_timeout=120.0,
    )  # fmt: skip


def spawned(port: str) -> None:
    """What a child does that begins from nothing."""
    configure(port)
    work("spawned")


def busy(thread: int, stop: threading.Event, counts: list[int]) -> None:
    """Record until told to stop."""
    for number in itertools.count():
        if stop.wait(0.0005):
            return
        record(f"parent-{thread}-{number}")
        counts[thread] = number + 1


def main(port: str) -> None:
    """Fork, wait for all children, and tell."""
    configure(port)
    stop, counts = threading.Event(), [0] * THREADS
    threads = [threading.Thread(target=busy, args=(one, stop, counts)) for one in range(THREADS)]
    for thread in threads:
        thread.start()
    forked = []
    for _ in range(FORKS):
        child = os.fork()
        if child == 0:
            work("forked")
            sys.exit(0)
        forked.append(child)
    fork, spawn = multiprocessing.get_context("fork"), multiprocessing.get_context("spawn")
    workers: list[Any] = [fork.Process(target=work, args=("worker",)) for _ in range(WORKERS)]
    workers += [spawn.Process(target=spawned, args=(port,)) for _ in range(SPAWNED)]
    for worker in workers:
        worker.start()
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in forked]
    for worker in workers:
        worker.join()
    stop.set()
    for thread in threads:
        thread.join()
    codes += [worker.exitcode for worker in workers]
    pids = [*forked, *(worker.pid for worker in workers)]
    sys.stdout.write(json.dumps({"counts": counts, "codes": codes, "pids": pids, "pid": os.getpid()}))


if __name__ == "__main__":
    main(sys.argv[1])
