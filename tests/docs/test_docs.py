"""The documentation is true: reference pages match the code, Python blocks run, links lead somewhere."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import mirante
from mirante.errors import MiranteError
from tools import reference

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```python([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#]+)")


def blocks() -> Iterator[tuple[str, str]]:
    """Every Python block of every page, apart from those that say ``no-run`` with their reason."""
    for page in PAGES:
        for number, match in enumerate(BLOCK.finditer(page.read_text()), start=1):
            if "no-run" not in match[1]:
                yield f"{page.relative_to(ROOT)}:{number}", match[2]


@pytest.mark.parametrize("name", reference.PAGES)
def test_reference_pages_are_those_that_the_code_makes(name: str) -> None:
    """Every flag, variable and key is documented, with its true default; tools/reference.py writes them."""
    assert (reference.FOLDER / name).read_text() == reference.PAGES[name]()


@pytest.mark.parametrize(("name", "code"), [pytest.param(n, c, id=n) for n, c in blocks()])
def test_python_blocks_run(name: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a reader copies works, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    try:
        exec(compile(code, name, "exec"), {"__name__": "__main__"})  # noqa: S102 - the project's own documentation
    finally:
        mirante.disable()
        mirante.config.reset()
        for alert in mirante.alerts.registered():
            mirante.alerts.unregister(alert)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """A relative link names a file of the repository."""
    missing = [link for link in LINK.findall(page.read_text()) if not (page.parent / link.strip()).exists()]
    assert not missing


def modules() -> list[str]:
    """Every module of the package."""
    return sorted(m.name for m in pkgutil.walk_packages(mirante.__path__, "mirante.") if m.name != "mirante.__main__")


@pytest.mark.parametrize("name", modules())
def test_examples_in_docstrings_are_true(name: str) -> None:
    """Every ``>>>`` example gives what it shows."""
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert found.failed == 0


def test_the_exception_tree_in_the_docstring_is_the_real_one() -> None:
    """Every public exception stands in the drawn tree."""
    errors = importlib.import_module("mirante.errors")
    names = {n for n, c in vars(errors).items() if isinstance(c, type) and issubclass(c, MiranteError)}
    assert names <= set(re.findall(r"\w+", errors.__doc__ or ""))
