"""This process's CPU, memory, file descriptors and threads, under the names that all Prometheus client libraries use.

Source: Prometheus documentation, "Writing client libraries", process metrics.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mirante._core.model import MetricFamily
from mirante.collectors._families import counter, single

if TYPE_CHECKING:
    import psutil


class ProcessCollector:
    """Reads the process in which it is asked, a forked child too; what this platform does not have is left out.

    Example:
        >>> names = {family.name for family in ProcessCollector().collect()}
        >>> {"process_cpu_seconds", "process_resident_memory_bytes"} <= names
        True
    """

    per_process = True
    """Several processes that share their metrics are added up."""

    def __init__(self) -> None:
        self._process: psutil.Process | None = None

    def collect(self) -> Iterator[MetricFamily]:
        """The present state of the process."""
        process = self._current()
        with process.oneshot():
            cpu, memory = process.cpu_times(), process.memory_info()
            yield counter("process_cpu_seconds", "CPU time in user and system mode.", [({}, cpu.user + cpu.system)])
            yield single("process_resident_memory_bytes", "Resident memory.", memory.rss)
            yield single("process_virtual_memory_bytes", "Virtual memory.", memory.vms)
            yield single("process_start_time_seconds", "Start of the process, Unix time.", process.create_time())
            yield single("process_threads", "Threads of the process.", process.num_threads())
            if hasattr(process, "num_fds"):
                yield single("process_open_fds", "Open file descriptors.", process.num_fds())
        yield from _max_fds()

    def _current(self) -> psutil.Process:
        if self._process is None or self._process.pid != os.getpid():
            import psutil  # here, because it takes 10 ms to import

            self._process = psutil.Process()
        return self._process


def _max_fds() -> Iterator[MetricFamily]:
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    yield single("process_max_fds", "Most file descriptors that may be open.", limit)
