"""OpenSLO v1: what of it is read, and how the rest is refused."""

from __future__ import annotations

import pytest

from mirante.errors import ConfigError
from mirante.server.slo.model import DAY, Events, Share
from mirante.server.slo.read import parse_slos

SOURCE = """
apiVersion: openslo/v1
kind: DataSource
metadata: {name: prom, displayName: Ours}
spec: {type: Prometheus, connectionDetails: {url: "http://prometheus:9090"}}
"""
SLI = """
apiVersion: openslo/v1
kind: SLI
metadata: {name: errors}
spec:
  description: what fails
  ratioMetric:
    counter: true
    bad: {metricSource: {metricSourceRef: prom, spec: {query: 'bad_total'}}}
    total: {metricSource: {type: prometheus, spec: {query: 'sum(rate(all_total[{{.window}}]))'}}}
"""
SLO = """
apiVersion: openslo/v1
kind: SLO
metadata: {name: available, labels: {team: web}, annotations: {openslo.com/x: y}}
spec:
  service: shop
  description: it answers
  indicatorRef: errors
  timeWindow: [{duration: 4w, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{displayName: Three nines, target: 0.999}]
"""
SERVICE = "{apiVersion: openslo/v1, kind: Service, metadata: {name: shop}, spec: {description: shop}}"
THRESHOLD = """
apiVersion: openslo/v1
kind: SLO
metadata: {name: quick}
spec:
  service: shop
  indicator:
    metadata: {name: p99}
    spec: {thresholdMetric: {metricSource: {type: Prometheus, spec: {promql: p99_seconds}}}}
  budgetingMethod: Occurrences
  objectives: [{op: lte, value: 0.5, targetPercent: 99}]
"""
RAW = """
apiVersion: openslo/v1
kind: SLO
metadata: {name: ratio}
spec:
  service: shop
  indicator:
    spec:
      ratioMetric: {rawType: success, raw: {metricSource: {type: Prometheus, spec: {query: ok_ratio}}}}
  budgetingMethod: Occurrences
  objectives: [{targetPercent: 99}]
"""


def documents(*texts: str) -> str:
    """A file of several documents."""
    return "\n---\n".join(texts)


def refused(*texts: str) -> str:
    """Why they are refused."""
    with pytest.raises(ConfigError) as caught:
        parse_slos({"a.yml": documents(*texts)})
    return str(caught.value)


def test_an_objective_refers_to_its_indicator_and_that_to_its_source() -> None:
    """In any order, and across files."""
    (slo,) = parse_slos({"a.yml": documents(SLO, SERVICE), "b.yml": documents(SLI, SOURCE)})
    assert (slo.name, slo.service, slo.percent, slo.period) == ("available", "shop", 99.9, 28 * DAY)
    assert (slo.description, slo.labels, slo.source) == ("it answers", {"team": "web"}, "a.yml, line 11")
    total = "sum(rate(all_total[$window]))"
    assert slo.indicator == Events(f"(sum(rate(bad_total[$window]))) or ({total}) * 0", total)


def test_a_threshold_is_compared_with_the_objective() -> None:
    """What is not so is bad; the query may be called promql."""
    (slo,) = parse_slos({"a.yml": THRESHOLD})
    assert (slo.indicator, slo.period) == (Share("max((p99_seconds) > bool 0.5)"), 30 * DAY)


@pytest.mark.parametrize(("kind", "bad"), [("success", "1 - (ok_ratio)"), ("failure", "ok_ratio")])
def test_a_ratio_that_is_one_already(kind: str, bad: str) -> None:
    """Of success or of failure."""
    (slo,) = parse_slos({"a.yml": RAW.replace("success", kind)})
    assert slo.indicator == Share(bad)


def test_several_objectives_are_told_apart_by_their_target() -> None:
    """Each is one of its own."""
    slo = SLO.replace("target: 0.999}", "target: 0.999}, {targetPercent: 99}")
    found = parse_slos({"a.yml": documents(slo, SLI, SOURCE)})
    assert [one.name for one in found] == ["available-99.9", "available-99"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("openslo/v1", "openslo/v1alpha"), "only openslo/v1 is read, not openslo/v1alpha"),
        (("kind: SLO", "kind: AlertPolicy"), "kind AlertPolicy is not supported"),
        (("{name: available", "{title: available"), '"name" is missing'),
        (("  description", "  alertPolicies: [{alertPolicyRef: a}]\n  description"), "alertPolicies: is not supported"),
        (("Occurrences", "Timeslices"), "budgetingMethod: only Occurrences is supported, not Timeslices"),
        (("isRolling: true", "calendar: {startTime: 2026-01-01 00:00:00}"), "calendar: is not supported"),
        (("isRolling: true", "isRolling: false"), "isRolling: only rolling windows are supported"),
        (("[{duration: 4w, isRolling: true}]", "[]"), "expected exactly one window"),
        (("4w", "1M"), "not a valid duration"),
        (("target: 0.999", "displayName: x"), 'key "displayName" is given twice'),
        ((", target: 0.999", ""), 'expected either "target" or "targetPercent"'),
        (("target: 0.999", "target: 0.9, targetPercent: 90"), 'expected either "target" or "targetPercent"'),
        (("target: 0.999", "target: 99.9"), "expected an objective above 0 %"),
        (("target: 0.999", "target: 0.9, op: lt, value: 1"), '"op" and "value" belong to a thresholdMetric'),
        (("target: 0.999", "target: 0.9, timeSliceTarget: 0.9"), "timeSliceTarget: is not supported"),
        (("[{displayName: Three nines, target: 0.999}]", "[]"), "objectives: there is none"),
        (("indicatorRef: errors", "indicatorRef: other"), 'there is no SLI "other"'),
        (("  indicatorRef: errors\n", ""), 'expected either "indicator" or "indicatorRef"'),
        (("indicatorRef: errors", "indicatorRef: errors\n  indicator: {spec: {}}"), 'expected either "indicator"'),
    ],
)
def test_what_is_not_supported_in_an_slo_is_named(change: tuple[str, str], message: str) -> None:
    """And nothing is left out in silence."""
    assert message in refused(SLO.replace(*change), SLI, SOURCE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("counter: true", "counter: false"), "counter: false is not supported"),
        (("bad:", "good:"), ""),
        (
            ("    bad:", "    good: {metricSource: {metricSourceRef: prom, spec: {query: a}}}\n    bad:"),
            'with either "good"',
        ),
        (("    total:", "    raw:"), '"raw" stands alone'),
        (("type: prometheus", "type: Datadog"), 'of type "Datadog"; only Prometheus can be asked'),
        (("metricSourceRef: prom,", "metricSourceRef: other,"), 'of type ""; only Prometheus'),
        (("query: 'bad_total'", ""), 'metricSource.spec needs "query"'),
        (("query: 'bad_total'", "sql: SELECT"), 'unknown key "sql"'),
        (("ratioMetric:", "rateMetric:"), 'unknown key "rateMetric"; did you mean "ratioMetric"?'),
        (("'bad_total'", "'sum(bad_total)'"), "expected a counter's selector"),
    ],
)
def test_what_is_not_supported_in_an_sli_is_named(change: tuple[str, str], message: str) -> None:
    """The place is that of the indicator."""
    texts = SLO, SLI.replace(*change), SOURCE
    if message:
        assert message in refused(*texts)
    else:
        assert len(parse_slos({"a.yml": documents(*texts)})) == 1


def test_a_threshold_needs_its_limit() -> None:
    """Which stands in the objective."""
    assert 'a thresholdMetric needs "op" and "value"' in refused(THRESHOLD.replace("op: lte, ", ""))
    neither = THRESHOLD.replace(
        "{thresholdMetric: {metricSource: {type: Prometheus, spec: {promql: p99_seconds}}}}", "{}"
    )
    assert 'expected either "ratioMetric" or "thresholdMetric"' in refused(neither)


def test_a_name_is_given_once() -> None:
    """For each kind."""
    assert 'there is another SLI "errors"' in refused(SLO, SLI, SLI, SOURCE)
