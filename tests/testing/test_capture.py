"""A test sees what the code under test records, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from opentelemetry import metrics as otel_metrics
from opentelemetry import propagate
from opentelemetry import trace as otel_trace
from opentelemetry.sdk.trace import TracerProvider as OtherProvider
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import mirante
from mirante import metrics, tracing
from mirante.correlation import bind
from mirante.integrations.asgi import MiranteMiddleware
from mirante.logging import add_sink, get_logger, remove_sink
from mirante.metrics import Registry
from mirante.testing import Capture, FakeClock, FakeIds, capture
from mirante.tracing import PROVIDER

SOLD = metrics.counter("capture_sold_total", "Sold.", labels=("shop",))
STOCK = metrics.gauge("capture_stock", "In stock.")
SECONDS = metrics.histogram("capture_seconds", "Took.")


def everything() -> tuple[object, ...]:
    """All the places that ``capture`` might have changed."""
    root = logging.getLogger()
    return (
        otel_trace._TRACER_PROVIDER,
        otel_metrics._internal._METER_PROVIDER,
        propagate.get_global_textmap(),
        list(root.handlers),
        root.level,
        structlog.get_config()["processors"],
        structlog.get_config()["logger_factory"],
        structlog.is_configured(),
    )


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    """By any test of this module."""
    before = everything()
    yield
    assert everything() == before


# -- spans -----------------------------------------------------------------------------------------------------------


def test_spans_of_the_facade_the_decorator_and_the_api_are_seen() -> None:
    """In the order in which they ended, with what they carry."""

    @tracing.span("work")
    def work() -> None:
        with otel_trace.get_tracer("library").start_as_current_span("query", attributes={"db.system.name": "sqlite"}):
            pass

    with capture() as seen, tracing.Tracer("shop").start_span("sell"):
        work()
    assert [span.name for span in seen.spans] == ["query", "work", "sell"]
    assert seen.span("query").attributes == {"db.system.name": "sqlite"}
    assert seen.span("query").parent_id == seen.span("work").span_id


def test_a_tracer_that_was_made_before_is_seen() -> None:
    """As modules make theirs when they are imported."""
    tracer = otel_trace.get_tracer("early library")
    with capture() as seen, tracer.start_as_current_span("query"):
        pass
    assert seen.span("query").name == "query"


def test_ids_count_from_one_unless_others_are_given() -> None:
    """So that a test may compare them, and may choose."""
    for _ in range(2):
        with capture() as seen, tracing.Tracer().start_span("one"):
            pass
        assert (seen.span("one").trace_id, seen.span("one").span_id) == (1, 1)
    ids = FakeIds()
    ids.trace_id()
    with capture(ids=ids) as seen, tracing.Tracer().start_span("two"):
        pass
    assert seen.span("two").trace_id == 2


def test_a_whole_request_is_seen_with_ids_that_count() -> None:
    """Its span, its duration and what it logged, under one request id."""

    async def hello(request: Request) -> PlainTextResponse:
        get_logger("shop").info("asked")
        return PlainTextResponse("hello")

    app = MiranteMiddleware(Starlette(routes=[Route("/hello", hello)]))

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop.example") as client:
            return await client.get("/hello")

    with capture() as seen:
        answer = asyncio.run(ask())
    assert answer.headers["x-request-id"] == "request-1"
    assert seen.span("GET /hello").trace_id == 1
    assert seen.log("asked")["request_id"] == "request-1"
    assert seen.metric("http_server_request_duration_seconds_count", http_route="/hello") == 1


def test_finding_a_span_that_is_not_there_or_not_alone_says_what_there_is() -> None:
    """The message of a failing test is all that its reader has."""
    with capture() as seen:
        with pytest.raises(AssertionError, match=r"no span 'sell'; recorded was: nothing"):
            seen.span("sell")
        for _ in range(2):
            with tracing.Tracer().start_span("buy"):
                pass
        with pytest.raises(AssertionError, match=r"no span 'sell'; recorded was:\n  buy\n  buy"):
            seen.span("sell")
        with pytest.raises(AssertionError, match="2 span 'buy'"):
            seen.span("buy")


@pytest.mark.parametrize("configured", [False, True])
def test_another_tracer_provider_steps_aside_for_the_block(configured: bool) -> None:
    """Such as the OpenTelemetry SDK's, which the application has set; whether we are configured beside it or not."""
    other = OtherProvider()
    before = otel_trace._TRACER_PROVIDER
    otel_trace._TRACER_PROVIDER = other  # the API can set its provider once only, and this process has many tests
    try:
        if configured:
            mirante.configure(log_stream="none")
        with capture() as seen, otel_trace.get_tracer("library").start_as_current_span("query"):
            pass
        assert otel_trace.get_tracer_provider() is other
    finally:
        mirante.disable()
        otel_trace._TRACER_PROVIDER = before
    assert seen.span("query").name == "query"


def test_headers_of_traces_go_on() -> None:
    """The propagator is the usual one."""
    headers: dict[str, str] = {}
    with capture(), tracing.Tracer().start_span("call"):
        propagate.inject(headers)
    assert headers["traceparent"] == "00-00000000000000000000000000000001-0000000000000001-03"


# -- log lines -------------------------------------------------------------------------------------------------------


def test_lines_of_all_three_kinds_of_loggers_are_seen() -> None:
    """mirante's, the standard library's and structlog's, each once, with trace and bound ids."""
    with capture() as seen, tracing.Tracer().start_span("sell"), bind(request_id="r-1"):
        get_logger("ours").info("one", items=1)
        logging.getLogger("theirs").info("two %d", 2, extra={"items": 2})
        structlog.get_logger("structlog's").info("three", items=3)
    assert [(line["event"], line["items"], line["logger"]) for line in seen.logs] == [
        ("one", 1, "ours"), ("two 2", 2, "theirs"), ("three", 3, "structlog's"),
    ]  # fmt: skip
    assert all(line["request_id"] == "r-1" and line["span_id"] == f"{1:016x}" for line in seen.logs)


def test_the_level_decides_what_gets_through() -> None:
    """As in production; a test may ask for more."""
    with capture() as seen:
        get_logger("shop").debug("detail")
    assert not seen.logs
    with capture(level="debug") as seen:
        get_logger("shop").debug("detail")
        logging.getLogger("shop").debug("more")
    # Of ours: at that level others in the process may have something to tell too.
    assert [line["level"] for line in seen.logs if line["logger"] == "shop"] == ["debug", "debug"]


def test_finding_a_line_goes_by_event_and_fields() -> None:
    """And says what there is when it fails."""
    with capture() as seen:
        get_logger("shop").info("sold", items=1)
        get_logger("shop").info("sold", items=2)
    assert seen.log("sold", items=2)["items"] == 2
    with pytest.raises(AssertionError, match="2 line"):
        seen.log("sold")
    with pytest.raises(AssertionError, match=r"no line \{'event': 'sold', 'items': 3\}; recorded was:\n  \{"):
        seen.log("sold", items=3)


def render(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    """An application's own renderer."""
    return f"rendered {event}"


def add_level(_logger: object, method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
    """An application's own processor."""
    return {**event, "level": method, "timestamp": "now", "added": True}


@pytest.mark.parametrize(
    ("processors", "cached"), [([add_level, render], True), ([add_level, render], False), ((add_level, render), False)]
)
def test_an_application_with_its_own_structlog_is_seen_without_its_renderer(
    processors: Any, cached: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """What its processors add is there; a logger that was used before is seen too, where its processors are a list."""
    structlog.configure(processors=processors, cache_logger_on_first_use=cached)
    try:
        log = structlog.get_logger(shop="paris")
        log.info("before")
        with capture() as seen:
            log.warning("sold", items=3)
            try:
                int("sku")
            except ValueError:
                log.exception("failed")
        log.info("after")
    finally:
        structlog.reset_defaults()
    line = seen.log("sold")
    assert (line["shop"], line["items"], line["added"], line["level"]) == ("paris", 3, True, "warning")
    assert seen.log("failed")["exception"]["type"] == "ValueError"
    shown = capsys.readouterr().out
    assert "before" in shown
    assert "after" in shown
    assert "sold" not in shown


def test_levels_and_loggers_of_structlog_are_guessed_where_it_says_none() -> None:
    """By the method that was called, and by the logger's own name."""
    structlog.configure(processors=[render], wrapper_class=structlog.BoundLogger)
    try:
        with capture() as seen:
            structlog.get_logger().exception("failed")
            structlog.get_logger().msg("said")
            structlog.get_logger().error("wrong", logger="chosen")
    finally:
        structlog.reset_defaults()
    assert [(line["level"], line["logger"]) for line in seen.logs] == [
        ("error", "structlog"), ("info", "structlog"), ("error", "chosen"),
    ]  # fmt: skip


def test_structlog_configured_in_the_block_stays() -> None:
    """An application may set itself up in the middle of a test; what it does not say is structlog's own."""
    default = structlog.get_config()["logger_factory"]
    with capture():
        structlog.configure(processors=[render])
    assert structlog.get_config()["processors"] == [render]
    assert structlog.get_config()["logger_factory"] is default
    structlog.reset_defaults()


def test_sinks_of_the_application_get_nothing_of_the_test() -> None:
    """Those that it added before; what it adds in the block stays, and gets the block's lines too."""
    before: list[Any] = []
    inside: list[Any] = []
    add_sink(before.append)
    with capture() as seen:
        add_sink(inside.append)
        get_logger("shop").warning("sold")
    get_logger("shop").warning("after")
    remove_sink(before.append)
    remove_sink(inside.append)
    assert [line["event"] for line in seen.logs] == ["sold"]
    assert [line.fields["event"] for line in before] == ["after"]
    assert [line.fields["event"] for line in inside] == ["sold", "after"]


def test_a_root_level_set_in_the_block_stays() -> None:
    """It is the application's."""
    root = logging.getLogger()
    before = root.level
    with capture():
        root.setLevel(logging.ERROR)
    assert root.level == logging.ERROR
    root.setLevel(before)


# -- metrics ---------------------------------------------------------------------------------------------------------


def test_metrics_are_what_was_added_to_them() -> None:
    """Whatever they stood at; a gauge is where it stands."""
    SOLD.labels("paris").inc(10)
    STOCK.set(7)
    with capture() as seen:
        SOLD.labels("paris").inc(2)
        SOLD.labels("lyon").inc()
        STOCK.set(5)
        SECONDS.observe(0.2)
    assert seen.metric("capture_sold_total", shop="paris") == 2
    assert seen.metric("capture_sold_total") == 3
    assert seen.metric("capture_stock") == 5
    assert (seen.metric("capture_seconds_count"), seen.metric("capture_seconds_sum")) == (1, 0.2)
    assert seen.metric("capture_seconds_bucket", le="+Inf") == 1
    assert ("capture_sold_total", {"shop": "lyon"}, 1.0) in [sample[:3] for sample in seen.metrics]


def test_what_was_not_touched_is_zero_and_not_listed() -> None:
    """And what changes after the block is none of the test's."""
    SOLD.labels("oslo").inc(10)
    with capture() as seen:
        pass
    SOLD.labels("oslo").inc(10)
    assert seen.metric("capture_sold_total", shop="oslo") == 0
    assert seen.metric("capture_sold_total", shop="never seen") == 0
    assert not [sample for sample in seen.metrics if sample.name.startswith("capture_")]


def test_a_mistyped_name_or_label_does_not_look_like_zero() -> None:
    """It is an error that tells what there is."""
    with capture() as seen:
        SOLD.labels("paris").inc()
        with pytest.raises(AssertionError, match="no metric 'capture_sold'; there are .*capture_sold_total"):
            seen.metric("capture_sold")
        with pytest.raises(AssertionError, match="capture_sold_total has no label 'shp'; it has shop"):
            seen.metric("capture_sold_total", shp="paris")
    with capture(registry=Registry()) as seen, pytest.raises(AssertionError, match="no metric 'anything'; there are"):
        seen.metric("anything")


def test_a_registry_of_its_own_is_looked_at() -> None:
    """With native histograms and summaries too, and what began anew in the block."""
    registry = Registry()
    native = metrics.Histogram("native_seconds", "Took.", native_factor=1.1)
    summary = metrics.Summary("sizes", "How big.", quantiles=(0.5,))
    registry.add(native)
    registry.add(summary)
    native.observe(1.0)
    summary.observe(3.0)
    with capture(registry=registry) as seen:
        native.observe(2.0)
        summary.observe(5.0)
        assert (seen.metric("native_seconds_count"), seen.metric("native_seconds_sum")) == (1, 2.0)
        assert seen.metric("sizes_sum") == 5.0
        registry.reset()
        native.observe(0.5)
        assert seen.metric("native_seconds_sum") == 0.5


def test_opentelemetrys_metrics_are_seen() -> None:
    """Under their Prometheus names, again in the next test."""
    for _ in range(2):
        with capture() as seen:
            counter = otel_metrics.get_meter("library").create_counter("capture.placed")
            counter.add(2, {"shop": "paris"})
        assert seen.metric("capture_placed_total", shop="paris") == 2


# -- the block itself ------------------------------------------------------------------------------------------------


def test_clear_forgets_what_came_before() -> None:
    """Such as what setting the test up has recorded."""
    with capture() as seen:
        for _ in range(2):
            seen.clear()
            SOLD.labels("paris").inc()
            get_logger("shop").info("sold")
            with tracing.Tracer().start_span("sell"):
                pass
    assert (len(seen.spans), len(seen.logs), seen.metric("capture_sold_total")) == (1, 1, 1)


def test_blocks_nest() -> None:
    """The inner one has its own, the outer one goes on after it."""
    with capture() as outer:
        get_logger("shop").info("before")
        with capture() as inner, tracing.Tracer().start_span("inner"):
            get_logger("shop").info("inside")
        with tracing.Tracer().start_span("outer"):
            logging.getLogger("shop").info("after")
    assert [line["event"] for line in outer.logs] == ["before", "after"]
    assert [line["event"] for line in inner.logs] == ["inside"]
    assert ([one.name for one in outer.spans], [one.name for one in inner.spans]) == (["outer"], ["inner"])


def test_other_threads_are_seen() -> None:
    """The block is the process's, not the thread's."""
    with capture() as seen:
        thread = threading.Thread(target=lambda: get_logger("shop").info("sold"))
        thread.start()
        thread.join()
    assert seen.log("sold")


def test_an_exception_that_leaves_the_block_puts_everything_back_too() -> None:
    """What was recorded until then is there."""
    blocks: list[Capture] = []

    def fail() -> None:
        with capture() as seen:
            blocks.append(seen)
            get_logger("shop").info("sold")
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    assert blocks[0].log("sold")


@pytest.fixture
def configured() -> Iterator[None]:
    """Whatever ``configure`` does is taken back."""
    yield
    mirante.disable()


@pytest.mark.usefixtures("configured")
def test_an_application_that_is_configured_before_is_seen() -> None:
    """Its exporters get nothing of it; afterwards it goes on as configured."""
    mirante.configure(service_name="shop", log_stream="none")
    before = everything()
    pipeline = PROVIDER.pipeline
    with capture() as seen, otel_trace.get_tracer("library").start_as_current_span("query"):
        logging.getLogger("shop").info("one")
        structlog.get_logger("shop").info("two")
        get_logger("shop").info("three")
        otel_metrics.get_meter("library").create_counter("capture.early").add(1)
    assert [line["event"] for line in seen.logs] == ["one", "two", "three"]
    assert seen.span("query").name == "query"
    assert seen.metric("capture_early_total") == 1
    assert everything() == before
    assert PROVIDER.pipeline is pipeline
    mirante.disable()


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize("disabled", [False, True])
def test_an_application_that_configures_itself_in_the_block_is_seen(disabled: bool) -> None:
    """As one does that is made by a factory; it stays configured afterwards."""
    level = logging.getLogger().level
    with capture() as seen:
        mirante.configure(service_name="shop", log_stream="none", disabled=disabled)
        with otel_trace.get_tracer("library").start_as_current_span("query"):
            logging.getLogger("shop").info("one")
            structlog.get_logger("shop").info("two")
            get_logger("shop").info("three")
            otel_metrics.get_meter("library").create_counter("capture.late").add(1)
    assert [line["event"] for line in seen.logs] == ["one", "two", "three"]
    assert seen.span("query").name == "query"
    assert seen.metric("capture_late_total") == 1
    assert otel_trace.get_tracer_provider() is PROVIDER
    assert (PROVIDER.pipeline is None) == disabled
    if not disabled:
        assert logging.getLogger().isEnabledFor(logging.INFO)
    mirante.disable()
    logging.getLogger().setLevel(level)  # what configure found was the block's


def test_what_is_configured_and_disabled_in_the_block_leaves_nothing() -> None:
    """And the block is seen to its end."""
    with capture() as seen:
        mirante.configure(service_name="shop", log_stream="none")
        mirante.disable()
        get_logger("shop").warning("one")
        with otel_trace.get_tracer("library").start_as_current_span("query"):
            pass
    assert [line["event"] for line in seen.logs] == ["one"]
    assert seen.span("query").name == "query"


def test_the_parts_come_when_they_are_asked_for() -> None:
    """A clock needs no structlog; what is not there is the usual error."""
    import mirante.testing

    assert mirante.testing.FakeClock is FakeClock
    assert set(dir(mirante.testing)) == {"Capture", "FakeClock", "FakeIds", "capture"}
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        mirante.testing.nonsense  # noqa: B018 - the access is the test
    code = "import sys; from mirante.testing import FakeClock; assert 'structlog' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.slow
def test_the_fixtures_work_in_a_project_of_its_own(tmp_path: Path) -> None:
    """One line in ``conftest.py``."""
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["mirante.testing.plugin"]\n')
    (tmp_path / "test_shop.py").write_text("""
import logging
def test_one(mirante_capture, mirante_clock):
    logging.getLogger("shop").info("sold")
    assert mirante_capture.log("sold")["level"] == "info"
    mirante_clock.advance(5)
    assert mirante_clock.monotonic() == 1_700_000_005
def test_two(mirante_capture):
    assert not mirante_capture.logs
""")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path)
    assert "2 passed" in done.stdout, done.stdout + done.stderr
