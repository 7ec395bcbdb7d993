"""Measurements as values, and their way to metric families and JSON."""

from __future__ import annotations

import json
import math
import pickle
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirante._core.convert import families_of, in_order, label_name, latest, metric_name, records_of
from mirante._core.extras import require
from mirante._core.model import MetricFamily, Sample
from mirante._core.record import AggregatedMetric, Metric, from_json, to_json
from mirante.errors import ConfigError, DeclarationError

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
TAGS = st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3)
TIMES = st.datetimes(timezones=st.just(UTC))


def aggregated(**more: Any) -> AggregatedMetric:
    """Two requests of 0.5 s and 1.5 s."""
    summary = {"count": 2, "sum": 2.0, "min": 0.5, "max": 1.5, "last": 1.5, "quantiles": {0.5: 0.5}, **more}
    return AggregatedMetric("t", NOW, {"route": "/"}, **summary)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("", 1.0, NOW), "name must be text that is not empty, not ''"),
        ((7, 1.0, NOW), "name must be text that is not empty, not 7"),
        (("m", math.nan, NOW), "'m': value must be a finite number, not nan"),
        (("m", math.inf, NOW), "'m': value must be a finite number, not inf"),
        (("m", "1", NOW), "'m': value must be a finite number, not '1'"),
        (("m", None, NOW), "'m': value must be a finite number, not None"),
        (("m", 1.0, NOW.replace(tzinfo=None)), "'m': timestamp must be a datetime with a time zone"),
        (("m", 1.0, 1234.5), "'m': timestamp must be a datetime with a time zone, not 1234.5"),
    ],
)
def test_a_wrong_measurement_is_refused_with_what_is_wrong(arguments: Any, message: str) -> None:
    """The message names the metric and the value."""
    with pytest.raises(DeclarationError, match=message):
        Metric(*arguments)


def test_a_measurement_is_a_frozen_value() -> None:
    """Nothing of it can be changed, it equals its like and survives pickling."""
    metric = Metric("m", 1.0, NOW, {"a": "b"}, {"c": 1})
    with pytest.raises(FrozenInstanceError):
        metric.value = 2.0  # type: ignore[misc] # what is tested
    assert not hasattr(metric, "__dict__")
    assert pickle.loads(pickle.dumps(metric)) == metric  # noqa: S301 - our own bytes
    assert metric != Metric("m", 1.0, NOW, {"a": "c"}, {"c": 1})


def test_tags_and_metadata_are_copied() -> None:
    """What the caller does to theirs afterwards changes nothing; tag values become text, numbers become floats."""
    tags, metadata = {"status": 200, "path": "/"}, {"user": "1"}
    metric = Metric("m", Decimal("1.5"), NOW, tags, metadata)  # type: ignore[arg-type] # any real number will do
    tags["more"] = metadata["more"] = "x"
    assert metric == Metric("m", 1.5, NOW, {"status": "200", "path": "/"}, {"user": "1"})
    assert type(metric.value) is float


@given(st.text(min_size=1), NUMBERS, TIMES, TAGS, TAGS)
def test_json_gives_back_the_measurement(name: str, value: float, at: datetime, tags: Any, metadata: Any) -> None:
    """To JSON and back is the same measurement."""
    metric = Metric(name, value, at, tags, metadata)
    assert from_json(json.loads(json.dumps(to_json(metric)))) == metric


@given(NUMBERS, st.dictionaries(st.floats(0, 1), NUMBERS, max_size=3))
def test_json_gives_back_the_summary(value: float, quantiles: dict[float, float]) -> None:
    """The same for an aggregated one."""
    metric = aggregated(sum=value, quantiles=quantiles)
    assert from_json(json.loads(json.dumps(to_json(metric)))) == metric


def test_a_sum_may_be_too_large_for_a_float() -> None:
    """Finite measurements may add up to infinity, which is no reason to lose the summary."""
    assert aggregated(sum=math.inf).value == math.inf


def test_measurements_become_gauges_with_their_times() -> None:
    """Names become valid ones, each keeps its timestamp, those of one name share a family."""
    later = NOW + timedelta(seconds=1)
    batch = [Metric("api.time", 1.0, NOW, {"http.route": "/"}), Metric("api_time", 2.0, later, {"__name__": "x"})]
    assert families_of(batch) == [
        MetricFamily(
            "api_time",
            "gauge",
            samples=(
                Sample("api_time", {"http_route": "/"}, 1.0, NOW.timestamp()),
                Sample("api_time", {"tag__name__": "x"}, 2.0, later.timestamp()),
            ),
        )
    ]


def test_a_summary_becomes_gauges_with_suffixes() -> None:
    """One for each figure, the quantiles under their label."""
    found = {(s.name, s.labels.get("quantile")): s.value for f in families_of([aggregated()]) for s in f.samples}
    assert found == {
        ("t_count", None): 2,
        ("t_sum", None): 2.0,
        ("t_min", None): 0.5,
        ("t_max", None): 1.5,
        ("t_last", None): 1.5,
        ("t", "0.5"): 0.5,
    }


@given(st.text(min_size=1))
def test_every_name_becomes_a_legal_one(name: str) -> None:
    """Whatever a metric or tag is called."""
    assert metric_name(name)[0] in "_:" or metric_name(name)[0].isalpha()
    assert metric_name(name).replace(":", "_").isidentifier()
    assert label_name(name).isidentifier()
    assert not label_name(name).startswith("__")


def test_an_empty_tag_name_becomes_a_legal_one() -> None:
    """There is no rule against it in a measurement."""
    assert label_name("") == "_"


def test_families_become_measurements() -> None:
    """Each finite sample is one; those without a time get the present one; NaN cannot be said in JSON."""
    samples = (Sample("a", {"x": "1"}, 1.0, 5.0), Sample("a", {}, math.nan), Sample("a", {}, 2.0))
    assert records_of([MetricFamily("a", "gauge", samples=samples), aggregated()], NOW) == [
        Metric("a", 1.0, datetime.fromtimestamp(5, UTC), {"x": "1"}),
        Metric("a", 2.0, NOW),
        aggregated(),
    ]


def test_the_latest_state_has_one_sample_of_each_series_without_time() -> None:
    """The last one that came."""
    samples = (Sample("a", {"x": "1"}, 1.0, 5.0), Sample("a", {}, 3.0), Sample("a", {"x": "1"}, 2.0, 6.0))
    (family,) = latest([MetricFamily("a", "gauge", samples=samples)])
    assert family.samples == (Sample("a", {"x": "1"}, 2.0), Sample("a", {}, 3.0))


def test_samples_are_put_in_order_of_time_and_one_stays_per_millisecond() -> None:
    """Receivers refuse what goes back in time, and a second value at one timestamp."""
    samples = (
        Sample("a", {}, 1.0, 7.0),
        Sample("a", {}, 2.0, 6.0001),
        Sample("a", {}, 3.0, 6.0004),
        Sample("b", {}, 4),
    )
    (family,) = in_order([MetricFamily("a", "gauge", samples=samples)], 6.5)
    assert [(s.name, s.value, s.timestamp) for s in family.samples] == [
        ("a", 3.0, 6.0004),
        ("b", 4, 6.5),
        ("a", 1.0, 7.0),
    ]


def test_a_missing_package_is_named_with_its_extra() -> None:
    """The message is the command to type."""
    with pytest.raises(ConfigError, match=r'X needs the package no_such: pip install "mirante\[console\]"'):
        require("no_such.module", extra="console", purpose="X")
    assert require("json", extra="none", purpose="X") is json
