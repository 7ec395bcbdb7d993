"""The standard library's logging and structlog, led into the process's pipeline for the length of a test."""

from __future__ import annotations

import logging
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import structlog

from mirante.logging.exceptions import exc_info_of
from mirante.logging.handler import PipelineHandler, logger_of
from mirante.logging.line import level_number
from mirante.logging.logger import PROCESSORS, Logger
from mirante.logging.pipeline import process_pipeline


class _Handler(PipelineHandler):
    """Steps aside where ``configure`` has put its own, before or in the middle of the test."""

    def emit(self, record: logging.LogRecord) -> None:
        if not _configured():
            super().emit(record)


def _configured() -> list[logging.Handler]:
    """What ``configure`` has put at the root."""
    return [handler for handler in logging.getLogger().handlers if type(handler) is PipelineHandler]


@contextmanager
def taken(level: str) -> Iterator[None]:
    """Lead them there from this level on. Handlers that are there stay, and so does what structlog does to a line."""
    root = logging.getLogger()
    handler, number, before, configured = _Handler(), level_number(level), root.level, _configured()
    root.addHandler(handler)
    root.setLevel(number)
    try:
        with _structlog():
            yield
    finally:
        root.removeHandler(handler)
        if root.level == number and _configured() == configured:  # else the level is somebody else's by now
            root.setLevel(before)


@contextmanager
def _structlog() -> Iterator[None]:
    if structlog.is_configured():
        with _collecting(structlog.get_config()["processors"]):
            yield
        return
    structlog.configure(processors=PROCESSORS, wrapper_class=Logger, logger_factory=logger_of)
    ours = structlog.get_config()
    try:
        yield
    finally:
        theirs = {name: value for name, value in structlog.get_config().items() if value is not ours[name]}
        structlog.reset_defaults()
        if theirs:
            structlog.configure(**theirs)


@contextmanager
def _collecting(processors: Any) -> Iterator[None]:  # noqa: ANN401 - any sequence will do for structlog
    """Keep what the application's own processors make of a line, in the place of the last one, which renders it.

    A list is changed in its place, because loggers that have been used keep theirs.
    """
    if structlog.get_config()["logger_factory"] is logger_of:  # set up by ``configure``
        yield
        return
    before = list(processors)
    if isinstance(processors, list):
        processors[-1:] = [_collect]
    else:
        structlog.configure(processors=[*before[:-1], _collect])
    try:
        yield
    finally:
        if isinstance(processors, list):
            processors[:] = before
        else:
            structlog.configure(processors=processors)


def _collect(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor that hands the line to the pipeline, and ends its way through structlog."""
    fields = {"event": event.pop("event", None), **event}
    name = fields.pop("logger", None) or getattr(logger, "name", "structlog")
    try:
        level = level_number(str(fields.pop("level", method)))
    except ValueError:
        level = logging.ERROR if method == "exception" else logging.INFO
    fields.pop("timestamp", None)
    process_pipeline().emit(level, str(name), fields, exc_info_of(fields.pop("exc_info", None)))
    raise structlog.DropEvent
