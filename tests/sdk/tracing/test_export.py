"""Delivery: batches, retries, drops, the spool, deadlines and forks, against a real HTTP receiver."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from mirante._core import fork
from mirante._core.guard import REPORTER
from mirante._core.spool import Spool
from mirante.errors import DeliveryError, StoreError
from mirante.exporters.otlp_sender import OtlpSender
from mirante.tracing import Pipeline, SpanExporter, TracerProvider
from mirante.tracing.provider import ProviderTracer
from tests.sdk.tracing.receiver import Receiver

NEVER = 3600.0


@contextmanager
def exporting(send: Any, **settings: Any) -> Iterator[tuple[SpanExporter, ProviderTracer]]:
    """An exporter whose thread does nothing by itself, and a tracer before it."""
    exporter = SpanExporter(send, lambda: {"service.name": "shop"}, **{"interval": NEVER, **settings})
    yield exporter, TracerProvider(Pipeline(sink=exporter)).get_tracer("lib")
    exporter.shutdown(5.0)
    if exporter._thread is not None:  # what it still tells must not be counted by the next test
        exporter._thread.join(60)
        assert not exporter._thread.is_alive()


def record(tracer: ProviderTracer, *names: str) -> None:
    """Spans that begin and end."""
    for name in names:
        tracer.start_span(name, attributes={"n": name}).end()


class Wire:
    """A destination that answers as told; ``answers`` are exceptions or response bodies, the last one for ever."""

    def __init__(self, *answers: DeliveryError | bytes) -> None:
        self.answers = list(answers) or [b""]
        self.names: list[str] = []
        self.timeouts: list[float] = []

    def __call__(self, body: bytes, timeout: float) -> bytes:
        """Send."""
        self.timeouts.append(timeout)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, DeliveryError):
            raise answer
        (resource,) = ExportTraceServiceRequest.FromString(body).resource_spans
        self.names += [span.name for scope in resource.scope_spans for span in scope.spans]
        return answer


class FastClock:
    """Time in which an hour passes quickly."""

    def __init__(self) -> None:
        self.extra = 0.0

    def time_ns(self) -> int:
        """Wall clock."""
        return time.time_ns()

    def monotonic(self) -> float:
        """Steady clock."""
        return time.monotonic() + self.extra


@pytest.mark.parametrize("compress", [True, False])
def test_spans_arrive_at_a_real_receiver(compress: bool) -> None:
    """As protobuf over HTTP, compressed or not, with resource and headers, in order, on one connection."""
    with Receiver() as receiver:
        sender = OtlpSender(receiver.url, {"authorization": "Bearer x"}, compress=compress)
        with exporting(sender) as (exporter, tracer):
            record(tracer, "a", "b")
            assert exporter.flush()
            record(tracer, "c")
        sender.close()
        assert receiver.names() == ["a", "b", "c"]
        (first, _) = receiver.requests
        assert (first["content-type"], first["authorization"]) == ("application/x-protobuf", "Bearer x")
        assert ("content-encoding" in first) is compress
        assert receiver.bodies[0].resource_spans[0].resource.attributes[0].value.string_value == "shop"
    assert (exporter.stats.exported, exporter.stats.dropped) == (3, {})


def test_a_full_batch_does_not_wait_for_the_interval() -> None:
    """The thread is woken by the span that fills the batch."""
    wire = Wire()
    with exporting(wire, batch_size=3) as (_, tracer):
        record(tracer, "a", "b", "c")
        until = time.monotonic() + 5
        while len(wire.names) < 3 and time.monotonic() < until:
            time.sleep(0.005)
        assert wire.names == ["a", "b", "c"]


def test_an_incomplete_batch_waits_no_longer_than_the_interval() -> None:
    """Then it is sent as it is."""
    wire = Wire()
    with exporting(wire, interval=0.01) as (_, tracer):
        record(tracer, "a")
        until = time.monotonic() + 5
        while not wire.names and time.monotonic() < until:
            time.sleep(0.005)
        assert wire.names == ["a"]


def test_a_full_queue_drops_the_newest_and_counts_them() -> None:
    """Memory is bounded while the destination hangs, and ending a span does not wait."""
    hanging, release = threading.Event(), threading.Event()

    def hang(_body: bytes, _timeout: float) -> bytes:
        hanging.set()
        release.wait(10)
        return b""

    with exporting(hang, queue_size=10, batch_size=2) as (exporter, tracer):
        record(tracer, "a", "b")
        assert hanging.wait(60)
        begun = time.perf_counter()
        record(tracer, *"0123456789")
        record(tracer, *["more"] * 1000)
        assert time.perf_counter() - begun < 1.0
        assert exporter.stats.dropped == {"queue_full": 1000}
        assert exporter.flush(0.01) is False
        release.set()
    assert exporter.stats.exported == 12


def test_what_fails_for_now_is_tried_again() -> None:
    """503 and a broken connection pass; the second try delivers, once."""
    with Receiver(lambda n: (503 if n == 0 else 200, {"Retry-After": "0"}, b"")) as receiver:
        with exporting(OtlpSender(receiver.url)) as (exporter, tracer):
            record(tracer, "a")
            assert exporter.flush(10)
        assert receiver.names() == ["a"]
    assert (len(receiver.requests), exporter.stats.exported, exporter.stats.dropped) == (2, 1, {})


def test_what_is_refused_is_dropped_at_once() -> None:
    """400 is the data's fault: no second try, counted, told, and the next batch goes on."""
    with Receiver(lambda n: (400 if n == 0 else 200, {}, b"bad span")) as receiver:
        with exporting(OtlpSender(receiver.url)) as (exporter, tracer):
            record(tracer, "a", "b")
            assert exporter.flush(10)
            record(tracer, "c")
        assert receiver.names() == ["c"]
    assert (len(receiver.requests), exporter.stats.dropped) == (2, {"rejected": 2})


@pytest.mark.parametrize(("rejected", "reason"), [(1, "too old"), (2, ""), (0, "deprecated")])
def test_a_partial_success_is_counted_and_told(rejected: int, reason: str) -> None:
    """A 200 may say that some spans were not taken."""
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = rejected
    response.partial_success.error_message = reason
    told = REPORTER.counts.get("traces export", 0)
    with exporting(Wire(response.SerializeToString())) as (exporter, tracer):
        record(tracer, "a", "b")
    assert exporter.stats.exported == 2 - rejected
    assert exporter.stats.dropped == ({"rejected": rejected} if rejected else {})
    assert REPORTER.counts["traces export"] == told + 1


def test_without_a_spool_a_batch_is_given_up_after_a_while() -> None:
    """Tried for so long, then counted as unreachable; the thread goes on."""
    clock = FastClock()
    wire = Wire(DeliveryError("away"), DeliveryError("away"), b"")
    with exporting(wire, clock=clock, give_up_after=0.5) as (exporter, tracer):
        record(tracer, "a")
        assert exporter.flush(10)
        assert exporter.stats.dropped == {"unreachable": 1}
        record(tracer, "b")
        assert exporter.flush(10)
        record(tracer, "c")
    assert wire.names == ["c"]
    assert exporter.stats.dropped == {"unreachable": 2}


def test_pauses_grow_and_heed_the_destination() -> None:
    """1 s, 2 s, 4 s, up to half a minute; a longer Retry-After wins, up to a minute."""
    exporter = SpanExporter(Wire(), dict)
    pauses = []
    for retry_after in (None, None, None, 20.0, 600.0, None, None):
        exporter._back_off(DeliveryError("away", retry_after=retry_after))
        pauses.append(exporter._pause)
    assert pauses == [1, 2, 4, 20, 60, 30, 30]
    assert not exporter._due()


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_dead_server_delays_the_end_by_no_more_than_the_deadline() -> None:
    """Nothing answers: shutdown returns in time and every span is counted."""
    url = f"http://127.0.0.1:{closed_port()}/v1/traces"
    with exporting(OtlpSender(url)) as (exporter, tracer):
        record(tracer, "a", "b")
        begun = time.perf_counter()
        exporter.shutdown(2.0)
        assert time.perf_counter() - begun < 2.5
    assert exporter.stats.dropped == {"shutdown": 2}


def test_a_hanging_server_delays_the_end_by_no_more_than_the_deadline() -> None:
    """It takes the connection and never answers: the batch in flight and the rest are counted."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/v1/traces"
        with exporting(OtlpSender(url), batch_size=2) as (exporter, tracer):
            record(tracer, "a", "b")
            until = time.monotonic() + 5
            while not exporter._in_flight and time.monotonic() < until:
                time.sleep(0.005)
            record(tracer, "c")
            begun = time.perf_counter()
            assert exporter.shutdown(0.2) is False
            assert time.perf_counter() - begun < 1.0
            server.close()
    assert exporter.stats.dropped == {"shutdown": 3}


def test_after_the_end_spans_are_dropped_and_the_second_end_is_nothing() -> None:
    """Requests are given what time is left; nothing is delivered later."""
    wire = Wire()
    with exporting(wire, timeout=10.0) as (exporter, tracer):
        record(tracer, "a")
        assert exporter.shutdown(3.0)
        assert exporter.shutdown()
        record(tracer, "b")
    assert wire.names == ["a"]
    assert wire.timeouts[0] <= 3.0
    assert exporter.stats.dropped == {"shutdown": 1}


def test_without_spans_there_is_no_thread_and_nothing_to_do() -> None:
    """A process that records nothing costs nothing."""
    threads = threading.active_count()
    with exporting(Wire()) as (exporter, _):
        assert exporter.flush()
        assert threading.active_count() == threads
        assert exporter.shutdown()


def test_a_span_that_cannot_be_encoded_does_not_take_the_others_along() -> None:
    """It is counted by its own reason; a batch of nothing else is not sent."""
    wire = Wire()
    with exporting(wire) as (exporter, tracer):
        record(tracer, "a")
        tracer.start_span("broken", start_time=-(2**70)).end()
        record(tracer, "b")
        assert exporter.flush(10)
        tracer.start_span("broken", start_time=-(2**70)).end(-(2**69))
        assert exporter.flush(10)
    assert wire.names == ["a", "b"]
    assert exporter.stats.dropped == {"unencodable": 2}
    assert len(wire.timeouts) == 1


def test_a_fault_of_the_exporter_itself_is_told_and_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected exception ends one batch, not the thread, and never reaches the host."""
    monkeypatch.delenv("MIRANTE_RAISE_FAULTS")

    def send(_body: bytes, _timeout: float) -> bytes:
        raise LookupError("unexpected")

    told = REPORTER.counts.get("traces export", 0)
    with exporting(send) as (exporter, tracer):
        record(tracer, "a")
        assert exporter.flush(10)
        record(tracer, "b")
        assert exporter.flush(10)
    assert REPORTER.counts["traces export"] == told + 2
    assert exporter.stats.dropped == {"fault": 2}


def test_a_thread_that_cannot_start_is_started_by_a_later_span(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may have no more threads for a while; of two spans at once, one starts it."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    wire = Wire()
    with exporting(wire) as (exporter, tracer):
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            record(tracer, "a")
        assert not exporter.flush(0.01)
        with exporter._starting:
            record(tracer, "b")
            assert exporter._thread is None
        record(tracer, "c")
        assert exporter.flush(10)
    assert wire.names == ["a", "b", "c"]


def test_without_a_thread_the_end_counts_what_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lost without being counted."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with exporting(Wire()) as (exporter, tracer):
        record(tracer, "a")
        assert exporter.shutdown(0.1) is False
    assert exporter.stats.dropped == {"shutdown": 1}


def test_our_own_requests_are_not_traced() -> None:
    """The thread asks instrumentations to look away, or its requests would make spans that make requests."""
    from opentelemetry.instrumentation.utils import is_instrumentation_enabled

    seen: list[bool] = []

    def send(_body: bytes, _timeout: float) -> bytes:
        seen.append(is_instrumentation_enabled())
        return b""

    with exporting(send) as (_, tracer):
        record(tracer, "a")
    assert seen == [False]


def test_the_counts_are_metrics() -> None:
    """Exported, dropped by reason, and waiting."""
    with exporting(Wire(DeliveryError("no", permanent=True))) as (exporter, tracer):
        record(tracer, "a")
        exporter.flush(10)
        samples = [sample for family in exporter.collect() for sample in family.samples]
    assert [(sample.name, dict(sample.labels), sample.value) for sample in samples] == [
        ("mirante_spans_exported_total", {}, 0),
        ("mirante_spans_dropped_total", {"reason": "rejected"}, 1),
        ("mirante_spans_queued", {}, 0),
    ]


def spool_in(folder: Path, **settings: Any) -> Spool:
    """An open spool."""
    return Spool(folder / "spool", **settings)


def test_with_a_spool_spans_wait_on_disk_and_are_delivered_in_order(tmp_path: Path) -> None:
    """During an outage batches go to disk; when the destination answers again, the oldest come first."""
    clock = FastClock()
    wire = Wire(DeliveryError("away"), DeliveryError("away"), b"")
    with exporting(wire, clock=clock, spool=lambda: spool_in(tmp_path)) as (exporter, tracer):
        for name in ("a", "b", "c"):
            record(tracer, name)
            assert exporter.flush(10)
        assert (exporter.stats.spooled, len(wire.timeouts)) == (3, 1)
        clock.extra += 60
        record(tracer, "d")
        assert exporter.flush(10)
        assert wire.names == []
        clock.extra += 60
        assert exporter.flush(10)
        assert wire.names == ["a", "b", "c", "d"]
        record(tracer, "e")
    assert wire.names == ["a", "b", "c", "d", "e"]
    assert (exporter.stats.exported, exporter.stats.dropped) == (5, {})


def test_what_was_spooled_survives_the_process(tmp_path: Path) -> None:
    """The next one that opens the spool delivers it, also what was queued when the destination hung at the end."""
    hanging = threading.Event()
    release = threading.Event()

    def hang(_body: bytes, _timeout: float) -> bytes:
        hanging.set()
        release.wait(10)
        raise DeliveryError("away")

    exporter = SpanExporter(hang, dict, interval=NEVER, batch_size=2, spool=lambda: spool_in(tmp_path))
    tracer = TracerProvider(Pipeline(sink=exporter)).get_tracer("lib")
    record(tracer, "a", "b")
    assert hanging.wait(60)
    record(tracer, "c")
    assert exporter.shutdown(0.05) is False
    release.set()
    assert exporter._thread is not None
    exporter._thread.join(60)  # it finds its batch saved already, and lets go of the directory
    assert (exporter.stats.spooled, exporter.stats.dropped) == (3, {})
    wire = Wire()
    with exporting(wire, spool=lambda: spool_in(tmp_path)) as (_, tracer):
        record(tracer, "d")
    assert wire.names == ["a", "b", "c", "d"]


def test_a_destination_that_is_away_at_the_end_leaves_spans_on_disk(tmp_path: Path) -> None:
    """Shutdown tries, keeps what was not taken and lets go of the directory."""
    with exporting(Wire(DeliveryError("away")), spool=lambda: spool_in(tmp_path)) as (exporter, tracer):
        record(tracer, "a")
    assert (exporter.stats.spooled, exporter.stats.dropped) == (1, {})
    spool = spool_in(tmp_path)
    assert spool.waiting_records == 1
    spool.close()


def test_replay_stops_at_the_deadline(tmp_path: Path) -> None:
    """A large backlog does not keep the process from ending."""
    spool = spool_in(tmp_path)
    spool.append([b"\0\0\0\1body"] * 100)

    def slow(_body: bytes, _timeout: float) -> bytes:
        time.sleep(0.02)
        return b""

    with exporting(slow, spool=lambda: spool) as (exporter, tracer):
        record(tracer, "a")
        assert exporter.shutdown(0.1)
    assert (exporter.stats.spooled, exporter.stats.dropped) == (1, {})
    assert 0 < exporter.stats.exported < 50


def test_a_spool_that_takes_nothing_costs_the_spans_and_is_told(tmp_path: Path) -> None:
    """A full or failing disk is one more reason to count."""
    spool = spool_in(tmp_path, max_bytes=60)
    with exporting(Wire(DeliveryError("away")), spool=lambda: spool) as (exporter, tracer):
        record(tracer, "a")
        assert exporter.flush(10)
    assert exporter.stats.dropped == {"spool_full": 1}


def test_a_spool_that_cannot_be_closed_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of the process is no place for a disk's errors."""
    spool = spool_in(tmp_path)
    real = spool.close

    def close() -> None:
        real()
        raise StoreError("no")

    monkeypatch.setattr(spool, "close", close)
    with exporting(Wire(), spool=lambda: spool) as (exporter, tracer):
        record(tracer, "a")
        assert exporter.shutdown()


def in_child(function: Callable[[], bool]) -> bool:
    """Run in a forked child and tell whether it was content."""
    pid = os.fork()
    if pid == 0:  # pragma: no cover - the child's exit writes no coverage
        try:
            os._exit(0 if function() else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_exports_its_own_spans_and_not_its_parents() -> None:
    """Queued spans stay the parent's, ids differ, the child has a thread and a connection of its own."""
    with Receiver() as receiver:
        with exporting(OtlpSender(receiver.url)) as (exporter, tracer):
            record(tracer, "warm")
            assert exporter.flush(10)
            record(tracer, "parent")

            def child() -> bool:
                record(tracer, "child")
                return exporter.shutdown(5.0) and exporter.stats.exported == 1

            assert in_child(child)
            assert in_child(child)
        assert sorted(receiver.names()) == ["child", "child", "parent", "warm"]
        assert len({span.trace_id for span in receiver.spans()}) == 4


def test_a_fork_starts_anew_without_spool_thread_or_counts(tmp_path: Path) -> None:
    """What belongs to the parent is left to it, whatever state its locks were in; the resource is asked again."""
    wire = Wire()
    names = iter(["parent", "child"])
    spool = spool_in(tmp_path)
    exporter = SpanExporter(wire, lambda: {"service.name": next(names)}, interval=NEVER, spool=lambda: spool)
    tracer = TracerProvider(Pipeline(sink=exporter)).get_tracer("lib")
    record(tracer, "before")
    assert exporter.flush(10)
    record(tracer, "queued")
    exporter._starting.acquire(blocking=False)
    thread = exporter._thread
    halt, wake = exporter._halt, exporter._wake
    exporter.after_fork()
    assert (exporter.stats.exported, exporter._spool) == (0, None)
    record(tracer, "after")
    assert exporter.shutdown()
    assert wire.names == ["before", "after"]
    assert next(names, None) is None
    halt.set()  # what was the parent's thread
    wake.release()
    assert thread is not None
    thread.join(60)
    spool.close()


def test_the_living_are_told_of_a_fork_and_the_dead_are_not() -> None:
    """Watching an object does not keep it alive."""

    class Watched:
        told = 0

        def after_fork(self) -> None:
            """Count."""
            Watched.told += 1

    kept, gone = Watched(), Watched()
    fork.watch(kept)
    fork.watch(gone)
    del gone
    fork._tell()
    assert Watched.told == 1


@pytest.mark.slow
def test_a_process_whose_server_is_dead_works_on_and_ends_in_time() -> None:
    """100,000 spans against a closed port: no fault, bounded memory, and the exit is not held up past the deadline."""
    program = f"""
import atexit, resource, time
from mirante.exporters.otlp_sender import OtlpSender
from mirante.tracing import Tracer, TracingSettings, start
running = start(TracingSettings(), OtlpSender("http://127.0.0.1:{closed_port()}/v1/traces"), dict)
def leave():
    begun = time.monotonic()
    running.shutdown(1.0)
    print(time.monotonic() - begun, sum(running.exporter.stats.dropped.values()))
atexit.register(leave)
tracer, used = Tracer(), []
for round in range(2):
    for number in range(50_000):
        with tracer.start_span("s", attributes={{"number": number}}):
            pass
    used.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
assert used[1] - used[0] < 4096, used
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    took, dropped = done.stdout.split()
    assert float(took) < 1.5
    assert int(dropped) == 100_000


def test_a_spool_that_cannot_be_read_is_told_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failing disk ends the attempt, not the thread, and nothing is lost by it."""
    spool = spool_in(tmp_path)
    spool.append([b"\0\0\0\1"])
    real, told = spool.read, REPORTER.counts.get("traces spool", 0)

    def broken(**_: object) -> Any:
        raise StoreError("no")

    wire = Wire()
    with exporting(wire, spool=lambda: spool) as (exporter, tracer):
        monkeypatch.setattr(spool, "read", broken)
        record(tracer, "a")
        assert exporter.flush(10)
        assert REPORTER.counts["traces spool"] == told + 1
        monkeypatch.setattr(spool, "read", real)
        monkeypatch.setattr(exporter, "_send", lambda _body, _timeout: b"")
        assert exporter.flush(10)
    assert (exporter.stats.exported, spool.waiting_records) == (2, 0)


def test_a_batch_that_shutdown_has_accounted_for_is_not_counted_twice() -> None:
    """The thread may fail long after the end, where the process lives on: nothing changes any more."""
    hanging, release = threading.Event(), threading.Event()

    def hang(_body: bytes, _timeout: float) -> bytes:
        hanging.set()
        release.wait(10)
        raise DeliveryError("away")

    with exporting(hang, batch_size=1) as (exporter, tracer):
        record(tracer, "a")
        assert hanging.wait(60)
        assert exporter.shutdown(0.05) is False
        release.set()
    assert exporter.stats.dropped == {"shutdown": 1}


def test_a_resource_that_fails_costs_no_span(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked before a span leaves the queue, and again the next time."""
    monkeypatch.delenv("MIRANTE_RAISE_FAULTS")
    answers: list[dict[str, object]] = [{}]

    def resource() -> dict[str, object]:
        if answers:
            answers.pop()
            raise LookupError("not yet")
        return {"service.name": "shop"}

    wire = Wire()
    exporter = SpanExporter(wire, resource, interval=NEVER)
    record(TracerProvider(Pipeline(sink=exporter)).get_tracer("lib"), "a")
    assert exporter.flush(10)
    assert wire.names == []
    assert exporter.shutdown()
    assert (wire.names, exporter.stats.dropped) == (["a"], {})
