"""Spools of several processes below one directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from mirante._core.guard import REPORTER
from mirante._core.spool import Spool
from mirante._core.spool_slots import open_spool


def test_without_a_directory_there_is_no_spool() -> None:
    """Then items wait in memory."""
    assert open_spool(None, "traces", 1 << 20) is None


def test_every_process_has_a_spool_of_its_own(tmp_path: Path) -> None:
    """The first that is free, with what an earlier process left there."""
    first, second = (open_spool(tmp_path, "traces", 1 << 20) for _ in range(2))
    assert first is not None
    assert second is not None
    first.append([b"left"])
    first.close()
    again = open_spool(tmp_path, "traces", 1 << 20)
    assert again is not None
    assert again.waiting_records == 1
    for spool in (second, again):
        spool.close()


def test_without_a_usable_spool_the_host_starts_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that cannot be used, or has no room for one more process, is told."""
    (tmp_path / "file").touch()
    told = REPORTER.counts.get("traces spool", 0)
    assert open_spool(tmp_path / "file", "traces", 1 << 20) is None
    monkeypatch.setattr("mirante._core.spool_slots._SLOTS", 1)
    spool = Spool(tmp_path / "traces-0")
    assert open_spool(tmp_path, "traces", 1 << 20) is None
    spool.close()
    assert REPORTER.counts["traces spool"] == told + 2
