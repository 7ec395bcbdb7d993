"""Alerts and silences in JSON, as Alertmanager's API has them; what comes from outside is checked here.

Source: github.com/prometheus/alertmanager, ``api/v2/openapi.yaml``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from mirante.errors import BadRequestError
from mirante.formats.rfc3339 import rfc3339
from mirante.server.alert import Alert
from mirante.server.notify.matchers import make_matcher
from mirante.server.notify.model import Matcher, MatchType
from mirante.server.notify.silence import Silence
from mirante.server.notify.status import AlertStatus, GroupStatus

_TYPES: Mapping[tuple[bool, bool], MatchType] = {
    (False, True): "=",
    (False, False): "!=",
    (True, True): "=~",
    (True, False): "!~",
}
_LAST_MS = 253_402_214_400_000  # the last day of the year 9999 has no end in every time zone


def read_alerts(document: object) -> tuple[list[Alert], list[str]]:
    """The alerts of a ``POST``, and what is wrong with those that cannot be taken; 0 is a time that is not told.

    Raises:
        BadRequestError: it is no list.

    Example:
        >>> read_alerts([{"labels": {"alertname": "Down"}}, {"labels": {}}])[1]
        ['alert 1: at least one label pair required']
    """
    if not isinstance(document, list):
        raise BadRequestError("the body must be a list of alerts")
    alerts, faults = [], []
    for number, one in enumerate(document):
        try:
            alerts.append(_read_alert(one))
        except BadRequestError as error:
            faults.append(f"alert {number}: {error}")
    return alerts, faults


def _read_alert(document: object) -> Alert:
    if not isinstance(document, dict):
        raise BadRequestError("it must be an object")
    labels = {name: value for name, value in _texts(document, "labels").items() if value}
    if not labels:
        raise BadRequestError("at least one label pair required")
    starts_at, ends_at = (_time(document, name) for name in ("startsAt", "endsAt"))
    if starts_at and ends_at and ends_at < starts_at:
        raise BadRequestError("start time must be before end time")
    url = _text(document, "generatorURL", "")
    return Alert(labels, _texts(document, "annotations"), starts_at, ends_at, 0, url)


def read_silence(document: object) -> Silence:
    """The silence of a ``POST``.

    Raises:
        BadRequestError: it lacks something, or something in it cannot be read.
    """
    if not isinstance(document, dict):
        raise BadRequestError("the body must be a silence")
    matchers = document.get("matchers")
    if not isinstance(matchers, list):
        raise BadRequestError("matchers in body is required: a list of matchers")
    if not document.get("startsAt") or not document.get("endsAt"):
        raise BadRequestError("startsAt and endsAt in body are required")
    return Silence(
        tuple(map(_read_matcher, matchers)),
        _time(document, "startsAt"),
        _time(document, "endsAt"),
        _text(document, "createdBy"),
        _text(document, "comment"),
        _text(document, "id", ""),
    )


def _read_matcher(document: object) -> Matcher:
    if not isinstance(document, dict):
        raise BadRequestError("a matcher must be an object")
    name, value = _text(document, "name"), _text(document, "value")
    regex, equal = document.get("isRegex"), document.get("isEqual")
    equal = True if equal is None else equal
    if not name or not isinstance(regex, bool) or not isinstance(equal, bool):
        raise BadRequestError("a matcher needs a name, a value, isRegex (true or false), and may have isEqual")
    try:
        return make_matcher(name, _TYPES[regex, equal], value)
    except ValueError as error:
        raise BadRequestError(f"the matcher of {name!r} cannot be used: {error}") from None


def _texts(document: Mapping[str, Any], name: str) -> dict[str, str]:
    value = document.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict) or "" in value or not all(isinstance(text, str) for text in value.values()):
        raise BadRequestError(f"{name} must be an object of names and texts")
    return value


def _text(document: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = document.get(name)
    value = default if value is None else value
    if not isinstance(value, str):
        raise BadRequestError(f"{name} in body is required, a text" if value is None else f"{name} must be a text")
    return value


def _time(document: Mapping[str, Any], name: str) -> int:
    """Milliseconds; 0 for Go's zero time, which stands for one that is not told."""
    text = _text(document, name, "")
    if not text:
        return 0
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or "T" not in text.upper():
        raise BadRequestError(f"{name} must be a time such as 2026-01-02T15:04:05Z, not {text!r}")
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    milliseconds = since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000
    if milliseconds >= _LAST_MS:
        raise BadRequestError(f"{name} is too far in the future: {text}")
    return max(milliseconds, 0)


def alert_json(status: AlertStatus, muted_by: Sequence[str] | None = None) -> dict[str, Any]:
    """A ``gettableAlert``.

    Args:
        status: the alert.
        muted_by: time intervals that silence the group in which it is shown; of all its routes when not given.
    """
    silent = status.muted_by if muted_by is None else muted_by
    alert = status.alert
    return {
        "annotations": dict(alert.annotations),
        "endsAt": rfc3339(alert.ends_at),
        "fingerprint": status.id,
        "receivers": [{"name": name} for name in status.receivers],
        "startsAt": rfc3339(alert.starts_at),
        "status": {
            "inhibitedBy": list(status.muted.inhibited_by),
            "mutedBy": [*silent, *status.muted.maintenance],
            "silencedBy": list(status.muted.silenced_by),
            "state": "suppressed" if status.muted or silent else "active",
        },
        "updatedAt": rfc3339(alert.updated_at),
        "generatorURL": alert.generator_url,
        "labels": dict(alert.labels),
    }


def group_json(group: GroupStatus, alerts: Sequence[AlertStatus]) -> dict[str, Any]:
    """An ``alertGroup`` with those of its alerts that were asked for."""
    return {
        "alerts": [alert_json(one, group.muted_by) for one in alerts],
        "labels": dict(group.labels),
        "receiver": {"name": group.receiver},
    }


def silence_json(silence: Silence, now: int) -> dict[str, Any]:
    """A ``gettableSilence``."""
    return {
        "id": silence.id,
        "status": {"state": silence.state(now)},
        "updatedAt": rfc3339(silence.updated_at),
        "comment": silence.comment,
        "createdBy": silence.author,
        "endsAt": rfc3339(silence.ends_at),
        "matchers": [_matcher_json(matcher) for matcher in silence.matchers],
        "startsAt": rfc3339(silence.starts_at),
    }


def _matcher_json(matcher: Matcher) -> dict[str, Any]:
    return {
        "isEqual": not matcher.type.startswith("!"),
        "isRegex": matcher.type.endswith("~"),
        "name": matcher.name,
        "value": matcher.value,
    }
