"""Reads OpenSLO v1: SLO, SLI, DataSource and Service, as far as they ask Prometheus; the rest is refused by name.

Source: the OpenSLO specification, version 1, https://github.com/OpenSLO/OpenSLO.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

from mirante.errors import ConfigError
from mirante.server.rules.read import line_of
from mirante.server.slo import expressions, values
from mirante.server.slo.model import DAY, Events, Share, Slo
from mirante.server.yaml_reader import Section, Value

VERSION = "apiVersion"

_READ = ("DataSource", "SLI", "SLO", "Service")
_COUNTS = {"bad": "errors", "good": "good", "total": "total"}
_OPERATORS = ("lt", "lte", "gt", "gte")
_SOURCES = frozenset({"prometheus", "mirante", "thanos", "mimir", "cortex", "victoriametrics"})


def is_openslo(document: Value) -> bool:
    """Whether a document says that it is of OpenSLO."""
    try:
        return document.section().gives(VERSION)
    except ConfigError:
        return False


class Documents:
    """Documents of OpenSLO, from any number of files; they refer to each other by name."""

    def __init__(self) -> None:
        self._specs: dict[tuple[str, str], Value] = {}
        self._labels: dict[str, Mapping[str, str]] = {}

    def add(self, document: Value) -> None:
        """One more.

        Raises:
            ConfigError: it is of a kind or version that is not read.
        """
        top = document.section()
        version, kind = values.needed(top, VERSION, Value.text), values.needed(top, "kind", Value.text)
        if version != "openslo/v1":
            document.fail(f"apiVersion: only openslo/v1 is read, not {version}")
        if kind not in _READ:
            document.fail(f"kind {kind} is not supported: alerts are made of the objective itself, take it out")
        metadata = values.needed(top, "metadata", Value.section)
        name = values.needed(metadata, "name", values.name)
        labels = metadata.take("labels", values.labels if kind == "SLO" else _anything, {})
        spec = values.needed(top, "spec", _as_is)
        top.finish()
        if (kind, name) in self._specs:
            document.fail(f'there is another {kind} "{name}"')
        self._specs[kind, name] = spec
        self._labels[name] = labels if kind == "SLO" else self._labels.get(name, {})

    def slos(self) -> Iterator[Callable[[], list[Slo]]]:
        """Functions that give the objectives of one document each; they raise ConfigError."""
        for (kind, name), spec in self._specs.items():
            if kind == "SLO":
                yield partial(self._slo, name, spec)

    def _slo(self, name: str, spec: Value) -> list[Slo]:
        section = spec.section()
        section.refuse("alertPolicies")
        base = Slo(
            name=name,
            service=values.needed(section, "service", values.name),
            percent=math.nan,
            indicator=Share(""),
            period=section.take("timeWindow", _time_window, 30 * DAY),
            description=section.take("description", Value.text, ""),
            labels=self._labels[name],
        )
        method = values.needed(section, "budgetingMethod", Value.text)
        if method != "Occurrences":
            spec.fail(f"budgetingMethod: only Occurrences is supported, not {method}")
        sli = self._sli(section)
        items = values.needed(section, "objectives", lambda value: list(value.items()))
        section.finish()
        if not items:
            spec.fail("objectives: there is none")
        found = [self._objective(item, sli, base) for item in items]
        return found if len(found) == 1 else [replace(slo, name=f"{name}-{slo.percent:.10g}") for slo in found]

    def _sli(self, slo: Section) -> Value:
        """The specification of the indicator."""
        inline, named = slo.take("indicator", _as_is, None), slo.take("indicatorRef", _as_is, None)
        if inline is not None and named is None:
            indicator = inline.section()
            indicator.take("metadata", _anything, None)
            spec = values.needed(indicator, "spec", _as_is)
            indicator.finish()
            return spec
        if named is None or inline is not None:
            slo.value.fail('expected either "indicator" or "indicatorRef"')
        found = self._specs.get(("SLI", named.text()))
        if found is None:
            named.fail(f'there is no SLI "{named.text()}"')
        return found

    def _objective(self, item: Value, sli: Value, base: Slo) -> Slo:
        section = item.section()
        section.take("displayName", Value.text, "")
        percent = section.take("targetPercent", values.percent, None)
        target = section.take("target", values.ratio, None)
        if (percent is None) == (target is None):
            item.fail('expected either "target" or "targetPercent"')
        compared = section.take("op", lambda value: value.one_of(_OPERATORS), None)
        limit = section.take("value", values.number, None)
        section.refuse("timeSliceTarget", "timeSliceWindow")
        section.finish()
        source = f"{item.source}, line {line_of(item)}"
        indicator = self._indicator(item, sli, compared, limit)
        return replace(base, percent=percent or target or 0.0, indicator=indicator, source=source)

    def _indicator(self, item: Value, sli: Value, compared: str | None, limit: float | None) -> Events | Share:
        section = sli.section()
        section.take("description", Value.text, "")
        ratio, threshold = section.take("ratioMetric", _as_is, None), section.take("thresholdMetric", _as_is, None)
        section.finish()
        if ratio is not None and threshold is None:
            if compared is not None or limit is not None:
                item.fail('"op" and "value" belong to a thresholdMetric')
            return self._ratio(ratio)
        if threshold is None or ratio is not None:
            sli.fail('expected either "ratioMetric" or "thresholdMetric"')
        if compared is None or limit is None:
            item.fail('a thresholdMetric needs "op" and "value"')
        query = self._query(threshold)
        return values.checked(threshold, lambda: expressions.threshold(query, compared, limit))

    def _ratio(self, ratio: Value) -> Events | Share:
        section = ratio.section()
        counter = section.take("counter", Value.flag, True)
        counts = {_COUNTS[key]: section.take(key, self._query, "") for key in _COUNTS}
        raw = section.take("raw", self._query, "")
        success = section.take("rawType", lambda value: value.one_of(("success", "failure")), "success") == "success"
        section.finish()
        if raw:
            if any(counts.values()):
                ratio.fail('"raw" stands alone')
            return values.checked(ratio, lambda: expressions.raw(raw, success=success))
        if not counter:
            ratio.fail("counter: false is not supported: only counters can be counted over any window")
        if not counts["total"] or bool(counts["good"]) == bool(counts["errors"]):
            ratio.fail('expected "total" with either "good" or "bad", or "raw"')
        return values.checked(ratio, lambda: expressions.events(**counts))

    def _query(self, metric: Value) -> str:
        """What a metric source asks Prometheus."""
        section = metric.section()
        source = values.needed(section, "metricSource", Value.section)
        section.finish()
        kind = source.take("type", Value.text, "")
        named = source.take("metricSourceRef", Value.text, "")
        spec = values.needed(source, "spec", Value.section)
        source.finish()
        kind = kind or self._type_of(named)
        if kind.lower() not in _SOURCES:
            metric.fail(f'the metric source is of type "{kind}"; only Prometheus can be asked')
        query = spec.take("query", Value.text, "") or spec.take("promql", Value.text, "")
        spec.finish()
        if not query:
            metric.fail('metricSource.spec needs "query"')
        return query

    def _type_of(self, named: str) -> str:
        spec = self._specs.get(("DataSource", named))
        return spec.section().take("type", Value.text, "") if spec is not None else ""


def _as_is(value: Value) -> Value:
    return value


def _anything(_value: Value) -> Mapping[str, str]:
    return {}


def _time_window(value: Value) -> int:
    items = list(value.items())
    if len(items) != 1:
        value.fail("expected exactly one window")
    section = items[0].section()
    section.refuse("calendar")
    length = values.needed(section, "duration", values.period)
    if not section.take("isRolling", Value.flag, False):
        value.fail("isRolling: only rolling windows are supported")
    section.finish()
    return length
