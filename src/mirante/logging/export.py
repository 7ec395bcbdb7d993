"""Lines as OTLP logs, through the bounded queue that all signals share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mirante._core.batches import BatchQueue, Send, Signal, delivering
from mirante._core.fork import watch
from mirante._core.spool import Spool
from mirante.formats.otlp_common import partial_success
from mirante.formats.otlp_common import resource as encode_resource
from mirante.formats.otlp_logs import encode_log, encode_request
from mirante.logging.line import LogLine, level_name


class LogExporter:
    """A sink that delivers lines as OTLP logs; never waits.

    What a delivery thread itself logs stays out, or the report of a failed delivery would be the next one's cargo; such
    lines are counted as dropped with the reason ``recursive``.

    Args:
        send: hands one request over.
        resource: attributes of the process; asked again in a forked child.
        queue_size: lines that wait at most; beyond it the newest are dropped.
        batch_size: lines in one request at most.
        interval: seconds after which an incomplete batch is sent.
        timeout: seconds that one request may take.
        spool: where batches wait on disk while the destination is away.

    Attributes:
        queue: where lines wait, and its counts.

    Example:
        >>> sent = []
        >>> exporter = LogExporter(lambda body, timeout: sent.append(body) or b"", dict)
        >>> exporter(LogLine(0, 20, "shop", {"event": "sold"}))
        >>> exporter.queue.shutdown(), len(sent)
        (True, 1)
    """

    def __init__(
        self,
        send: Send,
        resource: Callable[[], Mapping[str, object]],
        *,
        queue_size: int = 2048,
        batch_size: int = 512,
        interval: float = 1.0,
        timeout: float = 10.0,
        spool: Spool | None = None,
    ) -> None:
        self._resource = resource
        self.after_fork()
        watch(self)
        signal = Signal("logs", "log records", encode_line, self._request, partial_success)
        self.queue: BatchQueue[LogLine] = BatchQueue(
            signal,
            send,
            queue_size=queue_size,
            batch_size=batch_size,
            interval=interval,
            timeout=timeout,
            spool=spool,
        )

    def after_fork(self) -> None:
        """A forked child is a resource of its own."""
        self._encoded: bytes | None = None

    def __call__(self, line: LogLine) -> None:
        """Queue one line."""
        if delivering():
            self.queue.stats.drop("recursive")
            return
        self.queue.put(line)

    def _request(self, records: Sequence[Any]) -> bytes:
        if self._encoded is None:
            self._encoded = encode_resource(self._resource())
        return encode_request(self._encoded, records)


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
