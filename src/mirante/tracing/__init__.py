"""Traces: what happened in which order on behalf of one request."""

from mirante.tracing.attributes import SpanLimits
from mirante.tracing.decorator import span
from mirante.tracing.export import SpanExporter
from mirante.tracing.process import PROVIDER, install, uninstall
from mirante.tracing.provider import Pipeline, TracerProvider
from mirante.tracing.sampling import AlwaysOff, AlwaysOn, ParentBased, RateLimited, Sampler, Sampling, TraceIdRatio
from mirante.tracing.settings import TracingSettings
from mirante.tracing.setup import Tracing, start
from mirante.tracing.spans import Event, Span, SpanLink
from mirante.tracing.tail import TailSampling
from mirante.tracing.tracer import Tracer

__all__ = [
    "PROVIDER", "AlwaysOff", "AlwaysOn", "Event", "ParentBased", "Pipeline", "RateLimited", "Sampler", "Sampling",
    "Span", "SpanExporter", "SpanLimits", "SpanLink", "TailSampling", "TraceIdRatio", "Tracer", "TracerProvider",
    "Tracing", "TracingSettings", "install", "span", "start", "uninstall",
]  # fmt: skip
