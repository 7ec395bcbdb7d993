"""What ``mirante run`` does inside the program, before its first line."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import MutableMapping

CHILDREN = "MIRANTE_RUN_CHILDREN"
"""Variable: ``false`` when Python programs that the program starts are not to be monitored."""

REPORT = "MIRANTE_REPORT"
"""Variable: ``1`` when every process is to say at its end what of it is not monitored."""

PID = "MIRANTE_RUN_PID"
"""Variable: the process id of the program itself, as against its children."""


def start(directory: str) -> None:
    """Configure this process's telemetry from its environment.

    A fault is told on standard error and never keeps the program from starting.

    Args:
        directory: the entry of PYTHONPATH by which we came here.
    """
    if _is_bookkeeping(sys.orig_argv):
        return
    if os.environ.get(CHILDREN) == "false":
        leave(os.environ, directory)
    try:
        from mirante.configure import configure

        configure()
    except Exception as error:  # noqa: BLE001 - the program must start
        sys.stderr.write(f"mirante: this program is not monitored: {error}\n")
    if os.environ.get(REPORT) == "1":
        atexit.register(_report)  # comes before configure's own, while everything is still in its place


def _report() -> None:
    from mirante.integrations.report import report

    sys.stderr.write(f"mirante: process {os.getpid()}: {report()}\n")


def leave(environment: MutableMapping[str, str], directory: str) -> None:
    """Take ourselves out of what the program's children inherit."""
    rest = [entry for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry != directory]
    environment["PYTHONPATH"] = os.pathsep.join(rest)
    if not environment["PYTHONPATH"]:
        del environment["PYTHONPATH"]  # an empty one would mean the current folder to some programs
    for name in (CHILDREN, PID):
        environment.pop(name, None)


def _is_bookkeeping(command: list[str]) -> bool:
    """Whether this is a process of multiprocessing's own, in which nothing of the program runs."""
    return any(word.startswith("from multiprocessing.resource_tracker import") for word in command)
