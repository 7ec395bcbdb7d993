"""Keeps out of the server what would only cost memory."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class _Without(MetaPathFinder):
    """Says of some packages that they are not installed."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        if fullname in self._names:
            raise ModuleNotFoundError(f"{fullname} is kept out of the server", name=fullname)
        return None


def keep_out(*names: str) -> None:
    """Let no part of this process import those packages; for the program, never for a library.

    pyarrow loads pandas as soon as it makes a value, where pandas is installed: 40 MB and half a second for conversions
    that nothing here uses.
    """
    sys.meta_path.insert(0, _Without(frozenset(names)))
