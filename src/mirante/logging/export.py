"""Lines as OTLP logs, through the bounded queue that all signals share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Unpack

from mirante._core.batches import BatchQueue, QueueOptions, Send, Signal, delivering
from mirante.formats.otlp_common import partial_success
from mirante.formats.otlp_common import resource as encode_resource
from mirante.formats.otlp_logs import encode_log, encode_request
from mirante.logging.line import LogLine, level_name


class LogExporter(BatchQueue[LogLine]):
    """A sink that delivers lines as OTLP logs; never waits.

    What a delivery thread itself logs stays out, or the report of a failed delivery would be the next one's cargo; such
    lines are counted as dropped with the reason ``recursive``.

    Args:
        send: hands one request over.
        resource: attributes of the process; asked again in a forked child.
        options: of the queue, see QueueOptions.

    Example:
        >>> sent = []
        >>> exporter = LogExporter(lambda body, timeout: sent.append(body) or b"", dict)
        >>> exporter(LogLine(0, 20, "shop", {"event": "sold"}))
        >>> exporter.shutdown(), len(sent)
        (True, 1)
    """

    def __init__(
        self, send: Send, resource: Callable[[], Mapping[str, object]], **options: Unpack[QueueOptions]
    ) -> None:
        signal = Signal(
            "logs", "log records", encode_line, lambda: encode_resource(resource()), encode_request, partial_success
        )
        super().__init__(signal, send, **options)

    def __call__(self, line: LogLine) -> None:
        """Queue one line."""
        if delivering():
            self.stats.drop("recursive")
            return
        self.put(line)


def encode_line(line: LogLine) -> tuple[str, bytes]:
    """The logger's name, and the line as a ``LogRecord`` message."""
    fields = line.fields.copy()
    event = fields.pop("event", None)
    trace_id, span_id = (_id(fields, name, size) for name, size in (("trace_id", 32), ("span_id", 16)))
    error = fields.get("exception")
    if isinstance(error, dict):
        del fields["exception"]
        fields |= {f"exception.{name}": value for name, value in error.items()}
    record = encode_log(
        line.time_ns, line.level, level_name(line.level), event, fields, trace_id=trace_id, span_id=span_id
    )
    return line.logger, record


def _id(fields: dict[str, Any], name: str, size: int) -> bytes:
    """Take an id out of the fields; what is none stays an attribute."""
    text = fields.get(name)
    if isinstance(text, str) and len(text) == size:
        try:
            found = bytes.fromhex(text)
        except ValueError:
            return b""
        if len(found) * 2 == size:  # fromhex overlooks blanks
            del fields[name]
            return found
    return b""
