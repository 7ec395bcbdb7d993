"""How much of the disk is kept in reserve."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mirante.server.store import space
from mirante.server.store.space import Ballast, reserve_bytes


def test_what_the_setting_means(tmp_path: Path) -> None:
    """A size, a share of the disk, or the lesser of 5 % and a gibibyte."""
    disk = os.statvfs(tmp_path)
    total = disk.f_blocks * disk.f_frsize
    assert reserve_bytes("2GB", tmp_path) == 2 << 30
    assert reserve_bytes("10%", tmp_path) == int(total / 10)
    assert reserve_bytes("auto", tmp_path) == min(int(total * 0.05), 1 << 30)


def test_ballast_is_taken_only_where_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And never more than an eighth of the reserve; a disk that refuses it is no error."""
    path = tmp_path / "ballast"
    with monkeypatch.context() as patch:
        patch.setattr(space, "free_bytes", lambda _: 1 << 20)
        Ballast(path, 1 << 20).ensure()
        assert not path.exists()
    of = Ballast(path, 1 << 20)
    of.ensure()
    assert path.stat().st_size == 1 << 17
    of.ensure()
    of.release()
    assert not path.exists()

    def refuse(*_: int) -> None:
        raise OSError

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    of.ensure()
    assert not path.exists()
