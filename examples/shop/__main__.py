"""``python -m examples.shop``: the shop and its visitors; with ``--with-server`` also the server that watches them."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Self
from urllib.parse import urlsplit

START_SECONDS = 60.0
STOP_SECONDS = 10.0
POLL_SECONDS = 0.2


class Programs:
    """The started programs; leaving the block ends all of them, the last one first."""

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for program in reversed(self._running):
            program.terminate()
            try:
                program.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()

    def start_part(self, part: str, *arguments: str, answers: str = "") -> None:
        """Start one of our own modules, which ends when this process does."""
        self.start(f"examples.shop.{part}", "--parent", str(os.getpid()), *arguments, answers=answers)

    def start(self, module: str, *arguments: str, answers: str = "") -> None:
        """Start a module and wait until it answers at that URL.

        Raises:
            SystemExit: it ended, or did not answer in time.
        """
        self._running.append(subprocess.Popen([sys.executable, "-m", module, *arguments]))  # noqa: S603 - our own
        deadline = time.monotonic() + START_SECONDS
        while answers and not _answers(answers):
            self.check()
            if time.monotonic() > deadline:
                sys.exit(f"{module} does not answer on {answers}")
            time.sleep(POLL_SECONDS)

    def check(self) -> None:
        """Leave when a program has ended, with its exit code."""
        for program in self._running:
            if program.poll() is not None:
                raise SystemExit(program.returncode)

    def watch(self) -> None:
        """Wait until one of them ends."""
        while True:
            self.check()
            time.sleep(POLL_SECONDS)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:  # noqa: S310 - loopback
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _leave(number: int, _: FrameType | None) -> None:
    raise SystemExit(0)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.shop", description="A shop under load, to look at.")
    parser.add_argument("--with-server", action="store_true", help="start `mirante serve` too")
    parser.add_argument("--endpoint", default=os.environ.get("MIRANTE_ENDPOINT", "http://127.0.0.1:8503"),
                        help="the mirante server")  # fmt: skip
    parser.add_argument("--port", type=int, default=8600, help="where the shop answers")
    parser.add_argument("--rate", type=float, default=15.0, help="visits a second, on average")
    parser.add_argument("--duration", type=float, default=0.0, help="seconds; 0 until Ctrl-C")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Start everything and wait; Ctrl-C ends it all."""
    options = _options(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    shop = f"http://127.0.0.1:{options.port}"
    with tempfile.TemporaryDirectory(prefix="mirante-shop-") as folder, Programs() as programs:
        if options.with_server:
            port = str(urlsplit(options.endpoint).port or 8503)
            programs.start("mirante", "serve", "--port", port, answers=f"{options.endpoint}/-/ready")
        database = ["--database", str(Path(folder) / "shop.db")]
        programs.start_part(
            "service", "--endpoint", options.endpoint, "--port", str(options.port), *database,
            answers=f"{shop}/health",
        )  # fmt: skip
        programs.start_part("load", "--target", shop, "--rate", str(options.rate), "--duration", str(options.duration))
        print(f"The shop answers on {shop}, its telemetry is on {options.endpoint}. Ctrl-C ends it.", flush=True)
        programs.watch()


if __name__ == "__main__":
    main()
