"""One measurement as the telemetry pipeline carries it, and the summary of many: frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from math import isfinite
from typing import Any

from mirante.errors import DeclarationError


@dataclass(frozen=True, slots=True, init=False)
class Metric:
    """One measurement.

    Attributes:
        name: what was measured, not empty.
        value: a finite number.
        timestamp: when, with its time zone.
        tags: dimensions, names to values; a value that is not text is turned into text.
        metadata: anything else worth keeping beside it; exporters that know only labels leave it out.

    Raises:
        DeclarationError: the name is empty, the value no finite number or the timestamp without a time zone.

    Example:
        >>> from datetime import UTC, datetime
        >>> Metric("response_time", 0.2, datetime(2026, 1, 1, tzinfo=UTC), tags={"status": 200}).tags
        {'status': '200'}
    """

    name: str
    value: float
    timestamp: datetime
    tags: Mapping[str, str]
    metadata: Mapping[str, Any]

    # Written by hand because it runs once a record: half the cost of the generated one with its check after.
    def __init__(
        self,
        name: str,
        value: float,
        timestamp: datetime,
        tags: Mapping[str, object] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        try:
            good = name and isfinite(value) and timestamp.tzinfo is not None
        except (TypeError, AttributeError):
            good = False
        if not good or not isinstance(name, str):
            raise _refusal(name, value, timestamp)
        _set_name(self, name)
        _set_value(self, float(value))
        _set_timestamp(self, timestamp)
        _set_tags(self, _texts(tags) if tags else {})
        _set_metadata(self, dict(metadata) if metadata else {})


_set_name = vars(Metric)["name"].__set__
_set_value = vars(Metric)["value"].__set__
_set_timestamp = vars(Metric)["timestamp"].__set__
_set_tags = vars(Metric)["tags"].__set__
_set_metadata = vars(Metric)["metadata"].__set__


def _texts(tags: Mapping[str, object]) -> Mapping[str, str]:
    for value in tags.values():
        if type(value) is not str:
            return {name: str(value) for name, value in tags.items()}
    return dict(tags)  # type: ignore[arg-type] # a copy: the caller may go on to change theirs


def _refusal(name: object, value: object, timestamp: object) -> DeclarationError:
    if not isinstance(name, str) or not name:
        return DeclarationError(f"a metric's name must be text that is not empty, not {name!r}")
    if getattr(timestamp, "tzinfo", None) is None:
        return DeclarationError(f"metric {name!r}: timestamp must be a datetime with a time zone, not {timestamp!r}")
    return DeclarationError(f"metric {name!r}: value must be a finite number, not {value!r}")


@dataclass(frozen=True, slots=True, init=False)
class AggregatedMetric(Metric):
    """What many measurements of one name and one set of tags came to.

    ``value`` is the sum, ``timestamp`` that of the last measurement.

    Attributes:
        count: number of measurements; an estimate where they were sampled before.
        sum: their sum.
        min: the smallest.
        max: the greatest.
        last: the most recent.
        quantiles: quantile (0 to 1) to value, within 1 % of the true one.
    """

    count: float
    sum: float
    min: float
    max: float
    last: float
    quantiles: Mapping[float, float]

    def __init__(
        self,
        name: str,
        timestamp: datetime,
        tags: Mapping[str, object] | None = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        count: float,
        sum: float,
        min: float,
        max: float,
        last: float,
        quantiles: Mapping[float, float] | None = None,
    ) -> None:
        Metric.__init__(self, name, last, timestamp, tags, metadata)
        summary = {"count": count, "sum": sum, "min": min, "max": max, "last": last, "quantiles": quantiles or {}}
        for key, value in summary.items():
            object.__setattr__(self, key, value)
        _set_value(self, sum)  # not checked: finite values may add up to infinity


_SUMMARY = tuple(column.name for column in fields(AggregatedMetric)[5:])


def to_json(metric: Metric) -> dict[str, Any]:
    """The record as JSON's own types; what JSON does not know inside ``metadata`` is left to the encoder's default.

    Example:
        >>> from datetime import UTC, datetime
        >>> to_json(Metric("m", 1.0, datetime(2026, 1, 1, tzinfo=UTC)))
        {'timestamp': '2026-01-01T00:00:00+00:00', 'name': 'm', 'value': 1.0}
    """
    out: dict[str, Any] = {"timestamp": metric.timestamp.isoformat(), "name": metric.name, "value": metric.value}
    if metric.tags:
        out["tags"] = metric.tags
    if metric.metadata:
        out["metadata"] = metric.metadata
    if isinstance(metric, AggregatedMetric):
        out |= {key: getattr(metric, key) for key in _SUMMARY}
    return out


def from_json(row: Mapping[str, Any]) -> Metric:
    """The record that ``to_json`` wrote.

    Raises:
        KeyError: a field is missing.
        ValueError: a field is not what it should be.
    """
    timestamp = datetime.fromisoformat(row["timestamp"])
    tags, metadata = row.get("tags"), row.get("metadata")
    if "count" not in row:
        return Metric(row["name"], row["value"], timestamp, tags, metadata)
    summary = {key: row[key] for key in _SUMMARY}
    summary["quantiles"] = {float(q): value for q, value in row["quantiles"].items()}
    return AggregatedMetric(row["name"], timestamp, tags, metadata, **summary)
