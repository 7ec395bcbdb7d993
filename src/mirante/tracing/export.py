"""Spans as OTLP, through the bounded queue that all signals share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Unpack

from mirante._core.batches import BatchQueue, QueueOptions, Send, Signal
from mirante.formats.otlp_common import Scope, partial_success
from mirante.formats.otlp_common import resource as encode_resource
from mirante.formats.otlp_traces import encode_request, encode_span
from mirante.tracing.spans import Span


class SpanExporter(BatchQueue[Span]):
    """Takes ended spans and delivers them in batches; the ``sink`` of a pipeline. Ending a span never waits for it.

    Args:
        send: hands one request over.
        resource: attributes of the process that all spans belong to; asked again in a forked child.
        options: of the queue, see QueueOptions.

    Example:
        >>> from mirante.tracing import Pipeline, TracerProvider
        >>> sent = []
        >>> exporter = SpanExporter(lambda body, timeout: sent.append(body) or b"", dict)
        >>> with TracerProvider(Pipeline(sink=exporter)).get_tracer("shop").start_as_current_span("sell"):
        ...     pass
        >>> exporter.shutdown()
        True
        >>> len(sent), exporter.stats.exported
        (1, 1)
    """

    def __init__(
        self, send: Send, resource: Callable[[], Mapping[str, object]], **options: Unpack[QueueOptions]
    ) -> None:
        signal = Signal("traces", "spans", encode, lambda: encode_resource(resource()), encode_request, partial_success)
        super().__init__(signal, send, **options)

    __call__ = BatchQueue.put


def encode(span: Span) -> tuple[Scope, bytes]:
    """The span's scope, and the span as a ``Span`` message."""
    return span.scope, encode_span(span)
