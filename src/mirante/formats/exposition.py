"""Prometheus text 0.0.4 and OpenMetrics 1.0, the writing side.

Source: Prometheus documentation, "Exposition formats"; OpenMetrics 1.0. Lines of samples are the same in both;
they differ in the headers, in timestamps, in exemplars and in the final ``# EOF``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from mirante._core.model import Exemplar, MetricFamily, Sample
from mirante.formats.names import LABEL_NAME, METRIC_NAME

TEXT_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_TEXT_TYPES = {"info": "gauge", "stateset": "gauge", "unknown": "untyped"}
_TEXT_SUFFIXES = {"counter": "_total", "info": "_info"}


class Header(NamedTuple):
    """What is said about a family before its samples."""

    name: str
    type: str
    help: str
    unit: str = ""


def number(value: float) -> str:
    """A sample's value: the shortest text that reads back as the same float64.

    Example:
        >>> number(1), number(0.1), number(float("-inf"))
        ('1.0', '0.1', '-Inf')
    """
    value = float(value)
    if value - value == 0.0:  # finite
        return repr(value)
    return "NaN" if value != value else "+Inf" if value > 0 else "-Inf"  # noqa: PLR0124 - NaN alone differs from itself


def bound(value: float) -> str:
    """The value of an ``le`` or ``quantile`` label, with Go's exponent so that series are the same from every client.

    Example:
        >>> bound(0.5), bound(1e6), bound(float("inf"))
        ('0.5', '1e+06', '+Inf')
    """
    text = number(value)
    point = text.find(".")
    if value > 0 and point > 6:
        mantissa = f"{text[0]}.{text[1:point]}{text[point + 1 :]}".rstrip("0").rstrip(".")
        return f"{mantissa}e+{point - 1:02d}"
    return text


def escape(value: str) -> str:
    r"""A label value between its quotes.

    Example:
        >>> print(escape('a"b'))
        a\"b
    """
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return value


def header(family: Header, *, openmetrics: bool) -> str:
    """The HELP, TYPE and, in OpenMetrics, UNIT lines of a family.

    Example:
        >>> print(header(Header("jobs", "counter", "Jobs done."), openmetrics=False), end="")
        # HELP jobs_total Jobs done.
        # TYPE jobs_total counter
    """
    kind = family.type
    if openmetrics:
        name = _metric(family.name)
        text = escape(family.help)
        unit = f"# UNIT {name} {family.unit}\n" if family.unit else ""
        return f"# HELP {name} {text}\n# TYPE {name} {kind}\n{unit}"
    text = family.help.replace("\\", r"\\").replace("\n", r"\n")
    name = _metric(family.name + _TEXT_SUFFIXES.get(kind, ""))
    return f"# HELP {name} {text}\n# TYPE {name} {_TEXT_TYPES.get(kind, kind)}\n"


def render(families: Iterable[MetricFamily], *, openmetrics: bool = False) -> bytes:
    """All families as one exposition.

    Example:
        >>> up = MetricFamily("up", "gauge", "Alive.", samples=(Sample("up", {"job": "a"}, 1.0),))
        >>> print(render([up]).decode(), end="")
        # HELP up Alive.
        # TYPE up gauge
        up{job="a"} 1.0
    """
    text = "".join(family_text(family, openmetrics=openmetrics) for family in families)
    return encode(text + "# EOF\n" if openmetrics else text)


def encode(text: str) -> bytes:
    """UTF-8; a lone surrogate becomes '?', so that no label value of the host can make an exposition fail."""
    return text.encode("utf-8", "replace")


def family_text(family: MetricFamily, *, openmetrics: bool) -> str:
    """One family: its header, then its samples in their order.

    The older format has no place for OpenMetrics' ``_created``: those samples follow as a family of gauges.
    """
    head = Header(family.name, family.type, family.help, family.unit)
    created_name = "" if openmetrics else f"{family.name}_created"
    plain = [sample for sample in family.samples if sample.name != created_name]
    out = header(head, openmetrics=openmetrics) + "".join(lines(plain, openmetrics=openmetrics))
    if len(plain) < len(family.samples):
        created = [sample for sample in family.samples if sample.name == created_name]
        out += header(Header(created_name, "gauge", family.help), openmetrics=False)
        out += "".join(lines(created, openmetrics=False))
    return out


def lines(samples: Iterable[Sample], *, openmetrics: bool) -> Iterator[str]:
    """Each sample as one line with its line feed; exemplars in OpenMetrics only.

    Example:
        >>> print(*lines([Sample("up", {"job": "a"}, 1.0)], openmetrics=False), end="")
        up{job="a"} 1.0
    """
    for name, labels, value, timestamp, exemplar in samples:
        line = f"{series(name, labels)} {number(value)}"
        if timestamp is not None:
            line += f" {timestamp!r}" if openmetrics else f" {round(timestamp * 1000)}"
        if exemplar is not None and openmetrics:
            line += _exemplar(exemplar)
        yield line + "\n"


def label_set(labels: Mapping[str, str]) -> str:
    """Labels in braces, or nothing when there is none."""
    return "{" + _pairs(labels) + "}" if labels else ""


def series(name: str, labels: Mapping[str, str]) -> str:
    """A name with its labels; a name that is not of the older kind stands quoted between the braces.

    Example:
        >>> print(series("up", {"job": "a"}), series("http.requests", {"http.method": "GET"}))
        up{job="a"} {"http.requests","http.method"="GET"}
    """
    quoted = _metric(name)
    if quoted == name:
        return name + label_set(labels)
    return "{" + ",".join([quoted, _pairs(labels)] if labels else [quoted]) + "}"


def _pairs(labels: Mapping[str, str]) -> str:
    return ",".join([f'{_label(name)}="{escape(value)}"' for name, value in labels.items()])


@lru_cache(4096)
def _metric(name: str) -> str:
    """The name, quoted if it must be."""
    return name if METRIC_NAME.fullmatch(name) else f'"{escape(name)}"'


@lru_cache(4096)
def _label(name: str) -> str:
    return name if LABEL_NAME.fullmatch(name) else f'"{escape(name)}"'


def underscored(family: MetricFamily) -> MetricFamily:
    """The family for readers who know names of the older kind only: every other character becomes ``_``.

    Source: Prometheus, "UTF-8 in Prometheus", escaping scheme ``underscores``.

    Example:
        >>> underscored(MetricFamily("http.requests", "gauge")).name
        'http_requests'
    """
    samples = tuple(
        sample._replace(name=_old(sample.name), labels=_old_labels(sample.labels)) for sample in family.samples
    )
    native = tuple(point._replace(labels=_old_labels(point.labels)) for point in family.native)
    return replace(family, name=_old(family.name), samples=samples, native=native)


def _old_labels(labels: Mapping[str, str]) -> dict[str, str]:
    return {_old(name).replace(":", "_"): value for name, value in labels.items()}


@lru_cache(4096)
def _old(name: str) -> str:
    text = re.sub(r"[^a-zA-Z0-9_:]", "_", name)
    return f"_{text[1:]}" if text[:1].isdigit() else text


def _exemplar(exemplar: Exemplar) -> str:
    labels = label_set(exemplar.labels) or "{}"
    time = "" if exemplar.timestamp is None else f" {exemplar.timestamp!r}"
    return f" # {labels} {number(exemplar.value)}{time}"
