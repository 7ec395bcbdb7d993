"""The crash-safe queue on disk."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mirante._core.fork import _tell
from mirante._core.lock import DirectoryLock
from mirante._core.spool import Spool
from mirante.errors import StoreBusyError, StoreError, StoreFullError

RECORDS = st.lists(st.binary(max_size=40), max_size=6)


class FakeClock:
    """Time that moves when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def time_ns(self) -> int:
        """Nanoseconds since the epoch."""
        return int(self.now * 1e9)

    def monotonic(self) -> float:
        """Seconds."""
        return self.now


def drain(spool: Spool) -> list[bytes]:
    """Read and commit everything."""
    out: list[bytes] = []
    while (batch := spool.read(max_bytes=64)).records:
        out += batch.records
        spool.commit(batch.end)
    return out


def files(directory: Path) -> list[Path]:
    """The segments, oldest first."""
    return sorted(directory.glob("*.segment"))


class Model(RuleBasedStateMachine):
    """A spool behaves like a list with a cursor, whatever is done to it in whatever order, restarts included."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.records: list[bytes] = []
        self.committed = 0
        self.claimed: int | None = None
        self.spool = self.open()

    def open(self) -> Spool:
        """Small segments, so that there are several."""
        return Spool(Path(self.folder.name), segment_bytes=50)

    @rule(records=RECORDS)
    def append(self, records: list[bytes]) -> None:
        """The position is the number of records ever appended."""
        self.records += records
        assert self.spool.append(records) == len(self.records)

    @rule(max_bytes=st.integers(1, 200), max_records=st.integers(1, 8))
    def read(self, max_bytes: int, max_records: int) -> None:
        """What is read is what follows the committed records; reading again gives the same."""
        batch = self.spool.read(max_bytes, max_records)
        assert batch.first == self.committed
        assert list(batch.records) == self.records[batch.first : batch.end]
        assert bool(batch.records) == (self.committed < len(self.records))
        if self.claimed is not None:
            assert batch.end == self.claimed
        elif batch.records:
            assert len(batch.records) <= max_records
            assert len(batch.records) == 1 or sum(map(len, batch.records)) <= max_bytes
            self.claimed = batch.end

    @rule()
    def commit(self) -> None:
        """A commit moves the cursor behind the batch."""
        batch = self.spool.read()
        self.spool.commit(batch.end)
        self.committed, self.claimed = batch.end, None

    @rule(back=st.integers(1, 3))
    def commit_part(self, back: int) -> None:
        """A part of a batch can be committed too."""
        batch = self.spool.read()
        position = max(batch.first, batch.end - back)
        self.spool.commit(position)
        if position > batch.first:
            self.committed, self.claimed = position, None
        else:
            self.claimed = batch.end if batch.records else None

    @rule()
    def reopen(self) -> None:
        """Nothing is forgotten by a restart."""
        name = self.spool.id
        self.spool.close()
        self.spool = self.open()
        assert self.spool.id == name

    @invariant()
    def counts(self) -> None:
        """The counts tell the truth."""
        assert self.spool.waiting_records == len(self.records) - self.committed
        assert self.spool.position == len(self.records)
        assert self.spool.committed == self.committed
        assert self.spool.stats.torn_bytes == self.spool.stats.damaged_segments == 0
        on_disk = sum(file.stat().st_size for file in files(Path(self.folder.name)))
        assert on_disk == self.spool.waiting_bytes

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.spool.close()
        self.folder.cleanup()


Model.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestModel = Model.TestCase


@settings(deadline=None, max_examples=150)
@given(records=st.lists(st.binary(max_size=30), min_size=1, max_size=8), data=st.data())
def test_a_torn_tail_costs_only_the_torn_records(records: list[bytes], data: st.DataObject) -> None:
    """A segment cut at any byte gives its whole records back, counts the rest, and takes new ones."""
    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(Path(folder))
        ends = [0]
        for record in records:
            spool.append([record])
            ends.append(files(Path(folder))[0].stat().st_size)
        spool.close()
        cut = data.draw(st.integers(0, ends[-1]))
        os.truncate(files(Path(folder))[0], cut)
        whole = sum(end <= cut for end in ends[1:])

        spool = Spool(Path(folder))
        assert spool.stats.torn_bytes == cut - ends[whole]
        assert spool.append([b"new"]) == whole + 1
        assert drain(spool) == [*records[:whole], b"new"]
        spool.close()


@settings(deadline=None, max_examples=150)
@given(records=st.lists(st.binary(max_size=30), min_size=3, max_size=20), data=st.data())
def test_damage_is_skipped_and_never_handed_out(records: list[bytes], data: st.DataObject) -> None:
    """One flipped byte anywhere costs records of that segment only; all others come, in order and unchanged."""
    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(Path(folder), segment_bytes=60)
        for record in records:
            spool.append([record])
        spool.close()
        paths = files(Path(folder))
        victim = data.draw(st.integers(0, len(paths) - 1))
        content = bytearray(paths[victim].read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        paths[victim].write_bytes(content)
        starts = [int(path.stem) for path in paths] + [len(records)]

        spool = Spool(Path(folder), segment_bytes=60)
        got = drain(spool)
        before, after = records[: starts[victim]], records[starts[victim + 1] :]
        kept = len(got) - len(before) - len(after)
        assert got == [*before, *records[starts[victim] : starts[victim] + kept], *after]
        assert kept < starts[victim + 1] - starts[victim]
        assert spool.stats.damaged_segments + (spool.stats.torn_bytes > 0) == 1
        spool.close()


def test_damage_behind_the_committed_part_is_found_after_a_restart(tmp_path: Path) -> None:
    """When the way to the first waiting record is damaged, the rest of its segment is skipped and counted."""
    spool = Spool(tmp_path, segment_bytes=60)
    spool.append([b"a" * 10, b"b" * 10, b"c" * 30])
    spool.append([b"next segment"])
    spool.commit(spool.read(max_records=2).end)
    spool.close()
    with files(tmp_path)[0].open("r+b") as file:
        file.write(b"x")
    spool = Spool(tmp_path, segment_bytes=60)
    assert drain(spool) == [b"next segment"]
    assert spool.stats.damaged_segments == 1
    spool.close()


def test_a_number_is_never_given_twice(tmp_path: Path) -> None:
    """When a power cut took records that had been handed out, new ones do not take their numbers."""
    spool = Spool(tmp_path)
    spool.append([b"a", b"b", b"c"])
    assert spool.read().end == 3
    spool.close()
    os.truncate(files(tmp_path)[0], 9)
    spool = Spool(tmp_path)
    assert spool.append([b"d"]) == 4
    assert drain(spool) == [b"a", b"d"]
    spool.close()


def test_a_lost_cursor_gives_the_spool_a_new_name(tmp_path: Path) -> None:
    """Without its cursor the spool hands everything out again under another name, as nobody knows what was done."""
    spool = Spool(tmp_path)
    name = spool.id
    spool.append([b"a", b"b"])
    spool.commit(spool.read(max_records=1).end)
    spool.close()
    (tmp_path / "cursor").write_bytes(b"\xff" * 200)
    spool = Spool(tmp_path)
    assert spool.id != name
    assert drain(spool) == [b"a", b"b"]
    spool.close()


def test_a_torn_cursor_falls_back_to_its_other_slot(tmp_path: Path) -> None:
    """A cursor torn in mid-write costs the last step only."""
    spool = Spool(tmp_path)
    spool.append([b"a", b"b"])
    spool.commit(spool.read(max_records=1).end)
    spool.read()
    name = spool.id
    spool.close()
    content = bytearray((tmp_path / "cursor").read_bytes())
    content[-1] ^= 1
    (tmp_path / "cursor").write_bytes(content)
    spool = Spool(tmp_path)
    assert (spool.id, drain(spool)[-1]) == (name, b"b")
    spool.close()


def test_one_owner_at_a_time(tmp_path: Path) -> None:
    """A second owner is told who the first one is; a released directory is free again."""
    spool = Spool(tmp_path)
    with pytest.raises(StoreBusyError, match=f"process {os.getpid()}"):
        Spool(tmp_path)
    spool.close()
    spool.close()
    lock = DirectoryLock(tmp_path)
    lock.release()
    lock.release()


def test_refuses_when_full(tmp_path: Path) -> None:
    """At the cap new records are refused whole, and room comes back with a commit."""
    spool = Spool(tmp_path, max_bytes=100)
    spool.append([b"x" * 60])
    with pytest.raises(StoreFullError, match="68 of 100 bytes, no room for 48 more"):
        spool.append([b"y" * 40])
    spool.commit(spool.read().end)
    spool.append([b"y" * 40])
    with pytest.raises(StoreFullError):
        spool.append([b"z" * 100])
    assert drain(spool) == [b"y" * 40]
    spool.close()


@given(sizes=st.lists(st.integers(0, 60), max_size=30))
@settings(deadline=None)
def test_drops_the_oldest_when_asked_to(sizes: list[int]) -> None:
    """It never takes more than its cap, keeps the newest records in order, and counts what it dropped."""
    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(Path(folder), max_bytes=200, when_full="drop_oldest", weigh=len)
        records = [bytes([i]) * size for i, size in enumerate(sizes)]
        for record in records:
            spool.append([record])
            assert spool.waiting_bytes <= 200
        got = drain(spool)
        assert got == records[len(records) - len(got) :]
        dropped = records[: len(records) - len(got)]
        assert (spool.stats.dropped_records, spool.stats.dropped_weight) == (len(dropped), len(b"".join(dropped)))
        spool.close()


def test_only_what_was_not_consumed_counts_as_dropped(tmp_path: Path) -> None:
    """Of a segment that is half read, the other half."""
    spool = Spool(tmp_path, max_bytes=200, segment_bytes=50, when_full="drop_oldest", weigh=len)
    spool.append([b"a" * 10, b"b" * 12, b"c" * 14])
    spool.commit(spool.read(max_records=1).end)
    spool.append([b"d" * 120])
    spool.append([b"e" * 10])
    assert (spool.stats.dropped_records, spool.stats.dropped_weight) == (2, 26)
    assert drain(spool) == [b"d" * 120, b"e" * 10]
    spool.close()


def test_a_forked_child_neither_uses_nor_holds_the_spool(tmp_path: Path) -> None:
    """It is closed there, whatever the parent's threads were doing, and free for others once the parent lets go."""
    spool = Spool(tmp_path)
    spool.append([b"one"])
    ready, done = os.pipe(), os.pipe()
    with spool._lock:  # as another thread may hold it
        child = os.fork()
        if child == 0:  # pragma: no cover - in the child
            code = 1
            with suppress(BaseException):
                with pytest.raises(StoreError, match="closed"):
                    spool.append([b"two"])
                spool.close()
                code = 0
            os.write(ready[1], b"x")
            os.read(done[0], 1)
            os._exit(code)
    os.read(ready[0], 1)
    with pytest.raises(StoreBusyError):
        Spool(tmp_path)
    assert drain(spool) == [b"one"]
    spool.close()
    again = Spool(tmp_path)
    again.append([b"three"])
    _tell()  # what the child did, where its coverage is seen
    with pytest.raises(StoreError, match="closed"):
        again.append([b"four"])
    os.write(done[1], b"x")
    assert os.waitpid(child, 0)[1] == 0
    for fd in (*ready, *done):
        os.close(fd)


def test_dropping_what_is_being_read_does_no_harm(tmp_path: Path) -> None:
    """A batch whose records were dropped in the meantime can be committed late."""
    spool = Spool(tmp_path, max_bytes=100, when_full="drop_oldest")
    spool.append([b"a" * 50])
    batch = spool.read()
    spool.append([b"b" * 80])
    spool.commit(batch.end)
    assert drain(spool) == [b"b" * 80]
    with pytest.raises(StoreFullError):
        spool.append([b"c" * 100])
    spool.close()


def test_dropping_during_a_read_reads_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the records are dropped while they are being read, the next ones are read instead."""
    spool = Spool(tmp_path, max_bytes=100, when_full="drop_oldest")
    spool.append([b"a" * 50])
    pread = os.pread

    def pread_then_drop(fd: int, length: int, at: int) -> bytes:
        monkeypatch.undo()
        spool.append([b"b" * 80])
        return pread(fd, length, at)

    monkeypatch.setattr("os.pread", pread_then_drop)
    assert list(spool.read().records) == [b"b" * 80]
    spool.close()


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file may grow beyond that size: the kernel writes what fits and refuses the rest."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_half_written_record_is_taken_back(tmp_path: Path) -> None:
    """When the disk takes only a part, the append fails whole and leaves no half record behind."""
    spool = Spool(tmp_path)
    spool.append([b"first"])
    with largest_file(40), pytest.raises(StoreFullError, match="File too large"):
        spool.append([b"second" * 20])
    assert files(tmp_path)[0].stat().st_size == 13
    spool.append([b"third"])
    assert drain(spool) == [b"first", b"third"]
    spool.close()


def test_a_half_written_record_that_cannot_be_taken_back_at_once_is_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is appended behind a half record, even when the disk refused to cut it off."""
    spool = Spool(tmp_path)
    spool.append([b"first"])

    def refuse(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch, largest_file(40):
        patch.setattr("os.ftruncate", refuse)
        with pytest.raises(StoreFullError):
            spool.append([b"second" * 20])
        with pytest.raises(StoreError, match="Input/output error"):
            spool.append([b"x"])
    spool.append([b"third"])
    assert drain(spool) == [b"first", b"third"]
    spool.close()


def test_fsync_policies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """0 forces every append, a number the first after that many seconds, None nothing."""
    forced: list[int] = []
    fsync = os.fsync

    def counted(fd: int) -> None:
        forced.append(fd)
        fsync(fd)

    monkeypatch.setattr("os.fsync", counted)

    def count(spool: Spool) -> int:
        before = len(forced)
        spool.append([b"x"])
        return len(forced) - before

    spool = Spool(tmp_path / "always", fsync=0)
    count(spool)  # makes the segment
    assert count(spool) == 1
    assert drain(spool) == [b"x", b"x"]
    spool.close()

    clock = FakeClock()
    spool = Spool(tmp_path / "sometimes", fsync=10, clock=clock)
    count(spool)
    assert count(spool) == 0
    clock.now = 10
    assert count(spool) == 1
    assert count(spool) == 0
    spool.close()

    forced.clear()
    spool = Spool(tmp_path / "never")
    assert count(spool) == 0
    drain(spool)
    spool.close()
    assert not forced


def test_appends_at_the_same_time_share_an_fsync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one thread forces the disk, others append; the next fsync takes all of them along."""
    spool = Spool(tmp_path, fsync=0)
    spool.append([b"0"])
    inside, go_on = threading.Event(), threading.Event()
    calls: list[int] = []
    fsync = os.fsync

    def slow(fd: int) -> None:
        calls.append(fd)
        inside.set()
        assert go_on.wait(60)
        fsync(fd)

    monkeypatch.setattr("os.fsync", slow)
    threads = [threading.Thread(target=spool.append, args=([b"x"],)) for _ in range(5)]
    threads[0].start()
    assert inside.wait(60)
    for thread in threads[1:]:
        thread.start()
    while spool.position < 6:
        threading.Event().wait(0.001)
    go_on.set()
    for thread in threads:
        thread.join()
    assert len(calls) == 2
    monkeypatch.undo()
    assert len(drain(spool)) == 6
    spool.close()


def test_consumed_before_it_was_forced(tmp_path: Path) -> None:
    """Records that were consumed before their fsync was due need none."""
    clock = FakeClock()
    spool = Spool(tmp_path, fsync=10, clock=clock)
    spool.append([b"x"])
    assert drain(spool) == [b"x"]
    clock.now = 10
    assert spool.append([]) == 1
    spool.close()


def test_waits_for_records(tmp_path: Path) -> None:
    """A consumer sleeps until something arrives, and is woken by close."""
    spool = Spool(tmp_path)
    assert not spool.wait(0)
    woken: list[bool] = []
    thread = threading.Thread(target=lambda: woken.append(spool.wait(10)))
    thread.start()
    spool.append([b"x"])
    thread.join()
    assert woken == [True]
    assert drain(spool) == [b"x"]
    thread = threading.Thread(target=lambda: woken.append(spool.wait(10)))
    thread.start()
    spool.close()
    thread.join()
    assert woken == [True, False]


def test_closed_or_unusable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed spool, an impossible directory and an oversized record raise errors that say so."""
    spool = Spool(tmp_path / "a")
    monkeypatch.setattr("mirante._core.spool.MAX_RECORD", 3)
    with pytest.raises(StoreError, match="3 bytes at most"):
        spool.append([b"four"])
    spool.close()
    for call in (lambda: spool.append([b"x"]), spool.read, lambda: spool.commit(1)):
        with pytest.raises(StoreError, match="closed"):
            call()
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write to"):
        Spool(tmp_path / "file" / "below")
    (tmp_path / "b" / "cursor").mkdir(parents=True)
    with pytest.raises(StoreError, match="Is a directory"):
        Spool(tmp_path / "b")
    (tmp_path / "b" / "cursor").rmdir()
    Spool(tmp_path / "b").close()


def test_many_threads_append(tmp_path: Path) -> None:
    """Appends from several threads keep each thread's order while a consumer drains."""
    spool = Spool(tmp_path, segment_bytes=500)

    def work(name: int) -> None:
        for i in range(100):
            spool.append([b"%d %d" % (name, i)])

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    got: list[bytes] = []
    while len(got) < 400:
        assert spool.wait(60)
        got += drain(spool)
    for thread in threads:
        thread.join()
    for name in range(4):
        assert [r for r in got if r.startswith(b"%d " % name)] == [b"%d %d" % (name, i) for i in range(100)]
    spool.close()


WRITER = """
import sys
from pathlib import Path
from mirante._core.spool import Spool
spool = Spool(Path(sys.argv[1]), segment_bytes=10_000)
number = spool.position
while True:
    number = spool.append([b"%d" % number, b"%d" % (number + 1)])
    print(number, flush=True)
"""


@pytest.mark.slow
def test_what_was_appended_survives_sigkill(tmp_path: Path) -> None:
    """Killed in mid-work again and again, the spool has every record whose append had returned, once."""
    for _ in range(5):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE)
        assert process.stdout
        for _ in range(200):
            line = process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read()
        process.wait()
        process.stdout.close()
        last = int((line + rest).split(b"\n")[-2])
        spool = Spool(tmp_path, segment_bytes=10_000)
        assert spool.position >= last
        spool.close()
    spool = Spool(tmp_path)
    assert drain(spool) == [b"%d" % i for i in range(spool.position)]
    spool.close()
