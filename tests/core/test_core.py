"""The small parts that every signal stands on."""

from __future__ import annotations

import asyncio
import logging
import threading
from importlib import metadata

import pytest

from mirante._core.done import DONE
from mirante._core.guard import REPEAT_AFTER, Reporter
from mirante._core.origin import caller
from mirante._core.periodic import Periodic
from mirante._core.version import version
from mirante.testing.clock import FakeClock


def test_done_may_be_awaited_any_number_of_times() -> None:
    """It gives None at once, and does not give way to the loop."""

    async def main() -> bool:
        other = asyncio.ensure_future(asyncio.sleep(0))
        for _ in range(3):
            await DONE
        return not other.done()

    assert asyncio.run(main())
    assert repr(DONE) == "DONE"


def test_the_caller_is_the_nearest_frame_outside_the_package() -> None:
    """This file, for instance."""
    file, _, line = caller().rpartition(":")
    assert file == __file__
    assert int(line) > 20


def test_a_fault_is_told_once_in_a_while_with_the_number_of_those_untold(caplog: pytest.LogCaptureFixture) -> None:
    """So that a log is not flooded, and nobody thinks that it happened once only."""
    clock = FakeClock()
    reporter = Reporter(clock)
    for _ in range(3):
        reporter.warn("exporter", "server is away")
    reporter.warn("other", "something else")
    clock.advance(REPEAT_AFTER)
    reporter.warn("exporter", "server is away")
    assert [record.getMessage() for record in caplog.records] == [
        "exporter: server is away",
        "other: something else",
        "exporter: server is away (2 more since the last report)",
    ]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    assert reporter.counts == {"exporter": 4, "other": 1}


def test_an_unexpected_fault_is_told_with_its_traceback(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In production; under pytest it is raised, so that no test can miss it."""
    reporter = Reporter(FakeClock())
    error = KeyError("x")
    with pytest.raises(KeyError):
        reporter.fault("collector", error)
    monkeypatch.delenv("MIRANTE_RAISE_FAULTS")
    reporter.fault("collector", error)
    (record,) = caplog.records
    assert record.getMessage() == "collector: KeyError: 'x'"
    assert record.exc_info is not None
    assert record.exc_info[1] is error


class Runs:
    """A function that counts its runs, and may fail or hang."""

    def __init__(self) -> None:
        self.count = 0
        self.ran = threading.Event()
        self.error: Exception | None = None
        self.hang: threading.Event | None = None

    def __call__(self) -> None:
        self.count += 1
        self.ran.set()
        if self.hang:
            self.hang.wait(20)
        if self.error:
            raise self.error


def test_periodic_work_runs_and_runs_a_last_time() -> None:
    """Starting twice is starting once, as is stopping."""
    runs = Runs()
    periodic = Periodic("test", runs, 0.001, first=0.0)
    periodic.start()
    periodic.start()
    for _ in range(3):
        assert runs.ran.wait(60)
        runs.ran.clear()
    assert periodic.stop(10)
    assert periodic.stop(10)
    assert runs.count >= 3


@pytest.mark.parametrize(("final", "count"), [(True, 1), (False, 0)])
def test_the_last_run_is_optional(final: bool, count: int) -> None:
    """Where nothing more is to be done."""
    runs = Runs()
    periodic = Periodic("test", runs, 3600, first=3600)
    periodic.start()
    assert periodic.stop(10, final=final)
    assert runs.count == count


def test_a_fault_does_not_end_periodic_work(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """It is reported, and the next run happens."""
    monkeypatch.delenv("MIRANTE_RAISE_FAULTS")
    runs = Runs()
    runs.error = ValueError("broken")
    periodic = Periodic("test of faults", runs, 0.001, first=0.0)
    periodic.start()
    for _ in range(2):
        assert runs.ran.wait(60)
        runs.ran.clear()
    assert periodic.stop(10)
    assert "test of faults: ValueError: broken" in caplog.text


def test_a_run_that_hangs_does_not_hold_up_the_stop() -> None:
    """It is waited for within the deadline."""
    runs = Runs()
    runs.hang = threading.Event()
    periodic = Periodic("test", runs, 3600, first=0.0)
    periodic.start()
    assert runs.ran.wait(60)
    assert not periodic.stop(0.01)
    runs.hang.set()


def test_the_version_is_the_installed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or says that there is none."""
    assert version() == metadata.version("mirante")

    def missing(_name: str) -> str:
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "version", missing)
    assert version() == "0+unknown"
