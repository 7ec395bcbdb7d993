"""Importing a file of the past, beside promtool: a million counters' samples in OpenMetrics, into a running server.

Timed until every sample can be asked for; promtool's blocks would still have to be loaded. Needs ``promtool``. The
number of samples as an argument.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

SERIES = 100
PORT = 19_441
URL = f"http://127.0.0.1:{PORT}"


class Run(NamedTuple):
    """What a command took: seconds, and the most memory that it held."""

    seconds: float
    peak_mib: float


def write(path: Path, samples: int) -> int:
    """A file with a sample every 15 s; gives the time of the last one."""
    each = samples // SERIES
    start = int(time.time()) // 7200 * 7200 - each * 15 - 7200
    with path.open("w") as file:
        file.write("# HELP reqs Requests.\n# TYPE reqs counter\n")
        for number in range(SERIES):
            name = f'reqs_total{{job="shop",instance="10.0.0.{number}:8080",code="200",method="GET"}}'
            file.writelines(f"{name} {n * 3.5} {start + n * 15}\n" for n in range(each))
        file.write("# EOF\n")
    return start + each * 15


def run(command: list[str]) -> Run:
    """Run it to its end."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Run(time.perf_counter() - begun, used.ru_maxrss / 1024)


def ask(path: str, **parameters: str | int) -> bytes:
    """The body of a GET, empty while there is no answer."""
    try:
        with urllib.request.urlopen(f"{URL}{path}?{urlencode(parameters)}", timeout=60) as reply:
            body: bytes = reply.read()
            return body
    except OSError:
        return b""


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until it holds."""
    while not condition():
        time.sleep(0.05)


@contextmanager
def server(folder: Path) -> Iterator[None]:
    """A server of its own."""
    command = [sys.executable, "-m", "mirante", "serve", "--data", str(folder / "data"), "--port", str(PORT)]
    process = subprocess.Popen([*command, "--no-host-metrics", "--log-level", "error"])
    try:
        wait_for(lambda: bool(ask("/-/ready")))
        yield
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    """Both, one after the other."""
    samples = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    question = f"sum(count_over_time(reqs_total[{samples // SERIES * 15 // 86_400 + 1}d])) == {samples}"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "history.om"
        end = write(file, samples)
        with server(folder):
            begun = time.perf_counter()
            ours = run([sys.executable, "-m", "mirante", "import", str(file), "--server", URL])
            wait_for(lambda: b'"value"' in ask("/api/v1/query", query=question, time=end))
            queryable = time.perf_counter() - begun
        blocks = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "-q", str(file), str(folder / "blocks")]
        theirs = run(blocks)
    print(f"{samples:,} samples, {SERIES} series")
    print(f"mirante import  {ours.seconds:6.2f} s, queryable after {queryable:6.2f} s, peak {ours.peak_mib:5.0f} MiB")
    print(
        f"promtool        {theirs.seconds:6.2f} s ({theirs.seconds / queryable:.1f}x), peak {theirs.peak_mib:5.0f} MiB"
    )


if __name__ == "__main__":
    main()
