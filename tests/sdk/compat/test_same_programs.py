"""The same program gives the same samples on prometheus_client and on mirante's face of it."""

from __future__ import annotations

from typing import Any

import prometheus_client as theirs
import pytest
from prometheus_client.openmetrics import exposition
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from mirante.compat import prometheus_client as ours
from mirante.compat.prometheus_client.openmetrics import exposition as our_openmetrics
from tests.sdk.compat.programs import PROGRAMS, Program, collectors, core

their_openmetrics: Any = exposition  # which has no types

Families = dict[str, tuple[str, str, list[Any]]]


def families(text: str, read: Any) -> Families:
    """By name: type, help, and samples without those that only tell when something was created."""
    found: Families = {}
    for family in read(text):
        samples = [s for s in family.samples if not s.name.endswith("_created")]
        rows = [
            (s.name, sorted(s.labels.items()), repr(float(s.value)), repr(s.timestamp), example(s)) for s in samples
        ]
        if not family.name.endswith("_created"):
            found[family.name] = (family.type, family.documentation, sorted(rows))
    return found


def example(sample: Any) -> object:
    """An exemplar without its time, which is that of the run."""
    return sample.exemplar and (sample.exemplar.labels, sample.exemplar.value)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: str(p.__name__))
def test_text_is_the_same(program: Program) -> None:
    """Text format 0.0.4, read by prometheus_client's parser."""
    their_registry, our_registry = theirs.CollectorRegistry(), ours.CollectorRegistry()
    program(theirs, their_registry)
    program(ours, our_registry)
    expected = families(theirs.generate_latest(their_registry).decode(), read_text)
    assert families(ours.generate_latest(our_registry).decode(), read_text) == expected
    assert expected


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: str(p.__name__))
def test_openmetrics_is_the_same(program: Program) -> None:
    """OpenMetrics with its exemplars and units, read by prometheus_client's strict parser."""
    their_registry, our_registry = theirs.CollectorRegistry(), ours.CollectorRegistry()
    program(theirs, their_registry)
    program(ours, our_registry)
    read = read_text if program is collectors else read_openmetrics  # the strict one wants no histogram without a sum
    expected = families(their_openmetrics.generate_latest(their_registry).decode(), read)
    assert families(our_openmetrics.generate_latest(our_registry).decode(), read) == expected


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: str(p.__name__))
def test_collected_families_are_the_same(program: Program) -> None:
    """What code reads from ``registry.collect()`` in its own tests."""
    their_registry, our_registry = theirs.CollectorRegistry(), ours.CollectorRegistry()
    program(theirs, their_registry)
    program(ours, our_registry)

    def collected(registry: Any) -> list[Any]:
        return sorted(
            (m.name, m.type, m.documentation, m.unit, sorted(row(s) for s in m.samples if s.name[-8:] != "_created"))
            for m in registry.collect()
        )

    def row(sample: Any) -> Any:
        return (sample.name, sorted(sample.labels.items()), repr(float(sample.value)))

    ours_once = {name: rest for name, *rest in collected(our_registry)}
    theirs_merged: dict[str, list[Any]] = {}
    for name, *rest in collected(their_registry):
        before = theirs_merged.setdefault(name, [*rest[:3], []])
        before[3] = sorted(before[3] + rest[3])
    assert ours_once == theirs_merged


MISTAKES = [
    lambda pc, r: pc.Counter("", "x", registry=r),
    lambda pc, r: pc.Counter("x", "x", ["__reserved"], registry=r),
    lambda pc, r: pc.Counter("x", "x", registry=r).inc(-1),
    lambda pc, r: pc.Counter("x", "x", ["a"], registry=r).inc(),
    lambda pc, r: pc.Counter("x", "x", ["a"], registry=r).labels("1", "2"),
    lambda pc, r: pc.Counter("x", "x", ["a"], registry=r).labels(b="1"),
    lambda pc, r: pc.Counter("x", "x", ["a"], registry=r).remove_by_labels({"b": "1"}),
    lambda pc, r: [pc.Counter("x", "x", registry=r) for _ in range(2)],
    lambda pc, r: [pc.Counter("x", "x", registry=r), pc.Gauge("x_total", "x", registry=r)],
    lambda pc, r: pc.Gauge("x", "x", multiprocess_mode="median", registry=r),
    lambda pc, r: pc.Histogram("x", "x", ["le"], registry=r),
    lambda pc, r: pc.Histogram("x", "x", buckets=[2, 1], registry=r),
    lambda pc, r: pc.Histogram("x", "x", buckets=[], registry=r),
    lambda pc, r: pc.Summary("x", "x", ["quantile"], registry=r),
    lambda pc, r: pc.Info("x", "x", unit="seconds", registry=r),
    lambda pc, r: pc.Info("x", "x", ["a"], registry=r).labels("1").info({"a": "2"}),
    lambda pc, r: pc.Enum("x", "x", registry=r),
    lambda pc, r: pc.Enum("x", "x", states=["a"], registry=r).state("b"),
    lambda pc, r: [r.set_target_info({"a": "b"}), pc.Info("target", "x", registry=r)],
    lambda pc, r: [pc.Info("target", "x", registry=r), r.set_target_info({"a": "b"})],
    lambda pc, r: pc.Metric("x", "x", "curve"),
    lambda pc, r: core(pc).GaugeMetricFamily("x", "x", value=1, labels=["a"]),
    lambda pc, r: core(pc).SummaryMetricFamily("x", "x", count_value=1),
    lambda pc, r: core(pc).HistogramMetricFamily("x", "x", sum_value=1),
    lambda pc, r: core(pc).Timestamp(1, 10**9),
    lambda pc, r: pc.push_to_gateway("127.0.0.1:1", "job", r, compression="zip"),
]


@pytest.mark.parametrize("module", [theirs, ours], ids=["theirs", "ours"])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_raise_the_same(mistake: Any, module: Any) -> None:
    """Code that catches ValueError catches it here too."""
    with pytest.raises(ValueError, match="."):
        mistake(module, module.CollectorRegistry())
