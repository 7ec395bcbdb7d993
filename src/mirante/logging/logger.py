"""``get_logger()``: structlog's bound loggers, straight into the process's pipeline."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterable
from typing import Any

import structlog
from structlog.contextvars import _CONTEXT_VARS as STRUCTLOG_VARIABLES  # empty until somebody binds one
from structlog.contextvars import get_contextvars

from mirante._core.guard import REPORTER
from mirante.logging.exceptions import exc_info_of
from mirante.logging.line import RESERVED, level_name, level_number
from mirante.logging.pipeline import process_pipeline

PROCESSORS: list[Any] = []
"""structlog processors that every line of these loggers goes through first; handed to ``structlog.configure`` too."""


class Logger(structlog.BoundLoggerBase):
    """A logger with bound values; ``bind``, ``unbind``, ``try_unbind`` and ``new`` are structlog's.

    The levels are those of the standard library's logger of the same name. Every method has a twin with an ``a`` before
    its name that can be awaited. Nothing here raises into the host.

    Example:
        >>> log = get_logger("shop", shop="paris").bind(order=17)
        >>> log.info("below the level, so not shown")
        >>> log.is_enabled_for(30)
        True
    """

    def __init__(self, logger: logging.Logger, processors: Iterable[Any], context: dict[str, Any]) -> None:
        super().__init__(logger, processors, context if RESERVED.isdisjoint(context) else _renamed(context))

    def debug(self, event: object = None, *args: object, **values: Any) -> None:  # noqa: ANN401 - any value
        """Log at level debug: the event, ``%``-formatted with the arguments if there are any, and values."""
        if self._logger.isEnabledFor(10):
            self._write(10, event, args, values)

    def info(self, event: object = None, *args: object, **values: Any) -> None:  # noqa: ANN401 - any value
        """Log at level info."""
        if self._logger.isEnabledFor(20):
            self._write(20, event, args, values)

    def warning(self, event: object = None, *args: object, **values: Any) -> None:  # noqa: ANN401 - any value
        """Log at level warning."""
        if self._logger.isEnabledFor(30):
            self._write(30, event, args, values)

    def error(self, event: object = None, *args: object, **values: Any) -> None:  # noqa: ANN401 - any value
        """Log at level error."""
        if self._logger.isEnabledFor(40):
            self._write(40, event, args, values)

    def critical(self, event: object = None, *args: object, **values: Any) -> None:  # noqa: ANN401 - any value
        """Log at level critical."""
        if self._logger.isEnabledFor(50):
            self._write(50, event, args, values)

    def exception(self, event: object = None, *args: object, **values: Any) -> None:  # noqa: ANN401 - any value
        """Log at level error, with the exception being handled."""
        values.setdefault("exc_info", True)
        self.error(event, *args, **values)

    def log(self, level: str | int, event: object = None, *args: object, **values: Any) -> None:  # noqa: ANN401 - any value
        """Log at a level given by name or number; one that does not exist counts as info."""
        try:
            number = level_number(level)
        except ValueError:
            number = 20
        if self._logger.isEnabledFor(number):
            self._write(number, event, args, values)

    warn = warning
    fatal = critical
    msg = info

    async def adebug(self, event: object = None, *args: object, **values: Any) -> None:  # noqa: ANN401 - any value
        """``debug`` for ``await``."""
        self.debug(event, *args, **values)

    async def ainfo(self, event: object = None, *args: object, **values: Any) -> None:  # noqa: ANN401 - any value
        """``info`` for ``await``."""
        self.info(event, *args, **values)

    async def awarning(self, event: object = None, *args: object, **values: Any) -> None:  # noqa: ANN401 - any value
        """``warning`` for ``await``."""
        self.warning(event, *args, **values)

    async def aerror(self, event: object = None, *args: object, **values: Any) -> None:  # noqa: ANN401 - any value
        """``error`` for ``await``."""
        self.error(event, *args, **values)

    async def acritical(self, event: object = None, *args: object, **values: Any) -> None:  # noqa: ANN401 - any value
        """``critical`` for ``await``."""
        self.critical(event, *args, **values)

    async def aexception(self, event: object = None, *args: object, **values: Any) -> None:  # noqa: ANN401 - any value
        """``exception`` for ``await``."""
        self.exception(event, *args, **values)

    async def alog(self, level: str | int, event: object = None, *args: object, **values: Any) -> None:  # noqa: ANN401 - any value
        """``log`` for ``await``."""
        self.log(level, event, *args, **values)

    awarn = awarning
    afatal = acritical

    def is_enabled_for(self, level: int) -> bool:
        """Whether lines of that level get through now."""
        enabled: bool = self._logger.isEnabledFor(level)
        return enabled

    def get_effective_level(self) -> int:
        """The level from which on lines get through now."""
        level: int = self._logger.getEffectiveLevel()
        return level

    def _write(self, level: int, event: object, args: tuple[object, ...], values: dict[str, Any]) -> None:
        if args or self._processors or STRUCTLOG_VARIABLES or not _SPECIAL.isdisjoint(values):
            self._write_with_care(level, event, args, values)
        else:
            process_pipeline().emit(level, self._logger.name, {"event": event, **self._context, **values}, None, event)

    def _write_with_care(self, level: int, event: object, args: tuple[object, ...], values: dict[str, Any]) -> None:
        """The long way, for lines with something out of the ordinary."""
        try:
            values = _renamed({**get_contextvars(), **self._context, **values})
            error = exc_info_of(values.pop("exc_info", None))
            if values.pop("stack_info", None):
                frame = sys._getframe(3)  # noqa: SLF001 - CPython's documented way
                values["stack"] = "".join(traceback.format_stack(frame)).rstrip()
            made = self._processed(level, {"event": _filled(event, args, values) if args else event, **values})
            if made is not None:
                process_pipeline().emit(level, self._logger.name, made, error, event)
        except Exception as fault:  # noqa: BLE001 - telemetry never raises into the host
            REPORTER.fault("logging", fault)

    def _processed(self, level: int, fields: dict[str, Any]) -> dict[str, Any] | None:
        """What structlog processors make of the fields; None when one of them drops the line."""
        made: Any = fields
        try:
            for processor in self._processors:
                made = processor(self._logger, level_name(level), made)
        except structlog.DropEvent:
            return None
        return made if isinstance(made, dict) else {"event": made}


_SPECIAL = RESERVED | {"exc_info", "stack_info"}


def _renamed(values: dict[str, Any]) -> dict[str, Any]:
    return {f"{name}_" if name in RESERVED else name: value for name, value in values.items()}


def _filled(event: object, args: tuple[object, ...], fields: dict[str, Any]) -> object:
    """``event % args``; where that cannot be done, the arguments are kept beside it."""
    try:
        return str(event) % (args[0] if len(args) == 1 and isinstance(args[0], dict) and args[0] else args)
    except Exception:  # noqa: BLE001 - the host's own __str__ may do anything
        fields["positional_args"] = list(args)
        return event


def get_logger(name: str | None = None, /, **values: Any) -> Logger:  # noqa: ANN401 - any value
    """A logger.

    Args:
        name: its dotted name; that of the calling module when not given.
        values: bound to it: every line has them.

    Example:
        >>> get_logger("shop").bind(order=17).info("sold", price=9.5)
    """
    if name is None:
        name = str(sys._getframe(1).f_globals.get("__name__", "root"))  # noqa: SLF001 - CPython's documented way
    return Logger(logging.getLogger(name), PROCESSORS, values)
