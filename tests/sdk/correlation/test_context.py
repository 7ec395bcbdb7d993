"""Ids of the moment, and how they get into threads, tasks and child processes."""

from __future__ import annotations

import asyncio
import contextvars
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from typing import Any

import pytest
from opentelemetry import baggage, propagate
from opentelemetry.context import attach
from opentelemetry.trace import NonRecordingSpan, SpanContext, set_span_in_context, use_span

from mirante.correlation import ContextExecutor, adopt_environment, bind, copy_context, current, environment, stamp
from mirante.correlation.context import BOUND_VARIABLE, bind_request_id, unbind
from mirante.tracing import AlwaysOff, Pipeline, Tracer, TracerProvider

REMOTE = NonRecordingSpan(SpanContext(0xA, 0xB, is_remote=True))


def test_bound_ids_nest_and_end_with_their_block() -> None:
    """Inner ids win, None takes one away, and everything is put back."""
    with bind(request_id="r-1", user_id=7, shop="north"):
        assert (current().request_id, current().user_id, current().bound["shop"]) == ("r-1", "7", "north")
        with bind(request_id="r-2", shop=None):
            assert (current().request_id, current().user_id, current().bound.get("shop")) == ("r-2", "7", None)
        assert current().request_id == "r-1"
    assert current().bound == {}


def test_bind_decorates_functions() -> None:
    """Every call has the ids, also when one block is inside itself."""
    block = bind(request_id="r-9")

    @block
    def ask() -> str | None:
        return current().request_id

    assert ask() == "r-9"
    with block, block:
        assert ask() == "r-9"
    assert current().request_id is None


def test_a_block_left_in_another_context_does_no_harm() -> None:
    """An asynchronous generator that is closed elsewhere must not raise into whoever closes it."""
    block = bind(request_id="r-1")
    contextvars.copy_context().run(block.__enter__)
    block.__exit__(None, None, None)
    assert current().request_id is None


@pytest.mark.parametrize("sampled", [True, False])
def test_the_current_span_gives_its_ids_sampled_or_not(sampled: bool) -> None:
    """A log line inside a span finds its trace, whatever the sampler said."""
    pipeline = Pipeline() if sampled else Pipeline(sampler=AlwaysOff())
    with Tracer(provider=TracerProvider(pipeline)).start_span("op") as span:
        context = span.get_span_context()
        assert current().trace_id == f"{context.trace_id:032x}"
        assert current().span_id == f"{context.span_id:016x}"
    assert (current().trace_id, current().span_id) == (None, None)


def test_spans_of_other_implementations_give_their_ids_too() -> None:
    """What OpenTelemetry says is current counts."""
    with use_span(REMOTE):
        assert (current().trace_id, current().span_id) == (f"{0xA:032x}", f"{0xB:016x}")


def test_without_opentelemetry_there_is_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can have started a span, and the lookup does not import anything."""
    monkeypatch.setattr("mirante.correlation.context._otel", None)
    monkeypatch.delitem(sys.modules, "opentelemetry.trace")
    assert current().trace_id is None
    assert environment({"PATH": "/bin"}) == {"PATH": "/bin"}


def test_a_record_is_stamped_and_keeps_what_it_says_itself() -> None:
    """Trace, span and bound ids are added, never replaced."""
    line: dict[str, Any] = {"event": "e", "request_id": "mine"}
    with use_span(REMOTE), bind(request_id="r-1", user_id="u"):
        stamp(line)
    assert line == {
        "event": "e", "request_id": "mine", "trace_id": f"{0xA:032x}", "span_id": f"{0xB:016x}", "user_id": "u",
    }  # fmt: skip


def test_outside_any_span_a_record_gets_the_bound_ids_only() -> None:
    """There is no trace to name."""
    line: dict[str, Any] = {}
    with bind(request_id="r-1"):
        stamp(line)
    assert line == {"request_id": "r-1"}


def test_tasks_have_ids_of_their_own() -> None:
    """Concurrent tasks start with their parent's ids and do not see each other's."""

    async def work(number: int) -> tuple[str | None, str | None]:
        with bind(request_id=number):
            await asyncio.sleep(0)
            return current().request_id, current().user_id

    async def main() -> list[tuple[str | None, str | None]]:
        with bind(user_id="u"):
            return await asyncio.gather(*(work(number) for number in range(3)))

    assert asyncio.run(main()) == [("0", "u"), ("1", "u"), ("2", "u")]


def test_a_copied_context_goes_into_threads_any_number_of_times() -> None:
    """The same function may run in several threads at once, each in the context of the moment of copying."""
    barrier = threading.Barrier(2, timeout=60)
    seen: list[tuple[str | None, str | None]] = []

    def work() -> None:
        barrier.wait()
        seen.append((current().request_id, current().trace_id))

    with bind(request_id="r-1"), use_span(REMOTE):
        carried = copy_context(work)
    threads = [threading.Thread(target=carried) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [("r-1", f"{0xA:032x}")] * 2


def test_an_executor_runs_in_the_context_of_who_submits() -> None:
    """Both submit and map carry the ids; a shut-down executor takes no more."""
    with ContextExecutor(ThreadPoolExecutor(2)) as pool:
        with bind(request_id="r-1"):
            first = pool.submit(lambda: current().request_id)
            many = pool.map(lambda number: f"{current().request_id}/{number}", range(2))
        assert first.result() == "r-1"
        assert list(many) == ["r-1/0", "r-1/1"]
    with pytest.raises(RuntimeError):
        pool.submit(print)


def inside(function: Any, *arguments: object) -> Any:
    """Run in an empty context, so that what is attached for good ends with it."""
    return Context().run(function, *arguments)


def test_trace_baggage_and_ids_go_through_the_environment() -> None:
    """What one process puts into a child's environment, the child finds there, and nothing of an earlier parent's."""

    def parent() -> dict[str, str]:
        with use_span(REMOTE), bind(request_id="r, 1=ü", shop="north"):
            attach(baggage.set_baggage("tenant", "a b"))
            return environment({"PATH": "/bin", "TRACESTATE": "old=1", BOUND_VARIABLE: "old=1"})

    def child() -> tuple[Any, Any]:
        adopt_environment(variables)
        return current(), baggage.get_baggage("tenant")

    variables = inside(parent)
    assert variables["PATH"] == "/bin"
    assert "TRACESTATE" not in variables
    found, tenant = inside(child)
    assert (found.trace_id, found.bound, tenant) == (f"{0xA:032x}", {"request_id": "r, 1=ü", "shop": "north"}, "a b")


def test_an_environment_without_a_trace_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither missing nor malformed variables do any harm; the process's own environment is the default."""
    monkeypatch.setenv(BOUND_VARIABLE, "nonsense,=x,request_id=r-1")

    def child() -> tuple[str | None, str | None]:
        adopt_environment()
        return current().trace_id, current().request_id

    assert inside(child) == (None, "r-1")
    assert inside(lambda: adopt_environment({"TRACEPARENT": "x"})) is None
    monkeypatch.setenv("PROBE", "1")
    assert environment()["PROBE"] == "1"


def test_a_span_in_the_context_is_what_propagators_write() -> None:
    """The variables are the global propagator's headers, in capitals."""
    headers: dict[str, str] = {}
    propagate.inject(headers, set_span_in_context(REMOTE))
    with use_span(REMOTE):
        assert environment({})["TRACEPARENT"] == headers["traceparent"]


@pytest.mark.slow
def test_a_child_process_goes_on_with_the_trace() -> None:
    """A real subprocess adopts what its parent gave it, and importing the module costs it no OpenTelemetry."""
    program = (
        "import sys; from mirante.correlation import adopt_environment, current\n"
        "assert 'opentelemetry' not in sys.modules\n"
        "adopt_environment(); print(current().trace_id, current().request_id)"
    )
    with use_span(REMOTE), bind(request_id="r-1"):
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, check=True
        )
    assert done.stdout.split() == [f"{0xA:032x}", "r-1"]


def test_a_request_id_is_taken_back_where_it_was_bound_only() -> None:
    """In another context nothing happens: a task's ids end with it."""
    token = contextvars.copy_context().run(bind_request_id, "r-1")
    unbind(token)
    assert current().request_id is None
