"""The bounded queue that all signals share."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mirante._core.batches import BatchQueue, Send, Signal, delivering
from mirante._core.fork import _tell
from mirante._core.guard import REPORTER
from mirante._core.spool import Spool
from mirante._core.spool_slots import open_spool, record_of
from mirante.errors import DeliveryError
from mirante.testing.clock import FakeClock


def encode(number: int) -> str:
    """A number that can be encoded is not negative."""
    if number < 0:
        raise ValueError("negative")
    return str(number)


def refused(response: bytes) -> tuple[int, str]:
    """As many as the response has bytes; ``?`` is a reason without any."""
    return (0, "a hint") if response == b"?" else (len(response), "")


NUMBERS: Signal[int] = Signal(
    "numbers", "some numbers", encode, bytes, lambda resource, encoded: ",".join(encoded).encode(), refused
)


class Destination:
    """Takes bodies while it is up."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.error: DeliveryError | None = None
        self.response = b""
        self.threads: list[bool] = []

    def __call__(self, body: bytes, timeout: float) -> bytes:
        self.threads.append(delivering())
        if self.error is not None:
            raise self.error
        self.bodies.append(body)
        return self.response


def queue_of(send: Send, **options: object) -> BatchQueue[int]:
    """A queue that sends when told to."""
    return BatchQueue(NUMBERS, send, **{"interval": 3600.0, **options})  # type: ignore[arg-type] # numbers and a spool


def test_items_arrive_in_order_in_batches() -> None:
    """A full batch goes at once, the rest with a flush; the sending thread knows what it is."""
    destination = Destination()
    queue = queue_of(destination, batch_size=2)
    assert queue.flush()
    assert queue_of(destination).shutdown()
    for number in range(5):
        queue.put(number)
    assert queue.flush()
    assert b",".join(destination.bodies) == b"0,1,2,3,4"
    assert queue.stats.exported == 5
    assert set(destination.threads) == {True}
    assert not delivering()
    assert queue.shutdown()
    assert queue.shutdown()
    queue.put(6)
    assert queue.stats.dropped == {"shutdown": 1}


def test_what_is_given_up_is_counted_by_its_reason() -> None:
    """Refused as a whole or in part, or not to be encoded."""
    destination = Destination()
    queue = queue_of(destination)
    destination.response = b"x"
    queue.put(1)
    queue.put(-1)
    queue.flush()
    destination.response = b"?"
    queue.put(-1)
    queue.flush()
    queue.put(1)
    queue.flush()
    destination.error = DeliveryError("no", permanent=True)
    queue.put(1)
    queue.flush()
    queue.shutdown()
    assert queue.stats.dropped == {"unencodable": 2, "rejected": 2}
    assert queue.stats.exported == 1


def test_a_batch_is_tried_again_until_it_was_long_enough() -> None:
    """Without a spool, in memory."""
    destination, clock = Destination(), FakeClock()
    destination.error = DeliveryError("away", retry_after=0.0)
    queue = queue_of(destination, give_up_after=0.5, clock=clock)
    queue.put(1)
    queue.flush()
    queue.shutdown()
    assert queue.stats.dropped == {"unreachable": 1}


def test_a_shutdown_does_not_wait_for_a_destination_that_is_away() -> None:
    """What it was still trying is counted."""
    tried = threading.Event()

    def away(body: bytes, timeout: float) -> bytes:
        tried.set()
        raise DeliveryError("away")

    queue = queue_of(away, batch_size=1)
    queue.put(1)
    assert tried.wait(60)
    queue.shutdown(5.0)
    assert queue.stats.dropped == {"shutdown": 1}


def test_a_shutdown_leaves_a_thread_that_hangs() -> None:
    """After the deadline; what it held and what waited is counted."""
    hanging, release = threading.Event(), threading.Event()

    def hang(body: bytes, timeout: float) -> bytes:
        hanging.set()
        release.wait(10)
        return b""

    queue = queue_of(hang, batch_size=1)
    queue.put(1)
    assert hanging.wait(60)
    queue.put(2)
    assert not queue.shutdown(0.01)
    assert queue.stats.dropped == {"shutdown": 2}
    release.set()


def test_batches_wait_on_disk_while_the_destination_is_away(tmp_path: Path) -> None:
    """In order, and are delivered when it is back, by the next process too."""
    destination, clock = Destination(), FakeClock()
    queue = queue_of(destination, spool=lambda: Spool(tmp_path, max_bytes=1 << 20), clock=clock)
    destination.error = DeliveryError("away", retry_after=5.0)
    for number in (1, 2):
        queue.put(number)
        queue.flush()
    assert queue.stats.spooled == 2
    assert not destination.bodies
    clock.advance(120)
    destination.error = None
    queue.put(3)
    queue.flush()
    assert destination.bodies == [b"1", b"2", b"3"]
    destination.error = DeliveryError("away")
    queue.put(4)
    queue.flush()
    clock.advance(120)
    queue.flush()
    queue.shutdown()
    destination.error = None
    second = queue_of(destination, spool=lambda: Spool(tmp_path, max_bytes=1 << 20), clock=clock)
    second.put(5)
    second.shutdown()
    assert destination.bodies[3:] == [b"4", b"5"]


def test_with_a_spool_what_can_be_delivered_never_touches_the_disk(tmp_path: Path) -> None:
    """Several batches in one round, each taken at once."""
    destination, spool = Destination(), Spool(tmp_path)
    queue = queue_of(destination, spool=lambda: spool, batch_size=2)
    for number in range(6):
        queue.put(number)
    assert queue.flush()
    assert b",".join(destination.bodies) == b"0,1,2,3,4,5"
    assert spool.waiting_records == 0
    assert queue.shutdown()


def test_a_spool_that_is_full_costs_items_only(tmp_path: Path) -> None:
    """They are counted."""
    destination = Destination()
    destination.error = DeliveryError("away")
    queue = queue_of(destination, spool=lambda: Spool(tmp_path, max_bytes=4))
    queue.put(1)
    queue.flush()
    queue.shutdown()
    assert queue.stats.dropped == {"spool_full": 1}


def test_items_that_made_room_in_a_full_spool_are_counted(tmp_path: Path) -> None:
    """The oldest, each of them, also those that an earlier process left."""
    destination = Destination()
    destination.error = DeliveryError("away")
    left = open_spool(tmp_path, "some", 100)
    assert left is not None
    left.append([record_of(7, b"x" * 60)])
    left.close()
    queue = queue_of(destination, spool=lambda: open_spool(tmp_path, "some", 100))
    queue.put(1)
    queue.put(10**40)  # 49 bytes with the first and the framing
    queue.flush()
    assert (queue.stats.spooled, queue.stats.dropped) == (2, {"spool_full": 7})
    queue.shutdown()


def test_a_fault_in_one_round_does_not_end_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is reported, and the next round goes as usual."""
    monkeypatch.delenv("MIRANTE_RAISE_FAULTS")
    destination = Destination()
    real: Callable[[bytes, float], bytes] = destination.__call__
    faults = [RuntimeError("once")]

    def send(body: bytes, timeout: float) -> bytes:
        if faults:
            raise faults.pop()
        return real(body, timeout)

    queue = queue_of(send)
    before = REPORTER.counts.get("numbers export", 0)
    for number in (1, 2):
        queue.put(number)
        queue.flush()
    queue.shutdown()
    assert destination.bodies == [b"2"]
    assert REPORTER.counts["numbers export"] == before + 1


def test_a_thread_that_cannot_start_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the next item; while another thread starts it there is nothing to do."""
    destination = Destination()
    queue = queue_of(destination)
    start = threading.Thread.start

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    queue.put(1)
    monkeypatch.setattr(threading.Thread, "start", start)
    with queue._starting:
        queue.put(2)
    queue.put(3)
    assert queue.shutdown()
    assert destination.bodies == [b"1,2,3"]


def test_a_forked_child_begins_anew() -> None:
    """What the parent queued is the parent's."""
    destination = Destination()
    queue = queue_of(destination)
    queue.put(1)
    child = os.fork()
    if child == 0:
        queue.put(2)
        queue.shutdown()
        os._exit(0 if destination.bodies == [b"2"] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    queue.shutdown()
    assert destination.bodies == [b"1"]
    _tell()  # what the child did, where its coverage is seen
    assert queue.stats.exported == 0


def test_its_counts_are_metrics() -> None:
    """Exported, dropped by reason, waiting."""
    queue = queue_of(Destination(), queue_size=1)
    queue._starting.acquire()  # no thread takes anything away
    queue.put(1)
    queue.put(2)
    samples = {sample.name: sample.value for family in queue.collect() for sample in family.samples}
    assert samples == {
        "mirante_some_numbers_exported_total": 0,
        "mirante_some_numbers_dropped_total": 1,
        "mirante_some_numbers_queued": 1,
    }
