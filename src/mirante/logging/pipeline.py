"""What every line of the process goes through, whoever wrote it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante._core.guard import REPORTER
from mirante.correlation.context import stamp_bound, stamp_span
from mirante.logging.exceptions import ExcInfo, exception_field
from mirante.logging.line import LogLine, Sink
from mirante.logging.redaction import Redactor
from mirante.logging.repeats import Repeats


class Pipeline:
    """Adds the ids of the moment, cleans, samples repeated lines, and hands each line to the sinks.

    Args:
        redactor: cleans the fields.
        repeats: samples repeated lines, or None to keep all.
        clock: the time.

    """

    def __init__(
        self,
        sinks: Iterable[Sink] = (),
        *,
        redactor: Redactor | None = None,
        repeats: Repeats | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.sinks = tuple(sinks)
        self._redactor = redactor or Redactor()
        self._repeats = repeats
        self._time_ns = clock.time_ns

    @property
    def sinks(self) -> tuple[Sink, ...]:
        """What takes the lines; replaced as a whole, never changed."""
        return self._sinks

    @sinks.setter
    def sinks(self, sinks: tuple[Sink, ...]) -> None:
        self._take = tuple(sink.__call__ for sink in sinks)  # bound once, for a cheaper call
        self._sinks = sinks

    def emit(
        self,
        level: int,
        logger: str,
        fields: dict[str, Any],
        error: ExcInfo | None = None,
        template: object = None,
        time_ns: int | None = None,
    ) -> None:
        """Let one line through; never raises.

        Args:
            level: its number.
            logger: the logger's name.
            fields: ``event`` first; belongs to the pipeline from now on.
            error: the exception that the line tells of.
            template: what makes two lines repetitions of one another; the event when not given.
            time_ns: when it was written; now when not given.
        """
        try:
            if self._repeats is not None:
                left_out = self._repeats.admit(level, logger, fields["event"] if template is None else template)
                if left_out is None:
                    return
                if left_out:
                    fields["repeats_left_out"] = left_out
            if error is not None:
                fields["exception"] = exception_field(error)
            stamp_bound(fields)
            self._redactor.clean(fields)
            stamp_span(fields)  # there are no secrets in these
            time_ns = time_ns or self._time_ns()
            line = _line(LogLine, (time_ns, level, logger, fields))
            for take in self._take:
                take(line)
        except Exception as fault:  # noqa: BLE001 - telemetry never raises into the host
            REPORTER.fault("logging", fault)


_line = tuple.__new__  # half the price of calling the class


class _State:
    """The process's pipeline and further sinks."""

    lock = threading.Lock()
    pipeline: Pipeline | None = None
    added: tuple[Sink, ...] = ()
    base: tuple[Sink, ...] = ()


if hasattr(os, "register_at_fork"):  # pragma: no branch - absent on Windows, where nothing forks
    # Held across fork, so that no child inherits it from a thread that it does not have.
    os.register_at_fork(
        before=_State.lock.acquire, after_in_parent=_State.lock.release, after_in_child=_State.lock.release
    )


def process_pipeline() -> Pipeline:
    """The process's pipeline."""
    return _State.pipeline or _default()


def _default() -> Pipeline:
    """Before ``configure()``: lines for people, on stderr."""
    from mirante.logging.formatter import ConsoleFormatter
    from mirante.logging.streams import StreamOutput

    pipeline = Pipeline()
    output = StreamOutput("stderr", ConsoleFormatter(colors=False))
    with _State.lock:  # two threads that meet here make one too many, and either does
        _join(pipeline, (output,))
    return pipeline


def _join(pipeline: Pipeline | None, base: tuple[Sink, ...]) -> None:
    _State.base = base
    if pipeline is not None:
        pipeline.sinks = (*base, *_State.added)
    _State.pipeline = pipeline


def use(pipeline: Pipeline | None) -> None:
    """Make it the process's pipeline; sinks that were added stay. None goes back to the one before ``configure()``."""
    with _State.lock:
        _join(pipeline, pipeline.sinks if pipeline else ())


def add_sink(sink: Sink) -> None:
    """Hand every line of the process to a further sink, such as a ``LogAggregator``.

    Example:
        >>> from mirante.logging import get_logger
        >>> lines = []
        >>> add_sink(lines.append)
        >>> get_logger("shop").warning("low stock", sku="a-1")
        >>> lines[0].fields
        {'event': 'low stock', 'sku': 'a-1'}
        >>> remove_sink(lines.append)
    """
    _change((*_State.added, sink))


def remove_sink(sink: Sink) -> None:
    """Stop handing lines to a sink; one that is not there changes nothing."""
    _change(tuple(one for one in _State.added if one != sink))


@contextmanager
def captured(sink: Sink) -> Iterator[None]:
    """Hand the lines of a block to that sink, and otherwise only to what is set up in the block itself: for tests."""
    ours = Pipeline()
    with _State.lock:
        pipeline, base, added = _State.pipeline, _State.base, _State.added
        _State.added = (sink,)
        _join(ours, ())
    try:
        yield
    finally:
        with _State.lock:
            _State.added = (*added, *(one for one in _State.added if one is not sink))
            if _State.pipeline is not ours:
                pipeline, base = _State.pipeline, _State.base
            _join(pipeline, base)


def _change(added: tuple[Sink, ...]) -> None:
    with _State.lock:
        _State.added = added
        if _State.pipeline is not None:
            _State.pipeline.sinks = (*_State.base, *added)
