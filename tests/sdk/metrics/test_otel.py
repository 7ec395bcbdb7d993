"""OpenTelemetry's metrics API: its instruments and instrumentations, seen in a mirante registry."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import metrics as api
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.metrics import MeterProvider as SdkMeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client.parser import text_string_to_metric_families

from mirante._core.guard import REPORTER
from mirante.metrics import Registry, otel
from mirante.metrics.options import MAX_LABEL_SETS
from mirante.metrics.otel import MeterProvider, View


class Shown:
    """A provider and the registry that shows it."""

    def __init__(self, *views: View, scope_labels: bool = False) -> None:
        self.registry = Registry()
        self.provider = self.registry.register(MeterProvider(views, scope_labels=scope_labels))
        self.meter = self.provider.get_meter("shop", "1.2")

    def lines(self) -> list[str]:
        """The samples of an exposition."""
        return [line for line in self.registry.expose().decode().splitlines() if not line.startswith("#")]


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> Mapping[str, int]:
    """How often each fault was reported."""
    monkeypatch.setattr(REPORTER, "counts", {})
    return REPORTER.counts


def test_synchronous_instruments() -> None:
    """Each becomes mirante's own kind, under its Prometheus name."""
    shown = Shown()
    orders = shown.meter.create_counter("orders.placed", "{order}", "Orders.")
    orders.add(1, {"shop.city": "Paris"})
    orders.add(2.5, {"shop.city": "Paris"})
    orders.add(1)
    queued = shown.meter.create_up_down_counter("queue.length")
    queued.add(5)
    queued.add(-2)
    shown.meter.create_gauge("cpu.utilization", "1").set(0.25, {"cpu": 0})
    wait = shown.meter.create_histogram("wait", "s", explicit_bucket_boundaries_advisory=[0.1, 1])
    wait.record(0.5)
    assert shown.lines() == [
        'orders_placed_total{shop_city="Paris"} 3.5',
        "orders_placed_total 1.0",
        "queue_length 3.0",
        'cpu_utilization_ratio{cpu="0"} 0.25',
        'wait_seconds_bucket{le="0.1"} 0.0',
        'wait_seconds_bucket{le="1.0"} 1.0',
        'wait_seconds_bucket{le="+Inf"} 1.0',
        "wait_seconds_count 1.0",
        "wait_seconds_sum 0.5",
    ]
    openmetrics = shown.registry.expose(openmetrics=True).decode()
    assert "# UNIT wait_seconds seconds\n" in openmetrics
    assert "# HELP orders_placed Orders.\n# TYPE orders_placed counter\n" in openmetrics


def test_observable_instruments() -> None:
    """Functions and generators are asked at each collection, with totals of their own."""
    shown = Shown()

    def generated() -> Generator[Iterable[api.Observation], api.CallbackOptions, None]:
        for number in (1, 2):
            yield [api.Observation(number, {"from": "generator"})]

    def function(options: api.CallbackOptions) -> Iterator[api.Observation]:
        assert options.timeout_millis > 0
        yield api.Observation(7, {"a": "x"})
        yield api.Observation(8, {"a": "x"})

    shown.meter.create_observable_counter("jobs", [function, generated()])
    shown.meter.create_observable_up_down_counter("depth", [lambda _options: [api.Observation(-3)]], "By")
    shown.meter.create_observable_gauge("heat", [lambda _options: [api.Observation(20.5)]], "Cel")
    shown.meter.create_observable_gauge("nothing")
    common = ['jobs_total{a="x"} 8.0', "depth_bytes -3.0", "heat_celsius 20.5"]
    assert sorted(shown.lines()) == sorted(['jobs_total{from="generator"} 1.0', *common])
    assert sorted(shown.lines()) == sorted(['jobs_total{from="generator"} 2.0', *common])


def test_a_callback_that_fails_is_reported_and_left_out(
    reported: Mapping[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are asked all the same; a generator that has ended fails too."""
    monkeypatch.delenv("MIRANTE_RAISE_FAULTS")  # or faults are raised again
    shown = Shown()

    def ended() -> Generator[Iterable[api.Observation], api.CallbackOptions, None]:
        yield from ()

    def broken(_options: api.CallbackOptions) -> Iterable[api.Observation]:
        raise OSError

    shown.meter.create_observable_gauge("heat", [broken, ended(), lambda _options: [api.Observation(1)]])
    assert shown.lines() == ["heat 1.0"]
    assert reported["OpenTelemetry callback of heat"] == 2


def test_attributes_become_labels() -> None:
    """Whatever their types are; what would clash is joined or renamed, and equal numbers of two types stay apart."""
    shown = Shown()
    counter = shown.meter.create_counter("a")
    for value in (1, True, 1.0, "x", ("p", "q")):
        counter.add(1, {"k": value})
    counter.add(1, {"k": ["p", "q"]})
    counter.add(1, {"http.method": "GET", "http_method": "POST", "__odd": "1", "": "e"})
    shown.meter.create_histogram("h").record(1, {"le": "x"})
    lines = shown.lines()
    for label in ('k="1"', 'k="true"', 'k="1.0"', 'k="x"', 'http_method="GET;POST"', 'key_odd="1"', '_="e"'):
        assert any(label in line for line in lines), label
    assert [line for line in lines if '"p' in line.replace("\\", "")] == ['a_total{k="[\\"p\\", \\"q\\"]"} 2.0']
    assert 'h_count{key_le="x"} 1.0' in lines


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers() | st.booleans(), max_size=4))
def test_any_attributes_can_be_exposed(attributes: dict[str, Any]) -> None:
    """And read again by prometheus_client's parser."""
    shown = Shown()
    shown.meter.create_counter("a").add(2, attributes)
    samples = [s for f in text_string_to_metric_families(shown.registry.expose().decode()) for s in f.samples]
    assert [(s.name, s.value) for s in samples] == [("a_total", 2.0)]


def test_series_say_which_instrumentation_they_are_from() -> None:
    """So that two of them may share a metric; its first help counts."""
    shown = Shown(scope_labels=True)
    shown.meter.create_counter("a", description="First.").add(1)
    other = shown.provider.get_meter("other", None, "https://schema", {"team": "x"})
    other.create_counter("a", description="Second.").add(2)
    assert "# HELP a_total First." in shown.registry.expose().decode()
    assert shown.lines() == [
        'a_total{otel_scope_name="shop",otel_scope_version="1.2"} 1.0',
        'a_total{otel_scope_name="other",otel_scope_schema_url="https://schema",otel_scope_team="x"} 2.0',
    ]


def test_views_decide_about_metrics_of_others() -> None:
    """Bounds, exponential buckets, attributes to keep, and whether there is a metric at all."""
    shown = Shown(
        View(instrument="noise.*", drop=True),
        View(meter="shop", instrument="wait", buckets=(2, 4), attributes={"kept"}),
        View(instrument="size", native_factor=1.1, buckets=()),
    )
    shown.meter.create_counter("noise.a").add(1)
    wait = shown.meter.create_histogram("wait", explicit_bucket_boundaries_advisory=[1])
    wait.record(3, {"kept": "a", "gone": "b"})
    wait.record(3, {"kept": "a", "gone": "c"})
    shown.meter.create_histogram("size", "By").record(100)
    families = {family.name: family for family in shown.registry.collect()}
    assert set(families) == {"wait", "size_bytes"}
    assert [(s.labels.get("le"), s.value) for s in families["wait"].samples[:3]] == [
        ("2.0", 0),
        ("4.0", 2),
        ("+Inf", 2),
    ]
    assert families["wait"].samples[0].labels["kept"] == "a"
    assert sum(families["size_bytes"].native[0].positive.values()) == 1


@pytest.mark.parametrize(("unit", "first"), [("s", "0.005"), ("ms", "0.0"), ("", "0.0")])
def test_bounds_that_nobody_chose(unit: str, first: str) -> None:
    """Prometheus's for seconds, OpenTelemetry's for the rest."""
    shown = Shown()
    shown.meter.create_histogram("wait", unit).record(1)
    assert f'le="{first}"' in shown.lines()[0]


def test_mistakes_are_reported_and_never_raised(reported: Mapping[str, int]) -> None:
    """Falling counters, what is no number, names that are none, bounds that are none, names of another type."""
    shown = Shown()
    counter = shown.meter.create_counter("a")
    counter.add(-1)
    counter.add("much")  # type: ignore[arg-type] # that is the mistake
    assert reported["OpenTelemetry metric a"] == 2
    shown.meter.create_counter("...").add(1)
    shown.meter.create_histogram("h", explicit_bucket_boundaries_advisory=[2, 1]).record(1)
    shown.meter.create_gauge("a.total").set(5)
    shown.meter.create_gauge("h").set(5)
    assert reported["OpenTelemetry metric h"] == 2
    assert reported["OpenTelemetry metric '...'"] == 1
    names = {family.name for family in shown.registry.collect()}
    assert {family.type for family in shown.registry.collect() if family.name == "h"} == {"histogram"}
    assert "h" in names


def test_series_without_end_share_one(reported: Mapping[str, int]) -> None:
    """The cap of every metric holds; what is remembered for speed is bounded by it too."""
    shown = Shown()
    counter = shown.meter.create_counter("a")
    for number in range(MAX_LABEL_SETS + 5):
        counter.add(1, {"id": number})
    assert 'a_total{id="_overflow"} 5.0' in shown.lines()
    assert reported["metric a"] == 1


def test_a_forked_child_counts_from_zero() -> None:
    """By reset(), which keeps gauges."""
    shown = Shown()
    shown.meter.create_counter("a").add(1)
    shown.meter.create_gauge("b").set(1)
    shown.provider.reset()
    assert shown.lines() == ["a_total 0.0", "b 1.0"]


def test_totals_are_those_of_opentelemetrys_own_sdk() -> None:
    """The same program on both gives the same sums, counts and bucket counts."""
    reader = InMemoryMetricReader()
    sdk = SdkMeterProvider(metric_readers=[reader])
    shown = Shown()
    for meter in (sdk.get_meter("shop", "1.2"), shown.meter):
        counter, wait = meter.create_counter("a"), meter.create_histogram("h")
        for number in range(50):
            counter.add(number, {"odd": number % 2 == 1})
            wait.record(number * 17.5, {"odd": number % 2 == 1})
    data: Any = reader.get_metrics_data()
    theirs: dict[str, float] = {}
    for metric in data.resource_metrics[0].scope_metrics[0].metrics:
        for point in metric.data.data_points:
            odd = str(point.attributes["odd"]).lower()
            if metric.name == "a":
                theirs[f'a_total{{odd="{odd}"}}'] = point.value
            else:
                theirs[f'h_sum{{odd="{odd}"}}'] = point.sum
                total = 0
                for bound, count in zip([*point.explicit_bounds, "+Inf"], point.bucket_counts, strict=True):
                    total += count
                    le = bound if bound == "+Inf" else float(bound)
                    theirs[f'h_bucket{{odd="{odd}",le="{le}"}}'] = total
                theirs[f'h_count{{odd="{odd}"}}'] = point.count
    sdk.shutdown()
    ours = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in shown.lines()}
    assert ours == theirs


@pytest.fixture
def installed() -> Iterator[Registry]:
    """The process's provider, in a registry of its own."""
    registry = Registry()
    otel.install(registry)
    yield registry
    otel.uninstall()


def test_the_global_provider_is_ours_while_installed() -> None:
    """Meters from before begin to record; afterwards all is as it was, and may be done again."""
    before = api.get_meter_provider()
    early = api.get_meter("early").create_counter("early")
    first, second = Registry(), Registry()
    otel.install(first)
    assert api.get_meter_provider() is otel.PROVIDER
    early.add(1)
    assert b"early_total" in first.expose()
    otel.install(second)
    assert b"early_total" in second.expose()
    assert b"early_total" not in first.expose()
    otel.uninstall()
    otel.uninstall()
    assert b"early_total" not in second.expose()
    assert type(api.get_meter_provider()) is type(before)
    assert api.get_meter_provider() is not otel.PROVIDER


def test_another_global_provider_stays(monkeypatch: pytest.MonkeyPatch, reported: Mapping[str, int]) -> None:
    """It is said once; our own meters record all the same."""
    from opentelemetry.metrics import _internal

    theirs = api.NoOpMeterProvider()
    monkeypatch.setattr(_internal, "_METER_PROVIDER", theirs)
    registry = Registry()
    otel.install(registry)
    assert api.get_meter_provider() is theirs
    otel.uninstall()
    assert api.get_meter_provider() is theirs
    assert reported["metrics"] == 1


def test_a_real_instrumentation_of_a_server_and_a_client(installed: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenTelemetry's ASGI middleware and httpx instrumentation, new names: both ends of one request."""
    from opentelemetry.instrumentation._semconv import _OpenTelemetrySemanticConventionStability as Stability

    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http")
    monkeypatch.setattr(Stability, "_initialized", False)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})

    async def main() -> None:
        transport = httpx.ASGITransport(app=OpenTelemetryMiddleware(app))
        HTTPXClientInstrumentor().instrument()
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            HTTPXClientInstrumentor.instrument_client(client)
            await client.get("/orders")

    try:
        asyncio.run(main())
    finally:
        HTTPXClientInstrumentor().uninstrument()
    text = installed.expose().decode()
    counts = [line for line in text.splitlines() if line.startswith("http_") and "_duration_seconds_count{" in line]
    assert "http_server_request_duration_seconds" in text
    assert all(line.endswith(" 1.0") for line in counts)
    assert any('http_request_method="GET"' in line and 'http_response_status_code="200"' in line for line in counts)
    assert any('otel_scope_name="opentelemetry.instrumentation.asgi"' in line for line in counts)
    assert "http_client_request_duration_seconds_count" in text
