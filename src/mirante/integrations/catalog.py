"""The integrations by name, each installed when the library that it is for has been imported.

Nothing is imported for their sake: a library that a program never uses costs a dictionary entry.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from importlib import import_module
from typing import Literal, NamedTuple

from mirante._core.guard import REPORTER
from mirante._core.imports import when_imported
from mirante._core.patch import Patches
from mirante.errors import ConfigError


class Integration(NamedTuple):
    """One row of the catalog.

    Attributes:
        name: by which it is chosen.
        library: the module whose import triggers it.
        module: has ``install()`` and ``uninstall()``.
    """

    name: str
    library: str
    module: str


def _row(name: str, library: str | None = None, module: str | None = None) -> tuple[str, Integration]:
    return name, Integration(name, library or name, f"mirante.integrations.{module or name}")


CATALOG: dict[str, Integration] = dict(
    [
        _row("starlette"),
        _row("fastapi"),
        _row("flask"),
        _row("django"),
        _row("celery"),
        _row("sqlalchemy"),
        _row("httpx"),
        _row("requests"),
        _row("redis"),
        _row("asyncio"),
    ]
)
"""All that there are."""

Status = Literal["installed", "failed", "waiting", "off"]
"""``waiting``: its library has not been imported. ``off``: it was not chosen."""


def select(names: str) -> tuple[Integration, ...]:
    """The integrations that a setting names.

    Args:
        names: ``all``, ``none``, or names separated by commas. A name with ``-`` before it is left out; where only such
            names are given, all others are meant.

    Raises:
        ConfigError: there is no integration of that name.

    Example:
        >>> [one.name for one in select("redis,httpx")]
        ['httpx', 'redis']
        >>> len(select("-redis")) == len(select("all")) - 1
        True
    """
    chosen: set[str] = set()
    words = [word for part in names.split(",") if (word := part.strip().lower())]
    if words and all(word.startswith("-") for word in words):
        chosen.update(CATALOG)
    for word in words:
        name = word.removeprefix("-").strip()
        if name not in CATALOG and name not in ("all", "none"):
            raise _unknown(name)
        found = {name} if name in CATALOG else set(CATALOG) if name == "all" else set()
        chosen = chosen - found if word.startswith("-") else chosen | found
    return tuple(one for one in CATALOG.values() if one.name in chosen)


def _unknown(name: str) -> ConfigError:
    near = difflib.get_close_matches(name, CATALOG, n=1)
    hint = f' (did you mean "{near[0]}"?)' if near else ""
    return ConfigError(
        f'integrations: unknown name "{name}"{hint}; known are all, none, {", ".join(CATALOG)}', key="integrations"
    )


class _Chosen:
    """A chosen integration: waits for its library, and is installed then."""

    def __init__(self, row: Integration) -> None:
        self.row = row
        self.status: Status = "waiting"
        self.wanted = True
        self._noting = Patches()
        self._cancel: Callable[[], None] = when_imported(row.library, self._install)

    def _install(self) -> None:
        try:
            import_module(self.row.module).install()
            import_module("mirante.integrations.inventory").watch(self.row.name, self._noting)
        except Exception as error:  # noqa: BLE001 - telemetry never raises into the host
            self.status = "failed"
            REPORTER.fault(f"the integration {self.row.name} could not be installed", error)
            return
        self.status = "installed"
        if not self.wanted:  # another thread has given it up in the meantime
            self._uninstall()

    def give_up(self) -> None:
        self.wanted = False
        self._cancel()
        if self.status == "installed":
            self._uninstall()

    def _uninstall(self) -> None:
        self.status = "off"
        self._noting.undo()
        try:
            import_module(self.row.module).uninstall()
        except Exception as error:  # noqa: BLE001 - telemetry never raises into the host
            REPORTER.fault(f"the integration {self.row.name} could not be taken away", error)


_chosen: dict[str, _Chosen] = {}


def install(names: str = "all") -> None:
    """Install the named integrations whose library is imported already, and the others as soon as it is.

    Those installed before that are not named now are taken away; nothing is installed twice. A fault of an integration
    is reported and stops neither the others nor the program.

    Args:
        names: as ``select`` takes them.

    Raises:
        ConfigError: there is no integration of that name.

    Example:
        >>> install("none")
        >>> statuses()["redis"]
        'off'
    """
    wanted = {one.name: one for one in select(names)}
    for name in [name for name in _chosen if name not in wanted]:
        _chosen.pop(name).give_up()
    for name, row in wanted.items():
        if name not in _chosen:
            _chosen[name] = _Chosen(row)


def uninstall() -> None:
    """Take all of them away again, last one first, and wait for no library any more."""
    while _chosen:
        _chosen.popitem()[1].give_up()


def statuses() -> dict[str, Status]:
    """How each integration of the catalog stands."""
    return {name: _chosen[name].status if name in _chosen else "off" for name in CATALOG}
