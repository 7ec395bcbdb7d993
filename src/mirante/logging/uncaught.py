"""Exceptions that nobody catches: logged with the trace and the request in which they were raised, then passed on.

The interpreter's three hooks are taken over: for the main thread's end, for other threads', and for what finalizers and
callbacks raise where nobody can catch it. Whatever stood in a hook before is called after the line was logged.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from types import ModuleType, TracebackType
from typing import Any

from mirante._core.guard import REPORTER
from mirante.correlation.errors import ids_of
from mirante.logging.pipeline import process_pipeline

LOGGER = "mirante.uncaught"
"""The logger's name; its level decides which of these lines get through."""


def _process_ends(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):  # somebody wants it to end
        _log(logging.CRITICAL, "uncaught exception", error, trace, {})


def _thread_ends(args: threading.ExceptHookArgs) -> None:
    if not issubclass(args.exc_type, SystemExit):  # a thread's way to end
        name = args.thread.name if args.thread is not None else None
        _log(logging.ERROR, "uncaught exception in thread", args.exc_value, args.exc_traceback, {"thread.name": name})


def _ignored(args: sys.UnraisableHookArgs) -> None:
    # By its name alone: an object in the middle of its finalizer is not one to call anything on.
    where = getattr(args.object, "__qualname__", None) or type(args.object).__qualname__
    _log(logging.ERROR, "exception ignored", args.exc_value, args.exc_traceback, {"where": where})


def _log(
    level: int, event: str, error: BaseException | None, trace: TracebackType | None, fields: dict[str, Any]
) -> None:
    if logging.getLogger(LOGGER).isEnabledFor(level):
        found, ids = (None, {}) if error is None else ((type(error), error, trace), ids_of(error))
        process_pipeline().emit(level, LOGGER, {"event": event, **fields, **ids}, found)


class _Hook:
    """One of the interpreter's hooks."""

    def __init__(self, holder: ModuleType, name: str, log: Callable[..., None]) -> None:
        self._holder, self._name, self._log = holder, name, log
        self._ours: Callable[..., Any] | None = None
        self._before: Callable[..., Any] | None = None

    def install(self) -> None:
        if self._ours is not None and getattr(self._holder, self._name) is self._ours:
            return
        before: Callable[..., Any] = getattr(self._holder, self._name)

        def hook(*args: Any) -> None:  # noqa: ANN401 - each hook has its own
            # Only the newest one logs: an older one may still be called, by what was put over it.
            if self._ours is hook and not sys.is_finalizing():
                try:
                    self._log(*args)
                except Exception as error:  # noqa: BLE001 - telemetry never raises into the host
                    REPORTER.fault("logging an uncaught exception", error)
            before(*args)

        self._before, self._ours = before, hook
        setattr(self._holder, self._name, hook)

    def uninstall(self) -> None:
        if self._ours is not None and getattr(self._holder, self._name) is self._ours:
            setattr(self._holder, self._name, self._before)
        self._ours = self._before = None


_HOOKS = (
    _Hook(sys, "excepthook", _process_ends),
    _Hook(threading, "excepthook", _thread_ends),
    _Hook(sys, "unraisablehook", _ignored),
)


def install() -> None:
    """Log what nobody catches from now on; installing again does no more, unless somebody else took a hook since."""
    for hook in _HOOKS:
        hook.install()


def uninstall() -> None:
    """Put back what stood in the hooks. Ours inside somebody else's stays there, and only passes on."""
    for hook in _HOOKS:
        hook.uninstall()
