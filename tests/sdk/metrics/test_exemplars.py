"""Exemplars: given by hand or taken from the current span, shown in OpenMetrics only."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import pytest
from opentelemetry import trace

from mirante._core import spans
from mirante._core.spans import SpanIds, current_span, set_span_source, spans_possible
from mirante.errors import DeclarationError
from mirante.metrics import Counter, Exemplar, Histogram, Registry, cells, exemplars
from mirante.metrics.cells import LOCKED, PLAIN, Cells

SPAN = SpanIds("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")


@pytest.fixture(params=[PLAIN, LOCKED], ids=["plain", "locked"], autouse=True)
def twins(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both families of cells."""
    chosen: Cells = request.param
    monkeypatch.setattr(cells, "CELLS", chosen)


@pytest.fixture(autouse=True)
def _no_spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """OpenTelemetry counts as not imported, and the source is put back."""
    monkeypatch.delitem(sys.modules, "opentelemetry.trace", raising=False)
    before = spans._source
    set_span_source(None)
    yield
    set_span_source(before)


def openmetrics(*instruments: Counter | Histogram) -> str:
    """The exposition that shows exemplars."""
    registry = Registry()
    for instrument in instruments:
        registry.register(instrument)
    return registry.expose(openmetrics=True).decode()


def test_by_hand_on_a_counter() -> None:
    """The last one given is shown, in OpenMetrics and not in the older format."""
    counter = Counter("jobs", labels=["kind"])
    counter.labels("mail").inc(2, {"trace_id": "abc"})
    counter.labels("mail").inc()
    counter.labels("print").inc()
    text = openmetrics(counter)
    assert 'jobs_total{kind="mail"} 3.0 # {trace_id="abc"} 2.0 ' in text
    assert 'jobs_total{kind="print"} 1.0\n' in text
    registry = Registry()
    registry.register(counter)
    assert b"abc" not in registry.expose()


def test_by_hand_on_a_histogram() -> None:
    """Each bucket keeps its own."""
    histogram = Histogram("h", buckets=[1, 2])
    histogram.observe(0.5, exemplar={"trace_id": "low"})
    histogram.observe(9, exemplar={"trace_id": "high"})
    text = openmetrics(histogram)
    assert 'h_bucket{le="1.0"} 1.0 # {trace_id="low"} 0.5 ' in text
    assert 'h_bucket{le="2.0"} 1.0\n' in text
    assert 'h_bucket{le="+Inf"} 2.0 # {trace_id="high"} 9.0 ' in text
    histogram.clear()
    assert "low" not in openmetrics(histogram)


@pytest.mark.parametrize("labels", [{"trace_id": "x" * 121}, {"n": 5}])
def test_an_exemplar_must_be_short_text(labels: dict[str, str]) -> None:
    """As OpenMetrics demands; the mistake shows where it is made."""
    with pytest.raises(DeclarationError, match="exemplar"):
        Counter("c").inc(1, labels)


def test_the_current_span_by_itself() -> None:
    """A kept inc takes the span's ids from the first collection after tracing was set up, also on new children."""
    counter, histogram = Counter("c", labels=["a"]), Histogram("h", buckets=[1])
    kept, observe = counter.labels("x").inc, histogram.observe
    openmetrics(counter, histogram)
    kept()
    assert not counter.labels("x").has_exemplar()
    set_span_source(lambda: SPAN)
    openmetrics(counter, histogram)
    kept()
    observe(0.25)
    counter.labels("y").inc()
    text = openmetrics(counter, histogram)
    example = f'# {{trace_id="{SPAN.trace_id}",span_id="{SPAN.span_id}"}}'
    assert f'c_total{{a="x"}} 2.0 {example} 1.0 ' in text
    assert f'c_total{{a="y"}} 1.0 {example} 1.0 ' in text
    assert f'h_bucket{{le="1.0"}} 1.0 {example} 0.25 ' in text


def test_not_where_it_is_turned_off() -> None:
    """``exemplars=False`` leaves spans alone."""
    set_span_source(lambda: SPAN)
    counter = Counter("c", labels=["a"], exemplars=False)
    openmetrics(counter)
    counter.labels("x").inc()
    assert "# {" not in openmetrics(counter)


def test_an_exemplar_taken_by_itself_stays_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a hot counter asks for the span once a second; without a span the earlier one stays."""
    now = 1000.0
    monkeypatch.setattr(time, "time", lambda: now)
    asked: list[SpanIds | None] = [None, SpanIds("b", "b"), SpanIds("a", "a")]
    set_span_source(asked.pop)
    first = exemplars.take(exemplars.CURRENT, 1, None)
    assert first == Exemplar({"trace_id": "a", "span_id": "a"}, 1.0, 1000.0)
    assert exemplars.take(exemplars.CURRENT, 2, first) is first
    now += 1
    second = exemplars.take(exemplars.CURRENT, 3, first)
    assert second is not None
    assert second.labels["trace_id"] == "b"
    now += 1
    assert exemplars.take(exemplars.CURRENT, 4, second) is second
    kept: dict[int, Exemplar] = {}
    set_span_source(lambda: None)
    exemplars.keep_example(kept, 0, exemplars.CURRENT, 1)
    assert not kept


def test_opentelemetry_serves_when_the_host_has_imported_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only then, and only for a span that is sampled."""
    assert not spans_possible()
    assert current_span() is None
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", trace)
    assert spans_possible()
    assert current_span() is None
    for sampled in (False, True):
        context = trace.SpanContext(
            int(SPAN.trace_id, 16), int(SPAN.span_id, 16), is_remote=False, trace_flags=trace.TraceFlags(int(sampled))
        )
        with trace.use_span(trace.NonRecordingSpan(context)):
            assert current_span() == (SPAN if sampled else None)
