"""A backup is whole or refused; what is restored answers as the original did."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mirante._core.model import Exemplar
from mirante.errors import BackupError, StoreBusyError
from mirante.formats import remote_write as rw
from mirante.server.settings import RetentionSettings
from mirante.server.store.backup import manifest as manifests
from mirante.server.store.backup.manifest import Manifest, verify
from mirante.server.store.backup.service import Backups, listed
from mirante.server.store.backup.snapshot import Snapshotter, Wanted, restore
from mirante.server.store.retention import Keeper
from mirante.server.store.space import Ballast
from mirante.server.store.writer import LogWriter
from mirante.testing.clock import FakeClock
from tests.peers import wait_for
from tests.server.store.bodies import log_body, span_body
from tests.server.store.conftest import NOW, Store, body, open_store

DAY = 86_400_000


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store with something of every signal on two days."""
    store = open_store(tmp_path_factory.mktemp("full"))
    for age in range(2):
        store.write("remote_write", *(body("kept", float(i), at=NOW - age * DAY, job=f"j{i}") for i in range(20)))
        store.write("otlp_logs", log_body("a line", NOW - age * DAY, user="1"))
        store.write("otlp_traces", span_body("a step", NOW - age * DAY, trace=age + 1))
    example = rw.exemplar(Exemplar({"trace_id": "ab"}, 0.5, NOW / 1000), NOW)
    store.write("remote_write", rw.series(rw.labels({"__name__": "timed_bucket"}), rw.sample(1.0, NOW), example))
    yield store
    store.close()


def snapshotter(store: Store, directory: Path, *extra: Path) -> Snapshotter:
    """One that writes there."""
    keeper = Keeper(store.engine, store.log, RetentionSettings(), store.directory, Ballast(store.directory / "b", 0))
    return Snapshotter(store.engine, store.log, keeper, store.directory, directory, extra)


@pytest.fixture(scope="module")
def made(full: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A native backup of it, with configuration."""
    folder = tmp_path_factory.mktemp("backups")
    configuration = tmp_path_factory.mktemp("etc")
    (configuration / "rules").mkdir()
    (configuration / "rules" / "a.yml").write_text("groups: []\n")
    (configuration / "prometheus.yml").write_text("scrape_configs: []\n")
    (full.directory / "silences").mkdir(exist_ok=True)
    (full.directory / "silences" / "one.json").write_text("{}")
    with sqlite3.connect(full.directory / "alerting.sqlite") as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE silence AS SELECT 'kept' AS id")
    of = snapshotter(full, folder, configuration / "prometheus.yml", configuration / "rules", configuration / "none")
    full.log.append("remote_write", [body("kept", 99.0, job="last")])
    copied: list[int] = []
    with database:
        database.execute("INSERT INTO silence VALUES ('not yet')")  # a transaction that is open when the backup is made
        manifest = of.create(of.new_name(), progress=copied.append)
    database.close()
    assert sum(copied) == manifest.bytes
    return folder / manifest.name


def copy_of(backup: Path, into: Path) -> Path:
    """A copy to be damaged."""
    return Path(shutil.copytree(backup, into / backup.name, symlinks=True))


def test_a_backup_says_what_is_in_it(made: Path) -> None:
    """Its manifest names every file with size and checksum, and where configuration came from."""
    manifest = verify(made)
    assert manifest.signals == ("metrics", "logs", "traces")
    assert sorted(Path(path).name for path in manifest.origins.values()) == ["prometheus.yml", "rules"]
    assert "data/silences/one.json" in manifest.files
    summary = manifest.summary()
    assert (
        summary["bytes"]
        == sum(path.stat().st_size for path in made.rglob("*") if path.is_file())
        - (made / "manifest.json").stat().st_size
    )
    assert listed(made.parent) == [manifest]


@pytest.mark.slow
def test_what_is_restored_answers_as_the_original(made: Path, tmp_path: Path) -> None:
    """All that was acknowledged before the backup, in a directory that a server can be started on."""
    restore(made, tmp_path / "new")
    assert (tmp_path / "new" / "restored-files" / "1" / "rules" / "a.yml").read_text() == "groups: []\n"
    assert (tmp_path / "new" / "silences" / "one.json").read_text() == "{}"
    program = (
        "import sys; from pathlib import Path; from tests.server.store.conftest import *;"
        "s = open_store(Path(sys.argv[1])); s.write('remote_write', body('kept', 1.0, job='more'));"
        "print(count(s, 'kept'), s.one('SELECT count() FROM otel_logs'), s.one('SELECT count() FROM otel_traces'),"
        "s.one('SELECT uniqExact(series_id) FROM series')); s.close()"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "new")],
        capture_output=True, text=True, check=False, timeout=120, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert result.stdout.split() == ["42", "2", "2", "23"], result.stderr


def test_what_alerting_remembers_is_copied_as_it_was_at_one_moment(made: Path, tmp_path: Path) -> None:
    """A small database that is being written to is in the backup with what was committed, and opens by itself."""
    restore(made, tmp_path / "data")
    with closing(sqlite3.connect(tmp_path / "data" / "alerting.sqlite")) as database:
        assert database.execute("SELECT id FROM silence").fetchall() == [("kept",)]
    assert [path.name for path in (made / "data").glob("alerting*")] == ["alerting.sqlite"]


@pytest.mark.parametrize("harm", ["flip", "cut", "remove", "add"])
def test_a_damaged_backup_is_refused_whole(made: Path, tmp_path: Path, harm: str) -> None:
    """The message names the file, and nothing is written."""
    copied = copy_of(made, tmp_path)
    victim = max((copied / "data").rglob("*.bin"), key=lambda path: path.stat().st_size)
    content = bytearray(victim.read_bytes())
    if harm == "flip":
        content[len(content) // 2] ^= 1
        victim.write_bytes(content)
    elif harm == "cut":
        victim.write_bytes(content[:-1])
    elif harm == "remove":
        victim.unlink()
    else:
        victim = victim.with_name("more.bin")
        victim.write_bytes(b"x")
    with pytest.raises(BackupError, match=f"is not whole: .*{victim.name} (is damaged|is missing|does not belong)"):
        restore(copied, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("text", ["", "{}", '{"sha256": 1}', "[]"])
def test_a_damaged_manifest_is_refused(made: Path, tmp_path: Path, text: str) -> None:
    """Without its manifest a backup cannot be trusted; a list leaves it out."""
    copied = copy_of(made, tmp_path)
    (copied / "manifest.json").write_text(text)
    with pytest.raises(BackupError, match="damaged"):
        verify(copied)
    assert listed(tmp_path) == []


def test_a_changed_manifest_is_refused(made: Path, tmp_path: Path) -> None:
    """It has a checksum too."""
    copied = copy_of(made, tmp_path)
    content = json.loads((copied / "manifest.json").read_text())
    content["schema"] += 1
    (copied / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(BackupError, match="later release"):
        verify(copied)


def test_only_an_empty_directory_is_restored_into(made: Path, tmp_path: Path) -> None:
    """Nothing is ever mixed or overwritten."""
    (tmp_path / "precious").write_text("x")
    with pytest.raises(BackupError, match="is not empty"):
        restore(made, tmp_path)
    with pytest.raises(BackupError, match="is no backup"):
        restore(tmp_path, tmp_path / "new")


def test_a_file_that_changes_while_it_is_restored_is_noticed(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was copied is compared with the manifest once more."""
    from mirante.server.store.backup import snapshot

    monkeypatch.setattr(snapshot, "copy", lambda *_: manifests.File(0, ""))
    with pytest.raises(BackupError, match="changed while"):
        restore(made, tmp_path / "new")


def test_one_signal_as_parquet(full: Store, tmp_path: Path) -> None:
    """A file for each table and day, with the labels of the series, which other programs read; not to be restored."""
    of = snapshotter(full, tmp_path)
    counted: list[int] = []
    manifest = of.create("m", Wanted(("metrics",), "parquet"), counted.append)
    assert verify(tmp_path / "m") == manifest
    assert sum(counted) == manifest.bytes
    names = sorted(manifest.files)
    assert [name.rpartition("/")[0] for name in names] == ["metrics/exemplars", *["metrics/samples"] * 2]
    rows = pq.read_table(tmp_path / "m" / names[1]).to_pylist()
    assert len(rows) == 20
    assert {row["name"] for row in rows} == {"kept"}
    assert dict(rows[0]["labels"])["__name__"] == "kept"
    everything = of.create("all", Wanted(kind="parquet"))
    assert {Path(name).parts[1] for name in everything.files} == {
        "samples", "exemplars", "otel_logs", "otel_traces",
    }  # fmt: skip
    with pytest.raises(BackupError, match="only native backups"):
        restore(tmp_path / "m", tmp_path / "new")


def test_exemplars_are_exported_with_their_series(full: Store, tmp_path: Path) -> None:
    """Every table of a signal has its own shape."""
    manifest = snapshotter(full, tmp_path).create("e", Wanted(("metrics",), "parquet"))
    path = next(path for path in manifest.files if "exemplars" in path)
    (row,) = pq.read_table(tmp_path / "e" / path).to_pylist()
    assert row["name"] == "timed_bucket"
    assert row["exemplar_labels"] == [("trace_id", "ab")]


def test_a_native_backup_of_one_signal(full: Store, tmp_path: Path) -> None:
    """Only its parts are in it, but the tables of all."""
    of = snapshotter(full, tmp_path)
    logs = of.create("logs", Wanted(("logs",)))
    assert logs.bytes < of.create("all").bytes


def test_a_failed_backup_leaves_nothing(full: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in its directory nor of the frozen tables."""
    of = snapshotter(full, tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(LogWriter, "wait_until_loaded", lambda *_: False)
        with pytest.raises(StoreBusyError, match="not loaded yet"):
            of.create("a")
    monkeypatch.setattr(Manifest, "write", _fail)
    with pytest.raises(BackupError, match="no luck"):
        of.create("b")
    assert list((tmp_path / "out").iterdir()) == []
    assert not list((full.directory / "engine" / "shadow").glob("backup_*"))
    (tmp_path / "file").write_text("")
    with pytest.raises(BackupError, match="cannot make"):
        snapshotter(full, tmp_path / "file").create("c")


def _fail(*_: object) -> None:
    raise BackupError("no luck")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """The path stands in the message."""
    with pytest.raises(BackupError, match="cannot copy .*nothing: No such file"):
        manifests.digest(tmp_path / "nothing")


def test_the_service_makes_one_at_a_time(full: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the background, telling how far it is; a second one is refused meanwhile."""
    service = Backups(snapshotter(full, tmp_path))
    service.start()
    go = threading.Event()
    create = Snapshotter.create

    def slow(self: Snapshotter, *arguments: object) -> Manifest:
        assert go.wait(60)
        return create(self, *arguments)  # type: ignore[arg-type] # passed through

    monkeypatch.setattr(Snapshotter, "create", slow)
    name = service.begin("logs")
    running = service.state()["running"]
    assert running == {"name": name, "bytes": 0}
    with pytest.raises(StoreBusyError, match="is being made"):
        service.create()
    go.set()
    wait_for(lambda: service.state()["running"] is None, what="the backup")
    state = service.state()
    assert [one["name"] for one in state["backups"]] == [name]
    assert state["backups"][0]["signals"] == ("logs",)
    service.close()


def test_the_service_tells_failures(full: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its state and as a metric, until one succeeds."""
    service = Backups(snapshotter(full, tmp_path), every=1.0)
    with monkeypatch.context() as patch:
        patch.setattr(Manifest, "write", _fail)
        service.if_due()
        service.begin()
        service.close()
        assert "no luck" in service.state()["last_error"]
    values = {family.name: family.samples[0].value for family in service.collect()}
    assert values == {"mirante_backup_failures": 2, "mirante_backup_last_success_timestamp_seconds": 0}
    service.create()
    assert service.state()["last_error"] == ""


def test_backups_of_the_schedule_come_when_due_and_the_oldest_go(full: Store, tmp_path: Path) -> None:
    """Those that somebody asked for stay."""
    clock = FakeClock()
    of = snapshotter(full, tmp_path)
    of._clock = clock
    service = Backups(of, every=3600.0, keep=2, clock=clock)
    asked = service.create(Wanted(("logs",)))
    made: list[set[str]] = []
    for _ in range(4):
        service.if_due()
        service.if_due()
        made.append({one.name for one in listed(tmp_path) if one.scheduled})
        clock.advance(3600)
    assert [len(names) for names in made] == [1, 2, 2, 2]
    assert not made[0] & made[-1]
    assert asked in {one.name for one in listed(tmp_path)}


def test_the_schedule_runs_in_a_thread(full: Store, tmp_path: Path) -> None:
    """From the start of the server to its end; what a killed run left unfinished is cleared."""
    (tmp_path / "old.partial").mkdir()
    service = Backups(snapshotter(full, tmp_path), every=0.05, keep=1)
    service.start()
    wait_for(lambda: listed(tmp_path), what="a backup")
    service.close()
    assert not (tmp_path / "old.partial").exists()
