"""What others log, taken over and put back."""

from __future__ import annotations

import io
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog

from mirante.logging.handler import PipelineHandler
from tests.sdk.logging.support import collected, running


@contextmanager
def emptied(*names: str) -> Iterator[None]:
    """Loggers put back as they were afterwards."""
    loggers = [logging.getLogger(name) for name in names]
    before = [(one.handlers[:], one.level, one.propagate) for one in loggers]
    for one in loggers:
        if one.name != "root":  # as if nobody had set them up
            one.handlers[:], one.propagate = [], True
            one.setLevel(logging.NOTSET)
    try:
        yield
    finally:
        for one, (handlers, level, propagate) in zip(loggers, before, strict=True):
            one.handlers[:] = handlers
            one.setLevel(level)
            one.propagate = propagate


def test_records_of_the_standard_library_become_lines() -> None:
    """Message, level, logger, time, what ``extra`` brought, exception and stack."""
    log = logging.getLogger("std.lib")
    with running(), collected() as lines:
        log.info("sold %d", 17, extra={"shop": "paris", "level": "high", "password": "x"})
        try:
            int("sku")
        except ValueError:
            log.exception("failed", stack_info=True)
        log.debug("hidden")
    first, second = lines
    assert (first.level, first.logger) == (20, "std.lib")
    assert first.fields == {"event": "sold 17", "shop": "paris", "level_": "high", "password": "[redacted]"}
    assert second.fields["exception"]["type"] == "ValueError"
    assert second.fields["stack"].startswith("Stack (most recent call last)")


def test_records_keep_their_own_time() -> None:
    """Also those that a queue handler brings later."""
    record = logging.makeLogRecord({"msg": "m", "levelno": 20, "name": "n", "created": 1.5})
    with running(), collected() as lines:
        PipelineHandler().handle(record)
    assert lines[0].time_ns == 1_500_000_000


def test_arguments_that_do_not_fit_cost_no_line() -> None:
    """And raise nothing."""
    record = logging.makeLogRecord({"msg": "%d", "args": ("x",), "levelno": 20, "name": "a"})
    with running(), collected() as lines:
        PipelineHandler().handle(record)
    assert lines[0].fields["event"] == "'%d' with arguments that do not fit it: TypeError"


def test_structlog_rendered_by_the_standard_library_stays_structured() -> None:
    """Its event dict becomes the fields."""
    with running(), collected() as lines:
        logging.getLogger("a").info({"event": "e", "id": 7}, extra={"_logger": 1, "_name": "info"})
    assert lines[0].fields == {"event": "e", "id": 7}


def test_access_lines_of_uvicorn_have_fields() -> None:
    """By OpenTelemetry's names; its console colours are left out."""
    with running(), collected() as lines, emptied("uvicorn.access"):
        arguments = ("127.0.0.1:5", "GET", "/a", "1.1", 200)
        logging.getLogger("uvicorn.access").info('%s - "%s %s HTTP/%s" %d', *arguments, extra={"color_message": "c"})
    assert lines[0].fields == {
        "event": '127.0.0.1:5 - "GET /a HTTP/1.1" 200',
        "client.address": "127.0.0.1:5",
        "http.request.method": "GET",
        "url.original": "/a",
        "network.protocol.version": "1.1",
        "http.response.status_code": 200,
    }


def test_console_handlers_give_way_and_come_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On the root and on web servers' loggers; files stay, and each line is shown once."""
    root, server = logging.getLogger(), logging.getLogger("uvicorn")
    with emptied("", "uvicorn", "uvicorn.access", "uvicorn.error"):
        console, file = logging.StreamHandler(sys.stderr), logging.FileHandler(tmp_path / "a.log")
        memory = logging.StreamHandler(io.StringIO())
        rich: Any = type("RichHandler", (logging.Handler,), {"__module__": "rich.logging"})()
        root.handlers[:] = [console, file, memory, rich]
        server.handlers[:], server.propagate = [logging.StreamHandler(sys.stdout)], False
        before = root.handlers[:], server.handlers[:], root.level
        with running(log_stream="stderr", log_format="json") as run:
            assert [type(one) for one in root.handlers] == [logging.FileHandler, logging.StreamHandler, PipelineHandler]
            assert [type(one) for one in server.handlers] == [PipelineHandler]
            run.adopt()
            assert len(root.handlers) == 3
            logging.getLogger("uvicorn.error").warning("up")
            # as uvicorn does when it starts later
            server.handlers[:] = [logging.StreamHandler(sys.stderr)]
            run.adopt()
            logging.getLogger("uvicorn.error").warning("again")
        shown = capsys.readouterr().err.splitlines()
        assert ['"event":"up"' in shown[0], '"event":"again"' in shown[1], len(shown)] == [True, True, 2]
        assert {*root.handlers} == {*before[0]}
        assert root.level == before[2]
        assert [type(one) for one in server.handlers].count(PipelineHandler) == 0
        file.close()


def test_console_handlers_stay_where_nothing_of_ours_stands_in_their_place() -> None:
    """With ``log_stream = none``, or when nothing is to be captured."""
    root = logging.getLogger()
    with emptied(""):
        console = logging.StreamHandler(sys.stderr)
        root.handlers[:] = [console]
        with running():
            assert root.handlers[0] is console
        with running(log_capture=False), collected() as lines:
            assert root.handlers == [console]
    assert not lines


def test_warnings_become_lines_and_are_put_back() -> None:
    """With their place; what is written to a file goes there as before."""
    written: list[Any] = []

    def before(*arguments: Any) -> None:
        written.append(arguments)

    sink = io.StringIO()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = before  # type: ignore[assignment] # takes anything
        with running(), collected() as lines:
            warnings.warn("old 100%", DeprecationWarning, stacklevel=1)
            warnings.showwarning("m", UserWarning, "f.py", 3, sink)
        assert warnings.showwarning is before
    assert written == [("m", UserWarning, "f.py", 3, sink, None)]
    (line,) = lines
    assert (line.level, line.logger, line.fields["event"]) == (30, "py.warnings", "old 100%")
    assert line.fields["warning_category"] == "DeprecationWarning"
    assert Path(line.fields["warning_source"].rpartition(":")[0]).name == "test_handler.py"


def test_warnings_are_left_alone_when_told_so_or_when_another_hook_came_later() -> None:
    """Nothing is put back over somebody else's."""
    before = warnings.showwarning
    with running(log_warnings=False):
        assert warnings.showwarning is before
    try:
        with running():
            warnings.showwarning = other = lambda *_: None
        assert warnings.showwarning is other
    finally:
        warnings.showwarning = before


def test_structlog_itself_writes_to_the_pipeline_until_the_end() -> None:
    """With a name and without; an application's own set-up is left alone."""
    structlog.reset_defaults()
    with running(), collected() as lines:
        structlog.get_logger("named").info("one", id=1)
        structlog.get_logger().info("two")
        exec("get_logger().info('three')", {"get_logger": structlog.get_logger})  # noqa: S102 - a module without a name
    assert [(line.logger, line.fields["event"]) for line in lines] == [
        ("named", "one"),
        (__name__, "two"),
        ("None", "three"),
    ]
    assert not structlog.is_configured()
    try:
        structlog.configure(processors=[])
        with running():
            assert structlog.get_config()["processors"] == []
        structlog.reset_defaults()
        with running():
            structlog.configure(logger_factory=structlog.PrintLoggerFactory())
        assert structlog.is_configured()
    finally:
        structlog.reset_defaults()


def test_structlog_is_not_loaded_for_an_application_that_does_not_use_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes 80 ms."""
    monkeypatch.delitem(sys.modules, "structlog")
    with running():
        assert "structlog" not in sys.modules
