"""Files of measurements: nothing exported is lost, nothing grows without bound."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from mirante._core.record import AggregatedMetric, Metric, from_json
from mirante.errors import ConfigError, DeclarationError, DeliveryError
from mirante.exporters import FileExporter
from mirante.exporters.file import Parquet
from tests.sdk.telemetry.support import FakeClock

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
BATCH = [
    Metric("m", 1.5, NOW, {"a": "b"}, {"user": 7, "path": Path("/x")}),
    AggregatedMetric("t", NOW, {"c": "d"}, count=2, sum=3.0, min=1.0, max=2.0, last=2.0, quantiles={0.5: 1.0}),
]


class Bench:
    """An exporter at a time that moves when told."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.clock = FakeClock()
        self.folder = folder
        self.exporter = FileExporter(folder, clock=self.clock, **more)

    def put(self, *values: float, size: int = 0) -> None:
        """Export measurements, later than those before."""
        self.clock.now += 0.001
        self.exporter.export([Metric("m", value, NOW, metadata={"x": "y" * size}) for value in values])

    def names(self) -> list[str]:
        """All files, oldest first."""
        return sorted(path.name for path in self.folder.iterdir())

    def values(self) -> list[list[float]]:
        """What stands in the files of JSON lines, oldest first."""
        return [[json.loads(line)["value"] for line in self.text(name)] for name in self.names()]

    def text(self, name: str) -> list[str]:
        """Lines of a file."""
        return (self.folder / name).read_text().splitlines()


def rows(path: Path) -> list[dict[str, Any]]:
    """What stands in a Parquet file."""
    found: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
    return found


def test_lines_are_records(tmp_path: Path) -> None:
    """And can be read back; what JSON does not know becomes text."""
    exporter = FileExporter(tmp_path / "new" / "folder")
    exporter.export(BATCH)
    lines = exporter.path.read_text().splitlines()
    exporter.close()
    assert [from_json(json.loads(line)) for line in lines] == [
        Metric("m", 1.5, NOW, {"a": "b"}, {"user": 7, "path": "/x"}),
        BATCH[1],
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"prefix": ""},
        {"prefix": "a/b"},
        {"max_bytes": 0},
        {"max_bytes": 10, "max_total_bytes": 9},
        {"max_age": 0},
        {"format": "csv"},
    ],
)
def test_settings_are_checked(tmp_path: Path, wrong: dict[str, Any]) -> None:
    """Where they are written."""
    with pytest.raises(DeclarationError, match="FileExporter: "):
        FileExporter(tmp_path, **wrong)


def test_a_file_that_is_large_or_old_is_followed_by_a_new_one(tmp_path: Path) -> None:
    """At the next batch; an empty batch begins none."""
    bench = Bench(tmp_path, max_bytes=200, max_age=60)
    bench.exporter.export([])
    assert bench.exporter.path == tmp_path
    bench.put(1)
    bench.put(2, size=200)
    bench.put(3)
    bench.put(4)
    bench.clock.now += 61
    bench.put(5)
    bench.exporter.close()
    bench.exporter.close()
    bench.put(6)
    bench.exporter.close()
    assert bench.values() == [[1, 2], [3, 4], [5], [6]]


def test_all_files_together_keep_below_the_limit(tmp_path: Path) -> None:
    """The oldest are deleted; those of another prefix do not count."""
    other = Bench(tmp_path, prefix="other")
    other.put(99, size=5000)
    other.exporter.close()
    bench = Bench(tmp_path, max_bytes=300, max_total_bytes=1000)
    for value in range(10):
        bench.put(value, size=250)
        mine = [path for path in tmp_path.iterdir() if path.name.startswith("telemetry")]
        assert sum(path.stat().st_size for path in mine) <= 1300
    bench.exporter.close()
    assert bench.values()[0] == [99]
    assert bench.values()[-1] == [9]
    assert 2 <= len(bench.values()) - 1 <= 4


def test_two_exporters_share_a_directory(tmp_path: Path) -> None:
    """Neither deletes nor turns what the other is writing."""
    first = Bench(tmp_path, max_bytes=200, max_total_bytes=200, format="parquet")
    second = Bench(tmp_path, max_bytes=200, max_total_bytes=200, format="parquet")
    first.put(1, size=300)
    second.clock.now += 1
    second.put(2, size=300)
    assert [Path(name).suffix for name in first.names()] == [".jsonl", ".jsonl"]
    first.exporter.close()
    second.exporter.close()
    assert [rows(tmp_path / name)[0]["value"] for name in first.names()] == [1, 2]


def test_parquet_has_every_column(tmp_path: Path) -> None:
    """Once the file is complete; until then it is JSON lines."""
    exporter = FileExporter(tmp_path, format="parquet")
    exporter.export(BATCH)
    assert exporter.path.suffix == ".jsonl"
    exporter.close()
    (path,) = tmp_path.iterdir()
    assert path.suffix == ".parquet"
    nothing = dict.fromkeys(("count", "sum", "min", "max", "last"))
    assert rows(path) == [
        {
            "timestamp": NOW,
            "name": "m",
            "value": 1.5,
            "tags": [("a", "b")],
            "metadata": '{"user": 7, "path": "/x"}',
            **nothing,
            "quantiles": [],
        },
        {
            "timestamp": NOW,
            "name": "t",
            "value": 3.0,
            "tags": [("c", "d")],
            "metadata": None,
            "count": 2.0,
            "sum": 3.0,
            "min": 1.0,
            "max": 2.0,
            "last": 2.0,
            "quantiles": [(0.5, 1.0)],
        },
    ]


def test_parquet_files_of_many_rows_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row groups follow one another without loss."""
    monkeypatch.setattr("mirante.exporters.file._ROWS", 7)
    bench = Bench(tmp_path, format="parquet")
    bench.put(*range(50))
    bench.exporter.close()
    assert [row["value"] for row in rows(tmp_path / bench.names()[0])] == list(range(50))


def test_a_file_that_a_killed_process_left_is_turned_by_the_next(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """But for the line that it was writing."""
    line = '{"timestamp":"2026-01-01T00:00:00+00:00","name":"m","value":1.0}'
    (tmp_path / "telemetry-20200101T000000.000000-1.jsonl").write_text(f"{line}\n{line}\n{line[:20]}")
    bench = Bench(tmp_path, format="parquet")
    bench.put(5)
    assert len(rows(tmp_path / "telemetry-20200101T000000.000000-1.parquet")) == 2
    bench.exporter.close()
    assert "a line that is not whole was left out" in caplog.text


def test_a_file_that_another_process_turned_meanwhile_is_no_fault(tmp_path: Path) -> None:
    """It is gone, which is what was wanted."""
    bench = Bench(tmp_path, format="parquet")
    bench.put(1)
    bench.exporter.path.unlink()
    bench.exporter.close()
    assert bench.names() == []
    with pytest.raises(FileNotFoundError):
        Parquet().write(tmp_path / "none.jsonl")


def test_a_file_that_is_deleted_while_looked_at_is_no_fault(tmp_path: Path) -> None:
    """A dangling link stands for it."""
    (tmp_path / "telemetry-0.jsonl").symlink_to(tmp_path / "nowhere")
    bench = Bench(tmp_path)
    bench.put(1)
    bench.exporter.close()
    assert len(bench.names()) == 2


def test_a_forked_child_begins_a_file_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And leaves the parent's as it is."""
    bench = Bench(tmp_path, format="parquet")
    bench.put(1)
    monkeypatch.setattr(os, "getpid", lambda: 1)
    bench.exporter.close()
    bench.put(2)
    monkeypatch.undo()
    assert [Path(name).suffix for name in bench.names()] == [".parquet", ".jsonl"]
    bench.exporter.close()


@pytest.mark.parametrize("format", ["jsonl", "parquet"])
def test_a_disk_that_takes_nothing_is_a_passing_fault(tmp_path: Path, format: Any) -> None:
    """A full disk leaves no half of a batch in the file; a directory that cannot be made is told."""
    bench = Bench(tmp_path, format=format)
    bench.put(1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    size = bench.exporter.path.stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, before[1]))
    try:
        with pytest.raises(DeliveryError, match="cannot write to .*: File too large") as caught:
            bench.put(2, 3, 4)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert not caught.value.permanent
    bench.put(5)
    assert [json.loads(line)["value"] for line in bench.exporter.path.read_text().splitlines()] == [1, 5]
    bench.exporter.close()
    (tmp_path / "file").touch()
    with pytest.raises(DeliveryError, match="cannot write to"):
        FileExporter(tmp_path / "file").export(BATCH)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r'needs the package pyarrow: pip install "mirante\[parquet\]"'):
        FileExporter(tmp_path, format="parquet")


WRITER = """
import sys
from datetime import UTC, datetime
from mirante._core.record import Metric
from mirante.exporters import FileExporter

out = FileExporter(sys.argv[1], format="parquet", max_bytes=20_000)
number = 0
while True:
    out.export([Metric("m", number + n, datetime.now(UTC)) for n in range(10)])
    number += 10
    print(number, flush=True)
"""


@pytest.mark.slow
def test_sigkill_loses_nothing_that_was_exported(tmp_path: Path) -> None:
    """Killed in the middle of writing, the next process finds everything up to the last batch that was acknowledged."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout
    said = [process.stdout.readline() for _ in range(200)]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    exporter = FileExporter(tmp_path, format="parquet")
    exporter.export([Metric("end", 0.0, datetime.now(UTC))])
    exporter.close()
    values = [row["value"] for path in tmp_path.glob("*.parquet") for row in rows(path) if row["name"] == "m"]
    assert set(range(int(said[-1]))) <= set(values)
    assert len(values) == len(set(values))
    assert not list(tmp_path.glob("*.jsonl"))
