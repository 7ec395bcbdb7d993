"""What we print, prometheus_client's parsers read back as the same samples."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.utils import floatToGoString

from mirante._core.model import Exemplar, MetricFamily, Sample
from mirante.formats.exposition import bound, encode, number, render
from mirante.metrics import Registry, counter, gauge, histogram, summary

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
ANY = st.floats(allow_nan=True)

Flat = list[tuple[str, tuple[tuple[str, str], ...], str]]


def flat(samples: Iterable[tuple[str, dict[str, str], float]]) -> Flat:
    """Samples in an order and a form in which NaN equals NaN."""
    return sorted((name, tuple(sorted(labels.items())), repr(float(value))) for name, labels, value in samples)


def of_ours(families: Iterable[MetricFamily]) -> Flat:
    """What we mean."""
    return flat((s.name, dict(s.labels), s.value) for family in families for s in family.samples)


def read(text: bytes, *, openmetrics: bool) -> Flat:
    """What the reference client makes of it."""
    parse = parse_openmetrics if openmetrics else parse_text
    return flat((s.name, s.labels, s.value) for family in parse(text.decode()) for s in family.samples)


def instruments(labels: list[str], value: float, positive: float) -> Registry:
    """One of each kind, with a series for each label value."""
    registry = Registry()
    for text in labels:
        counter("jobs", 'Help with "quotes", \\ and\nlines', ["x"], registry=registry).labels(text).inc(positive)
        gauge("level", "", ["x", "y"], registry=registry).labels(text, text).set(value)
        histogram("seconds", "h", ["x"], registry=registry, buckets=[0.1, 1e7]).labels(text).observe(positive)
        summary("size", "h", ["x"], registry=registry).labels(text).observe(positive)
    gauge("bare", "No labels.", registry=registry).set(value)
    return registry


@pytest.mark.parametrize("openmetrics", [False, True])
@given(st.lists(TEXT, max_size=4, unique=True), ANY, st.floats(0, 1e12))
def test_any_label_value_survives(openmetrics: bool, labels: list[str], value: float, positive: float) -> None:
    """Print, then parse with the reference client: the same samples, in both formats."""
    registry = instruments(labels, value, positive)
    assert read(registry.expose(openmetrics=openmetrics), openmetrics=openmetrics) == of_ours(registry.collect())


@pytest.mark.parametrize("openmetrics", [False, True])
@given(st.lists(TEXT, max_size=3, unique=True), ANY, st.floats(0, 1e12))
def test_both_ways_to_print_agree(openmetrics: bool, labels: list[str], value: float, positive: float) -> None:
    """An instrument's own fast lines say what its families say."""
    registry = instruments(labels, value, positive)
    fast = registry.expose(openmetrics=openmetrics)
    slow = render(registry.collect(), openmetrics=openmetrics)
    assert read(fast, openmetrics=openmetrics) == read(slow, openmetrics=openmetrics)
    assert [line for line in fast.splitlines() if line.startswith(b"#")] == [
        line for line in slow.splitlines() if line.startswith(b"#")
    ]


@given(ANY)
def test_numbers_read_back_as_the_same_float64(value: float) -> None:
    """To the last bit."""
    back = float(number(value))
    assert back == value or (math.isnan(back) and math.isnan(value))


@given(st.one_of(FINITE, st.just(math.inf)))
def test_bounds_are_written_as_prometheus_client_writes_them(value: float) -> None:
    """So that a service that moves to us keeps its series."""
    theirs: str = floatToGoString(value)  # type: ignore[no-untyped-call]
    if float(theirs) == value:  # it loses trailing zeros of some exponents: 1e+10 times 10 is written 1e+11, not 1e+1
        assert bound(value) == theirs


def test_a_lone_surrogate_does_not_make_an_exposition_fail() -> None:
    """It may come from a file name or a broken client."""
    registry = Registry()
    gauge("g", "", ["x"], registry=registry).labels("a\udce9").set(1)
    assert b'x="a?"' in registry.expose()
    assert encode("\ud800") == b"?"


FAMILIES = [
    MetricFamily("build", "info", "Build.", samples=(Sample("build_info", {"v": "1"}, 1.0),)),
    MetricFamily("state", "stateset", "State.", samples=(Sample("state", {"state": "on"}, 1.0),)),
    MetricFamily("odd", "unknown", "", "bytes", (Sample("odd", {}, 3.0, timestamp=1.5),)),
]


def test_the_older_format_has_fewer_types() -> None:
    """Info and stateset are gauges there, unknown is untyped; times are milliseconds."""
    assert render(FAMILIES).decode().splitlines() == [
        "# HELP build_info Build.",
        "# TYPE build_info gauge",
        'build_info{v="1"} 1.0',
        "# HELP state State.",
        "# TYPE state gauge",
        'state{state="on"} 1.0',
        "# HELP odd ",
        "# TYPE odd untyped",
        "odd 3.0 1500",
    ]


def test_openmetrics_has_units_seconds_and_an_end() -> None:
    """And its own types."""
    assert render(FAMILIES, openmetrics=True).decode().splitlines() == [
        "# HELP build Build.",
        "# TYPE build info",
        'build_info{v="1"} 1.0',
        "# HELP state State.",
        "# TYPE state stateset",
        'state{state="on"} 1.0',
        "# HELP odd ",
        "# TYPE odd unknown",
        "# UNIT odd bytes",
        "odd 3.0 1.5",
        "# EOF",
    ]


def test_exemplars_are_for_openmetrics() -> None:
    """The reference parser reads them back; the older format has no place for them."""
    example, untimed = Exemplar({"trace_id": "4bf9"}, 0.5, 12.25), Exemplar({}, 1.0)
    samples = (Sample("c_total", {"n": "1"}, 1.0, None, example), Sample("c_total", {"n": "2"}, 1.0, None, untimed))
    family = MetricFamily("c", "counter", samples=samples)
    (parsed,) = parse_openmetrics(render([family], openmetrics=True).decode())  # type: ignore[no-untyped-call]
    first, second = (sample.exemplar for sample in parsed.samples)
    assert first is not None
    assert second is not None
    assert (first.labels, first.value, float(first.timestamp or 0)) == ({"trace_id": "4bf9"}, 0.5, 12.25)
    assert (second.labels, second.value, second.timestamp) == ({}, 1.0, None)
    assert b" # " not in render([family]).replace(b"# HELP c_total \n# TYPE", b"")


def test_created_times_follow_as_gauges_in_the_older_format() -> None:
    """It knows no such sample; a gauge that is merely named so is left alone."""
    family = MetricFamily("c", "counter", "C.", samples=(Sample("c_total", {}, 1.0), Sample("c_created", {}, 5.0)))
    lone = MetricFamily("x_created", "gauge", "X.", samples=(Sample("x_created", {}, 1.0),))
    assert render([family, lone]).decode().splitlines() == [
        "# HELP c_total C.",
        "# TYPE c_total counter",
        "c_total 1.0",
        "# HELP c_created C.",
        "# TYPE c_created gauge",
        "c_created 5.0",
        "# HELP x_created X.",
        "# TYPE x_created gauge",
        "x_created 1.0",
    ]
    assert b"c_created 5.0\n# HELP x" in render([family, lone], openmetrics=True)
