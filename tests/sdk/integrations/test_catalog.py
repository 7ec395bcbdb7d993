"""The catalog: what is chosen is installed when its library comes, and taken away again."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mirante._core.guard import REPORTER
from mirante.errors import ConfigError
from mirante.integrations import catalog
from mirante.integrations.catalog import CATALOG, Integration, select

INTEGRATION = """
log = []
def install():
    log.append("install")
def uninstall():
    log.append("uninstall")
"""


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A catalog of two integrations, for libraries that nobody has imported."""
    for name in ("first", "second"):
        (tmp_path / f"library_{name}.py").write_text("")
        (tmp_path / f"integration_{name}.py").write_text(INTEGRATION)
    monkeypatch.syspath_prepend(tmp_path)
    rows = {name: Integration(name, f"library_{name}", f"integration_{name}") for name in ("first", "second")}
    monkeypatch.setattr(catalog, "CATALOG", rows)
    yield tmp_path
    catalog.uninstall()
    for name in [name for name in sys.modules if name.startswith(("library_", "integration_"))]:
        del sys.modules[name]


def log(name: str) -> list[str]:
    """What was done with an integration."""
    found: list[str] = importlib.import_module(f"integration_{name}").log
    return found


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        ("all", set(CATALOG)),
        ("none", set()),
        ("", set()),
        ("redis, HTTPX", {"redis", "httpx"}),
        ("-redis", set(CATALOG) - {"redis"}),
        ("all,-redis,-asyncio", set(CATALOG) - {"redis", "asyncio"}),
        ("none,flask", {"flask"}),
        ("flask,-flask", set()),
    ],
)
def test_names_choose(names: str, chosen: set[str]) -> None:
    """``all``, ``none``, lists, and exceptions to them."""
    assert {one.name for one in select(names)} == chosen


def test_a_name_that_nobody_knows_is_an_error_that_suggests() -> None:
    """Before anything is installed."""
    with pytest.raises(ConfigError, match=r'unknown name "sqlalchmy" \(did you mean "sqlalchemy"\?\)') as caught:
        catalog.install("httpx,sqlalchmy")
    assert caught.value.key == "integrations"
    assert set(catalog.statuses().values()) == {"off"}
    with pytest.raises(ConfigError, match=r'unknown name "xyz"; known are all, none, '):
        select("-xyz")


def test_an_integration_waits_for_its_library(two: Path) -> None:
    """One whose library is there is installed at once; its library alone decides."""
    importlib.import_module("library_first")
    catalog.install()
    assert catalog.statuses() == {"first": "installed", "second": "waiting"}
    assert "integration_second" not in sys.modules
    importlib.import_module("library_second")
    assert catalog.statuses() == {"first": "installed", "second": "installed"}
    assert log("first") == log("second") == ["install"]


def test_uninstall_takes_away_what_is_there_and_waits_no_more(two: Path) -> None:
    """A library that comes later is left alone."""
    importlib.import_module("library_first")
    before = list(sys.meta_path)
    catalog.install()
    catalog.uninstall()
    importlib.import_module("library_second")
    assert log("first") == ["install", "uninstall"]
    assert "integration_second" not in sys.modules
    assert sys.meta_path == before
    assert set(catalog.statuses().values()) == {"off"}


def test_installing_again_does_the_difference(two: Path) -> None:
    """What stays is not touched, what is not named any more goes, what is new comes."""
    importlib.import_module("library_first")
    importlib.import_module("library_second")
    catalog.install("first")
    catalog.install("all")
    assert (log("first"), log("second")) == (["install"], ["install"])
    catalog.install("-first")
    assert (log("first"), log("second")) == (["install", "uninstall"], ["install"])


def test_an_integration_that_fails_is_reported_and_the_others_go_on(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a version of the library that it does not know; the program's import succeeds."""
    faults: list[str] = []
    monkeypatch.setattr(REPORTER, "fault", lambda where, error: faults.append(f"{where}: {error}"))
    (two / "integration_first.py").write_text("def install():\n    raise RuntimeError('too old')\n")
    catalog.install()
    importlib.import_module("library_first")
    importlib.import_module("library_second")
    assert catalog.statuses() == {"first": "failed", "second": "installed"}
    assert faults == ["the integration first could not be installed: too old"]
    catalog.uninstall()
    assert len(faults) == 1, "what was never installed is not taken away"


def test_an_integration_that_cannot_be_taken_away_is_reported(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the others are taken away all the same."""
    faults: list[str] = []
    monkeypatch.setattr(REPORTER, "fault", lambda where, error: faults.append(f"{where}: {error}"))
    (two / "integration_second.py").write_text(
        "def install(): ...\ndef uninstall():\n    raise RuntimeError('stuck')\n"
    )
    importlib.import_module("library_first")
    importlib.import_module("library_second")
    catalog.install()
    catalog.uninstall()
    assert faults == ["the integration second could not be taken away: stuck"]
    assert log("first") == ["install", "uninstall"]


def test_what_is_given_up_while_it_is_being_installed_does_not_stay(two: Path) -> None:
    """Another thread calls ``uninstall`` in the middle of an import; here the integration itself plays that thread."""
    (two / "integration_first.py").write_text(
        INTEGRATION.replace(
            'log.append("install")',
            'log.append("install")\n    from mirante.integrations import catalog\n    catalog.uninstall()',
        )
    )
    catalog.install("first")
    importlib.import_module("library_first")
    assert log("first") == ["install", "uninstall"]


EVERYTHING = """
import sys
from mirante.integrations import catalog
from mirante.integrations.catalog import CATALOG
import {libraries}
import flask, fastapi, starlette.applications, django.core.handlers.wsgi, django.core.handlers.asgi
import celery, sqlalchemy, httpx, requests, redis, redis.asyncio, asyncio
classes = [flask.Flask, fastapi.FastAPI, starlette.applications.Starlette, django.core.handlers.wsgi.WSGIHandler,
           celery.Celery, sqlalchemy.Engine, httpx.Client, httpx.HTTPTransport, requests.adapters.HTTPAdapter,
           redis.Redis, redis.asyncio.Redis]
before = [dict(vars(one)) for one in classes]
catalog.install()
assert set(catalog.statuses().values()) == {{"installed"}}, catalog.statuses()
changed = [one.__name__ for one, was in zip(classes, before) if dict(vars(one)) != was]
assert len(changed) == len(classes), changed
catalog.uninstall()
for one, was in zip(classes, before):
    now = dict(vars(one))
    changed = {{name for name in now if now[name] is not was.get(name)}}
    assert changed <= {{"dispatch", "_has_events"}}, (one, changed)
"""


@pytest.mark.slow
def test_every_integration_installs_and_leaves_its_library_as_it_was() -> None:
    """All of the catalog, in a program of its own; what SQLAlchemy keeps for its listeners is its own business."""
    code = EVERYTHING.format(libraries=", ".join(row.library for row in CATALOG.values()))
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
