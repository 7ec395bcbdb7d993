"""10,000 firing alerts heard of again and again, in mirante's dispatcher and in Alertmanager (Debian's package).

``python benchmarks/bench_notify.py [--alerts 10000] [--rounds 5]``. Both take the same bodies of 64 alerts, as
Prometheus sends them every minute. What is compared is processor time for one round of all alerts: that of
Alertmanager's process, and ours for parsing the bodies and for the dispatcher with its file on disk. Alertmanager's has
HTTP in it, ours has not.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import psutil

from mirante.server.alert import Alert
from mirante.server.notify.dispatcher import Dispatcher
from mirante.server.notify.model import Integration, NotifyConfig, Receiver, Route
from mirante.server.notify.state import FILE, State

BATCH = 64
CONFIG = "route: {receiver: team, group_by: [alertname, zone]}\nreceivers: [{name: team}]\n"


def bodies(count: int) -> list[bytes]:
    now = datetime.now(UTC)
    times = {"startsAt": now.isoformat(), "endsAt": (now + timedelta(minutes=4)).isoformat()}
    alerts = [
        {
            "labels": {
                "alertname": f"A{number % 50}",
                "instance": f"host-{number}:9100",
                "zone": f"z{number % 20}",
                "severity": "warning",
            },
            "annotations": {"summary": f"something is wrong with {number}"},
            "generatorURL": "http://prometheus.example.org/graph?g0.expr=up",
            **times,
        }
        for number in range(count)
    ]
    return [json.dumps(alerts[low : low + BATCH]).encode() for low in range(0, count, BATCH)]


@contextmanager
def alertmanager(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    (folder / "alertmanager.yml").write_text(CONFIG)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    program = shutil.which("prometheus-alertmanager")
    if program is None:
        raise SystemExit("prometheus-alertmanager is not installed (Debian has a package of that name)")
    flags = (
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    )
    process = subprocess.Popen([program, *flags], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"http://{address}/-/ready").close()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        yield f"http://{address}/api/v2/alerts", psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def peer_rounds(folder: Path, sent: list[bytes], rounds: int) -> list[float]:
    with alertmanager(folder) as (url, process):

        def post() -> None:
            for body in sent:
                request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
                urllib.request.urlopen(request).close()

        def spent() -> float:
            times = process.cpu_times()
            return times.user + times.system

        return timed(post, spent, rounds)


def our_rounds(folder: Path, sent: list[bytes], rounds: int) -> list[float]:
    config = NotifyConfig(
        Route("team", group_by=("alertname", "zone")), {"team": Receiver("team", (Integration("webhook", 0, {}),))}
    )
    with closing(State(folder / FILE)) as state:
        dispatcher = Dispatcher(config, state, milliseconds(datetime.now(UTC).isoformat()))

        def put() -> None:
            now = milliseconds(datetime.now(UTC).isoformat())
            for body in sent:
                dispatcher.put([read(one) for one in orjson.loads(body)], now)

        return timed(put, time.process_time, rounds)


def read(one: dict[str, str]) -> Alert:
    starts_at, ends_at = milliseconds(one["startsAt"]), milliseconds(one["endsAt"])
    return Alert(one["labels"], one["annotations"], starts_at, ends_at, 0, one["generatorURL"])  # type: ignore[arg-type]


def milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def timed(work: Callable[[], None], spent: Callable[[], float], rounds: int) -> list[float]:
    found = []
    for _ in range(rounds):
        before = spent()
        work()
        found.append(spent() - before)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alerts", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    sent = bodies(options.alerts)
    with tempfile.TemporaryDirectory() as folder:
        peer = peer_rounds(Path(folder), sent, options.rounds)
        ours = our_rounds(Path(folder), sent, options.rounds)
    for name, first, again in (
        ("Alertmanager", peer[0], min(peer[1:])),
        ("mirante", ours[0], min(ours[1:])),
    ):
        print(f"{name:13} first round {first * 1e3:7.0f} ms   heard of again {again * 1e3:7.0f} ms")
    print(
        f"ratio         first round {ours[0] / peer[0]:7.2f}      heard of again {min(ours[1:]) / min(peer[1:]):7.2f}"
    )


if __name__ == "__main__":
    main()
