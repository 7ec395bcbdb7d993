"""The end of processes that multiprocessing started."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mirante._core import workers
from mirante._core.workers import at_worker_exit


class Duty:
    """Leaves a note; any process may have to, so it says which one did."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self) -> None:
        """Note it."""
        with (self._folder / str(os.getpid())).open("a") as file:
            file.write("x")


def nothing() -> None:
    """A worker's work."""


def declare(folder: Path) -> None:
    """A worker that has something to do at its end, of which it tells itself, twice."""
    duty = Duty(folder)
    at_worker_exit(duty)
    at_worker_exit(duty)


def work_in_a_child(folder: Path) -> None:
    """A worker with a worker."""
    child = multiprocessing.get_context("fork").Process(target=nothing)
    child.start()
    child.join()
    (folder / "child").write_text(str(child.pid))


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> workers._Duties:
    """What is registered in the meantime, and nothing else."""
    monkeypatch.setattr(workers, "_duties", workers._Duties())
    return workers._duties


@pytest.mark.slow
def test_forked_workers_and_theirs_do_it_once_when_they_end(tmp_path: Path, known: workers._Duties) -> None:
    """The process itself does not: it has atexit."""
    at_worker_exit(Duty(tmp_path))
    worker = multiprocessing.get_context("fork").Process(target=work_in_a_child, args=(tmp_path,))
    worker.start()
    worker.join()
    for pid in (str(worker.pid), (tmp_path / "child").read_text()):
        assert (tmp_path / pid).read_text() == "x"
    assert not (tmp_path / str(os.getpid())).exists()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_worker_may_register_for_itself(tmp_path: Path, method: str) -> None:
    """However it was started, and however often it asks."""
    context: Any = multiprocessing.get_context(method)
    worker = context.Process(target=declare, args=(tmp_path,))
    worker.start()
    worker.join()
    assert (tmp_path / str(worker.pid)).read_text() == "x"


class Util:
    """Takes what is registered, as ``multiprocessing.util`` does."""

    def __init__(self) -> None:
        self.after_fork: list[tuple[Any, Callable[[Any], None]]] = []
        self.finalizers: list[tuple[Callable[[], object], int]] = []

    def register_after_fork(self, obj: object, function: Callable[[Any], None]) -> None:
        """Called in every worker that is forked from now on."""
        self.after_fork.append((obj, function))

    def Finalize(self, _obj: None, callback: Callable[[], object], *, exitpriority: int) -> None:  # noqa: N802 - its name
        """Called at this process's end."""
        self.finalizers.append((callback, exitpriority))


def test_what_happens_in_the_child(known: workers._Duties, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same in this process, where its coverage is seen."""
    workers._after_fork_in_child()
    for name in ("multiprocessing.util", "multiprocessing.process"):
        monkeypatch.delitem(sys.modules, name)
    workers._after_fork_in_child()
    at_worker_exit(nothing)
    util = Util()
    monkeypatch.setitem(sys.modules, "multiprocessing.util", util)
    known.known_to_multiprocessing = False
    for _ in range(2):
        workers._after_fork_in_child()
    ((registered, function),) = util.after_fork
    function(registered)
    assert util.finalizers == [(nothing, -100)]
    monkeypatch.setitem(sys.modules, "multiprocessing.process", SimpleNamespace(parent_process=object))
    for _ in range(2):
        at_worker_exit(print)
    assert util.finalizers == [(nothing, -100), (print, -100)]


def test_pools_of_others_tell_when_a_worker_ends(known: workers._Duties) -> None:
    """What is to be done then is done, the latest first."""
    done: list[int] = []
    for number in range(3):
        at_worker_exit(partial(done.append, number))
    workers.leave()
    assert done == [2, 1, 0]
    assert len(known.all) == 3
