"""Hooks after an import: called once, in time, and without a trace in what was imported."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
import threading
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

from mirante._core.guard import REPORTER
from mirante._core.imports import when_imported

NAMES = ("fresh_module", "fresh_package", "fresh_package.inner", "broken_module")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """On ``sys.path``, with a module and a package that nobody has imported."""
    (tmp_path / "fresh_module.py").write_text("value = 1\n")
    (tmp_path / "fresh_package").mkdir()
    (tmp_path / "fresh_package" / "__init__.py").write_text("")
    (tmp_path / "fresh_package" / "inner.py").write_text("import fresh_package\n")
    (tmp_path / "fresh_package" / "data.txt").write_text("data")
    (tmp_path / "broken_module.py").write_text("raise RuntimeError('broken')\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = list(sys.meta_path)
    yield tmp_path
    for name in NAMES:
        sys.modules.pop(name, None)
    assert sys.meta_path == before, "a finder of ours was left behind"


def test_a_hook_is_called_after_the_module_has_run_and_before_the_importer_goes_on(folder: Path) -> None:
    """So that the importer's first use already meets what the hook has patched."""
    when_imported("fresh_module", lambda: setattr(sys.modules["fresh_module"], "value", 2))
    module = importlib.import_module("fresh_module")
    assert module.value == 2


def test_a_module_that_is_there_is_told_at_once(folder: Path) -> None:
    """And the finder does not stay for it."""
    importlib.import_module("fresh_module")
    told: list[str] = []
    when_imported("fresh_module", lambda: told.append("here"))
    assert told == ["here"]


def test_a_hook_is_called_once_although_the_module_is_loaded_again(folder: Path) -> None:
    """``reload`` is the business of who calls it."""
    told: list[str] = []
    when_imported("fresh_module", lambda: told.append("first"))
    when_imported("fresh_module", lambda: told.append("second"))
    importlib.reload(importlib.import_module("fresh_module"))
    assert told == ["first", "second"]


def test_modules_keep_their_own_spec_and_loader(folder: Path) -> None:
    """What reads resources, source or the loader's class finds what it would have found."""
    seen: list[object] = []
    when_imported("fresh_package", lambda: seen.append(sys.modules["fresh_package"].__spec__))
    when_imported("fresh_package.inner", lambda: seen.append(sys.modules["fresh_package.inner"].__spec__))
    inner = importlib.import_module("fresh_package.inner")
    package = sys.modules["fresh_package"]
    for module in (package, inner):
        assert module.__spec__ is not None
        assert type(module.__spec__.loader) is SourceFileLoader
        assert module.__loader__ is module.__spec__.loader
    assert pkgutil.get_data("fresh_package", "data.txt") == b"data"
    assert seen == [package.__spec__, inner.__spec__]


def test_asking_for_a_spec_imports_nothing_and_its_loader_answers_as_always(folder: Path) -> None:
    """``find_spec`` is how programs look whether a package is installed."""
    told: list[str] = []
    cancel = when_imported("fresh_module", lambda: told.append("here"))
    spec = importlib.util.find_spec("fresh_module")
    assert spec is not None
    assert spec.loader.get_source("fresh_module") == "value = 1\n"  # type: ignore[union-attr] # as any source loader
    assert told == []
    cancel()


def test_a_lazily_loaded_module_tells_when_it_is_loaded(folder: Path) -> None:
    """``importlib.util.LazyLoader`` puts itself around ours."""
    told: list[str] = []
    when_imported("fresh_module", lambda: told.append("here"))
    spec = importlib.util.find_spec("fresh_module")
    assert spec is not None
    assert spec.loader is not None
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["fresh_module"] = module
    spec.loader.exec_module(module)
    assert told == []
    assert module.value == 1
    assert told == ["here"]


def test_a_module_without_a_spec_can_be_executed(folder: Path) -> None:
    """Old loaders make such modules."""
    told: list[str] = []
    when_imported("fresh_module", lambda: told.append("here"))
    spec = importlib.util.find_spec("fresh_module")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    module.__spec__ = None
    spec.loader.exec_module(module)
    assert told == ["here"]


def test_a_failed_import_fails_as_always_and_the_next_one_is_waited_for(folder: Path) -> None:
    """Programs try an import, install something and try again."""
    told: list[str] = []
    when_imported("broken_module", lambda: told.append("here"))
    with pytest.raises(RuntimeError, match="broken"):
        importlib.import_module("broken_module")
    assert told == []
    (folder / "broken_module.py").write_text("whole = True\n")
    importlib.invalidate_caches()
    importlib.import_module("broken_module")
    assert told == ["here"]


def test_a_module_that_nobody_has_fails_as_always() -> None:
    """With the usual error."""
    cancel = when_imported("no_such_module_anywhere", lambda: None)
    with pytest.raises(ModuleNotFoundError, match="No module named 'no_such_module_anywhere'"):
        importlib.import_module("no_such_module_anywhere")
    cancel()


def test_what_a_hook_raises_is_reported_and_the_import_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Later hooks are called all the same."""
    faults: list[tuple[str, BaseException]] = []
    monkeypatch.setattr(REPORTER, "fault", lambda where, error: faults.append((where, error)))
    told: list[str] = []

    def fail() -> None:
        raise ValueError("unforeseen")

    when_imported("fresh_module", fail)
    when_imported("fresh_module", lambda: told.append("here"))
    assert importlib.import_module("fresh_module").value == 1
    assert [(where, str(error)) for where, error in faults] == [("after the import of fresh_module", "unforeseen")]
    assert told == ["here"]


def test_a_cancelled_hook_is_not_called(folder: Path) -> None:
    """Others that wait for the same module are; cancelling twice, or after the call, does nothing."""
    told: list[str] = []
    first = when_imported("fresh_module", lambda: told.append("first"))
    second = when_imported("fresh_module", lambda: told.append("second"))
    first()
    first()
    importlib.import_module("fresh_module")
    second()
    assert told == ["second"]


def test_a_finder_that_asks_all_finders_does_not_go_round_in_circles(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As other tools' hooks do, before or after ours."""

    class Asking:
        """Asks everybody, itself left out."""

        busy = False

        def find_spec(
            self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
        ) -> ModuleSpec | None:
            if self.busy or name != "fresh_module":
                return None
            self.busy = True
            try:
                return importlib.util.find_spec(name)
            finally:
                self.busy = False

    told: list[str] = []
    cancel = when_imported("fresh_module", lambda: told.append("here"))
    before, after = Asking(), Asking()
    monkeypatch.setattr(sys, "meta_path", [before, *sys.meta_path[:1], after, *sys.meta_path[1:]])
    assert importlib.import_module("fresh_module").value == 1
    assert told == ["here"]
    cancel()
    monkeypatch.undo()
    cancel_again = when_imported("json_not_imported_by_anybody", lambda: None)
    cancel_again()


def test_namespace_packages_are_found_but_do_not_tell(folder: Path) -> None:
    """Nothing is executed for them, so there is nothing to be after."""
    (folder / "fresh_space").mkdir()
    told: list[str] = []
    cancel = when_imported("fresh_space", lambda: told.append("here"))
    assert importlib.import_module("fresh_space").__path__
    del sys.modules["fresh_space"]
    cancel()


def test_threads_that_import_at_once_call_a_hook_once(folder: Path) -> None:
    """Also when it is registered in the middle of their import."""
    (folder / "fresh_module.py").write_text("import time\ntime.sleep(0.05)\nvalue = 1\n")
    told: list[int] = []
    start = threading.Barrier(8)

    def go() -> None:
        start.wait(60)
        importlib.import_module("fresh_module")

    def register() -> None:
        start.wait(60)
        when_imported("fresh_module", lambda: told.append(1))

    threads = [threading.Thread(target=go) for _ in range(7)] + [threading.Thread(target=register)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert told == [1]
