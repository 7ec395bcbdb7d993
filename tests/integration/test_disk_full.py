"""A real server on a small disk that another program fills: it refuses, answers, drops, and recovers."""

from __future__ import annotations

import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.peers import Peer, fetch, mirante, wait_for

pytestmark = pytest.mark.slow

OPENMETRICS = {"Content-Type": "application/openmetrics-text; version=1.0.0; charset=utf-8"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A folder of 96 MiB in memory; the server's own log is elsewhere."""
    path = tmp_path / "disk"
    path.mkdir()
    (tmp_path / "data").symlink_to(path / "data")
    command = ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(path)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False) if os.geteuid() == 0 else None
    if mounted is None or mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    yield path
    subprocess.run(["umount", str(path)], check=True)


def write(server: Peer, name: str, at: float) -> tuple[int, bytes]:
    """Send one sample."""
    text = f"# TYPE {name} gauge\n{name} 1 {at:.3f}\n# EOF\n"
    return fetch(f"{server.url}/api/v1/import/prometheus", data=text.encode(), headers=OPENMETRICS)


def fill(path: Path, *, leave: int = 0) -> None:
    """Take all room but for some bytes, whatever others write meanwhile."""
    with path.open("wb", buffering=0) as file:
        while True:
            disk = os.statvfs(path.parent)
            if disk.f_bavail * disk.f_frsize <= leave:
                return
            with suppress(OSError):  # somebody was faster
                file.write(bytes(min(1 << 16, max(4096, disk.f_bavail * disk.f_frsize - leave))))


def test_a_full_disk_is_survived(disk: Path) -> None:
    """Below the reserve writes are refused and reads go on; without one free byte data is dropped; it recovers."""
    now = time.time()
    flags = ("--no-host-metrics", "--admin-api", "--min-free-disk", "32MB", "--retention-metrics", "10d")
    (disk / "data").mkdir()
    with mirante(disk.parent, *flags) as server:
        for age in range(3):
            assert write(server, "kept", now - age * 86_400)[0] == 200
        wait_for(lambda: server.query("count_over_time(kept[4d]) == 3"), what="the samples of all days")
        wait_for((disk / "data" / "ballast").exists, what="the ballast")

        fill(disk / "hog", leave=8 << 20)
        request = b"# TYPE a gauge\na 1\n# EOF\n"
        status, reply = fetch(f"{server.url}/api/v1/import/prometheus", data=request, headers=OPENMETRICS)
        assert status == 503
        assert b"min_free_disk" in reply
        assert len(server.query("last_over_time(kept[4d])")) == 1

        (disk / "hog").unlink()
        fill(disk / "hog")
        assert write(server, "refused", now)[0] == 503
        change = b'{"metrics": "1d"}'
        put = urllib.request.Request(  # noqa: S310 - loopback only
            f"{server.url}/api/v1/admin/retention", data=change, headers=JSON, method="PUT"
        )
        with urllib.request.urlopen(put, timeout=60) as answer:  # noqa: S310 - loopback only
            assert answer.status == 200
        wait_for(lambda: "dropped the metrics" in server.output.read_text(), what="old data to be dropped")
        assert len(server.query("last_over_time(kept[4d])")) == 1

        (disk / "hog").unlink()
        wait_for(lambda: write(server, "again", time.time())[0] == 200, what="writes to be taken again")
        wait_for(lambda: server.query("again"), what="the new sample")
        assert not server.query("refused")
        assert server.stop() == 0
    assert "Traceback" not in server.output.read_text()
