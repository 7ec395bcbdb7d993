"""Templates in the labels and annotations of alerting rules: Go's language with Prometheus's functions.

Source: prometheus.io, "Template reference".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from ipaddress import ip_address
from typing import ClassVar
from urllib.parse import quote_plus, urlsplit

from mirante.errors import TemplateError
from mirante.formats.duration import parse_duration
from mirante.server import re2
from mirante.server.gotemplate import Duration, Html, StringMap, Struct, TemplateSet, humanize

Query = Callable[[str, int], Sequence[tuple[Mapping[str, str], float]]]
"""Answers an instant query at a time in milliseconds."""

_VARIABLES = ("$labels", "$externalLabels", "$externalURL", "$value")
_MOST_QUERIES, _MOST_CHARACTERS = 100, 1 << 20


class Sample(Struct):
    """One series of a query's answer."""

    __slots__ = ("labels", "value")
    go_type: ClassVar[str] = "*template.sample"
    go_fields: ClassVar[Mapping[str, str]] = {"Labels": "labels", "Value": "value"}

    def __init__(self, labels: Mapping[str, str], value: float) -> None:
        self.labels, self.value = StringMap(labels), value


class Data(Struct):
    """What a template's dot is."""

    __slots__ = ("external_labels", "external_url", "labels", "value")
    go_type: ClassVar[str] = "struct"
    go_fields: ClassVar[Mapping[str, str]] = {
        "Labels": "labels",
        "ExternalLabels": "external_labels",
        "ExternalURL": "external_url",
        "Value": "value",
    }

    def __init__(
        self, labels: Mapping[str, str], external_labels: Mapping[str, str], external_url: str, value: object
    ) -> None:
        self.labels, self.external_labels = StringMap(labels), StringMap(external_labels)
        self.external_url, self.value = external_url, value


class _Functions:
    """Prometheus's functions that depend on the alert at hand."""

    def __init__(self, external_url: str, now_ms: int, query: Query) -> None:
        self._external_url, self._now_ms, self._query = external_url, now_ms, query
        self._queries = 0

    def query(self, expression: str) -> list[Sample]:
        self._queries += 1
        if self._queries > _MOST_QUERIES:
            raise ValueError(f"a template may ask at most {_MOST_QUERIES} queries")
        return [Sample(labels, value) for labels, value in self._query(expression, self._now_ms)]

    def now(self) -> float:
        return self._now_ms / 1000

    def path_prefix(self) -> str:
        return urlsplit(self._external_url).path

    def external_url(self) -> str:
        return self._external_url


def _first(samples: Sequence[Sample]) -> Sample:
    if not samples:
        raise ValueError("first() called on vector with no elements")
    return samples[0]


def _label(name: str, sample: Sample) -> str:
    return sample.labels.get(name, "")


def _value(sample: Sample) -> float:
    return sample.value


def _strvalue(sample: Sample) -> str:
    return sample.labels.get("__value__", "")


def _args(*arguments: object) -> dict[str, object]:
    return {f"arg{index}": argument for index, argument in enumerate(arguments)}


def _re_replace_all(pattern: str, replacement: str, text: str) -> str:
    return re2.replace_all(pattern, replacement, text, _MOST_CHARACTERS)


def _safe_html(text: str) -> Html:
    return Html(text)


def _match(pattern: str, text: str) -> bool:
    return re2.found(pattern, text)


def _title(text: str) -> str:
    # Only the first letter of a word changes, as with Go's strings.Title, for which an apostrophe ends a word.
    out, inside = [], False
    for char in text:
        out.append(char if inside else char.title())
        inside = char.isalnum() or char == "_" or (char >= "\x80" and not char.isspace())
    return "".join(out)


def _upper(text: str) -> str:
    return text.upper()


def _lower(text: str) -> str:
    return text.lower()


def _graph_link(expression: str) -> str:
    return f"/graph?g0.expr={quote_plus(expression, safe='-_.~')}&g0.tab=0"


def _table_link(expression: str) -> str:
    return f"/graph?g0.expr={quote_plus(expression, safe='-_.~')}&g0.tab=1"


def _sort_by_label(name: str, samples: Sequence[Sample]) -> list[Sample]:
    return sorted(samples, key=lambda sample: sample.labels.get(name, "").encode())


def _strip_port(address: str) -> str:
    """Of ``host:port`` the host, also of ``[::1]:80``; what is no such address stays."""
    host, colon, _ = address.rpartition(":")
    if not colon:
        return address
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1]
    return address if ":" in host or "[" in host or "]" in host else host


def _strip_domain(address: str) -> str:
    """Of ``host.domain:port`` the host and the port; an IP address stays."""
    host = _strip_port(address)
    port = address.removeprefix(f"[{host}]").removeprefix(host)
    try:
        ip_address(host)
    except ValueError:
        return host.partition(".")[0] + port
    return address


def _to_duration(value: object) -> Duration:
    return Duration(round(humanize.to_float(value) * 1e9))


def _parse_duration(text: str) -> float:
    return parse_duration(text) / 1000


_FUNCTIONS: Mapping[str, Callable[..., object]] = {
    "args": _args, "first": _first, "graphLink": _graph_link,
    "humanize": humanize.humanize,
    "humanize1024": humanize.humanize1024, "humanizeDuration": humanize.humanize_duration,
    "humanizePercentage": humanize.humanize_percentage, "humanizeTimestamp": humanize.humanize_timestamp,
    "label": _label, "match": _match, "parseDuration": _parse_duration,
    "reReplaceAll": _re_replace_all, "safeHtml": _safe_html,
    "sortByLabel": _sort_by_label, "stripDomain": _strip_domain, "stripPort": _strip_port, "strvalue": _strvalue,
    "tableLink": _table_link, "title": _title, "toDuration": _to_duration, "toLower": _lower,
    "toTime": humanize.to_time, "toUpper": _upper, "value": _value,
}  # fmt: skip


_OF_THE_ALERT = {"query": "query", "now": "now", "pathPrefix": "path_prefix", "externalURL": "external_url"}


@cache
def _templates() -> TemplateSet:
    # Those that depend on the alert are bound to it when a template is rendered; to parse one their names are enough.
    return TemplateSet({**_FUNCTIONS, **{name: getattr(_Functions, method) for name, method in _OF_THE_ALERT.items()}})


def check(text: str, *, name: str = "template") -> None:
    """Parse a template without rendering it.

    Raises:
        TemplateError: it cannot be parsed; the message says where and why.

    Example:
        >>> check("{{ $labels.instance }} is down")
    """
    _templates().check(text, name=name, variables=frozenset(_VARIABLES))


def expand(
    text: str,
    *,
    labels: Mapping[str, str],
    value: object,
    external_labels: Mapping[str, str],
    external_url: str,
    now_ms: int,
    query: Query,
    name: str = "template",
) -> str:
    """Render the template of a label or an annotation; where it fails, Prometheus's error text stands in its place.

    Args:
        text: of the template.
        labels: of the series that the rule yielded.
        value: of that series, a float.
        external_labels: of this server.
        external_url: under which this server is reached.
        now_ms: time of the evaluation, milliseconds.
        query: answers what the template itself asks.
        name: for messages.

    Source: prometheus.io, "Template reference".

    Example:
        >>> expand("{{ $labels.job }}: {{ $value | humanizePercentage }}", labels={"job": "api"}, value=0.123,
        ...        external_labels={}, external_url="", now_ms=0, query=lambda expression, at: [])
        'api: 12.3%'
    """
    if "{{" not in text:
        return text
    data = Data(labels, external_labels, external_url, value)
    variables = {
        "$labels": data.labels,
        "$externalLabels": data.external_labels,
        "$externalURL": external_url,
        "$value": value,
    }
    bound = _Functions(external_url, now_ms, query)
    functions = {function: getattr(bound, method) for function, method in _OF_THE_ALERT.items()}
    try:
        return _templates().render(text, data, name=name, variables=variables, functions=functions)
    except TemplateError as error:
        return f"<error expanding template: {error}>"
