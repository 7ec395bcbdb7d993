"""Starts real programs on loopback for the tests, waits until they answer, and ends them by their id."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

START_SECONDS = 60.0


def free_port() -> int:
    """A TCP port that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def program(name: str) -> str:
    """Where a program is; the test is skipped with its name where it is not installed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian has a package for it; .ci/run installs it)")
    return found


def fetch(
    url: str, *, data: bytes | None = None, headers: Mapping[str, str] | None = None, method: str | None = None
) -> tuple[int, bytes]:
    """Status and body of one request; an error status is an answer too."""
    request = urllib.request.Request(url, data, dict(headers or {}), method=method)  # noqa: S310 - loopback only
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310 - loopback only
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def wait_for(condition: Any, *, seconds: float = START_SECONDS, what: str = "the condition") -> Any:
    """Call until the answer is true, and give it; the real clock, because the other side is a real program."""
    deadline = time.monotonic() + seconds
    while True:
        got = condition()
        if got:
            return got
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain for {what}"
        time.sleep(0.1)


class Peer:
    """A started program.

    Attributes:
        process: the operating system's process.
        url: where it answers, without a slash at the end.
        output: file that holds what it printed.
    """

    def __init__(self, command: Sequence[str], url: str, output: Path, env: Mapping[str, str] | None = None) -> None:
        self.url, self.output = url, output
        with output.open("ab") as sink:
            self.process = subprocess.Popen(
                command, stdout=sink, stderr=subprocess.STDOUT, env={**os.environ, **(env or {})}
            )

    def answers(self, path: str) -> bool:
        """Whether it answers 200 there; fails the test when the program has ended."""
        assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.output.read_text()}"
        try:
            return fetch(self.url + path)[0] == 200
        except OSError:
            return False

    def get(self, path: str, **parameters: str | float) -> Any:
        """The JSON of a GET."""
        query = f"?{urlencode(parameters)}" if parameters else ""
        return json.loads(fetch(f"{self.url}{path}{query}")[1])

    def query(self, expression: str, **parameters: str | float) -> list[dict[str, Any]]:
        """The ``result`` of an instant query."""
        answer = self.get("/api/v1/query", query=expression, **parameters)
        assert answer["status"] == "success", answer
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> int:
        """End it and give its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


@contextmanager
def running(
    command: Sequence[str], url: str, ready: str, output: Path, env: Mapping[str, str] | None = None
) -> Iterator[Peer]:
    """A program that answers at ``url + ready``, ended when the block is left."""
    peer = Peer(command, url, output, env)
    try:
        wait_for(lambda: peer.answers(ready), what=f"{command[0]} to answer on {url}{ready}")
        yield peer
    finally:
        peer.stop()


@contextmanager
def mirante(folder: Path, *flags: str, port: int | None = None) -> Iterator[Peer]:
    """A real ``mirante serve`` with its data below ``folder``; OTLP's own ports only where flags ask for them."""
    port = port or free_port()
    command = [sys.executable, "-m", "mirante", "serve", "--data", str(folder / "data"), "--port", str(port)]
    for flag in ("--otlp-grpc-port", "--otlp-http-port"):  # or tests would fight over the usual ones
        command += [] if flag in flags else [flag, "off"]
    command += [] if "--shipped-rules" in flags else ["--shipped-rules", "none"]  # a test sees its own rules alone
    command += flags
    with running(command, f"http://127.0.0.1:{port}", "/-/ready", folder / "mirante.log") as peer:
        yield peer
