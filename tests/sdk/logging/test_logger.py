"""``get_logger()`` and the pipeline behind it."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from typing import Any

import pytest
import structlog

from mirante.correlation import bind
from mirante.logging import add_sink, get_levels, get_logger, remove_sink, set_level
from mirante.logging.levels import level_map
from mirante.logging.line import LogLine, level_name, level_number, timestamp
from mirante.logging.logger import PROCESSORS
from mirante.logging.pipeline import Pipeline, use
from mirante.logging.repeats import Repeats
from tests.sdk.logging.support import collected, running


class Hostile:
    """Fails when it is shown."""

    def __str__(self) -> str:
        raise RuntimeError("no")


def test_a_line_has_bound_values_and_the_ids_of_the_moment() -> None:
    """Event first, then bound values, the line's own, and request and user ids."""
    with running(), collected() as lines, bind(request_id="r-1", user_id="u-1"):
        get_logger("shop", shop="paris").bind(order=17).info("sold", price=9.5)
    (line,) = lines
    assert (line.level, line.logger) == (20, "shop")
    assert line.fields == {
        "event": "sold", "shop": "paris", "order": 17, "price": 9.5, "request_id": "r-1", "user_id": "u-1",
    }  # fmt: skip


def test_every_method_logs_at_its_level() -> None:
    """Plain, aliased and awaited methods alike; an unknown level counts as info."""
    log = get_logger("methods")

    async def awaited() -> None:
        for method in (log.adebug, log.ainfo, log.awarning, log.aerror, log.acritical, log.awarn, log.afatal):
            await method("a")
        await log.alog("error", "a")
        await log.aexception("a", exc_info=False)

    with running(log_level="debug"), collected() as lines:
        for method in (log.debug, log.info, log.warning, log.error, log.critical, log.warn, log.fatal, log.msg):
            method("p")
        log.log("Error", "p")
        log.log(25, "p")
        log.log("nonsense", "p")
        asyncio.run(awaited())
    seen = [line.level for line in lines if line.fields["event"] == "p"]
    assert seen == [10, 20, 30, 40, 50, 30, 50, 20, 40, 25, 20]
    assert [line.level for line in lines if line.fields["event"] == "a"] == [10, 20, 30, 40, 50, 30, 50, 40, 40]


def test_lines_below_the_level_of_their_logger_are_left_out() -> None:
    """The standard library's level of the same logger, at this very moment, decides."""
    log = get_logger("levels.deep")
    with running(log_levels="levels=error"), collected() as lines:
        for method in (log.debug, log.info, log.warning):
            method("hidden")
        set_level("levels.deep", "debug")
        assert log.is_enabled_for(10)
        assert log.get_effective_level() == 10
        assert get_levels()["levels.deep"] == "debug"
        log.debug("shown")
        set_level("levels.deep", None)
        log.debug("hidden")
        log.log("info", "hidden")
        set_level("", "critical")
        assert get_levels()["root"] == "critical"
        set_level("levels", None)
        log.error("hidden")
        log.critical("shown")
        logging.disable()
        log.critical("hidden")
        logging.disable(logging.NOTSET)
    assert [line.fields["event"] for line in lines] == ["shown", "shown"]


@pytest.mark.parametrize("text", ["a", "=info", "a=loud"])
def test_levels_that_cannot_be_read_are_refused(text: str) -> None:
    """Each part needs a logger and a level."""
    with pytest.raises(ValueError, match="expected"):
        level_map(text)


def test_levels_of_applications_have_names() -> None:
    """Both ways, as the standard library was told."""
    logging.addLevelName(25, "NOTICE")
    try:
        assert (level_name(25), level_number("notice")) == ("notice", 25)
    finally:
        logging.addLevelName(25, "Level 25")


def test_values_under_reserved_names_are_kept_under_another() -> None:
    """Whatever somebody binds as ``level`` cannot pass for the line's own."""
    with running(), collected() as lines:
        get_logger("r", logger="mine").info("e", level="high")
        get_logger("r", logger="mine").bind(timestamp=1).info("e")
    assert lines[0].fields == {"event": "e", "logger_": "mine", "level_": "high"}
    assert lines[1].fields == {"event": "e", "logger_": "mine", "timestamp_": 1}


@pytest.mark.parametrize(
    ("event", "args", "expected"),
    [
        ("%s of %d", ("a", 2), {"event": "a of 2"}),
        ("%(n)s", ({"n": 1},), {"event": "1"}),
        ("none", ("a",), {"event": "none", "positional_args": ["a"]}),
        ("%s", (Hostile(),), {"event": "%s", "positional_args": ["<Hostile that cannot be shown: RuntimeError>"]}),
    ],
)
def test_arguments_fill_the_event(event: str, args: tuple[object, ...], expected: dict[str, Any]) -> None:
    """As in the standard library; where they do not fit nothing is lost and nothing raised."""
    with running(), collected() as lines:
        get_logger("args").info(event, *args)
    assert lines[0].fields == expected


def test_exceptions_and_stacks_become_fields() -> None:
    """The exception being handled, one that is given, and the caller's stack."""
    log = get_logger("errors")
    with running(), collected() as lines:
        try:
            int("sku")
        except ValueError as caught:
            error = caught
            log.exception("failed")
        log.error("failed", exc_info=error)
        log.info("here", stack_info=True)
    for line in lines[:2]:
        assert line.level == 40
        assert (line.fields["exception"]["type"], line.fields["exception"]["message"]) == (
            "ValueError",
            "invalid literal for int() with base 10: 'sku'",
        )
        assert 'int("sku")' in line.fields["exception"]["stacktrace"]
    assert lines[2].fields["stack"].endswith('log.info("here", stack_info=True)')


def test_structlog_s_own_context_and_processors_take_part() -> None:
    """What ``bind_contextvars`` bound is in the line; processors may change, render or drop it."""
    log = get_logger("p")
    with running(), collected() as lines:
        with structlog.contextvars.bound_contextvars(tenant="a"):
            log.info("one")
        PROCESSORS.append(lambda _, name, fields: {**fields, "method": name})
        log.info("two")
        PROCESSORS.append(lambda *_: "rendered")
        log.info("three")
        PROCESSORS.clear()
        with structlog.testing.capture_logs() as captured:
            log.info("dropped", id=1)
    assert captured == [{"event": "dropped", "id": 1, "log_level": "info"}]
    assert [line.fields for line in lines] == [
        {"event": "one", "tenant": "a"},
        {"event": "two", "method": "info"},
        {"event": "rendered"},
    ]


def test_nothing_raises_into_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sink and a processor that fail cost their line, and a report."""
    monkeypatch.delenv("MIRANTE_RAISE_FAULTS")

    def broken(*_: object) -> Any:
        raise OSError("broken")

    with running():
        add_sink(broken)
        try:
            get_logger("host").info("one")
        finally:
            remove_sink(broken)
        PROCESSORS.append(broken)
        try:
            get_logger("host").info("two")
        finally:
            PROCESSORS.clear()


def test_before_configure_warnings_are_shown_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error, by the default pipeline."""
    use(None)
    with collected() as lines:
        get_logger("early").warning("counted too")
    use(None)
    get_logger("early").warning("low stock", sku="a-1")
    get_logger("early").info("hidden")
    shown = capsys.readouterr().err
    assert "low stock" in shown
    assert "sku=a-1" in shown
    assert "hidden" not in shown
    assert [line.fields["event"] for line in lines] == ["counted too"]


def test_a_logger_is_named_after_the_module_that_asks() -> None:
    """When it is given no name."""
    with running(), collected() as lines:
        get_logger().info("e")
        exec("get_logger().info('e')", {"get_logger": get_logger})  # noqa: S102 - a module without a name
    assert [line.logger for line in lines] == [__name__, "root"]


def test_repeated_lines_are_sampled() -> None:
    """The first get through, then every third, and the next says how many did not; another interval starts anew."""
    from mirante.testing.clock import FakeClock

    clock = FakeClock()
    lines: list[LogLine] = []
    pipeline = Pipeline([lines.append], repeats=Repeats(first=2, every=3, interval=1.0, clock=clock), clock=clock)
    for _ in range(8):
        pipeline.emit(30, "shop", {"event": "low stock"})
    pipeline.emit(30, "shop", {"event": "other"})
    clock.advance(1.0)
    pipeline.emit(30, "shop", {"event": "low stock 7"}, template="low stock")
    assert [line.fields for line in lines] == [
        {"event": "low stock"},
        {"event": "low stock"},
        {"event": "low stock", "repeats_left_out": 2},
        {"event": "low stock", "repeats_left_out": 2},
        {"event": "other"},
        {"event": "low stock 7"},
    ]


def test_kinds_of_repeated_lines_are_bounded() -> None:
    """Messages that never repeat cost no memory beyond a bound; a number is a message too."""
    repeats = Repeats(first=1, every=0)
    assert all(repeats.admit(20, "a", number) == 0 for number in range(10_001))
    assert repeats.admit(20, "a", 1) == 0
    assert repeats.admit(20, "a", 10_000) is None
    assert repeats.left_out == 1


@pytest.mark.parametrize("numbers", [(0, 1, 1.0), (1, -1, 1.0), (1, 1, 0.0)])
def test_repeats_refuse_numbers_without_sense(numbers: tuple[int, int, float]) -> None:
    """They raise where they are written."""
    with pytest.raises(ValueError, match="Repeats"):
        Repeats(*numbers)


def test_times_are_written_in_utc_with_microseconds() -> None:
    """Also the very first second."""
    assert timestamp(0) == "1970-01-01T00:00:00.000000Z"
    assert timestamp(1_700_000_000_000_001_999) == "2023-11-14T22:13:20.000001Z"


@pytest.mark.slow
def test_the_package_loads_neither_logging_nor_structlog_by_itself() -> None:
    """Counting lines needs no structlog either."""
    code = (
        "import sys, mirante; assert 'mirante.logging' not in sys.modules; import mirante.logging as m;"
        "m.LogAggregator().log('a'); assert 'structlog' not in sys.modules; m.get_logger;"
        "assert 'structlog' in sys.modules; assert set(m.__all__) == set(dir(m)) and all(hasattr(m, n) for n in dir(m))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As of any module."""
    import mirante.logging as module

    with pytest.raises(AttributeError, match="no_such"):
        _ = module.no_such
