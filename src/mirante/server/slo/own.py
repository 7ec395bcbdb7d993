"""Reads objectives in our own shape.

::

    slos:
      - name: available
        service: shop
        objective: 99.9%
        window: 30d
        indicator:
          errors: http_requests_total{code=~"5.."}
          total: http_requests_total
"""

from __future__ import annotations

from mirante.server.rules.read import line_of
from mirante.server.slo import expressions, values
from mirante.server.slo.model import DAY, Events, Share, Slo
from mirante.server.yaml_reader import Value

_COUNTS = ("errors", "good", "total")
_LIMITS = {"below": "lt", "above": "gt"}


def items_of(document: Value) -> list[Value]:
    """The objectives of a document, not read yet.

    Raises:
        ConfigError: it has another shape.
    """
    top = document.section()
    items = values.needed(top, "slos", lambda value: list(value.items()))
    top.finish()
    return items


def read_slo(item: Value) -> Slo:
    """An objective.

    Raises:
        ConfigError: it cannot be used.
    """
    section = item.section()
    slo = Slo(
        name=values.needed(section, "name", values.name),
        service=values.needed(section, "service", values.name),
        percent=values.needed(section, "objective", values.percent),
        indicator=values.needed(section, "indicator", _indicator),
        period=section.take("window", values.period, 30 * DAY),
        description=section.take("description", Value.text, ""),
        labels=section.take("labels", values.labels, {}),
        annotations=section.take("annotations", values.texts, {}),
        source=f"{item.source}, line {line_of(item)}",
    )
    section.finish()
    return slo


def _indicator(value: Value) -> Events | Share:
    section = value.section()
    latency = section.take("latency", _latency, None)
    threshold = section.take("threshold", _threshold, None)
    counts = {key: section.take(key, Value.text, "") for key in _COUNTS}
    given = [key for key, text in counts.items() if text]
    section.finish()
    kinds = [kind for kind in (latency, threshold) if kind is not None]
    if len(kinds) == 1 and not given:
        return kinds[0]
    if kinds or len(given) != 2:
        value.fail('expected two of "errors", "good" and "total", or "latency", or "threshold"')
    return values.checked(value, lambda: expressions.events(**counts))


def _latency(value: Value) -> Events | Share:
    section = value.section()
    histogram = values.needed(section, "histogram", Value.text)
    limit = values.needed(section, "below", Value.number)
    selector = section.take("selector", Value.text, "")
    section.finish()
    return values.checked(value, lambda: expressions.latency(histogram, limit, selector))


def _threshold(value: Value) -> Events | Share:
    section = value.section()
    query = values.needed(section, "query", Value.text)
    found = {good: section.take(key, values.number, None) for key, good in _LIMITS.items()}
    limits = {good: limit for good, limit in found.items() if limit is not None}
    section.finish()
    if len(limits) != 1:
        value.fail('expected one of "below" and "above": what is good')
    ((good, limit),) = limits.items()
    return values.checked(value, lambda: expressions.threshold(query, good, limit))
