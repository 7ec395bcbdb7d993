"""One alert, checked where it is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Literal, NoReturn

from mirante.alerts.expression import check
from mirante.config import seconds
from mirante.errors import DeclarationError
from mirante.formats.duration import format_duration
from mirante.formats.names import LABEL_NAME

_LONGEST = 2**53 / 1000
"""Seconds; beyond it milliseconds are not exact any more."""

_KEYS = {"promql": "expr", "sql": "sql"}
"""Keys of rule files by language."""

_OWN = {"severity": "the field severity", "alertname": "the field name", "__name__": "nothing"}
"""Labels that are not for anybody to give, and what says them."""


class Severity(StrEnum):
    """How much it matters."""

    CRITICAL = "critical"
    """Somebody is to be woken up."""
    WARNING = "warning"
    """Somebody is to look at it today."""
    INFO = "info"
    """Worth knowing."""


@dataclass(frozen=True, slots=True, init=False)
class Alert:
    """An alert: fires for every series that its query yields.

    Args:
        name: what it is called; becomes the label ``alertname``.
        query: a PromQL expression, or SQL over logs and traces, see ``language``. Where ``promql-parser`` is installed,
            as it is with ``mirante[server]``, the whole syntax of PromQL is checked; otherwise brackets, strings,
            numbers and durations are, and the server checks the rest.
        severity: how much it matters; becomes the label ``severity``.
        for_: seconds, or a duration such as ``5m``, for which the query must hold before it fires.
        keep_firing_for: seconds, or a duration, for which it goes on firing when the query no longer holds.
        labels: more labels, with Prometheus's templates such as ``{{ $labels.instance }}``.
        annotations: what people are told: ``summary``, ``description``, ``runbook_url``; templates too.
        group: the rule group; the rules of one group are evaluated one after the other.
        language: of the query: ``promql``, or ``sql``, which is checked by the server and only known to it.

    Raises:
        DeclarationError: a field cannot be used; the message begins with its name.

    Example:
        >>> alert = Alert("HighErrorRate", "rate(http_errors_total[5m]) > 0.1", "critical", for_="10m")
        >>> alert.severity, alert.for_
        (<Severity.CRITICAL: 'critical'>, 600.0)
        >>> Alert("Broken", "rate(http_errors_total[5m", "critical")
        Traceback (most recent call last):
        mirante.errors.DeclarationError: query: "[" at 1:23 is never closed
    """

    name: str
    query: str
    severity: Severity
    for_: float
    keep_firing_for: float
    labels: Mapping[str, str] = field(hash=False)
    annotations: Mapping[str, str] = field(hash=False)
    group: str
    language: Literal["promql", "sql"]

    def __init__(
        self,
        name: str,
        query: str,
        severity: Severity | str,
        *,
        for_: float | str = 0.0,
        keep_firing_for: float | str = 0.0,
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
        group: str = "alerts",
        language: Literal["promql", "sql"] = "promql",
    ) -> None:
        _text("name", name)
        _text("group", group)
        if language not in _KEYS:
            _refuse("language", f"expected promql or sql, got {language!r}")
        _query(query, language)
        checked: dict[str, Any] = {
            "name": name,
            "query": query,
            "severity": _severity(severity),
            "for_": _duration("for_", for_),
            "keep_firing_for": _duration("keep_firing_for", keep_firing_for),
            "labels": _pairs("labels", labels, _OWN),
            "annotations": _pairs("annotations", annotations, {}),
            "group": group,
            "language": language,
        }
        for column, value in checked.items():
            object.__setattr__(self, column, value)

    def to_rule(self) -> dict[str, Any]:
        """The alert as an entry of a Prometheus rule file."""
        rule: dict[str, Any] = {"alert": self.name, _KEYS[self.language]: self.query}
        if self.for_:
            rule["for"] = _written(self.for_)
        if self.keep_firing_for:
            rule["keep_firing_for"] = _written(self.keep_firing_for)
        rule["labels"] = {"severity": str(self.severity), **self.labels}
        if self.annotations:
            rule["annotations"] = dict(self.annotations)
        return rule


def _refuse(column: str, message: str) -> NoReturn:
    raise DeclarationError(f"{column}: {message}")


def _text(column: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        _refuse(column, f"expected a text that is not empty, got {value!r}")
    _encodable(column, value)
    return value


def _encodable(column: str, value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        _refuse(column, f"{value!r} has half a character (a lone surrogate), which no file can hold")


def _query(value: object, language: str) -> None:
    text = _text("query", value)
    try:
        if language == "promql":
            check(text)
    except ValueError as error:
        _refuse("query", str(error))


def _severity(value: object) -> Severity:
    try:
        return Severity(str(value))
    except ValueError:
        _refuse("severity", f"expected one of {', '.join(Severity)}, got {value!r}")


def _duration(column: str, value: object) -> float:
    try:
        number = seconds(value)
    except ValueError as error:
        _refuse(column, str(error))
    if not 0 <= number < _LONGEST:
        _refuse(column, f"expected a duration that is not negative, got {value!r}")
    return round(number * 1000) / 1000  # rule files know no less than a millisecond


def _written(seconds: float) -> str:
    return format_duration(round(seconds * 1000))


def _pairs(column: str, given: Mapping[Any, Any] | None, own: Mapping[str, str]) -> Mapping[str, str]:
    pairs = dict(given or {})
    for name, value in pairs.items():
        if not isinstance(name, str) or not LABEL_NAME.fullmatch(name):
            _refuse(column, f"{name!r} is no name: letters, digits and underscores, not beginning with a digit")
        if name in own:
            _refuse(column, f"{name!r} cannot be given: {own[name]} says it")
        if not isinstance(value, str):
            _refuse(column, f"the value of {name!r} must be text, got {value!r}")
        _encodable(column, value)
    return MappingProxyType(pairs)
