"""The process's one tracer provider, and its place as OpenTelemetry's global one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

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


class _Use(NamedTuple):
    """What ``install`` and ``captured`` are told."""

    pipeline: Pipeline | None
    propagator: TextMapPropagator


class _State:
    """One process, one provider."""

    before: _Before | None = None  # while anything is in use
    installed: _Use | None = None
    captures: tuple[_Use, ...] = ()  # the last one counts, and more than what is installed


def install(pipeline: Pipeline | None, propagator: TextMapPropagator) -> None:
    """Send spans down a pipeline, and stand in for OpenTelemetry's global provider and propagator.

    A global provider that somebody else has set stays; then only ``mirante.tracing`` uses the pipeline. Installing
    again replaces the pipeline and the propagator.

    Args:
        pipeline: None turns tracing off.
        propagator: reads and writes the headers.
    """
    _State.installed = _Use(pipeline, propagator)
    _apply()
    if api._TRACER_PROVIDER is not PROVIDER:  # noqa: SLF001 - the getter would set it
        REPORTER.warn(
            "tracing",
            "another OpenTelemetry tracer provider is set already: the spans of OpenTelemetry's instrumentations go "
            "there; call mirante.configure() before whatever sets it",
        )


def uninstall() -> None:
    """Put back what ``install`` found; tracers that libraries keep record from now on without exporting."""
    _State.installed = None
    _apply()


@contextmanager
def captured(pipeline: Pipeline, propagator: TextMapPropagator) -> Iterator[None]:
    """Use these for a block, whatever is installed before or in the middle of it; other providers step aside.

    This is for tests. Afterwards all is as if the block's pipeline had never been there.
    """
    use = _Use(pipeline, propagator)
    _State.captures = (*_State.captures, use)
    _apply()
    try:
        yield
    finally:
        _State.captures = tuple(one for one in _State.captures if one is not use)
        _apply()


def _apply() -> None:
    """Bring the provider and OpenTelemetry's globals to what is wanted now."""
    use = _State.captures[-1] if _State.captures else _State.installed
    if use is None:
        PROVIDER.pipeline = Pipeline()
        _put_back()
        return
    if _State.before is None:
        _State.before = _Before(api._TRACER_PROVIDER, propagate.get_global_textmap())  # noqa: SLF001 - as above
    PROVIDER.pipeline = use.pipeline
    propagate.set_global_textmap(use.propagator)
    if api._TRACER_PROVIDER is None:  # noqa: SLF001 - as above
        api.set_tracer_provider(PROVIDER)
    elif _State.captures:
        api._TRACER_PROVIDER = PROVIDER  # noqa: SLF001 - the API can set its provider once only
    elif api._TRACER_PROVIDER is PROVIDER and _State.before.provider is not None:  # noqa: SLF001 - as above
        api._TRACER_PROVIDER = _State.before.provider  # noqa: SLF001 - as above


def _put_back() -> None:
    if _State.before is None:
        return
    before, _State.before = _State.before, None
    propagate.set_global_textmap(before.textmap)
    if api._TRACER_PROVIDER is PROVIDER:  # noqa: SLF001 - as above
        api._TRACER_PROVIDER = before.provider  # noqa: SLF001 - as above
        if before.provider is None:
            api._TRACER_PROVIDER_SET_ONCE = Once()  # noqa: SLF001 - as above
