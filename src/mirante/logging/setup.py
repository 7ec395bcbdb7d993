"""From settings to running logging: what the composition root calls."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, cast

from mirante._core.batches import Send
from mirante._core.model import MetricFamily, Sample
from mirante._core.spool_slots import open_spool
from mirante.logging.export import LogExporter
from mirante.logging.files import FileOutput
from mirante.logging.formatter import ConsoleFormatter, Formatter, JsonFormatter
from mirante.logging.handler import TakeOver
from mirante.logging.levels import level_map
from mirante.logging.line import Sink, level_number
from mirante.logging.pipeline import Pipeline, use
from mirante.logging.redaction import Redactor
from mirante.logging.repeats import Repeats
from mirante.logging.settings import LoggingSettings
from mirante.logging.streams import StreamOutput


class Logging:
    """Running logging; made by ``start``.

    Attributes:
        exporter: queue and delivery, or None where lines are not exported.
    """

    def __init__(self, sinks: Sequence[Sink], exporter: LogExporter | None, taken: TakeOver) -> None:
        self.exporter = exporter
        self._sinks = sinks
        self._taken = taken

    def adopt(self) -> None:
        """Look again for loggers of web servers and for structlog: what was set up after ``start``."""
        self._taken.adopt()

    def flush(self, timeout: float = 10.0) -> bool:
        """Send what was logged by now; false when that takes longer than ``timeout`` seconds."""
        return self.exporter is None or self.exporter.flush(timeout)

    def collect(self) -> Iterable[MetricFamily]:
        """Lines that were shown or kept nowhere, as a metric; what is exported is counted by the exporter."""
        lost = tuple(
            Sample("mirante_log_output_errors_total", {"output": sink.name}, sink.dropped)
            for sink in self._sinks
            if isinstance(sink, StreamOutput | FileOutput)
        )
        told = "Log lines that an output did not take, such as a closed stream or a file on a full disk."
        yield MetricFamily("mirante_log_output_errors", "counter", told, "", lost)

    def undo(self) -> None:
        """Put the standard library's logging back and close the files."""
        self._taken.undo()
        use(None)
        for sink in self._sinks:
            if isinstance(sink, FileOutput):
                sink.close()

    def shutdown(self, timeout: float = 2.0) -> bool:
        """Put everything back, deliver what is left and end; false when something was left."""
        self.undo()
        return self.exporter is None or self.exporter.shutdown(timeout)


def start(settings: LoggingSettings, send: Send | None, resource: Callable[[], Mapping[str, object]]) -> Logging:
    """Begin to show, keep and deliver lines, process-wide.

    Args:
        settings: what was configured.
        send: hands one request over; None, or ``logs_exporter = none``, exports nothing.
        resource: attributes of this process; asked again in a forked child.

    Raises:
        DeclarationError: limits of the settings contradict each other.
    """
    sinks: list[Sink] = []
    if settings.log_stream != "none":
        stream = cast('Literal["stderr", "stdout"]', settings.log_stream)
        sinks.append(StreamOutput(stream, formatter(settings)))
    if settings.log_file is not None:
        sinks.append(
            FileOutput(
                settings.log_file,
                JsonFormatter(),
                max_bytes=settings.log_file_bytes,
                max_age=settings.log_file_age,
                max_total_bytes=settings.log_file_total_bytes,
                compress=settings.log_file_compress,
            )
        )
    exporter = None
    if send is not None and settings.logs_exporter != "none":
        exporter = LogExporter(
            send,
            resource,
            queue_size=settings.logs_queue_size,
            batch_size=settings.logs_batch_size,
            interval=settings.logs_interval,
            timeout=settings.logs_timeout,
            spool=lambda: open_spool(settings.logs_spool, "logs", settings.logs_spool_bytes),
        )
        sinks.append(exporter)
    use(Pipeline(sinks, redactor=redactor(settings), repeats=repeats(settings)))
    return Logging(sinks, exporter, _take_over(settings))


def _take_over(settings: LoggingSettings) -> TakeOver:
    return TakeOver(
        level_number(settings.log_level),
        level_map(settings.log_levels),
        capture=settings.log_capture,
        console=settings.log_stream != "none",
        capture_warnings=settings.log_warnings,
    )


def formatter(settings: LoggingSettings) -> Formatter:
    """What turns lines into text on the stream: colours on a terminal only."""
    terminal = bool(getattr(getattr(sys, settings.log_stream), "isatty", bool)())
    if settings.log_format == "json" or (settings.log_format == "auto" and not terminal):
        return JsonFormatter()
    return ConsoleFormatter(colors=terminal)


def redactor(settings: LoggingSettings) -> Redactor:
    """What hides secrets."""
    keys = filter(None, map(str.strip, settings.log_redact_keys.split(",")))
    return Redactor(keys, [settings.log_redact_pattern] if settings.log_redact_pattern else [])


def repeats(settings: LoggingSettings) -> Repeats | None:
    """What samples repeated lines."""
    if not settings.log_repeat_first:
        return None
    return Repeats(settings.log_repeat_first, settings.log_repeat_every, settings.log_repeat_interval)
