"""What the tests of logging share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mirante._core.batches import Send
from mirante.config import resolve
from mirante.logging import LoggingSettings, LogLine, add_sink, remove_sink
from mirante.logging.setup import Logging, start


@contextmanager
def running(
    send: Send | None = None, resource: Callable[[], Mapping[str, object]] = dict, **settings: object
) -> Iterator[Logging]:
    """Logging that is running, quiet unless the settings say otherwise."""
    code: dict[str, Any] = {"log_stream": "none", **settings}
    run = start(resolve(LoggingSettings, code=code, environ={}), send, resource)
    try:
        yield run
    finally:
        run.shutdown(5.0)


@contextmanager
def collected() -> Iterator[list[LogLine]]:
    """The lines of the process in the meantime."""
    lines: list[LogLine] = []
    add_sink(lines.append)
    try:
        yield lines
    finally:
        remove_sink(lines.append)
