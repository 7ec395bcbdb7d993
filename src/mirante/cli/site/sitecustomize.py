"""Run by the interpreter at its start, because ``mirante run`` has put this directory first on PYTHONPATH.

It may be run by another Python than the one that mirante is installed in, so there is nothing new in its syntax.
"""

import importlib
import os
import sys


def _monitor() -> None:
    try:
        from mirante.cli import autostart
    except (ImportError, SyntaxError) as error:
        if os.environ.get("MIRANTE_RUN_PID") == str(os.getpid()):  # a child of the program is left in peace
            sys.stderr.write("mirante: this program is not monitored: %s: %s\n" % (sys.executable, error))  # noqa: UP031
        return
    autostart.start(_HERE)


def _run_the_users_own() -> None:
    """What would have run without us: the next ``sitecustomize`` on the path, faults and all."""
    ours = sys.modules.pop("sitecustomize")
    try:
        importlib.import_module("sitecustomize")
    except ModuleNotFoundError as error:
        if error.name != "sitecustomize":
            raise
    finally:
        sys.modules.setdefault("sitecustomize", ours)  # the interpreter is in the middle of importing it


_HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib is 10 ms that every start would pay
sys.path[:] = [entry for entry in sys.path if entry != _HERE]
_monitor()
_run_the_users_own()
