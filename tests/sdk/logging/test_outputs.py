"""Lines on streams and in files."""

from __future__ import annotations

import gzip
import io
import logging
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from mirante._core import fork
from mirante._core.guard import REPORTER
from mirante.logging import FileOutput, JsonFormatter, LogLine, StreamOutput
from mirante.logging.files import Elders
from mirante.testing.clock import FakeClock
from tests.sdk.logging.support import running

DAY = 86_400.0


def line(event: str, **fields: Any) -> LogLine:
    """One line."""
    return LogLine(0, 20, "shop", {"event": event, **fields})


def short(written: LogLine) -> str:
    """The event alone."""
    return str(written.fields["event"])


def tidied() -> None:
    """Wait until rotated files have been dealt with."""
    for thread in threading.enumerate():
        if thread.name == "mirante-log-files":
            thread.join()


def test_lines_that_an_output_does_not_take_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk below the stream or the file, as a metric by output; a forked child counts from zero."""
    log = logging.getLogger("full")
    monkeypatch.setattr(REPORTER, "_told", {})
    with Path("/dev/full").open("w") as full, running(log_stream="stderr", log_file=tmp_path / "app.log") as run:
        monkeypatch.setattr(sys, "stderr", full)
        log.warning("one")
        (tmp_path / "app.log").unlink()
        (tmp_path / "app.log").mkdir()
        for sink in run._sinks:
            if isinstance(sink, FileOutput):
                sink.close()
        log.warning("two")
        (family,) = run.collect()
        # what was told of the file is a line too, and is not taken either
        assert {sample.labels["output"]: sample.value for sample in family.samples} == {"stderr": 3, "file": 2}
        fork._tell()
        (family,) = run.collect()
        assert {sample.value for sample in family.samples} == {0}


def test_lines_follow_what_was_printed_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a stream with a descriptor, as UTF-8, with lone surrogates as JSON's escapes."""
    with (tmp_path / "out").open("w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        output = StreamOutput("stdout", short)
        stream.write("before ")
        output(line("é\ud800"))
        output(line("two"))
    assert (tmp_path / "out").read_bytes() == "before é\\ud800\ntwo\n".encode()
    output(line("the stream is closed"))
    assert output.dropped == 1


def test_a_line_that_is_taken_in_parts_arrives_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As a pipe may take it."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data)[:3]))
    with (tmp_path / "out").open("w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        StreamOutput("stderr", short)(line("0123456789"))
        file = FileOutput(tmp_path / "file", short)
        file(line("0123456789"))
        file.close()
        monkeypatch.undo()
    assert (tmp_path / "out").read_text() == (tmp_path / "file").read_text() == "0123456789\n"


@pytest.mark.parametrize("kind", ["text", "memory", "ascii"])
def test_streams_without_a_usable_descriptor_get_text(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In memory, or with another encoding, where what it does not know is escaped."""
    raw = io.BytesIO()
    stream: io.TextIOBase = (
        io.StringIO() if kind == "text" else io.TextIOWrapper(raw, "ascii" if kind == "ascii" else "utf-8")
    )
    monkeypatch.setattr(sys, "stderr", stream)
    StreamOutput("stderr", short)(line("é😀"))
    written = stream.getvalue() if isinstance(stream, io.StringIO) else raw.getvalue().decode()
    assert written == ("\\u00e9\\ud83d\\ude00\n" if kind == "ascii" else "é😀\n")


def test_a_process_without_a_console_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some have no standard error at all."""
    monkeypatch.setattr(sys, "stderr", None)
    output = StreamOutput("stderr", short)
    output(line("a"))
    assert output.dropped == 0


def test_a_file_is_rotated_before_it_grows_too_large(tmp_path: Path) -> None:
    """Lines stay whole and in order, rotated files are compressed, and nothing is lost."""
    output = FileOutput(tmp_path / "logs" / "app.log", short, max_bytes=10, max_total_bytes=1000, clock=FakeClock())
    for number in range(5):
        output(line(f"line{number}"))
        tidied()
    output.close()
    elders = sorted(one for one in (tmp_path / "logs").iterdir() if one.name != "app.log")
    assert [one.suffix for one in elders] == [".gz"] * 4
    texts = [gzip.decompress(one.read_bytes()).decode() for one in elders]
    assert [*texts, (tmp_path / "logs" / "app.log").read_text()] == [f"line{number}\n" for number in range(5)]


def test_a_file_is_rotated_when_its_day_is_over(tmp_path: Path) -> None:
    """Also when it was begun by an earlier process."""
    path = tmp_path / "app.log"
    path.write_text("yesterday\n")
    os.utime(path, (DAY - 1, DAY - 1))
    clock = FakeClock(DAY)
    output = FileOutput(path, short, compress=False, clock=clock)
    output(line("today"))
    clock.advance(DAY - 1)
    output(line("today"))
    clock.advance(1)
    output(line("tomorrow"))
    tidied()
    output.close()
    assert sorted(one.read_text() for one in tmp_path.iterdir()) == ["today\ntoday\n", "tomorrow\n", "yesterday\n"]
    assert path.read_text() == "tomorrow\n"


def test_the_oldest_files_are_deleted_to_stay_below_the_limit(tmp_path: Path) -> None:
    """Those of this log only, however much others look like it."""
    other = tmp_path / "app-other.log"
    other.write_text("x" * 100)
    output = FileOutput(tmp_path / "app.log", short, max_bytes=6, max_total_bytes=18, compress=False, clock=FakeClock())
    for number in range(6):
        output(line(f"line{number}"))
        tidied()
    output.close()
    assert sorted(one.read_text() for one in tmp_path.iterdir() if one != other) == ["line3\n", "line4\n", "line5\n"]
    assert other.exists()


def test_a_limit_of_one_file_keeps_no_elders(tmp_path: Path) -> None:
    """They are deleted as soon as they are rotated."""
    output = FileOutput(tmp_path / "app.log", short, max_bytes=6, max_total_bytes=6, clock=FakeClock())
    output(line("line1"))
    output(line("line2"))
    tidied()
    output.close()
    assert [one.read_text() for one in tmp_path.iterdir()] == ["line2\n"]


def test_a_file_that_is_moved_away_is_begun_anew(tmp_path: Path) -> None:
    """By logrotate or another process, noticed within a second; what others write to it counts for its size."""
    clock = FakeClock()
    path = tmp_path / "app.log"
    output = FileOutput(path, short, max_bytes=20, max_total_bytes=100, compress=False, clock=clock)
    output(line("one"))
    path.rename(tmp_path / "moved")
    output(line("two"))
    clock.advance(1)
    output(line("three"))
    with path.open("a") as stream:
        stream.write("x" * 12 + "\n")
    clock.advance(1)
    output(line("four"))
    tidied()
    output.close()
    assert (tmp_path / "moved").read_text() == "one\ntwo\n"
    assert path.read_text() == "four\n"


def test_two_writers_rotate_once(tmp_path: Path) -> None:
    """The one that comes second finds the file moved away, and never compresses what the other still writes to."""
    limits = {"max_bytes": 8, "max_total_bytes": 1000, "max_age": 1e12}
    first, second = (FileOutput(tmp_path / "app.log", short, **limits) for _ in range(2))  # type: ignore[arg-type] # numbers all
    first(line("aaa"))
    second(line("bbb"))
    first(line("ccc"))  # has written 8 bytes by its own count
    first(line("ddd"))
    tidied()
    assert not list(tmp_path.glob("*.gz"))  # the second still holds it
    second(line("eee"))
    second(line("fff"))
    first.close()
    second.close()
    first(line("ggg"))
    first(line("hhh"))
    first(line("iii"))
    tidied()
    first.close()
    plain = [one.read_text() for one in tmp_path.glob("*.log")]
    packed = [gzip.decompress(one.read_bytes()).decode() for one in tmp_path.glob("*.gz")]
    assert packed
    assert sorted("".join(plain + packed).split()) == ["aaa", "bbb", "ccc", "ddd", "eee", "fff", "ggg", "hhh", "iii"]


def test_who_cannot_rotate_goes_on_writing(tmp_path: Path) -> None:
    """While another process holds the folder."""
    import fcntl

    output = FileOutput(tmp_path / "app.log", short, max_bytes=4, max_total_bytes=100, compress=False)
    fd = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    output(line("aaa"))
    output(line("bbb"))
    os.close(fd)
    output.close()
    assert (tmp_path / "app.log").read_text() == "aaa\nbbb\n"


def test_a_file_being_compressed_is_not_waited_for(tmp_path: Path) -> None:
    """The lock is for the compressor's sake; without it the writer goes on."""
    import fcntl

    path = tmp_path / "app.log"
    with path.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        output = FileOutput(path, short)
        output(line("a"))
        output.close()
    assert path.read_text() == "a\n"


def test_a_disk_that_takes_no_lines_costs_lines_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """They are counted and told; so is a folder that cannot be tidied."""
    (tmp_path / "file").write_text("")
    output = FileOutput(tmp_path / "file" / "app.log", JsonFormatter())
    output(line("a"))
    output.close()
    assert output.dropped == 1
    thread = Elders(tmp_path / "missing" / "app.log", 1, compress=True).tidy()
    assert thread is not None
    thread.join()
    assert "does not take lines" in caplog.text
    assert "cannot be tidied" in caplog.text


def test_tidying_goes_on_once_at_a_time_and_needs_a_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the interpreter's end there are no more threads: the next process goes on."""
    elders = Elders(tmp_path / "app.log", 1, compress=True)
    with elders._busy:
        assert elders.tidy() is None

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert elders.tidy() is None
    assert not elders._busy.locked()


@pytest.mark.parametrize("limits", [{"max_bytes": 0}, {"max_bytes": 9, "max_total_bytes": 8}, {"max_age": 0}])
def test_limits_without_sense_are_refused(limits: dict[str, int], tmp_path: Path) -> None:
    """They raise where they are written."""
    with pytest.raises(ValueError, match="FileOutput"):
        FileOutput(tmp_path / "a", short, **limits)  # type: ignore[arg-type] # numbers all
