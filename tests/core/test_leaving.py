"""What is to be done at the end of a process is done once, whoever tells of the end first."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mirante._core import leaving


def test_duties_are_done_once_the_latest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that were asked for twice; forgotten ones are not."""
    monkeypatch.setattr(leaving, "_duties", {print: None})
    done: list[str] = []

    def first() -> None:
        done.append("first")

    def second() -> None:
        done.append("second")

    leaving.forget(print)
    leaving.forget(print)
    leaving._duties[first] = None
    leaving.before_end(second)
    leaving.before_end(first)
    leaving.leave()
    leaving.leave()
    assert done == ["second", "first"]


def test_at_the_interpreters_end_they_are_done_by_themselves() -> None:
    """By ``atexit``, unless somebody has told of the end before."""
    program = """
from mirante._core.leaving import before_end, leave
before_end(lambda: print("told"))
leave()
before_end(lambda: print("at exit"))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.split("\n")[:2] == ["told", "at exit"]
