"""What was acknowledged is stored, once, however the server ends. A real server over a real store, and real signals."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import cramjam
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from mirante.formats import remote_write

SERVER = """
import contextlib
import signal
import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from mirante.server.ingest.routes import routes
from mirante.server.store.client import Engine
from mirante.server.store.migrations import migrate
from mirante.server.store.writer import LogOptions, LogWriter

data, descriptor, interval = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
engine = Engine(f"chdb://{data}")
migrate(engine)
log = LogWriter(engine, data / "log", LogOptions(interval=interval))
server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes(log)), fd=descriptor, log_level="error"))
server.capture_signals = contextlib.nullcontext  # it would raise the signal again at the end
signal.signal(signal.SIGTERM, lambda *_: setattr(server, "should_exit", True))
server.run()
log.close()
engine.close()
"""
COUNT = """
import json, sys
from pathlib import Path

from mirante.server.store.client import Engine
from mirante.server.store.writer import LogWriter

data = Path(sys.argv[1])
engine = Engine(f"chdb://{data}")
log = LogWriter(engine, data / "log")
assert log.wait_until_loaded(60)
samples = engine.arrow("SELECT toUnixTimestamp64Milli(timestamp) AS t FROM samples ORDER BY t").column("t").to_pylist()
logs = engine.arrow("SELECT toUInt64(EventName) AS n FROM otel_logs ORDER BY n").column("n").to_pylist()
series = engine.arrow("SELECT uniqExact(series_id) AS n FROM series").column("n").to_pylist()[0]
log.close()
engine.close()
print(json.dumps([samples, logs, series]))
"""
PER_BODY = 50


class Sender:
    """Sends numbered samples and log records, and remembers what was acknowledged."""

    def __init__(self) -> None:
        self.start = int(time.time() * 1000) - 3_600_000
        self.sent = 0
        self.acknowledged: list[int] = []

    def send(self, port: int) -> bool:
        """One body of each kind; false when the server did not acknowledge both."""
        numbers = range(self.sent, self.sent + PER_BODY)
        self.sent += PER_BODY
        series = (
            remote_write.series(
                remote_write.labels({"__name__": "survivor", "job": str(n % 7)}),
                remote_write.sample(1.0, self.start + n),
            )
            for n in numbers
        )
        logs = ExportLogsServiceRequest()
        scope = logs.resource_logs.add().scope_logs.add()
        for n in numbers:
            scope.log_records.add(event_name=str(n), time_unix_nano=(self.start + n) * 1_000_000)
        protobuf = {"Content-Type": "application/x-protobuf"}
        snappy = {"Content-Encoding": "snappy", **protobuf}
        bodies = (
            ("/v1/logs", logs.SerializeToString(), protobuf),
            ("/api/v1/write", bytes(cramjam.snappy.compress_raw(b"".join(series))), snappy),
        )
        try:
            for path, body, headers in bodies:
                request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers, method="POST")
                with urllib.request.urlopen(request, timeout=60) as reply:  # noqa: S310 # our own server
                    assert reply.status in {200, 204}
        except (urllib.error.URLError, OSError):
            return False
        self.acknowledged += numbers
        return True


def run_server(data: Path, sender: Sender, bodies: int, how: signal.Signals, interval: float) -> int:
    """Start a server, send so many bodies, and end it in mid-work; returns its exit code."""
    listener = socket.create_server(("127.0.0.1", 0))
    port: int = listener.getsockname()[1]
    os.set_inheritable(listener.fileno(), True)  # the standard library's signature
    arguments = [sys.executable, "-c", SERVER, str(data), str(listener.fileno()), str(interval)]
    process = subprocess.Popen(arguments, pass_fds=[listener.fileno()])
    listener.close()
    try:
        for _ in range(bodies):
            assert sender.send(port)
        process.send_signal(how)
        while sender.send(port):  # whatever is acknowledged on the way down counts too
            pass
        return process.wait(30)
    finally:
        process.kill()
        process.wait()


def stored(data: Path) -> tuple[list[int], list[int], int]:
    """Times of all samples, numbers of all records, and how many series there are."""
    done = subprocess.run(
        [sys.executable, "-c", COUNT, str(data)], capture_output=True, text=True, check=True, timeout=120
    )
    answer: Any = json.loads(done.stdout)
    samples, logs, series = answer
    return samples, logs, series


def check(data: Path, sender: Sender) -> None:
    """Everything acknowledged is there once; what was not acknowledged is there once at most."""
    samples, logs, series = stored(data)
    for found in ([at - sender.start for at in samples], logs):
        assert len(found) == len(set(found))
        assert set(sender.acknowledged) <= set(found) <= set(range(sender.sent))
    assert series == 7


@pytest.mark.slow
def test_sigkill_in_mid_load(tmp_path: Path) -> None:
    """Killed again and again while it takes in and loads, the server loses nothing and counts nothing twice."""
    sender = Sender()
    for round_number, bodies in enumerate((3, 17, 31, 8, 23)):
        run_server(tmp_path, sender, bodies, signal.SIGKILL, interval=0.0 if round_number % 2 else 0.05)
    check(tmp_path, sender)


@pytest.mark.slow
def test_sigterm(tmp_path: Path) -> None:
    """A server that is asked to stop ends in order, and what it had acknowledged is loaded."""
    sender = Sender()
    for _ in range(2):
        assert run_server(tmp_path, sender, 10, signal.SIGTERM, interval=3600.0) == 0
        assert not list((tmp_path / "log").rglob("*.segment"))
    check(tmp_path, sender)
