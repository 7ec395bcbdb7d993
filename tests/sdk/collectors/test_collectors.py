"""The host, the process and the interpreter, read for real."""

from __future__ import annotations

import builtins
import gc
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from mirante._core.model import Collector, MetricFamily
from mirante.collectors.process import ProcessCollector
from mirante.collectors.runtime import RuntimeCollector
from mirante.collectors.system import SystemCollector
from mirante.metrics import Registry
from mirante.testing.clock import FakeClock


def families(collector: Collector) -> dict[str, MetricFamily]:
    """By name."""
    return {family.name: family for family in collector.collect()}


def values(family: MetricFamily, **labels: str) -> list[float]:
    """Of the samples that have those labels."""
    return [sample.value for sample in family.samples if labels.items() <= sample.labels.items()]


def test_the_exposition_of_all_collectors_is_valid() -> None:
    """The strict OpenMetrics parser of the reference client reads it."""
    registry = Registry()
    for collector in (SystemCollector(), ProcessCollector(), RuntimeCollector()):
        registry.register(collector)
    text = registry.expose(openmetrics=True).decode()
    assert len(list(text_string_to_metric_families(text))) > 20  # type: ignore[no-untyped-call]


def test_cpu_time_rises_and_adds_up_to_all_time() -> None:
    """For each CPU, over all modes; idle time is among them."""
    before, after = (families(SystemCollector())["system_cpu_time_seconds"] for _ in range(2))
    assert len(values(before, cpu_mode="idle")) == psutil.cpu_count()
    assert sum(values(after)) >= sum(values(before)) > 0
    assert not values(before, cpu_mode="guest")
    real = psutil.cpu_times()
    whole = sum(seconds for mode, seconds in real._asdict().items() if not mode.startswith("guest"))
    assert sum(values(after)) == pytest.approx(whole, rel=0.01)


def test_memory_adds_up() -> None:
    """Used, free, cached and buffers are parts of the whole."""
    found = families(SystemCollector())
    (limit,) = values(found["system_memory_limit_bytes"])
    assert limit == psutil.virtual_memory().total
    assert sum(values(found["system_memory_usage_bytes"])) == limit
    assert values(found["system_memory_usage_bytes"], system_memory_state="used")[0] > 0
    assert len(values(found["system_paging_usage_bytes"])) == 2


def test_disks_are_counted_once() -> None:
    """Without partitions, loop devices and memory disks."""
    disks = families(SystemCollector())["system_disk_io_bytes"]
    names = {sample.labels["system_device"] for sample in disks.samples}
    assert not any(name.startswith(("loop", "ram", "zram")) for name in names)
    assert all(sample.value >= 0 for sample in disks.samples)


class Host:
    """psutil of another machine: what a test does not replace is the real one's."""

    def __init__(self, **replaced: Any) -> None:
        self.__dict__.update(replaced)

    def __getattr__(self, name: str) -> Any:
        return getattr(psutil, name)


def on(**replaced: Any) -> dict[str, MetricFamily]:
    """What the collector gives on such a machine."""
    collector = SystemCollector(FakeClock(2_000.0))
    collector._psutil = Host(**replaced)  # type: ignore[assignment]
    return families(collector)


def part(device: str, mount: str, kind: str) -> SimpleNamespace:
    """A mounted file system."""
    return SimpleNamespace(device=device, mountpoint=mount, fstype=kind)


def usage(mount: str) -> SimpleNamespace:
    """100 bytes of which 5 are reserved; one mount point is not ours to look at."""
    if mount == "/secret":
        raise PermissionError
    return SimpleNamespace(total=100, used=60, free=35)


def test_file_systems_are_counted_once_and_images_not_at_all() -> None:
    """A bind mount shows the same device again; what cannot be read is left out."""
    parts = [
        part("/dev/a", "/", "ext4"), part("/dev/a", "/bind", "ext4"), part("/dev/b", "/secret", "xfs"),
        part("/dev/loop1", "/snap/x", "squashfs"),
    ]  # fmt: skip
    found = on(disk_partitions=lambda **_: parts, disk_usage=usage)
    (limit,) = found["system_filesystem_limit_bytes"].samples
    assert limit.labels == {
        "system_device": "/dev/a", "system_filesystem_mountpoint": "/", "system_filesystem_type": "ext4",
    }  # fmt: skip
    used = found["system_filesystem_usage_bytes"]
    assert [(s.labels["system_filesystem_state"], s.value) for s in used.samples] == [
        ("used", 60), ("free", 35), ("reserved", 5),
    ]  # fmt: skip


def test_a_container_shows_its_root() -> None:
    """It has no device of its own."""

    def partitions(*, all: bool) -> list[SimpleNamespace]:  # noqa: A002 - psutil's name
        return [part("overlay", "/", "overlay"), part("proc", "/proc", "proc")] if all else []

    found = on(disk_partitions=partitions, disk_usage=usage)
    assert [s.labels["system_device"] for s in found["system_filesystem_limit_bytes"].samples] == ["overlay"]


def test_a_host_without_disks_network_or_linux_memory_states() -> None:
    """What the platform does not have is left out."""
    memory = SimpleNamespace(total=10, free=6)
    found = on(disk_io_counters=lambda perdisk: None, virtual_memory=lambda: memory, net_io_counters=lambda pernic: {})
    assert found["system_disk_io_bytes"].samples == ()
    assert found["system_network_io_bytes"].samples == ()
    assert [s.labels["system_memory_state"] for s in found["system_memory_usage_bytes"].samples] == ["used", "free"]


def test_partitions_and_memory_disks_are_no_disks() -> None:
    """Their traffic is their disk's, or none."""
    io = SimpleNamespace(read_bytes=1, write_bytes=2, read_count=3, write_count=4)
    devices = ["sda", "sda1", "nvme0n1", "nvme0n1p2", "loop0", "zram0", "mmcblk0", "mmcblk0p1", "dm-0"]
    found = on(disk_io_counters=lambda perdisk: dict.fromkeys(devices, io))
    kept = [s.labels["system_device"] for s in found["system_disk_operations"].samples]
    assert kept == ["sda", "sda", "nvme0n1", "nvme0n1", "mmcblk0", "mmcblk0", "dm-0", "dm-0"]
    assert values(found["system_disk_io_bytes"], disk_io_direction="write") == [2, 2, 2, 2]


def test_network_and_uptime() -> None:
    """Received and sent are told apart; the uptime is the time since the boot."""
    nic = SimpleNamespace(bytes_recv=1, bytes_sent=2, errin=3, errout=4, dropin=5, dropout=6)
    found = on(net_io_counters=lambda pernic: {"eth0": nic}, boot_time=lambda: 500.0, cpu_count=lambda: None)
    for name, received, sent in (("io_bytes", 1, 2), ("errors", 3, 4), ("dropped", 5, 6)):
        family = found[f"system_network_{name}"]
        assert values(family, network_io_direction="receive", network_interface_name="eth0") == [received]
        assert values(family, network_io_direction="transmit") == [sent]
    assert values(found["system_uptime_seconds"]) == [1_500.0]
    assert values(found["system_cpu_logical_count"]) == [0.0]


def test_the_process_reports_itself() -> None:
    """CPU time, memory, descriptors and threads are this process's."""
    collector = ProcessCollector()
    before = families(collector)
    with Path(os.devnull).open() as _, one_more_thread():
        sum(n * n for n in range(300_000))
        after = families(collector)
    assert values(after["process_cpu_seconds"])[0] >= values(before["process_cpu_seconds"])[0]
    assert values(after["process_resident_memory_bytes"])[0] > 1_000_000
    assert values(after["process_open_fds"])[0] > values(before["process_open_fds"])[0]
    assert values(after["process_threads"])[0] > values(before["process_threads"])[0]
    assert values(after["process_max_fds"])[0] > 0
    assert values(after["process_start_time_seconds"])[0] == pytest.approx(psutil.Process().create_time())


@contextmanager
def one_more_thread() -> Iterator[None]:
    """While inside."""
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    yield
    stop.set()
    thread.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_reports_itself_and_not_its_parent() -> None:
    """Its CPU time begins anew."""
    collector = ProcessCollector()
    list(collector.collect())
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        list(collector.collect())
        os.write(writer, str(collector._process.pid if collector._process else 0).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    assert int(os.read(reader, 20)) == pid
    os.close(reader)
    os.close(writer)


def test_a_platform_without_descriptors_or_their_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows both are left out."""
    real = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name == "resource":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.delattr(psutil.Process, "num_fds")
    names = set(families(ProcessCollector()))
    assert "process_cpu_seconds" in names
    assert not names & {"process_open_fds", "process_max_fds"}


def test_the_interpreter_reports_its_version_and_collections() -> None:
    """Labels as prometheus_client has them."""
    collector = RuntimeCollector()
    info: Mapping[str, str] = families(collector)["python_info"].samples[0].labels
    assert info["version"] == ".".join(map(str, sys.version_info[:3]))
    assert set(info) == {"implementation", "major", "minor", "patchlevel", "version"}
    before = values(families(collector)["python_gc_collections"], generation="2")
    gc.collect()
    after = values(families(collector)["python_gc_collections"], generation="2")
    assert after[0] > before[0]
