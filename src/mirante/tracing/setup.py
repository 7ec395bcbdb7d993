"""From settings to running tracing: what the composition root calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mirante._core.batches import Send
from mirante._core.spans import set_span_source
from mirante._core.spool_slots import open_spool
from mirante.correlation.propagator import propagator
from mirante.tracing.attributes import SpanLimits
from mirante.tracing.current import current_ids
from mirante.tracing.export import SpanExporter
from mirante.tracing.process import install, uninstall
from mirante.tracing.provider import Pipeline
from mirante.tracing.sampling import AlwaysOff, AlwaysOn, ParentBased, RateLimited, Sampler, TraceIdRatio
from mirante.tracing.settings import TracingSettings, sampler_number
from mirante.tracing.tail import TailSampling

_TAIL_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Tracing:
    """Running tracing.

    Attributes:
        exporter: queue and delivery, or None where spans go nowhere.
        tail: the tail sampler, or None.
    """

    exporter: SpanExporter | None
    tail: TailSampling | None

    def flush(self, timeout: float = 10.0) -> bool:
        """Send what has ended by now; false when that takes longer than ``timeout`` seconds."""
        return self.exporter is None or self.exporter.flush(timeout)

    def undo(self) -> None:
        """Put back OpenTelemetry's globals; what the tail sampler holds is decided now."""
        uninstall()
        set_span_source(None)
        if self.tail is not None:
            self.tail.flush()

    def shutdown(self, timeout: float = 2.0) -> bool:
        """Put everything back, deliver what is left and end; false when something was left after it."""
        self.undo()
        return self.exporter is None or self.exporter.shutdown(timeout)


def turn_off(settings: TracingSettings) -> None:
    """Record nothing, and hand on the headers of others all the same; ``uninstall`` puts it back.

    Raises:
        ConfigError: a propagator is unknown.
    """
    install(None, propagator(settings.propagators))


def start(settings: TracingSettings, send: Send | None, resource: Callable[[], Mapping[str, object]]) -> Tracing:
    """Begin to record, sample, propagate and deliver, process-wide.

    Args:
        settings: what was configured.
        send: hands one request over; None, or ``traces_exporter = none``, records without exporting.
        resource: attributes of this process; asked again in a forked child.

    Raises:
        ConfigError: a setting cannot be used.
    """
    headers = propagator(settings.propagators)
    sampler, tail = samplers(settings)
    limits = SpanLimits(
        attributes=settings.span_attribute_count_limit,
        events=settings.span_event_count_limit,
        links=settings.span_link_count_limit,
        event_attributes=settings.event_attribute_count_limit,
        link_attributes=settings.link_attribute_count_limit,
        value_length=settings.span_attribute_value_length_limit,
    )
    if send is None or settings.traces_exporter == "none":
        install(Pipeline(sampler=sampler, limits=limits), headers)
        set_span_source(current_ids)
        return Tracing(None, None)
    exporter = SpanExporter(
        send,
        resource,
        queue_size=settings.traces_queue_size,
        batch_size=settings.traces_batch_size,
        interval=settings.traces_interval,
        timeout=settings.traces_timeout,
        spool=lambda: open_spool(settings.traces_spool, "traces", settings.traces_spool_bytes),
    )
    held = tail(exporter) if tail else None
    install(Pipeline(held or exporter, sampler, limits, on_start=held.on_start if held else None), headers)
    set_span_source(current_ids)
    return Tracing(exporter, held)


def samplers(settings: TracingSettings) -> tuple[Sampler, Callable[[SpanExporter], TailSampling] | None]:
    """The sampler that the settings name, and for ``tail`` what stands before the exporter.

    Raises:
        ConfigError: its number cannot be used.
    """
    if settings.traces_sampler == "tail":
        share = sampler_number(settings, _TAIL_SHARE, lambda x: 0 <= x <= 1)
        return ParentBased(AlwaysOn()), lambda keep: TailSampling(
            keep, slower_than=settings.traces_slower_than, ratio=share
        )
    name = settings.traces_sampler.removeprefix("parentbased_")
    root: Sampler
    if name == "traceidratio":
        root = TraceIdRatio(sampler_number(settings, 1.0, lambda x: 0 <= x <= 1))
    elif name == "rate_limited":
        root = RateLimited(sampler_number(settings, 100.0, lambda x: x > 0))
    else:
        root = AlwaysOn() if name == "always_on" else AlwaysOff()
    return (root if name == settings.traces_sampler else ParentBased(root)), None
