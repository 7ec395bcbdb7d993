"""Reads unit tests of rules in promtool's format.

Source: prometheus.io, "Unit testing for rules".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from mirante.errors import FormatError
from mirante.server.rules.read import files_of
from mirante.server.store.api import Labels
from mirante.server.yaml_reader import Value, read_yaml
from mirante.testing.series_notation import UNSUPPORTED, Point, read_metric, read_points

T = TypeVar("T")

_INTERVAL = 60_000
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_SPECIAL = {".inf": "inf", "+.inf": "inf", "-.inf": "-inf", ".nan": "nan"}
_NO_LABELS: Labels = {}


@dataclass(frozen=True, slots=True)
class ExpectedAlerts:
    """One entry of ``alert_rule_test``: the alerts of a name that fire at a time.

    Attributes:
        eval_time: milliseconds after the start.
        name: ``alertname``.
        alerts: labels, ``alertname`` among them, and annotations.
    """

    eval_time: int
    name: str
    alerts: tuple[tuple[Labels, Mapping[str, str]], ...] = ()


@dataclass(frozen=True, slots=True)
class ExpectedSamples:
    """One entry of ``promql_expr_test``: what an expression yields at a time (milliseconds after the start)."""

    expression: str
    eval_time: int
    samples: tuple[tuple[Labels, float], ...] = ()


@dataclass(frozen=True, slots=True)
class RuleTest:
    """One entry of ``tests``. Times are milliseconds.

    Attributes:
        name: as given, or ``unnamed#`` and its place.
        named: whether it was given.
        interval: between two points of a series.
        series: the input.
        alerts: what is to fire.
        samples: what expressions are to yield.
        external_labels: as templates see them.
        external_url: as templates see it.
        start: time of the first points and the first evaluation since 1970.
    """

    name: str
    named: bool = True
    interval: int = _INTERVAL
    series: tuple[tuple[Labels, tuple[Point, ...]], ...] = ()
    alerts: tuple[ExpectedAlerts, ...] = ()
    samples: tuple[ExpectedSamples, ...] = ()
    external_labels: Labels = field(default_factory=dict)
    external_url: str = ""
    start: int = 0

    @property
    def last(self) -> int:
        """The latest time that is looked at, after the start."""
        times = [*(one.eval_time for one in self.alerts), *(one.eval_time for one in self.samples)]
        return max(times, default=0)


@dataclass(frozen=True, slots=True)
class RuleTestFile:
    """A file of tests.

    Attributes:
        path: of the file.
        rule_files: what its patterns stand for.
        missing: patterns that stand for nothing.
        interval: between two evaluations of all groups, in milliseconds.
        order: names of groups that are evaluated one after the other.
        fuzzy: whether values may differ in their last bit.
        tests: in order.
    """

    path: Path
    rule_files: tuple[Path, ...] = ()
    missing: tuple[str, ...] = ()
    interval: int = _INTERVAL
    order: tuple[str, ...] = ()
    fuzzy: bool = False
    tests: tuple[RuleTest, ...] = ()


def read_rule_tests(path: Path) -> RuleTestFile:
    """The tests of a file; rule files are looked for, not read.

    Raises:
        ConfigError: it cannot be used; the message names file, line and key.
    """
    top = read_yaml(path)
    patterns = [str(path.parent / name) for name in top.take("rule_files", Value.texts, ())]
    interval = top.take("evaluation_interval", Value.duration, 0) or _INTERVAL
    found = RuleTestFile(
        path=path,
        rule_files=tuple(files_of(patterns)),
        missing=tuple(pattern for pattern in patterns if not files_of([pattern])),
        interval=interval,
        order=top.take("group_eval_order", _read_order, ()),
        fuzzy=top.take("fuzzy_compare", Value.flag, False),
        tests=top.take("tests", lambda v: _list(v, lambda item: _read_test(item, interval)), ()),
    )
    top.finish()
    return found


def _list(value: Value, read: Callable[[Value], T]) -> tuple[T, ...]:
    return tuple(read(item) for item in value.items())


def _read_order(value: Value) -> tuple[str, ...]:
    names: list[str] = []
    for item in value.items():
        if item.text() in names:
            item.fail(f"group name repeated in evaluation order: {item.text()}")
        names.append(item.text())
    return tuple(names)


def _read_test(item: Value, interval: int) -> RuleTest:
    section = item.section()
    name = section.take("name", Value.text, "")
    found = RuleTest(
        name=name or f"unnamed#{item.key.rpartition('[')[2].removesuffix(']')}",
        named=bool(name),
        interval=section.take("interval", Value.duration, 0) or interval,
        series=section.take("input_series", lambda v: _list(v, _read_series), ()),
        alerts=section.take("alert_rule_test", lambda v: _list(v, _read_alerts), ()),
        samples=section.take("promql_expr_test", lambda v: _list(v, _read_samples), ()),
        external_labels=section.take("external_labels", _read_texts, _NO_LABELS),
        external_url=section.take("external_url", Value.text, ""),
        start=section.take("start_timestamp", _read_time, 0),
    )
    section.finish()
    return found


def _read_series(item: Value) -> tuple[Labels, tuple[Point, ...]]:
    section = item.section()
    labels = section.take("series", lambda v: _noted(v, read_metric), _NO_LABELS)
    points = section.take("values", lambda v: _noted(v, read_points), [])
    section.finish()
    if not labels:
        item.fail("a series needs labels")
    if UNSUPPORTED in points:
        item.fail("native histograms cannot be used in unit tests of rules")
    return labels, tuple(points)


def _noted(value: Value, read: Callable[[str], T]) -> T:
    """What the notation of series makes of a text."""
    try:
        return read(value.text())
    except FormatError as error:
        value.fail(str(error))


def _read_alerts(item: Value) -> ExpectedAlerts:
    section = item.section()
    name = section.take("alertname", Value.text, "")
    if not name:
        item.fail("an item under alert_rule_test misses required attribute alertname")
    found = ExpectedAlerts(
        eval_time=section.take("eval_time", Value.duration, 0),
        name=name,
        alerts=section.take("exp_alerts", lambda v: _list(v, lambda one: _read_alert(one, name)), ()),
    )
    section.finish()
    return found


def _read_alert(item: Value, name: str) -> tuple[Labels, Mapping[str, str]]:
    section = item.section()
    labels = section.take("exp_labels", _read_texts, _NO_LABELS)
    annotations = section.take("exp_annotations", _read_texts, _NO_LABELS)
    section.finish()
    return {**labels, "alertname": name}, annotations


def _read_samples(item: Value) -> ExpectedSamples:
    section = item.section()
    found = ExpectedSamples(
        expression=section.take("expr", Value.text, ""),
        eval_time=section.take("eval_time", Value.duration, 0),
        samples=section.take("exp_samples", lambda v: _list(v, _read_sample), ()),
    )
    section.finish()
    return found


def _read_sample(item: Value) -> tuple[Labels, float]:
    section = item.section()
    section.refuse("histogram")
    labels = section.take("labels", _read_labels, _NO_LABELS)
    value = section.take("value", _read_number, 0.0)
    section.finish()
    return labels, value


def _read_labels(value: Value) -> Labels:
    return _noted(value, read_metric) if value.text().strip() else {}


def _read_texts(value: Value) -> Mapping[str, str]:
    return {name: text.text() for name, text in value.section().rest()}


def _read_number(value: Value) -> float:
    text = value.text()
    if text.lower() in _SPECIAL:
        return float(_SPECIAL[text.lower()])
    if not _NUMBER.fullmatch(text):
        value.fail(f'expected a number, got "{text}"')
    return float(text)


def _read_time(value: Value) -> int:
    text = value.text()
    if _NUMBER.fullmatch(text):
        return round(float(text) * 1000)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        value.fail(f'expected a Unix time in seconds or RFC 3339 such as 2026-01-31T12:00:00Z, got "{text}"')
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
