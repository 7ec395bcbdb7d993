"""``mirante run``: start a program with its telemetry set up, without touching its code.

Needs nothing but the SDK. Exit codes: the program's own; 126 where it cannot be executed, 127 where it is not found, as
``env`` has them; 2 wrong usage.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from mirante.cli.autostart import CHILDREN, PID, REPORT
from mirante.config import Entry, entries
from mirante.configure import Settings

SITE = str(Path(__file__).parent / "site")
"""Directory of the ``sitecustomize`` that sets telemetry up."""

SUMMARY = "Start a Python program with metrics, traces and logs, without touching its code."

_DESCRIPTION = f"""\
{SUMMARY}

  mirante run --service-name orders --endpoint http://127.0.0.1:8503 -- python app.py
  mirante run -- gunicorn shop.wsgi
  mirante run -- celery -A shop worker

The program takes this process's place: signals and exit codes are its own. Every setting can be given as its
environment variable instead. Python programs that it starts are set up too, unless --no-children is given."""


def main(arguments: Sequence[str]) -> NoReturn:
    """Run the verb; comes back only by an exit.

    Args:
        arguments: what stands behind ``mirante run``.
    """
    parser = _parser()
    options, command = _split(parser, arguments)
    if not command:
        parser.error("the program is missing, as in: mirante run -- python app.py")
    variables = _variables(parser, options) | ({REPORT: "1"} if options["report"] else {})
    execute(command, environment(os.environ, variables, children=options["children"]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "mirante run",
        usage="mirante run [setting ...] [--] program [argument ...]",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--children",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether Python programs that the program starts are set up too (default: yes)",
    )
    parser.add_argument(
        "--report", action="store_true", help="say on standard error at the end what is not monitored (mirante.report)"
    )
    for table in Settings.__bases__:
        group = parser.add_argument_group((table.__doc__ or "").rstrip("."))
        for row in entries(table):
            group.add_argument(row.flag, dest=row.key, help=_help(row), **_kind(row))
    parser.add_argument("command", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def _help(row: Entry) -> str:
    names = ", ".join(name.name for name in row.env)
    default = "none" if row.default in (None, "") else str(row.default).lower() if row.type is bool else row.default
    return f"{row.help} [env: {names}; default: {default}]".replace("%", "%%")


def _kind(row: Entry) -> dict[str, Any]:
    if row.type is bool:
        return {"action": argparse.BooleanOptionalAction, "default": None}
    return {"metavar": {int: "N", float: "DURATION"}.get(row.type, "FILE" if "Path" in str(row.type) else "TEXT")}


def _split(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Our options, and the program with its arguments: what is behind the first ``--``, or from the first word on."""
    ours, separator, rest = list(arguments), [], []
    if "--" in ours:
        at = ours.index("--")
        ours, separator, rest = ours[:at], ["--"], ours[at + 1 :]
    options = vars(parser.parse_args(ours))
    command: list[str] = options.pop("command")
    return options, [*command, *separator, *rest] if command else rest


def _variables(parser: argparse.ArgumentParser, options: Mapping[str, Any]) -> dict[str, str]:
    """The settings that were given, as environment variables; one that cannot be used is wrong usage."""
    found = {}
    for row in entries(Settings):
        given = options[row.key]
        if given is None:
            continue
        try:
            row.parse(given)
        except ValueError as error:
            parser.error(f"{row.flag} {given!r} cannot be used: {error}")
        found[row.env[0].name] = str(given).lower() if row.type is bool else given
    return found


def environment(base: Mapping[str, str], settings: Mapping[str, str], *, children: bool) -> dict[str, str]:
    """The program's environment variables.

    Args:
        base: those of this process.
        settings: variables that win over them.
        children: whether Python programs that the program starts are set up too.
    """
    path = [entry for entry in base.get("PYTHONPATH", "").split(os.pathsep) if entry not in ("", SITE)]
    variables = {**base, **settings, "PYTHONPATH": os.pathsep.join([SITE, *path]), PID: str(os.getpid())}
    variables.pop(CHILDREN, None)
    return variables if children else {**variables, CHILDREN: "false"}


def execute(command: Sequence[str], variables: Mapping[str, str]) -> NoReturn:
    """Let a program take this process's place."""
    for name in ("SIGPIPE", "SIGXFSZ"):  # which Python ignores, and a program would inherit that
        if hasattr(signal, name):  # pragma: no branch - absent on Windows
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    try:
        os.execvpe(command[0], list(command), dict(variables))  # noqa: S606 - the user's own command, without a shell
    except FileNotFoundError:
        _give_up(127, command[0], "not found")
    except OSError as error:
        _give_up(126, command[0], f"cannot be executed: {error.strerror}")


def _give_up(code: int, program: str, why: str) -> NoReturn:
    hint = f"; did you mean: mirante run -- python {program}" if program.endswith(".py") else ""
    sys.stderr.write(f"mirante run: {program}: {why}{hint}\n")
    sys.exit(code)
