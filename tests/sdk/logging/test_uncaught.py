"""What nobody catches is logged under the ids in which it was raised, and goes where it would have gone."""

from __future__ import annotations

import gc
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import pytest

from mirante._core.guard import REPORTER
from mirante.correlation import bind
from mirante.correlation.errors import ids_of
from mirante.logging import LogLine, uncaught
from mirante.tracing import Pipeline, Tracer, TracerProvider
from tests.sdk.logging.support import collected

Raised = tuple[type[BaseException], BaseException, TracebackType | None]


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The hooks taken over, in front of some that only note what they are given."""
    seen: list[Any] = []
    monkeypatch.setattr(sys, "excepthook", lambda *args: seen.append(args))
    monkeypatch.setattr(threading, "excepthook", lambda args: seen.append(args.exc_type))
    monkeypatch.setattr(sys, "unraisablehook", lambda args: seen.append(args.exc_type))
    uncaught.install()
    yield seen
    uncaught.uninstall()


def raised(function: Callable[[], object]) -> Raised:
    """What the interpreter hands to its hook when that function is the whole program."""
    try:
        function()
    except BaseException:  # noqa: BLE001 - of any kind
        kind, error, trace = sys.exc_info()
        assert kind is not None
        assert error is not None
        return kind, error, trace
    raise AssertionError("it raised nothing")


def fields(lines: list[LogLine]) -> dict[str, Any]:
    """Of the only line."""
    (line,) = lines
    assert line.logger == "mirante.uncaught"
    return line.fields


def test_the_end_of_the_process_is_logged_and_passed_on(passed: list[Any]) -> None:
    """As critical, with the exception's type, message and stack trace."""
    with collected() as lines:
        end = raised(lambda: int("sku"))
        sys.excepthook(*end)
    assert lines[0].level == logging.CRITICAL
    assert fields(lines)["event"] == "uncaught exception"
    assert fields(lines)["exception"]["type"] == "ValueError"
    assert "in <lambda>" in fields(lines)["exception"]["stacktrace"]
    assert passed == [end]


def test_a_keyboard_interrupt_is_only_passed_on(passed: list[Any]) -> None:
    """Somebody wanted the program to end."""
    with collected() as lines:
        sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert not lines
    assert passed[0][0] is KeyboardInterrupt


def test_a_threads_end_is_logged_with_its_name(passed: list[Any]) -> None:
    """As an error, because the process goes on."""
    with collected() as lines:
        thread = threading.Thread(target=lambda: int("sku"), name="importer")
        thread.start()
        thread.join()
    assert lines[0].level == logging.ERROR
    assert (fields(lines)["event"], fields(lines)["thread.name"]) == ("uncaught exception in thread", "importer")
    assert fields(lines)["exception"]["message"] == "invalid literal for int() with base 10: 'sku'"
    assert passed == [ValueError]


def test_a_thread_that_calls_exit_is_only_passed_on(passed: list[Any]) -> None:
    """That is how a thread ends itself."""
    with collected() as lines:
        thread = threading.Thread(target=sys.exit)
        thread.start()
        thread.join()
    assert not lines
    assert passed == [SystemExit]


def test_a_thread_that_is_gone_already_has_no_name(passed: list[Any]) -> None:
    """The interpreter calls the hook without a thread then."""
    with collected() as lines:
        threading.excepthook(threading.ExceptHookArgs((ValueError, ValueError("x"), None, None)))
    assert fields(lines)["thread.name"] is None


def test_what_a_finalizer_raises_is_logged_with_where(passed: list[Any]) -> None:
    """By the function's name, without touching the object that is going."""

    class Connection:
        def __del__(self) -> None:
            raise OSError("closed twice")

    with collected() as lines:
        Connection()
        gc.collect()
    assert fields(lines)["event"] == "exception ignored"
    assert fields(lines)["where"].endswith("Connection.__del__")
    assert fields(lines)["exception"]["message"] == "closed twice"
    assert passed == [OSError]


def test_an_ignored_exception_may_come_without_its_object(passed: list[Any]) -> None:
    """C code reports some by their type alone, of things that have no name."""

    class Args:
        exc_type, exc_value, exc_traceback, err_msg, object = ValueError, None, None, None, 7

    with collected() as lines:
        sys.unraisablehook(Args())  # type: ignore[arg-type] # the interpreter's own cannot be made without a value
    assert fields(lines) == {"event": "exception ignored", "where": "int"}


def test_the_line_carries_the_ids_of_the_innermost_blocks(passed: list[Any]) -> None:
    """Although all of them have been left when the hook is called."""
    tracer = Tracer("shop", provider=TracerProvider(Pipeline()))

    def program() -> None:
        with tracer.start_span("outer"), bind(request_id="r-1", user_id="u-1"):
            work()

    def work() -> None:
        with tracer.start_span("inner") as span, bind(user_id="u-2"):
            inner.append(f"{span.get_span_context().span_id:016x}")
            raise ValueError("no")

    inner: list[str] = []
    with collected() as lines:
        sys.excepthook(*raised(program))
    assert (fields(lines)["request_id"], fields(lines)["user_id"]) == ("r-1", "u-2")
    assert fields(lines)["span_id"] == inner[0]
    assert len(fields(lines)["trace_id"]) == 32


def test_an_exception_raised_again_has_the_ids_of_its_last_journey() -> None:
    """Some programs keep one exception object and raise it wherever they need it."""
    kept = KeyError("kept")
    tracer = Tracer("shop", provider=TracerProvider(Pipeline()))
    seen = []
    for _ in range(2):
        with pytest.raises(KeyError), tracer.start_span("one"):
            raise kept
        seen.append(ids_of(kept)["trace_id"])
    assert seen[0] != seen[1]


def test_an_exception_outside_all_blocks_is_left_as_it_is(passed: list[Any]) -> None:
    """Nothing is put on it."""
    with collected() as lines:
        end = raised(lambda: int("sku"))
        sys.excepthook(*end)
    assert not vars(end[1])
    assert "trace_id" not in fields(lines)


def test_the_loggers_level_counts(passed: list[Any]) -> None:
    """``mirante.uncaught`` is a logger like any other."""
    logger = logging.getLogger(uncaught.LOGGER)
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with collected() as lines:
            sys.excepthook(ValueError, ValueError("no"), None)
    finally:
        logger.setLevel(logging.NOTSET)
    assert not lines
    assert len(passed) == 1


def test_a_fault_of_ours_does_not_keep_the_exception_from_its_way(
    passed: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is reported."""
    faults: list[str] = []
    monkeypatch.setattr(REPORTER, "fault", lambda where, error: faults.append(f"{where}: {error}"))
    sys.excepthook(None, ValueError("no"), None)  # type: ignore[arg-type] # what no interpreter does
    assert faults == ["logging an uncaught exception: issubclass() arg 1 must be a class"]
    assert len(passed) == 1


def test_uninstall_puts_the_hooks_back() -> None:
    """The very objects, also after installing twice."""
    before = (sys.excepthook, threading.excepthook, sys.unraisablehook)
    uncaught.install()
    uncaught.install()
    assert sys.excepthook is not before[0]
    uncaught.uninstall()
    uncaught.uninstall()
    assert (sys.excepthook, threading.excepthook, sys.unraisablehook) == before


def test_a_hook_inside_somebody_elses_only_passes_on_after_uninstall(passed: list[Any]) -> None:
    """Theirs is not ours to take away; installed again, a line is logged once."""
    ours = sys.excepthook

    def theirs(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        ours(kind, error, trace)

    sys.excepthook = theirs
    uncaught.uninstall()
    assert sys.excepthook is theirs
    with collected() as lines:
        sys.excepthook(ValueError, ValueError("no"), None)
    assert (len(lines), len(passed)) == (0, 1)
    uncaught.install()
    with collected() as lines:
        sys.excepthook(ValueError, ValueError("no"), None)
    assert (len(lines), len(passed)) == (1, 2)


@pytest.mark.slow
def test_a_program_that_crashes_logs_why_and_crashes_as_it_would() -> None:
    """The log line on standard error, then Python's own traceback and exit code 1; finalizers at the very end too."""
    code = """
from mirante.logging import uncaught
from mirante.correlation import bind
class Late:
    def __del__(self):
        raise OSError("late")
keep = Late()
keep.myself = keep
uncaught.install()
with bind(request_id="r-1"):
    int("sku")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    line = next(line for line in done.stderr.splitlines() if "uncaught exception" in line)
    assert "request_id=r-1" in line
    assert done.stderr.count("ValueError: invalid literal") >= 2
    assert "OSError: late" in done.stderr
