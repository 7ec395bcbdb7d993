"""The process's one tracer provider, and its place as OpenTelemetry's global one."""

from __future__ import annotations

from dataclasses import dataclass

from opentelemetry import propagate
from opentelemetry import trace as api
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.util._once import Once

from mirante._core.guard import REPORTER
from mirante.tracing.provider import Pipeline, TracerProvider

PROVIDER = TracerProvider(Pipeline())
"""Records and throws away until a pipeline is installed."""


@dataclass(frozen=True, slots=True)
class _Before:
    """What stood in OpenTelemetry's global places."""

    provider: api.TracerProvider | None
    textmap: TextMapPropagator


_before: _Before | None = None


def install(pipeline: Pipeline | None, propagator: TextMapPropagator) -> None:
    """Send spans down a pipeline, and stand in for OpenTelemetry's global provider and propagator.

    A global provider that somebody else has set stays; then only ``mirante.tracing`` uses the pipeline. Installing
    again replaces the pipeline and the propagator.

    Args:
        pipeline: None turns tracing off.
        propagator: reads and writes the headers.
    """
    global _before  # noqa: PLW0603 - one process, one provider
    if _before is None:
        _before = _Before(api._TRACER_PROVIDER, propagate.get_global_textmap())  # noqa: SLF001 - the getter would set it
    PROVIDER.pipeline = pipeline
    propagate.set_global_textmap(propagator)
    if api._TRACER_PROVIDER is None:  # noqa: SLF001 - as above
        api.set_tracer_provider(PROVIDER)
    elif api._TRACER_PROVIDER is not PROVIDER:  # noqa: SLF001 - as above
        REPORTER.warn(
            "tracing",
            "another OpenTelemetry tracer provider is set already: the spans of OpenTelemetry's instrumentations go "
            "there; call mirante.configure() before whatever sets it",
        )


def uninstall() -> None:
    """Put back what ``install`` found; tracers that libraries keep record from now on without exporting."""
    global _before  # noqa: PLW0603 - one process, one provider
    PROVIDER.pipeline = Pipeline()
    if _before is None:
        return
    propagate.set_global_textmap(_before.textmap)
    if api._TRACER_PROVIDER is PROVIDER:  # noqa: SLF001 - the API can set its provider once only
        api._TRACER_PROVIDER = _before.provider  # noqa: SLF001
        api._TRACER_PROVIDER_SET_ONCE = Once()  # noqa: SLF001
    _before = None
