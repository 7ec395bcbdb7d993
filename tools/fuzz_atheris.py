"""Coverage-guided fuzzing of every parser that bytes from outside reach, where ``atheris`` is installed.

``make fuzz`` runs it. atheris is no dependency: without it this says so and ends well. Each parser gets so many runs in
a process of its own; inputs that were refused with anything but the documented error stay in ``.artifacts/fuzz``.

    python -m tools.fuzz_atheris [RUNS [NAME ...]]
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

FOUND = Path(".artifacts/fuzz")
SECONDS = 600
"""The longest that one parser may take in all; a machine may be slow."""


def fuzz(name: str, runs: int) -> None:
    """Feed one parser, in this process, until it raises what it does not document."""
    import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore] # no dependency

    with atheris.instrument_imports(include=["mirante", "google.protobuf.json_format", "yaml"]):
        from tests.server.ingest.doors import open_doors
    FOUND.mkdir(parents=True, exist_ok=True)
    with open_doors() as doors, tempfile.TemporaryDirectory() as corpus:
        door = doors[name]
        for number, seed in enumerate(door.seeds):
            (Path(corpus) / str(number)).write_bytes(seed)

        def feed(body: bytes) -> None:
            try:
                door.feed(body)
            except door.refusals:
                return

        limits = [f"-runs={runs}", "-max_len=4096", f"-max_total_time={SECONDS}", "-rss_limit_mb=4096", "-seed=7"]
        quiet = ["-verbosity=0", f"-artifact_prefix={FOUND}/{name}-"]
        atheris.Setup([sys.argv[0], *limits, *quiet, corpus], feed)
        atheris.Fuzz()


def main(runs: int, names: list[str]) -> int:
    """Fuzz each parser in a process of its own, which atheris ends; gives 1 when one of them failed."""
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed (uv pip install atheris): no coverage-guided fuzzing")
        return 0
    from tests.server.ingest.doors import open_doors

    with open_doors() as doors:
        names = names or list(doors)
    failed = []
    for name in names:
        command = [sys.executable, "-W", "error::SyntaxWarning", "-m", "tools.fuzz_atheris", "--one", name, str(runs)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": "."}
        )
        print(f"{name:24} {'clean' if done.returncode == 0 else 'FAILED'}", flush=True)
        if done.returncode:
            failed.append(name)
            print(done.stdout[-2000:], done.stderr[-4000:])
    return bool(failed)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        fuzz(sys.argv[2], int(sys.argv[3]))
    else:
        sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000, sys.argv[2:]))
