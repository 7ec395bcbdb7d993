"""Celery: one span a message and one a run, in one trace; eager, over a broker in memory, with retries and failures."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from celery import Celery, Task, signals
from celery.contrib.testing.worker import start_worker
from celery.exceptions import Ignore, Reject
from opentelemetry import baggage, propagate
from opentelemetry import context as otel_context

from mirante._core import workers
from mirante.correlation import bind, current
from mirante.correlation.propagator import propagator
from mirante.integrations import celery as integration
from mirante.integrations._operation import SUPPRESS
from mirante.logging.handler import PipelineHandler
from mirante.tracing import AlwaysOff, Span, Tracer
from tests.peers import wait_for
from tests.sdk.integrations.recording import CONSUMER, PRODUCER, Counted, exception_texts, recording

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

seen: list[dict[str, Any]] = []


class Flaky(Exception):
    """What a task may raise."""


def shop() -> Celery:
    """An application with a broker and a backend in this process."""
    app = Celery("shop", broker="memory://", backend="cache+memory://", set_as_current=False)
    app.conf.update(
        worker_hijack_root_logger=False,
        task_default_queue="orders",
        broker_transport_options={"polling_interval": 0.01},
    )

    def declare(name: str, **options: Any) -> Callable[[Callable[..., Any]], Any]:
        return cast("Callable[[Callable[..., Any]], Any]", app.task(name=name, shared=False, **options))

    @declare("shop.charge")
    def charge(amount: int) -> int:
        told = current()
        seen.append({"trace": told.trace_id, "span": told.span_id, **told.bound, **baggage.get_all()})
        return amount

    @declare("shop.fail")
    def fail() -> None:
        raise Flaky("no luck")

    @declare("shop.again", bind=True, max_retries=2)
    def again(task: Task) -> int:
        if task.request.retries < 2:
            raise task.retry(exc=None if task.request.retries else Flaky("not yet"), countdown=0)
        charge.delay(1)
        return int(task.request.retries)

    @declare("shop.ignore")
    def ignore() -> None:
        raise Ignore

    @declare("shop.reject")
    def reject() -> None:
        raise Reject

    @declare("shop.leave")
    def leave() -> None:
        raise SystemExit

    return app


@pytest.fixture(autouse=True)
def headers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual ones."""
    monkeypatch.setattr(propagate, "_HTTP_TEXT_FORMAT", propagator("tracecontext,baggage"))
    seen.clear()


@pytest.fixture
def installed() -> Iterator[None]:
    """In producer and worker."""
    integration.install()
    yield
    integration.uninstall()


@pytest.fixture(scope="module")
def app() -> Iterator[Celery]:
    """With a real worker in a thread of this process, which sets the root logger's level for good."""
    app, root = shop(), logging.getLogger()
    level = root.level
    with start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=60.0):
        root.setLevel(level)
        yield app


@pytest.fixture
def eager() -> Celery:
    """Without one: its tasks run where they are called."""
    app = shop()
    app.conf.task_always_eager = True
    return app


def task(app: Celery, name: str) -> Any:
    """One of its tasks."""
    return app.tasks[f"shop.{name}"]


def named(spans: list[Span], name: str) -> Span:
    """The one span of that name; a run ends a little after its result is known."""
    wait_for(lambda: name in [span.name for span in spans], what=name)
    (found,) = [span for span in spans if span.name == name]
    return found


def test_a_task_goes_on_with_its_senders_trace(installed: None, app: Celery) -> None:
    """PRODUCER and CONSUMER by the conventions; trace, baggage, request and user ids are there while it runs."""
    counted = Counted("celery_task_duration_seconds_count")
    token = otel_context.attach(baggage.set_baggage("tenant", "t-1"))
    try:
        with recording() as spans, bind(request_id="r-1", user_id="u-1"), Tracer().start_span("op") as op:
            result = task(app, "charge").delay(7)
            assert result.get(timeout=60, interval=0.01, disable_sync_subtasks=False) == 7
    finally:
        otel_context.detach(token)
    send, process = named(spans, "send shop.charge"), named(spans, "process shop.charge")
    assert (send.kind.value, process.kind.value) == (PRODUCER, CONSUMER)
    assert (send.parent_id, process.parent_id) == (op.get_span_context().span_id, send.span_id)
    assert process.parent_is_remote
    common = {
        "messaging.system": "celery",
        "messaging.destination.name": "orders",
        "messaging.message.id": result.id,
        "celery.task.name": "shop.charge",
    }
    assert send.attributes == {
        **common,
        "messaging.operation.type": "send",
        "messaging.operation.name": "send_task",
    }
    assert process.attributes == {
        **common,
        "messaging.operation.type": "process",
        "messaging.operation.name": "run",
        "celery.task.state": "SUCCESS",
    }
    ids = {"trace": f"{send.trace_id:032x}", "span": f"{process.span_id:016x}"}
    assert seen == [{**ids, "request_id": "r-1", "user_id": "u-1", "tenant": "t-1"}]
    assert counted(task="shop.charge", state="SUCCESS") == 1


def test_a_failed_task_is_an_error(installed: None, app: Celery) -> None:
    """With its exception, and counted by its type."""
    counted = Counted("celery_task_failures_total")
    with recording() as spans:
        result = task(app, "fail").delay()
        with pytest.raises(Exception, match="no luck"):
            result.get(timeout=60, interval=0.01, disable_sync_subtasks=False)
    process = named(spans, "process shop.fail")
    assert (process.status_code, process.attributes["celery.task.state"]) == (2, "FAILURE")
    kind = f"{Flaky.__module__}.Flaky"
    assert process.attributes["error.type"] == kind
    assert {kind, "no luck"} <= set(exception_texts(process))
    assert counted(task="shop.fail", error_type=kind) == 1


def test_retries_and_what_a_task_sends_are_one_trace(installed: None, app: Celery) -> None:
    """Each run follows from the one before; a retry is no error, but its cause is told."""
    retried, failed = Counted("celery_task_retries_total"), Counted("celery_task_failures_total")
    with recording() as spans, Tracer().start_span("op"):
        assert task(app, "again").delay().get(timeout=60, interval=0.01, disable_sync_subtasks=False) == 2
        charge = named(spans, "process shop.charge")
    sends = [span for span in spans if span.name == "send shop.again"]
    first, second, third = [span for span in spans if span.name == "process shop.again"]
    assert [run.attributes["celery.task.state"] for run in (first, second, third)] == ["RETRY", "RETRY", "SUCCESS"]
    assert (first.status_code, third.attributes["celery.task.retries"]) == (0, 2)
    assert "not yet" in exception_texts(first)
    assert list(second.events) == []
    assert [first.parent_id, second.parent_id, third.parent_id] == [span.span_id for span in sends]
    assert sends[1].parent_id == first.span_id
    assert len({span.trace_id for span in [*spans, charge]}) == 1
    assert (retried(task="shop.again"), failed(task="shop.again")) == (2, 0)


@pytest.mark.parametrize(("name", "state"), [("ignore", "IGNORED"), ("reject", "REJECTED")])
def test_what_is_ignored_or_rejected_is_no_error(installed: None, app: Celery, name: str, state: str) -> None:
    """The span tells the state."""
    with recording() as spans:
        task(app, name).delay()
        process = named(spans, f"process shop.{name}")
    assert (process.attributes["celery.task.state"], process.status_code) == (state, 0)


def test_eager_tasks_run_inside_the_callers_span(installed: None, eager: Celery) -> None:
    """There is no message; ids are the caller's own."""
    with recording() as spans, bind(request_id="r-1"), Tracer().start_span("op") as op:
        assert task(eager, "charge").delay(7).get() == 7
        assert task(eager, "again").delay().get() == 2
    names = [span.name for span in spans]
    again = "process shop.again"
    assert names == ["process shop.charge", again, again, "process shop.charge", again, "op"]
    assert spans[0].parent_id == op.get_span_context().span_id
    assert seen[0] == {"trace": f"{spans[0].trace_id:032x}", "span": f"{spans[0].span_id:016x}", "request_id": "r-1"}
    assert len({span.trace_id for span in spans}) == 1


def test_an_eager_task_that_hands_its_exception_on_is_an_error(installed: None, eager: Celery) -> None:
    """Celery does not tell its state then."""
    eager.conf.task_eager_propagates = True
    counted = Counted("celery_task_failures_total")
    with recording() as spans:
        with pytest.raises(Flaky):
            task(eager, "fail").delay()
        with pytest.raises(SystemExit):
            task(eager, "leave").delay()
    assert [span.status_code for span in spans] == [2, 2]
    assert "no luck" in exception_texts(spans[0])
    assert (counted(task="shop.fail"), counted(task="shop.leave")) == (1, 1)


def test_a_broker_that_is_away_makes_sending_an_error(installed: None) -> None:
    """The span ends with the exception that the caller gets."""
    options = {"max_retries": 0, "retry_on_timeout": False}
    app = Celery("shop", broker="redis://127.0.0.1:1/0", set_as_current=False, broker_transport_options=options)
    app.conf.task_publish_retry = False
    with recording() as spans, pytest.raises(Exception, match="refused"):
        app.send_task("shop.charge", (1,))
    (send,) = spans
    assert (send.name, send.status_code) == ("send shop.charge", 2)
    assert "messaging.message.id" not in send.attributes


def test_where_recording_is_suppressed_nothing_is_recorded(installed: None, app: Celery) -> None:
    """Neither sending nor running here; the message has no header of ours, and its run begins a trace."""
    sent: list[dict[str, Any]] = []

    def look(headers: dict[str, Any], **_: object) -> None:
        sent.append(headers)

    signals.before_task_publish.connect(look)
    token = otel_context.attach(otel_context.set_value(SUPPRESS, True))
    try:
        with recording() as spans, bind(request_id="r-1"):
            task(app, "fail").apply()
            task(app, "charge").delay(1)
            process = named(spans, "process shop.charge")
    finally:
        otel_context.detach(token)
        signals.before_task_publish.disconnect(look)
    assert (len(spans), process.parent_id) == (1, 0)
    assert not {"traceparent", integration.BOUND} & sent[0].keys()


def test_messages_without_our_headers_begin_a_trace(installed: None, app: Celery) -> None:
    """And malformed ones are not taken for ids."""
    with recording() as spans:
        integration.uninstall()
        with Tracer().start_span("op"):
            result = task(app, "charge").apply_async((1,), headers={integration.BOUND: "nonsense", "traceparent": 7})
        integration.install()
        assert result.get(timeout=60, interval=0.01, disable_sync_subtasks=False) == 1
    process = named(spans, "process shop.charge")
    assert process.parent_id == 0
    assert seen == [{"trace": f"{process.trace_id:032x}", "span": f"{process.span_id:016x}"}]


def test_unsampled_tasks_are_counted_and_hand_the_decision_on(installed: None, app: Celery) -> None:
    """No span, but the metric, and the trace goes on."""
    counted = Counted("celery_task_duration_seconds_count")
    with recording(AlwaysOff()) as spans, Tracer().start_span("op") as op:
        assert task(app, "charge").delay(7).get(timeout=60, interval=0.01, disable_sync_subtasks=False) == 7
    assert spans == []
    assert seen[0]["trace"] == f"{op.get_span_context().trace_id:032x}"
    assert counted(task="shop.charge") == 1


def test_a_task_whose_process_was_lost_is_counted(installed: None, app: Celery) -> None:
    """Only the worker's main process knows of it, and sends this signal."""
    counted = Counted("celery_task_failures_total")
    signals.task_failure.send(sender=task(app, "charge"), task_id="1", exception=Flaky("lost"))
    signals.task_failure.send(sender=task(app, "charge"), task_id="1")
    assert counted(task="shop.charge", error_type=f"{Flaky.__module__}.Flaky") == 1


def test_a_run_that_began_before_is_left_alone(installed: None, app: Celery) -> None:
    """Its end alone is nothing."""
    with recording() as spans:
        signals.task_postrun.send(sender=task(app, "charge"), task=task(app, "charge"), task_id="1", state="SUCCESS")
    assert spans == []


def test_the_workers_own_doings_make_no_spans_and_the_schedulers_messages_do(installed: None) -> None:
    """Polling the broker is nobody's request; an embedded scheduler sends like anybody else."""
    import contextvars

    def told(*signalled: Any) -> object:
        for signal in signalled:
            signal.send(sender=None)
        return otel_context.get_value(SUPPRESS)

    assert contextvars.copy_context().run(told, signals.worker_init) is True
    assert contextvars.copy_context().run(told, signals.worker_init, signals.beat_embedded_init) is None


def test_a_pools_process_delivers_before_it_ends(installed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends by ``os._exit``, of which atexit is not told; the latest duty comes first."""
    done: list[str] = []
    duties = {lambda: done.append("first"): None, lambda: done.append("second"): None}
    monkeypatch.setattr(workers._duties, "all", duties)
    signals.worker_process_shutdown.send(sender=None, pid=1, exitcode=0)
    assert done == ["second", "first"]


@pytest.mark.parametrize("first", ["logging", "celery"])
def test_celery_leaves_logging_alone_where_mirante_has_taken_it_over(first: str) -> None:
    """Otherwise it would throw our handler away; whichever of the two is set up first."""
    handler = PipelineHandler()
    root = logging.getLogger()
    try:
        if first == "logging":
            root.addHandler(handler)
            integration.install()
        else:
            integration.install()
            assert not integration_listens_to_logging()
            root.addHandler(handler)
            signals.celeryd_init.send(sender="worker")
        assert integration_listens_to_logging()
        signals.setup_logging.send(sender=None)
        integration.uninstall()
        assert not integration_listens_to_logging()
    finally:
        root.removeHandler(handler)


def integration_listens_to_logging() -> bool:
    """Whether Celery would leave logging alone."""
    return any(receiver is integration._leave_logging_alone for _, receiver in signals.setup_logging.receivers)


def test_uninstalling_puts_the_very_functions_back() -> None:
    """Twice on and twice off is once on and once off; no signal is listened to."""
    original = Celery.send_task
    before = {name: list(getattr(signals, name).receivers) for name in integration._RECEIVERS}
    integration.install()
    integration.install()
    assert Celery.send_task is not original
    assert all(len(getattr(signals, name).receivers) == len(receivers) + 1 for name, receivers in before.items())
    integration.uninstall()
    integration.uninstall()
    assert Celery.send_task is original
    assert {name: getattr(signals, name).receivers for name in before} == before


def test_faults_of_telemetry_never_reach_celery(
    installed: None, eager: Celery, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The task runs whatever breaks in recording it, and Celery has nothing to log."""

    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.delenv("MIRANTE_RAISE_FAULTS", raising=False)
    monkeypatch.setattr(integration, "_Run", broken)
    assert task(eager, "charge").delay(7).get() == 7
    assert not [record for record in caplog.records if record.name.startswith("celery")]
