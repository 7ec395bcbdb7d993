"""Celery: a span for every message sent and one for every run of a task, in one trace; durations, failures, retries.

Trace, baggage and bound ids travel in the message's headers. In a worker the log lines of a task carry them; what the
worker itself does between tasks (polling the broker, heartbeats) makes no spans. Where mirante has taken logging over,
Celery leaves it alone.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, MutableMapping
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from opentelemetry import propagate
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind

from mirante._core.guard import REPORTER
from mirante._core.patch import Patches
from mirante._core.workers import leave
from mirante.correlation.context import bind, bound
from mirante.integrations._operation import SUPPRESS, Operation, error_type, suppressed, tracer
from mirante.logging.handler import PipelineHandler
from mirante.metrics.distributions import Histogram
from mirante.metrics.shorthand import counter, histogram
from mirante.metrics.types import Counter
from mirante.tracing.context import SPAN_KEY, attach, get_context
from mirante.tracing.spans import Span

if TYPE_CHECKING:
    from celery import Celery, Task

    from mirante.tracing.provider import ProviderTracer

BOUND = "mirante_bound"
"""The message header with the bound ids."""

_SENDING = "mirante-celery-sending"
_RUN = "_mirante_run"
_BUCKETS = (0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1800.0, 3600.0)

_patches = Patches()


def install() -> None:
    """Record the tasks of all applications, made before and after, in producers and in workers.

    Example:
        >>> install()
        >>> uninstall()
    """
    from celery import Celery, signals

    _patches.wrap(Celery, "send_task", _send_task)
    for name, receiver in _RECEIVERS.items():
        getattr(signals, name).connect(receiver, weak=False, dispatch_uid=f"mirante-{name}")
    _logging_is_next()


def uninstall() -> None:
    """Put Celery's own function back, and listen to no signal any more."""
    from celery import signals

    _patches.undo()
    for name, receiver in {**_RECEIVERS, "setup_logging": _leave_logging_alone}.items():
        getattr(signals, name).disconnect(receiver, dispatch_uid=f"mirante-{name}")


@cache
def _tracer() -> ProviderTracer:
    return tracer("celery")


@cache
def _duration() -> Histogram:
    return histogram(
        "celery_task_duration_seconds",
        "Duration of runs of tasks, by the state in which they ended.",
        ("task", "state"),
        buckets=_BUCKETS,
    )


@cache
def _failures() -> Counter:
    return counter("celery_task_failures_total", "Tasks that failed for good.", ("task", "error_type"))


@cache
def _retries() -> Counter:
    return counter("celery_task_retries_total", "Runs of tasks that asked for another one.", ("task",))


class _Send(Operation):
    """Hands one message to the broker; the broker's own commands are part of it."""

    __slots__ = ("_task", "message_id")
    kind: ClassVar[SpanKind] = SpanKind.PRODUCER
    within: ClassVar[Mapping[str, object]] = {SUPPRESS: True, _SENDING: True}

    def __init__(self, task: str) -> None:
        super().__init__(_tracer(), f"send {task}")
        self._task = task
        self.message_id = ""

    def describe(self, span: Span) -> None:
        """What is sent."""
        span.set_attribute("messaging.system", "celery")
        span.set_attribute("messaging.operation.type", "send")
        span.set_attribute("messaging.operation.name", "send_task")
        span.set_attribute("celery.task.name", self._task)

    def conclude(self, span: Span) -> None:
        """The id that Celery gave it."""
        if self.message_id:
            span.set_attribute("messaging.message.id", self.message_id)


def _send_task(original: Callable[..., Any]) -> Callable[..., Any]:
    def send_task(app: Celery, name: str, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as Celery takes them
        if suppressed():
            return original(app, name, *args, **kwargs)
        with _Send(name) as operation:
            result = original(app, name, *args, **kwargs)
            operation.message_id = str(getattr(result, "id", None) or "")
            return result

    return send_task


def _publishing(headers: MutableMapping[str, Any] | None = None, routing_key: str | None = None, **_: object) -> None:
    """The message is about to go: write the headers, and tell the span the queue's name."""
    context = get_context()
    if headers is None or _SENDING not in context:
        return
    span = context.get(SPAN_KEY)
    if type(span) is Span and routing_key:
        span.set_attribute("messaging.destination.name", routing_key)
    propagate.inject(headers)
    if ids := bound():
        headers[BOUND] = dict(ids)


class _Run(Operation):
    """One run of a task."""

    __slots__ = ("_bound", "_eager", "_request", "_task", "_task_id", "state")
    kind: ClassVar[SpanKind] = SpanKind.CONSUMER

    def __init__(self, task: Task, task_id: str) -> None:
        request = task.request
        self._eager = bool(request.is_eager)
        super().__init__(_tracer(), f"process {task.name}", None if self._eager else _context_of(request))
        self._task = task.name
        self._task_id = task_id
        self._request = request
        self._bound = bind(**({} if self._eager else _bound_of(request)))
        self.state = ""

    def begin_run(self) -> None:
        """Until ``end_run`` the span is current and the ids are bound."""
        self.__enter__()
        self._bound.__enter__()

    def end_run(self, error: BaseException | None) -> None:
        """It has ended."""
        self._bound.__exit__(None, None, None)
        self.__exit__(type(error) if error else None, error, None)

    def describe(self, span: Span) -> None:
        """Which task, from where."""
        span.set_attribute("messaging.system", "celery")
        span.set_attribute("messaging.operation.type", "process")
        span.set_attribute("messaging.operation.name", "run")
        span.set_attribute("messaging.message.id", self._task_id)
        span.set_attribute("celery.task.name", self._task)
        queue = (self._request.delivery_info or {}).get("routing_key")
        if queue:
            span.set_attribute("messaging.destination.name", str(queue))
        if self._request.retries:
            span.set_attribute("celery.task.retries", int(self._request.retries))

    def conclude(self, span: Span) -> None:
        """How it ended."""
        span.set_attribute("celery.task.state", self.state)

    def measure(self, seconds: float) -> None:
        """Its duration, and whether it failed or is to be run again."""
        _duration().labels(self._task, self.state).observe(seconds)
        if self.state == "RETRY":
            _retries().labels(self._task).inc()
        elif self.error_type:
            _failures().labels(self._task, self.error_type).inc()


def _context_of(request: Any) -> Context:  # noqa: ANN401 - Celery's Context
    fields = propagate.get_global_textmap().fields
    carrier = {name: value for name in fields if isinstance(value := request.get(name), str)}
    return propagate.extract(carrier, Context())  # whatever the worker does otherwise is not this task's


def _bound_of(request: Any) -> Mapping[str, object]:  # noqa: ANN401 - Celery's Context
    ids = request.get(BOUND)
    return ids if isinstance(ids, Mapping) else {}


def _starts(task: Task, task_id: str, **_: object) -> None:
    if task.request.is_eager and suppressed():
        return
    run = _Run(task, task_id)
    run.begin_run()
    setattr(task.request, _RUN, run)


def _has_ended(task: Task, state: str | None = None, retval: object = None, **_: object) -> None:
    run: _Run | None = vars(task.request).pop(_RUN, None)
    if run is None:
        return
    run.state = state or "FAILURE"  # an eager task that hands its exception on is not asked for its state
    if state == "RETRY" and isinstance(cause := getattr(retval, "exc", None), Exception):
        run.span.record_exception(cause)
    run.end_run(_error(state, retval))


def _error(state: str | None, retval: object) -> BaseException | None:
    if state is None:
        return sys.exception()
    return retval if state == "FAILURE" and isinstance(retval, BaseException) else None


def _failed(sender: Task, exception: BaseException | None = None, **_: object) -> None:
    """Of a run whose process was lost or stopped only the worker's main process knows."""
    if exception is not None and not hasattr(sender.request, _RUN):
        _failures().labels(sender.name, error_type(exception)).inc()


def _worker_begins(**_: object) -> None:
    """What the worker does on its own is nobody's request; tasks have contexts of their own."""
    attach(Context({**get_context(), SUPPRESS: True}))


def _beat_begins(**_: object) -> None:
    """The scheduler inside a worker sends tasks like anybody else."""
    attach(Context())


def _logging_is_next(**_: object) -> None:
    from celery import signals

    if any(isinstance(handler, PipelineHandler) for handler in logging.getLogger().handlers):
        signals.setup_logging.connect(_leave_logging_alone, weak=False, dispatch_uid="mirante-setup_logging")


def _leave_logging_alone(**_: object) -> None:
    """That somebody listens to this signal keeps Celery from setting up logging."""


def _process_ends(**_: object) -> None:
    """A process of the pool ends by ``os._exit``: deliver what is left now."""
    leave()


def _guarded(receiver: Callable[..., None]) -> Callable[..., None]:
    """Telemetry never raises into the host; Celery would log it with every task."""

    def guarded(*_: object, **named: Any) -> None:  # noqa: ANN401 - the signal's arguments
        try:
            receiver(**named)
        except Exception as fault:  # noqa: BLE001 - see above
            REPORTER.fault(f"integrations.celery.{receiver.__name__}", fault)

    return guarded


_RECEIVERS = {
    "before_task_publish": _guarded(_publishing),
    "task_prerun": _guarded(_starts),
    "task_postrun": _guarded(_has_ended),
    "task_failure": _guarded(_failed),
    "celeryd_init": _guarded(_logging_is_next),
    "worker_init": _guarded(_worker_begins),
    "beat_embedded_init": _guarded(_beat_begins),
    "worker_process_shutdown": _guarded(_process_ends),
}
