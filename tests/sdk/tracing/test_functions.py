"""Functions that run inside a span."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import types
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import pytest
from opentelemetry import trace as api
from opentelemetry.trace import SpanKind

from mirante import tracing
from mirante._core.guard import REPORTER
from mirante.tracing import PROVIDER, AlwaysOff, Pipeline, Span, TracerProvider


@contextmanager
def recording() -> Iterator[list[Span]]:
    """What ends on the process's own provider."""
    before, ended = PROVIDER.pipeline, list[Span]()
    PROVIDER.pipeline = Pipeline(sink=ended.append)
    try:
        yield ended
    finally:
        PROVIDER.pipeline = before


def here() -> str:
    """The current span's name."""
    return getattr(api.get_current_span(), "name", "none")


def test_a_plain_function() -> None:
    """Each call is a span with the function's name, current inside, and the function keeps its face."""

    @tracing.span
    def work(x: int) -> tuple[int, str]:
        """Doc."""
        return x, here()

    with recording() as ended:
        assert work(1) == (1, work.__qualname__)
        assert work(2)[0] == 2
    assert [span.name for span in ended] == [work.__qualname__] * 2
    assert (work.__name__, work.__doc__) == ("work", "Doc.")


def test_name_kind_and_attributes_can_be_given() -> None:
    """With arguments it is a decorator all the same."""

    @tracing.span("op", kind=SpanKind.CLIENT, attributes={"a": 1})
    def work() -> None:
        pass

    @tracing.span()
    def other() -> None:
        pass

    with recording() as ended:
        work()
        other()
    assert [(span.name, span.kind, span.attributes) for span in ended] == [
        ("op", SpanKind.CLIENT, {"a": 1}), (other.__qualname__, SpanKind.INTERNAL, {}),
    ]  # fmt: skip


def test_a_coroutine_function() -> None:
    """The span lasts until the coroutine ends, and tasks do not mix."""

    @tracing.span("op")
    async def work(n: int) -> str:
        await asyncio.sleep(0)
        api.get_current_span().set_attribute("n", n)
        await asyncio.sleep(0)
        return here()

    async def main() -> list[str]:
        return list(await asyncio.gather(work(1), work(2)))

    with recording() as ended:
        assert asyncio.run(main()) == ["op", "op"]
    assert sorted(str(span.attributes["n"]) for span in ended) == ["1", "2"]
    assert inspect.iscoroutinefunction(work)


@pytest.mark.parametrize("kind", ["plain", "async", "generator", "async generator"])
def test_an_exception_is_recorded_and_goes_on(kind: str) -> None:
    """In all four kinds of function."""

    @tracing.span("op")
    def plain() -> NoReturn:
        raise ValueError("no")

    @tracing.span("op")
    async def coroutine() -> NoReturn:
        raise ValueError("no")

    @tracing.span("op")
    def generator() -> Iterator[int]:
        yield 1
        raise ValueError("no")

    @tracing.span("op")
    async def agenerator() -> AsyncGenerator[int, None]:
        yield 1
        raise ValueError("no")

    async def drain() -> None:
        async for _ in agenerator():
            pass

    runs: dict[str, Callable[[], object]] = {
        "plain": plain,
        "async": lambda: asyncio.run(coroutine()),
        "generator": lambda: list(generator()),
        "async generator": lambda: asyncio.run(drain()),
    }
    with recording() as ended, pytest.raises(ValueError, match="no"):
        runs[kind]()
    assert [(span.status_code, len(span.events)) for span in ended] == [(2, 1)]


def test_a_generator_is_in_its_span_and_its_consumer_is_not() -> None:
    """From first step to end one span; what is sent, thrown and returned goes through."""

    @tracing.span("op")
    def work() -> Generator[Any, Any, str]:
        got = yield here()
        try:
            yield got
        except KeyError as error:
            yield repr(error)
        return "end"

    def consume() -> Generator[Any, Any, str]:
        return (yield from work())

    with recording() as ended:
        steps = work()
        assert ended == []
        assert (next(steps), here()) == ("op", "none")
        assert (steps.send("sent"), here()) == ("sent", "none")
        assert steps.throw(KeyError("k")) == "KeyError('k')"
        with pytest.raises(StopIteration) as stop:
            next(steps)
        assert stop.value.value == "end"
        assert len(ended) == 1
        assert list(consume()) == ["op", None]
    assert [span.status_code for span in ended] == [0, 0]
    assert inspect.isgeneratorfunction(work)


def test_a_generator_that_is_closed_ends_its_span_without_an_error() -> None:
    """Its own clean-up runs inside the span."""
    cleaned: list[str] = []

    @tracing.span("op")
    def work() -> Iterator[int]:
        try:
            yield 1
        finally:
            cleaned.append(here())

    with recording() as ended:
        steps = work()
        next(steps)
        steps.close()  # type: ignore[attr-defined]
    assert cleaned == ["op"]
    assert [(span.name, span.status_code) for span in ended] == [("op", 0)]


def test_an_asynchronous_generator() -> None:
    """The same, with asend, athrow and aclose."""

    @tracing.span("op")
    async def work() -> AsyncGenerator[Any, Any]:
        got = yield here()
        try:
            yield got
        except KeyError as error:
            yield repr(error)
        yield "last"

    async def main() -> None:
        steps = work()
        assert (await anext(steps), here()) == ("op", "none")
        assert await steps.asend("sent") == "sent"
        assert await steps.athrow(KeyError("k")) == "KeyError('k')"
        assert [item async for item in steps] == ["last"]
        closed = work()
        await anext(closed)
        await closed.aclose()

    with recording() as ended:
        asyncio.run(main())
    assert [(span.name, span.status_code) for span in ended] == [("op", 0), ("op", 0)]
    assert inspect.isasyncgenfunction(work)


@pytest.mark.parametrize("end_on_exit", [True, False])
def test_the_providers_context_manager_decorates_too(end_on_exit: bool) -> None:
    """As OpenTelemetry's does: a fresh span for every call."""
    ended: list[Span] = []
    tracer = TracerProvider(Pipeline(sink=ended.append)).get_tracer("t")

    @tracer.start_as_current_span("op", end_on_exit=end_on_exit)
    def work() -> str:
        return here()

    assert (work(), work()) == ("op", "op")
    assert len(ended) == (2 if end_on_exit else 0)


def test_an_unsampled_generator_fails_as_it_should() -> None:
    """Nothing is recorded, and the exception is the host's."""
    tracer = TracerProvider(Pipeline(sampler=AlwaysOff())).get_tracer("t")

    @tracer.start_as_current_span("op")
    def work() -> Iterator[int]:
        yield 1
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        list(work())


def test_a_generator_that_is_abandoned_elsewhere_does_no_harm() -> None:
    """A half-run step that ends in another context, as the garbage collector may do, is told and nothing is raised."""

    @types.coroutine
    def suspend() -> Generator[None, None, None]:
        yield

    @tracing.span("op")
    async def work() -> AsyncGenerator[int, None]:
        await suspend()
        yield 1

    with recording() as ended:
        step: Any = work().__anext__()
        contextvars.copy_context().run(step.send, None)
        told = REPORTER.counts.get("tracing", 0)
        with pytest.raises(GeneratorExit):
            step.throw(GeneratorExit)
        assert REPORTER.counts["tracing"] == told + 1
    assert [span.name for span in ended] == ["op"]
