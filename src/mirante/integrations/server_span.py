"""The span of a request, as cheaply as it can be had: this runs once for every request of the process.

The usual case, in which the pipeline records whatever has no parent or a sampled remote one, is written out; what a
general ``start_span`` has to find out for every span is looked at once for every pipeline.
"""

from __future__ import annotations

from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanKind
from opentelemetry.trace import Span as ApiSpan

from mirante._core.version import version
from mirante.formats.otlp_common import Scope
from mirante.integrations.incoming import is_server
from mirante.tracing.context import SPAN_KEY
from mirante.tracing.process import PROVIDER
from mirante.tracing.provider import Pipeline, ProviderTracer
from mirante.tracing.sampling import SAMPLE
from mirante.tracing.spans import Span

SERVER = SpanKind.SERVER
SCHEMA = "https://opentelemetry.io/schemas/1.37.0"

_ROOM = 32
"""More attributes than a request's span gets from here: within such a limit none is dropped."""
_SCOPE = Scope("mirante.integrations", version(), SCHEMA)
_TRACER = ProviderTracer(PROVIDER, _SCOPE)


class _Usual:
    """What is always the same as long as the pipeline is."""

    __slots__ = ("pipeline", "remote", "root")

    def __init__(self, pipeline: Pipeline | None) -> None:
        self.pipeline = pipeline
        self.root = self.remote = False
        if pipeline is not None:
            limits = pipeline.limits
            roomy = limits.value_length is None and (limits.attributes is None or limits.attributes >= _ROOM)
            self.root = roomy and pipeline.of_roots is SAMPLE
            self.remote = roomy and pipeline.of_children[3] is SAMPLE


_usual = _Usual(None)


def server_span(name: str, context: Context, attributes: dict[str, Any], start: int) -> ApiSpan | None:
    """Start a request's span, without making it current.

    Args:
        name: the span's.
        context: holds the parent.
        attributes: of names and values that need no checking; the span's own from now on.
        start: nanoseconds since the Unix epoch.

    Returns:
        The span, or None where another instrumentation has one open for the same request.
    """
    global _usual  # noqa: PLW0603 - one process, one provider
    pipeline = PROVIDER.pipeline
    usual = _usual
    if usual.pipeline is not pipeline:
        usual = _usual = _Usual(pipeline)
    parent = context.get(SPAN_KEY) if context else None
    if parent is None:
        if usual.root and pipeline is not None:
            return _open(pipeline, name, pipeline.trace_id(), 0, 3, attributes, start)
    elif type(parent) is NonRecordingSpan:
        remote = parent.get_span_context()
        if usual.remote and pipeline is not None and remote.trace_flags & 1 and remote.is_remote and remote.is_valid:
            span = _open(pipeline, name, remote.trace_id, remote.span_id, remote.trace_flags & 2 | 1, attributes, start)
            span.parent_is_remote = True
            if remote.trace_state:
                span.trace_state = remote.trace_state
            return span
    elif is_server(parent):
        return None
    return _TRACER.start_span(name, context, SERVER, attributes, None, start)


def _open(
    pipeline: Pipeline,
    name: str,
    trace_id: int,
    parent_id: int,
    flags: int,
    attributes: dict[str, Any],
    start: int,
) -> Span:
    span = Span(
        name, SERVER, trace_id, pipeline.span_id(), parent_id, flags, _SCOPE, pipeline.limits, pipeline.sink, start
    )
    span.attributes = attributes
    if pipeline.on_start is not None:
        pipeline.on_start(span)
    return span
