"""A broken part is set aside and told; what killed runs left is cleared; everything else answers."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from mirante.server.store.damage import DamageReport
from tests.server.store.conftest import NOW, body, count, open_store

DAY = 86_400_000


def part_of(data: Path, day: str, column: str) -> Path:
    """The folder of that day's part in the table that has that column."""
    return next(
        path.parent
        for path in (data / "engine" / "store").glob(f"*/*/{day}_*/columns.txt")
        if f"`{column}`" in path.read_text()
    )


@pytest.mark.parametrize("harm", ["data.bin", "checksums.txt"])
def test_a_part_that_was_cut_is_set_aside_at_the_start(
    tmp_path: Path, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is named in the log, once, and counted; the other days answer and new samples are taken."""
    store = open_store(tmp_path)
    for age in range(3):
        store.write("remote_write", *(body("hurt", float(i), at=NOW - age * DAY, job=f"j{i}") for i in range(50)))
    day = store.one("SELECT partition_id FROM system.parts WHERE active AND table = 'samples' ORDER BY 1 LIMIT 1")
    store.close()
    file = part_of(tmp_path, day, "value") / harm
    file.write_bytes(file.read_bytes()[:20])
    (tmp_path / "tmp" / "left").mkdir()
    (tmp_path / "formats" / "a.123").write_text("")
    with caplog.at_level(logging.INFO):
        store = open_store(tmp_path)
        report = DamageReport(store.engine)
        report.tell()
        report.tell()
    assert not (tmp_path / "tmp" / "left").exists()
    assert "cleared 2 temporary files" in caplog.text
    assert count(store, "hurt") == 100
    store.write("remote_write", body("hurt", 1.0, at=NOW + 1, job="j1"))
    assert count(store, "hurt") == 101
    assert [(part["table"], part["day"]) for part in report.parts()] == [("samples", day)]
    assert caplog.text.count("is broken and was set aside") == 1
    assert next(iter(report.collect())).samples[0].value == 1
    store.close()


def test_a_part_whose_bytes_have_changed_is_found_by_the_check(tmp_path: Path) -> None:
    """Nobody reads everything at the start; whoever asks for the check has it set aside."""
    store = open_store(tmp_path)
    store.write("remote_write", *(body("rotten", float(i), job=f"j{i}") for i in range(500)))
    store.write("remote_write", *(body("sound", float(i), at=NOW - DAY, job=f"j{i}") for i in range(500)))
    day = store.one("SELECT max(partition_id) FROM system.parts WHERE active AND table = 'samples'")
    store.close()
    file = part_of(tmp_path, day, "value") / "data.bin"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)
    store = open_store(tmp_path)
    report = DamageReport(store.engine)
    assert report.parts() == []
    (name,) = report.check()
    assert name.startswith(f"samples/{day}")
    assert count(store, "sound") == 500
    assert count(store, "rotten") == 0
    assert len(report.parts()) == 1
    assert report.check() == []
    store.close()
