"""From variables and arguments to running tracing, and back to how it was."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import propagate
from opentelemetry import trace as api
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import NoOpTracerProvider
from opentelemetry.util._once import Once

from mirante._core.guard import REPORTER
from mirante._core.spans import current_span, set_span_source
from mirante.config import resolve
from mirante.correlation.propagator import propagator
from mirante.errors import ConfigError
from mirante.exporters.otlp_sender import OtlpSender
from mirante.tracing import PROVIDER, Pipeline, Tracer, Tracing, TracingSettings, install, start, uninstall
from mirante.tracing.setup import samplers
from tests.sdk.tracing.receiver import Receiver

NONE = propagator("none")


@pytest.fixture(autouse=True)
def clean_globals(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No provider is set at the start, and none afterwards."""
    monkeypatch.setattr(api, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(api, "_TRACER_PROVIDER_SET_ONCE", Once())
    monkeypatch.setattr(propagate, "_HTTP_TEXT_FORMAT", propagate.get_global_textmap())
    yield
    uninstall()
    set_span_source(None)


def settings(**environ: str) -> TracingSettings:
    """As the environment says."""
    return resolve(TracingSettings, environ=environ)


def test_the_defaults_are_the_specifications() -> None:
    """Batch, queue, delay, timeout, limits, sampler and propagators of OpenTelemetry."""
    got = settings()
    assert (got.traces_batch_size, got.traces_queue_size, got.traces_interval, got.traces_timeout) == (512, 2048, 5, 10)
    assert (got.traces_sampler, got.propagators) == ("parentbased_always_on", "tracecontext,baggage")
    limits = (got.span_attribute_count_limit, got.span_event_count_limit, got.span_link_count_limit)
    assert (limits, got.span_attribute_value_length_limit) == ((128, 128, 128), None)


@pytest.mark.parametrize(
    ("variable", "value", "field", "expected"),
    [
        ("OTEL_TRACES_SAMPLER", "traceidratio", "traces_sampler", "traceidratio"),
        ("OTEL_TRACES_EXPORTER", "None", "traces_exporter", "none"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://x/y", "traces_endpoint", "http://x/y"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=1", "traces_headers", "a=1"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "none", "traces_compression", "none"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2500", "traces_timeout", 2.5),
        ("OTEL_BSP_SCHEDULE_DELAY", "100", "traces_interval", 0.1),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "10", "traces_queue_size", 10),
        ("OTEL_PROPAGATORS", "b3", "propagators", "b3"),
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "5", "span_attribute_count_limit", 5),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "7", "span_attribute_value_length_limit", 7),
        ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "3", "event_attribute_count_limit", 3),
        ("MIRANTE_TRACES_SAMPLER", "tail", "traces_sampler", "tail"),
    ],
)
def test_variables(variable: str, value: str, field: str, expected: object) -> None:
    """Those of OpenTelemetry mean here what they mean there, those of ours are named by the one rule."""
    assert getattr(settings(**{variable: value}), field) == expected


def test_a_specific_variable_wins_over_a_general_one() -> None:
    """As the specification orders them."""
    got = settings(
        OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT="1",
        OTEL_ATTRIBUTE_COUNT_LIMIT="2",
        OTEL_EXPORTER_OTLP_HEADERS="a=1",
        OTEL_EXPORTER_OTLP_TRACES_HEADERS="b=2",
    )
    assert (got.span_attribute_count_limit, got.link_attribute_count_limit, got.traces_headers) == (1, 2, "b=2")


@pytest.mark.parametrize(
    ("variable", "value", "field"),
    [
        ("OTEL_TRACES_SAMPLER", "jaeger_remote", "traces_sampler"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "-1", "span_event_count_limit"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "many", "span_link_count_limit"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "traces_queue_size"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "nonsense", "traces_headers"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zip", "traces_compression"),
        ("OTEL_TRACES_EXPORTER", "fax", "traces_exporter"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "soon", "traces_timeout"),
    ],
)
def test_a_variable_of_opentelemetrys_that_cannot_be_used_is_told_and_ignored(
    variable: str, value: str, field: str
) -> None:
    """Its specification asks for it; the same value in our own variable is an error that names it."""
    told = REPORTER.counts.get(variable, 0)
    assert getattr(settings(**{variable: value}), field) == getattr(settings(), field)
    assert REPORTER.counts[variable] == told + 1
    own = f"MIRANTE_{field.upper()}"
    with pytest.raises(ConfigError, match=own):
        settings(**{own: value})


def test_a_limit_in_code_is_a_whole_number() -> None:
    """True is none."""
    with pytest.raises(ConfigError, match="0 or more"):
        resolve(TracingSettings, code={"span_event_count_limit": True}, environ={})


@pytest.mark.parametrize(
    ("name", "arg", "description"),
    [
        ("always_on", "", "AlwaysOnSampler"),
        ("always_off", "", "AlwaysOffSampler"),
        ("traceidratio", "0.25", "TraceIdRatioBased{0.250000}"),
        ("traceidratio", "", "TraceIdRatioBased{1.000000}"),
        ("rate_limited", "5", "RateLimitedSampler{5}"),
        ("rate_limited", "", "RateLimitedSampler{100}"),
        ("parentbased_always_on", "", "ParentBased{root:AlwaysOnSampler,"),
        ("parentbased_always_off", "", "ParentBased{root:AlwaysOffSampler,"),
        ("parentbased_traceidratio", "0.5", "ParentBased{root:TraceIdRatioBased{0.500000},"),
        ("parentbased_rate_limited", "7", "ParentBased{root:RateLimitedSampler{7},"),
        ("tail", "0.5", "ParentBased{root:AlwaysOnSampler,"),
    ],
)
def test_samplers_by_name(name: str, arg: str, description: str) -> None:
    """Each name gives its sampler; only ``tail`` has a part at the end of traces."""
    sampler, tail = samplers(settings(OTEL_TRACES_SAMPLER=name, OTEL_TRACES_SAMPLER_ARG=arg))
    assert sampler.description.startswith(description)
    assert (tail is not None) is (name == "tail")


@pytest.mark.parametrize(
    ("name", "arg"), [("traceidratio", "2"), ("traceidratio", "x"), ("rate_limited", "0"), ("tail", "-1")]
)
def test_a_wrong_number_for_a_sampler_is_an_error(name: str, arg: str) -> None:
    """It names the setting and what is expected."""
    with pytest.raises(ConfigError, match=r"traces_sampler_arg = .*(share from 0 to 1|traces a second)"):
        samplers(settings(MIRANTE_TRACES_SAMPLER=name, MIRANTE_TRACES_SAMPLER_ARG=arg))


def test_a_wrong_number_in_opentelemetrys_variable_is_told_and_ignored() -> None:
    """As if it were not set."""
    sampler, _ = samplers(settings(OTEL_TRACES_SAMPLER="traceidratio", OTEL_TRACES_SAMPLER_ARG="many"))
    assert sampler.description == "TraceIdRatioBased{1.000000}"


@pytest.mark.parametrize("sampler", ["parentbased_always_on", "tail"])
def test_from_settings_to_the_receiver_and_back(sampler: str, tmp_path: Path) -> None:
    """Everybody's tracers export while it runs, by any sampler; afterwards all globals are as they were."""
    textmap = propagate.get_global_textmap()
    early = api.get_tracer("library that was first")
    with Receiver() as receiver:
        code: dict[str, Any] = {"traces_sampler": sampler, "traces_sampler_arg": "1", "traces_spool": tmp_path}
        running = start(
            resolve(TracingSettings, code=code | {"propagators": "b3"}, environ={}),
            OtlpSender(receiver.url),
            lambda: {"service.name": "shop"},
        )
        assert api.get_tracer_provider() is PROVIDER
        with early.start_as_current_span("outer"), Tracer().start_span("inner"):
            ids = current_span()
            headers: dict[str, str] = {}
            propagate.inject(headers)
        assert ids is not None
        assert headers["b3"] == f"{ids.trace_id}-{ids.span_id}-1"
        assert running.flush()
        with Tracer().start_span("last") as forgotten:
            pass
        left = early.start_span("never ended")
        assert running.shutdown(5.0)
        assert sorted(receiver.names()) == ["inner", "last", "outer"]
    left.end()
    assert not forgotten.is_recording()
    assert api._TRACER_PROVIDER is None
    assert propagate.get_global_textmap() is textmap
    with early.start_as_current_span("after") as span:
        assert span.is_recording()


def test_without_a_destination_spans_are_recorded_and_go_nowhere() -> None:
    """Log lines and exemplars have their traces all the same."""
    for running in (
        start(settings(), None, dict),
        start(settings(OTEL_TRACES_EXPORTER="none"), lambda _body, _timeout: b"", dict),
    ):
        assert running == Tracing(None, None)
        with Tracer().start_span("s") as span:
            assert span.is_recording()
        assert running.flush()
        assert running.shutdown()


def test_limits_and_length_reach_the_spans() -> None:
    """What the variables say holds for every span."""
    running = start(settings(OTEL_ATTRIBUTE_COUNT_LIMIT="1", OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT="2"), None, dict)
    with Tracer().start_span("s", attributes={"a": "abc", "b": 1}) as span:
        assert span.attributes == {"a": "ab"}  # type: ignore[attr-defined]
    running.shutdown()


def test_another_provider_stays_and_that_is_told() -> None:
    """Whoever set OpenTelemetry's provider first keeps it; the application's own tracer still uses the pipeline."""
    theirs = NoOpTracerProvider()
    api.set_tracer_provider(theirs)
    told = REPORTER.counts.get("tracing", 0)
    ended: list[Any] = []
    install(Pipeline(sink=ended.append), NONE)
    assert api.get_tracer_provider() is theirs
    assert REPORTER.counts["tracing"] == told + 1
    with Tracer().start_span("s"):
        pass
    uninstall()
    assert (len(ended), api.get_tracer_provider()) == (1, theirs)


def test_installing_again_replaces_and_uninstalling_twice_is_nothing() -> None:
    """What was there before the first time comes back."""
    textmap: TextMapPropagator = propagate.get_global_textmap()
    first: list[Any] = []
    second: list[Any] = []
    install(Pipeline(sink=first.append), NONE)
    install(Pipeline(sink=second.append), propagator("b3"))
    with api.get_tracer("t").start_as_current_span("s"):
        pass
    assert (len(first), len(second)) == (0, 1)
    uninstall()
    uninstall()
    assert propagate.get_global_textmap() is textmap


def test_turned_off_nothing_is_recorded() -> None:
    """No pipeline: every tracer does nothing."""
    install(None, NONE)
    with Tracer().start_span("s") as span:
        assert not span.is_recording()


@pytest.mark.slow
def test_importing_the_package_does_not_load_tracing() -> None:
    """Who does not trace does not pay."""
    program = "import sys, mirante; sys.exit(any(m in sys.modules for m in ('mirante.tracing', 'opentelemetry')))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
