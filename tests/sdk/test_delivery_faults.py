"""Delivery while things go wrong: real programs that record, a real receiver that is killed, hangs or is not there."""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGKILL
from typing import Any, Self

import pytest

from tests.peers import fetch, free_port, wait_for

pytestmark = pytest.mark.slow

SIGNALS = ("/v1/traces", "/v1/logs")
PATIENCE = 120.0
NOUNS = {"/v1/traces": "spans", "/v1/logs": "log_records"}


def unmeasured() -> dict[str, str]:
    """The environment of programs that fork: coverage's own lock does not survive that in a process with threads."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COV")}


class Receiver:
    """The program of ``tests.sdk.faults.receiver``; it can be killed and started again on its port."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._book = folder / "received"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Until it answers."""
        command = [sys.executable, "-m", "tests.sdk.faults.receiver", str(self.port), str(self._book)]
        self._process = subprocess.Popen(command)
        wait_for(self._answers, what="the receiver")

    def _answers(self) -> bool:
        try:
            return fetch(f"http://127.0.0.1:{self.port}/")[0] == 200
        except OSError:
            return False

    def kill(self) -> None:
        """At once, whatever it is doing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def entries(self, signal: str) -> list[dict[str, Any]]:
        """The requests of a signal that it has taken."""
        text = self._book.read_text() if self._book.exists() else ""
        entries = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        return [entry for entry in entries if entry["signal"] == signal]

    def names(self, signal: str) -> Counter[str]:
        """How often each item has arrived."""
        return Counter(name for entry in self.entries(signal) for name in entry["names"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class Host:
    """The program of ``tests.sdk.faults.host``."""

    def __init__(self, port: int, **settings: object) -> None:
        command = [sys.executable, "-m", "tests.sdk.faults.host", str(port), json.dumps(settings)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.process = subprocess.Popen(command, text=True, env=unmeasured(), **pipes)  # type: ignore[call-overload]

    def ask(self, *command: object) -> Any:
        """Give a command and wait for its answer."""
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, self.process.stderr.read()
        return json.loads(answer)

    def count(self, signal: str, what: str) -> float:
        """One of its counts."""
        counts: dict[str, float] = self.ask("stats")
        return counts.get(f"mirante_{NOUNS[signal]}_{what}", 0.0)

    def dropped(self, signal: str) -> dict[str, float]:
        """Its losses by reason; ``recursive`` are the reports of failed deliveries themselves, no lines of ours."""
        head = f"mirante_{NOUNS[signal]}_dropped_total "
        found = {name.removeprefix(head): n for name, n in self.ask("stats").items() if name.startswith(head)}
        found.pop("recursive", None)
        return found

    def leave(self) -> None:
        """Let it come to its end, although a child still holds its pipes."""
        self.process.stdin.close()
        self.process.stdin = None  # or waiting for the rest would flush it
        assert self.process.wait(PATIENCE) == 0

    def end(self) -> str:
        """Let it come to its end, and give what it complained of."""
        _, errors = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0, errors
        return str(errors)


@contextmanager
def host(port: int, **settings: object) -> Iterator[Host]:
    """A host, which is gone after the block."""
    started = Host(port, **settings)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.communicate()


def spools(folder: Path, size: int = 64 << 20) -> dict[str, object]:
    """Settings of a spool for each signal."""
    return {
        "traces_spool": str(folder / "spool"), "logs_spool": str(folder / "spool"), "traces_spool_bytes": size,
        "logs_spool_bytes": size, "traces_interval": 0.1, "logs_interval": 0.1, "traces_timeout": PATIENCE,
        "logs_timeout": PATIENCE,
    }  # fmt: skip


PLENTY = {"traces_queue_size": 1_000_000, "logs_queue_size": 1_000_000}


def expected(prefix: str, first: int, end: int) -> set[str]:
    """Names that ``record`` gives."""
    return {f"{prefix}-{number}" for number in range(first, end)}


def test_with_a_spool_a_killed_server_costs_nothing(tmp_path: Path) -> None:
    """Killed in the middle of the stream and started again: all arrives; at most what was under way arrives twice."""
    threads, each = 4, 1500
    with Receiver(tmp_path) as receiver, host(receiver.port, **spools(tmp_path), **PLENTY) as program:
        receiver.start()
        for thread in range(threads):
            program.ask("begin", f"t{thread}", each)
        wait_for(lambda: all(receiver.names(signal) for signal in SIGNALS), what="the first requests")
        receiver.kill()
        program.ask("record", "away", 0, 1000)
        wait_for(lambda: list((tmp_path / "spool").glob("*/*.segment")), what="something on disk")
        receiver.start()
        program.ask("join")
        program.ask("flush")
        wanted = expected("away", 0, 1000).union(*(expected(f"t{thread}", 0, each) for thread in range(threads)))
        for signal in SIGNALS:
            wait_for(lambda: len(receiver.names(signal)) == len(wanted), seconds=PATIENCE, what=signal)  # noqa: B023 - called at once
            assert program.dropped(signal) == {}
        program.end()
        for signal in SIGNALS:
            names = receiver.names(signal)
            assert set(names) == wanted
            assert sum(names.values()) - len(names) <= 512, "only the request that was under way may come twice"


def test_without_a_spool_losses_are_bounded_and_counted(tmp_path: Path) -> None:
    """The queue has its size whatever is recorded; every item has arrived or is counted by its reason."""
    size, total = 1000, 5000
    limits = {"traces_queue_size": size, "logs_queue_size": size, "traces_batch_size": 100, "logs_batch_size": 100}
    with Receiver(tmp_path) as receiver, host(receiver.port, **limits) as program:
        program.ask("record", "x", 0, total)
        for signal in SIGNALS:
            assert 0 < program.count(signal, "queued") <= size
        receiver.start()
        program.ask("flush", PATIENCE)
        for signal in SIGNALS:
            lost = program.dropped(signal)
            assert {"queue_full"} <= lost.keys() <= {"queue_full", "unreachable"}
            arrived = receiver.names(signal)
            assert len(arrived) + sum(lost.values()) == total
            assert set(arrived) <= expected("x", 0, total)
        program.end()


def test_a_full_spool_gives_up_the_oldest_and_counts_them(tmp_path: Path) -> None:
    """The newest arrive when the server is there, without a gap."""
    each, rounds = 50, 60
    with Receiver(tmp_path) as receiver, host(receiver.port, **spools(tmp_path, 64 << 10)) as program:
        for number in range(rounds):
            program.ask("record", "x", number * each, (number + 1) * each)
            program.ask("flush", PATIENCE)
        lost = {signal: program.dropped(signal) for signal in SIGNALS}
        kept = sum(path.stat().st_size for path in (tmp_path / "spool").glob("*/*.segment"))
        assert kept <= 2 * (64 << 10)
        receiver.start()
        for signal in SIGNALS:
            assert lost[signal].keys() == {"spool_full"}
            gone = int(lost[signal]["spool_full"])
            wanted = expected("x", gone, each * rounds)
            wait_for(lambda: len(receiver.names(signal)) >= len(wanted), seconds=PATIENCE, what=signal)  # noqa: B023 - called at once
            assert set(receiver.names(signal)) == wanted
            assert program.dropped(signal) == lost[signal]
        program.end()


def test_a_full_disk_costs_items_and_nothing_else(tmp_path: Path) -> None:
    """Nothing is raised into the host; what could not be kept is counted."""
    with host(free_port(), **spools(tmp_path)) as program:
        program.ask("limit", 20_000)
        for number in range(20):
            program.ask("record", "x", number * 50, (number + 1) * 50)
            program.ask("flush", PATIENCE)
        for signal in SIGNALS:
            lost = program.dropped(signal)
            assert lost.keys() == {"spool_full"}
            assert 0 < lost["spool_full"] < 1000
        program.ask("limit", resource.RLIM_INFINITY)
        assert "Traceback" not in program.end()


def test_a_forked_child_that_lives_on_does_not_keep_the_spool(tmp_path: Path) -> None:
    """Once the parent has ended, the next process takes its spool over and delivers what is in it."""
    with Receiver(tmp_path) as receiver:
        with host(receiver.port, **spools(tmp_path)) as first:
            first.ask("record", "first", 0, 100)
            first.ask("flush")
            child = first.ask("fork")
            try:
                first.leave()
                receiver.start()
                with host(receiver.port, **spools(tmp_path)) as second:
                    second.ask("record", "second", 0, 10)
                    wanted = expected("first", 0, 100) | expected("second", 0, 10)
                    for signal in SIGNALS:
                        wait_for(lambda: set(receiver.names(signal)) == wanted, seconds=PATIENCE, what=signal)  # noqa: B023 - called at once
                    second.end()
            finally:
                os.kill(child, SIGKILL)
        assert sorted(path.name for path in (tmp_path / "spool").iterdir()) == ["logs-0", "traces-0"]


@pytest.mark.parametrize("hangs", [True, False], ids=["hangs", "is not there"])
def test_a_dead_server_does_not_keep_the_process_from_ending(hangs: bool) -> None:
    """By default it takes two seconds at most to give up; tested with much patience, but less than any retry needs."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if hangs:
            silent.listen(64)  # the system accepts, and nobody ever answers
        with host(silent.getsockname()[1]) as program:
            program.ask("record", "x", 0, 3000)
            begun = time.monotonic()
            program.end()
            assert time.monotonic() - begun < 20.0


def test_forks_deliver_what_they_record_and_nothing_twice(tmp_path: Path) -> None:
    """By ``os.fork`` and by multiprocessing, forked and spawned, while threads record: no item is lost or doubled."""
    with Receiver(tmp_path) as receiver:
        receiver.start()
        command = [sys.executable, "-m", "tests.sdk.faults.forking", str(receiver.port)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=5 * PATIENCE, check=False, env=unmeasured()
        )
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert set(told["codes"]) == {0}, done.stderr
        for signal in SIGNALS:
            names = receiver.names(signal)
            assert set(names.values()) == {1}
            own = {name for name in names if name.startswith("parent")}
            assert own == {f"parent-{t}-{n}" for t, count in enumerate(told["counts"]) for n in range(count)}
            assert len(names) - len(own) == 30 * len(told["pids"])
            for entry in receiver.entries(signal):
                for name in entry["names"]:
                    assert entry["pid"] == (told["pid"] if name in own else int(name.split("-")[1]))
