"""What others log: the standard library's logging, warnings, and the loggers of web servers, into the same pipeline."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable
from typing import Any, TextIO

from mirante.logging.exceptions import exc_info_of
from mirante.logging.line import RESERVED
from mirante.logging.pipeline import process_pipeline

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_NOISE = frozenset({"color_message", "_logger", "_name", "_record", "_from_structlog"})
_WEB_SERVERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "gunicorn.error", "gunicorn.access")
_ACCESS = (
    "client.address",
    "http.request.method",
    "url.original",
    "network.protocol.version",
    "http.response.status_code",
)


class PipelineHandler(logging.Handler):
    """Hands the standard library's records to the process's pipeline; what ``extra=`` brought becomes fields."""

    def createLock(self) -> None:  # noqa: N802 - the standard library's name
        """None is needed: the pipeline's sinks have their own."""
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        """Hand over one record; never raises."""
        error = exc_info_of(record.exc_info)
        fields = _fields(record)
        process_pipeline().emit(record.levelno, record.name, fields, error, record.msg, int(record.created * 1e9))


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = {"event": None}
    if isinstance(record.msg, dict):  # structlog, set up to render by the standard library
        fields |= record.msg
    else:
        fields["event"] = _message(record)
    extra = vars(record)
    if len(extra) > _USUAL:
        for name in extra.keys() - _STANDARD - _NOISE:
            fields[f"{name}_" if name in RESERVED else name] = extra[name]
    if record.stack_info:
        fields["stack"] = record.stack_info
    if record.name == "uvicorn.access" and isinstance(record.args, tuple) and len(record.args) == len(_ACCESS):
        fields.update(zip(_ACCESS, record.args, strict=True))
    return fields


_USUAL = len(vars(logging.makeLogRecord({})))


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001 - arguments that do not fit, or the host's own __str__
        return f"{record.msg!r} with arguments that do not fit it: {type(error).__name__}"


class TakeOver:
    """The standard library's logging, taken over until ``undo``.

    The root logger gets our handler. Handlers of the root and of web servers that write to the console are taken away,
    because our own output stands in their place; other handlers, such as those that write files, stay.

    Args:
        level: the root's.
        levels: further loggers' levels.
        capture: whether there is anything to take over but levels and warnings.
        console: whether lines are shown by ourselves; if not, the console handlers stay.
        capture_warnings: whether ``warnings`` are logged, by the logger ``py.warnings``.
    """

    def __init__(
        self, level: int, levels: dict[str, int], *, capture: bool, console: bool, capture_warnings: bool
    ) -> None:
        self._handler = PipelineHandler()
        self._console = console
        self._undo: list[Callable[[], None]] = []
        for name, number in {"": level, **levels}.items():
            logger = logging.getLogger(name)
            self._undo.append(_setter(logger, logger.level))
            logger.setLevel(number)
        self._capture = capture
        self.adopt()
        if capture_warnings:
            self._capture_warnings()

    def adopt(self) -> None:
        """Look again for web servers that have set up their loggers since, and for structlog; may be called often."""
        for name in ("", *_WEB_SERVERS) if self._capture else ():
            self._adopt(logging.getLogger(name))
        if "structlog" in sys.modules:
            self._adopt_structlog()

    def _adopt(self, logger: logging.Logger) -> None:
        """Put our handler in the place of those that write to the console."""
        taken = [one for one in logger.handlers if self._console and _is_console(one)]
        alone = logger.parent is None or (logger.handlers and not logger.propagate)
        ours = alone and self._handler not in logger.handlers
        for one in taken:
            logger.removeHandler(one)
        if ours:
            logger.addHandler(self._handler)

        def undo() -> None:
            if ours:
                logger.removeHandler(self._handler)
            for one in taken:
                logger.addHandler(one)

        if ours or taken:
            self._undo.append(undo)

    def _adopt_structlog(self) -> None:
        """Let ``structlog.get_logger()`` write to the pipeline, unless the application has set structlog up itself."""
        import structlog

        if structlog.is_configured():
            return
        from mirante.logging.logger import PROCESSORS, Logger

        structlog.configure(processors=PROCESSORS, wrapper_class=Logger, logger_factory=logger_of)

        def undo() -> None:
            if structlog.get_config()["logger_factory"] is logger_of:
                structlog.reset_defaults()

        self._undo.append(undo)

    def _capture_warnings(self) -> None:
        before = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if file is not None:
                before(message, category, filename, lineno, file, line)
                return
            where = {"warning_category": category.__name__, "warning_source": f"{filename}:{lineno}"}
            logging.getLogger("py.warnings").warning(str(message), extra=where)

        def undo() -> None:
            if warnings.showwarning is show:
                warnings.showwarning = before

        warnings.showwarning = show
        self._undo.append(undo)

    def undo(self) -> None:
        """Put everything back as it was, apart from what others have changed since."""
        while self._undo:
            self._undo.pop()()


def logger_of(*args: object) -> logging.Logger:
    """The logger behind ``structlog.get_logger(name)``; without a name that of the module which logs first."""
    if args:
        return logging.getLogger(str(args[0]))
    frame = sys._getframe(1)  # noqa: SLF001 - CPython's documented way
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith("structlog."):
        frame = frame.f_back
    return logging.getLogger(str(frame.f_globals.get("__name__")))


def _setter(logger: logging.Logger, level: int) -> Callable[[], None]:
    return lambda: logger.setLevel(level)


def _is_console(handler: logging.Handler) -> bool:
    if isinstance(handler, logging.StreamHandler):
        return handler.stream in (sys.stderr, sys.stdout, sys.__stderr__, sys.__stdout__)
    return type(handler).__module__.startswith("rich.")
