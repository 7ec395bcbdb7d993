"""The host's CPU, memory, disks, file systems and network, by psutil.

Names and labels follow OpenTelemetry's semantic conventions for system metrics, written the Prometheus way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante._core.model import MetricFamily
from mirante.collectors._families import Rows, counter, gauge, single

if TYPE_CHECKING:
    from types import ModuleType

_IMAGES = frozenset({"squashfs", "erofs", "iso9660"})
"""Read-only file systems: always full by design, and often many."""

_NO_DISKS = re.compile(r"(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p|mmcblk\d+p)\d+")
"""Memory disks, and partitions, which would count a second time what their disk counts."""


class SystemCollector:
    """Reads the host at each collection; what this platform does not have is left out.

    Args:
        clock: the source of time, for the uptime.

    Example:
        >>> names = {family.name for family in SystemCollector().collect()}
        >>> "system_cpu_time_seconds" in names
        True
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        import psutil  # here, because it takes 10 ms to import

        self._psutil: ModuleType = psutil
        self._clock = clock

    def collect(self) -> Iterator[MetricFamily]:
        """The present state of the host; counters count since it started."""
        yield from self._cpu()
        yield from self._memory()
        yield from self._file_systems()
        yield from self._disks()
        yield from self._network()
        now = self._clock.time_ns() / 1e9
        uptime = now - self._psutil.boot_time()
        yield single("system_time_seconds", "The host's clock, Unix time.", now, "seconds")
        yield single("system_uptime_seconds", "Time since the host started.", uptime, "seconds")

    def _cpu(self) -> Iterator[MetricFamily]:
        ps = self._psutil
        times = [
            ({"cpu_mode": mode, "cpu_logical_number": str(number)}, seconds)
            for number, cpu in enumerate(ps.cpu_times(percpu=True))
            for mode, seconds in _cpu_modes(cpu)
        ]
        yield counter("system_cpu_time_seconds", "Time that each CPU spent in each mode.", times, "seconds")
        yield single("system_cpu_logical_count", "Logical CPUs.", ps.cpu_count() or 0)
        for minutes, load in zip((1, 5, 15), ps.getloadavg(), strict=True):
            yield single(f"system_load{minutes}", f"Load average over {minutes} min.", load)

    def _memory(self) -> Iterator[MetricFamily]:
        memory, swap = self._psutil.virtual_memory(), self._psutil.swap_memory()
        known = {state: getattr(memory, state) for state in ("free", "cached", "buffers") if hasattr(memory, state)}
        # The rest, so that the states add up to the whole; psutil's own "used" holds part of the cache as well.
        used = max(0, memory.total - sum(known.values()))
        states = [({"system_memory_state": state}, size) for state, size in {"used": used, **known}.items()]
        yield gauge("system_memory_usage_bytes", "Memory by what it is used for.", states, "bytes")
        yield single("system_memory_limit_bytes", "Memory of the host.", memory.total, "bytes")
        paging = [({"system_paging_state": state}, getattr(swap, state)) for state in ("used", "free")]
        yield gauge("system_paging_usage_bytes", "Swap space by state.", paging, "bytes")

    def _file_systems(self) -> Iterator[MetricFamily]:
        usage: list[tuple[dict[str, str], float]] = []
        limit: list[tuple[dict[str, str], float]] = []
        seen = set()
        for part in self._partitions():
            if part.fstype in _IMAGES or part.device in seen:
                continue
            seen.add(part.device)  # bind mounts show one device many times; its first mount point stands for it
            try:
                found = self._psutil.disk_usage(part.mountpoint)
            except OSError:  # unmounted in between, or not ours to look at
                continue
            labels = {
                "system_device": part.device,
                "system_filesystem_mountpoint": part.mountpoint,
                "system_filesystem_type": part.fstype,
            }
            reserved = max(0, found.total - found.used - found.free)  # kept for the super-user
            for state, size in (("used", found.used), ("free", found.free), ("reserved", reserved)):
                usage.append(({**labels, "system_filesystem_state": state}, size))
            limit.append((labels, found.total))
        yield gauge("system_filesystem_usage_bytes", "Space of each file system by state.", usage, "bytes")
        yield gauge("system_filesystem_limit_bytes", "Size of each file system.", limit, "bytes")

    def _partitions(self) -> list[Any]:
        found: list[Any] = self._psutil.disk_partitions(all=False)
        if found:
            return found
        # A container has no device of its own; its root is an overlay on the host's.
        return [part for part in self._psutil.disk_partitions(all=True) if part.mountpoint == "/"]

    def _disks(self) -> Iterator[MetricFamily]:
        disks = self._psutil.disk_io_counters(perdisk=True) or {}

        def rows(attribute: str) -> Rows:
            for device, counts in disks.items():
                if _NO_DISKS.fullmatch(device):
                    continue
                for direction in ("read", "write"):
                    labels = {"system_device": device, "disk_io_direction": direction}
                    yield labels, getattr(counts, f"{direction}_{attribute}")

        yield counter("system_disk_io_bytes", "Bytes read from and written to each disk.", rows("bytes"), "bytes")
        yield counter("system_disk_operations", "Reads and writes of each disk.", rows("count"))

    def _network(self) -> Iterator[MetricFamily]:
        interfaces = self._psutil.net_io_counters(pernic=True)

        def rows(received: str, sent: str) -> Rows:
            for name, counts in interfaces.items():
                for direction, attribute in (("receive", received), ("transmit", sent)):
                    labels = {"network_interface_name": name, "network_io_direction": direction}
                    yield labels, getattr(counts, attribute)

        bytes_ = rows("bytes_recv", "bytes_sent")
        yield counter("system_network_io_bytes", "Bytes received and sent by each interface.", bytes_, "bytes")
        yield counter("system_network_errors", "Packets with errors.", rows("errin", "errout"))
        yield counter("system_network_dropped", "Packets dropped.", rows("dropin", "dropout"))


def _cpu_modes(times: Any) -> Iterator[tuple[str, float]]:  # noqa: ANN401 - psutil's tuple differs by platform
    """Modes that add up to all time: a guest's time is counted in user and nice already."""
    for mode, seconds in times._asdict().items():
        if mode not in ("guest", "guest_nice"):
            yield ("interrupt" if mode == "irq" else mode), seconds
