"""Looks over the names, types and help texts of an exposition, as ``promtool check metrics`` does.

Source: prometheus.io, "Metric and label naming"; the checks and their words are those of promtool, so that both give
one verdict.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from mirante.errors import FormatError
from mirante.formats.exposition_parser import (
    Metadata,
    page_lines,
    read_comment,
    read_float,
    read_measure,
    read_series,
    split_sample,
)

_BASE_UNITS = {
    **{unit: unit for unit in ("amperes", "bytes", "celsius", "grams", "joules", "kelvin", "meters", "metres")},
    **{unit: unit for unit in ("seconds", "volts")},
    **dict.fromkeys(("minutes", "hours", "days", "weeks"), "seconds"),
    "kelvins": "kelvin",
    **dict.fromkeys(("fahrenheit", "rankine"), "celsius"),
    **dict.fromkeys(("inches", "yards", "miles"), "meters"),
    "bits": "bytes",
    "calories": "joules",
    **dict.fromkeys(("pounds", "ounces"), "grams"),
}
_PREFIXES = "pico|nano|micro|milli|centi|deci|deca|hecto|kilo|kibi|mega|mibi|giga|gibi|tera|tebi|peta|pebi"
_UNIT = re.compile(rf"(?:^|_)((?:{_PREFIXES})?({'|'.join(_BASE_UNITS)}))(?=_|$)")
_ABBREVIATIONS = ("s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d")
_TYPES = ("counter", "gauge", "summary", "histogram", "gauge_histogram")
_CAMEL_CASE = re.compile(r"[a-z][A-Z]")
_COMMENT = re.compile(rb"#[ \t]+(HELP|TYPE)[ \t]+([^ \t]+)")
_PARTS = {
    "counter": ("_total", "_created"),
    "summary": ("_count", "_sum", "_created"),
    "histogram": ("_bucket", "_count", "_sum", "_created"),
    "gaugehistogram": ("_bucket", "_gcount", "_gsum"),
    "info": ("_info",),
}
_PARTS_IN_TEXT = {"summary": ("_count", "_sum"), "histogram": ("_bucket", "_count", "_sum")}
_OWN_LABEL = {"summary": "quantile", "histogram": "le", "gaugehistogram": "le"}


class MetricProblem(NamedTuple):
    """What is wrong with a metric, in promtool's words."""

    metric: str
    text: str

    def __str__(self) -> str:
        return f"{self.metric} {self.text}"


@dataclass(slots=True)
class _Family:
    """A metric and the labels of its series, without ``le`` or ``quantile`` where those belong to its type."""

    name: str
    type: str
    help: str
    label_sets: list[Mapping[str, str]]


def lint_metrics(body: bytes) -> list[MetricProblem]:
    r"""What is wrong with the metrics of a page, sorted by name and text.

    Args:
        body: text format 0.0.4; OpenMetrics when it ends with ``# EOF``.

    Raises:
        FormatError: it breaks the format.

    Example:
        >>> [str(one) for one in lint_metrics(b"# TYPE requests counter\nrequests 1\n")]
        ['requests counter metrics should have "_total" suffix', 'requests no help text']
    """
    openmetrics = body.endswith(b"# EOF\n")
    page = _Page(openmetrics=openmetrics)
    if body and not body.endswith(b"\n"):
        raise FormatError("the last line must end with a line feed")
    for number, line in enumerate(page_lines(body, openmetrics=openmetrics), 1):
        try:
            page.read(line if openmetrics else line.lstrip(b" \t"))
        except FormatError as error:
            raise FormatError(f"line {number}: {error}") from None
    return sorted(MetricProblem(family.name, text) for family in page.families() for text in _complaints(family))


class _Page:
    """A page while it is read: stricter than a scrape, which takes comments in any order."""

    def __init__(self, *, openmetrics: bool) -> None:
        self._openmetrics = openmetrics
        self._metadata: dict[str, Metadata] = {}
        self._said: set[tuple[bytes, str]] = set()
        self._parts = _PARTS if openmetrics else _PARTS_IN_TEXT
        self._series: dict[str, list[Mapping[str, str]]] = {}

    def read(self, line: bytes) -> None:
        """Take in a line."""
        if line.startswith(b"#"):
            if (comment := _COMMENT.match(line)) is not None:
                self._note(comment[1], comment[2].decode(errors="replace"))
            read_comment(line, self._metadata, openmetrics=self._openmetrics)
        elif line:
            series, rest = split_sample(line, openmetrics=self._openmetrics)
            labels = read_series(series)
            read_measure(rest, openmetrics=self._openmetrics)
            family = self._family_of(labels.pop("__name__"))
            self._check_bound(family, labels)
            self._series.setdefault(family, []).append(labels)

    def families(self) -> Iterator[_Family]:
        """The metrics that have samples."""
        for name, label_sets in self._series.items():
            about = self._metadata.get(name, Metadata())
            shown = f"{name}_total" if self._openmetrics and about.type == "counter" else name
            yield _Family(shown, about.type, about.help, _without(_OWN_LABEL.get(about.type), label_sets))

    def _note(self, keyword: bytes, family: str) -> None:
        if (keyword, family) in self._said:
            raise FormatError(f'second {keyword.decode()} line for metric name "{family}"')
        if keyword == b"TYPE" and family in self._series:
            raise FormatError(f'TYPE of metric name "{family}" reported after samples')
        self._said.add((keyword, family))

    def _check_bound(self, family: str, labels: Mapping[str, str]) -> None:
        own = _OWN_LABEL.get(self._metadata.get(family, Metadata()).type, "")
        try:
            read_float(labels.get(own, "0").encode())
        except FormatError:
            raise FormatError(f'expected a number as value of label "{own}", got "{labels[own]}"') from None

    def _family_of(self, name: str) -> str:
        """The metric to which a sample belongs: its own name, or that without the ending of a part."""
        if name not in self._metadata:
            for kind, endings in self._parts.items():
                for ending in endings:
                    family = name.removesuffix(ending)
                    if family != name and self._metadata.get(family, Metadata()).type == kind:
                        return family
        return name


def _without(own: str | None, label_sets: list[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """The labels of series; with a label of its own a type has many samples to one series."""
    if own is None:
        return label_sets
    return [dict(key) for key in {frozenset((n, v) for n, v in labels.items() if n != own) for labels in label_sets}]


def _complaints(family: _Family) -> Iterator[str]:
    if not family.help:
        yield "no help text"
    yield from _about_units(family.name)
    if family.type != "unknown":
        yield from _about_type(family)
    for kind in _TYPES:
        if _has_word(family.name, kind):
            yield f"metric name should not include type '{kind}'"
    if ":" in family.name:
        yield "metric names should not contain ':'"
    if _CAMEL_CASE.search(family.name):
        yield "metric names should be written in 'snake_case' not 'camelCase'"
    for name in (name for labels in family.label_sets for name in labels):
        if _CAMEL_CASE.search(name):
            yield "label names should be written in 'snake_case' not 'camelCase'"


def _about_units(name: str) -> Iterator[str]:
    unit = _UNIT.search(name)
    if unit is not None and unit[1] != _BASE_UNITS[unit[2]]:
        yield f'use base unit "{_BASE_UNITS[unit[2]]}" instead of "{unit[1]}"'
    for abbreviation in _ABBREVIATIONS:
        if _has_word(name, abbreviation):
            yield "metric names should not contain abbreviated units"


def _about_type(family: _Family) -> Iterator[str]:
    name, kind = family.name, family.type
    has_buckets = kind in {"histogram", "gaugehistogram"}
    if kind == "counter" and not name.endswith("_total"):
        yield 'counter metrics should have "_total" suffix'
    if kind != "counter" and name.endswith("_total"):
        yield 'non-counter metrics should not have "_total" suffix'
    if not has_buckets and name.endswith("_bucket"):
        yield 'non-histogram metrics should not have "_bucket" suffix'
    if not has_buckets and kind != "summary":
        for ending in ("_count", "_sum"):
            if name.endswith(ending):
                yield f'non-histogram and non-summary metrics should not have "{ending}" suffix'
    for labels in family.label_sets:
        if not has_buckets and "le" in labels:
            yield 'non-histogram metrics should not have "le" label'
        if kind != "summary" and "quantile" in labels:
            yield 'non-summary metrics should not have "quantile" label'


def _has_word(name: str, word: str) -> bool:
    lower = name.lower()
    return f"_{word}_" in lower or lower.endswith(f"_{word}")
