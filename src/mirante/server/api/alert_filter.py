"""Which alerts a request asks for, by Alertmanager's parameters.

Source: github.com/prometheus/alertmanager, ``api/v2/openapi.yaml``, ``getAlerts``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.requests import Request

from mirante.errors import BadRequestError
from mirante.server.notify.matchers import parse_matcher
from mirante.server.notify.model import Matcher
from mirante.server.notify.regex import Regex
from mirante.server.notify.status import AlertStatus

_TRUTHS = {"": True, "true": True, "1": True, "false": False, "0": False}


def flag(request: Request, name: str) -> bool:
    """A parameter that is true unless it says otherwise.

    Raises:
        BadRequestError: it is neither true nor false.
    """
    text = request.query_params.get(name, "")
    truth = _TRUTHS.get(text.lower())
    if truth is None:
        raise BadRequestError(f"{name} in query must be true or false, not {text!r}")
    return truth


def matchers_of(request: Request) -> list[Matcher]:
    """The matchers that every ``filter`` gives.

    Raises:
        BadRequestError: one of them is none.
    """
    try:
        return [parse_matcher(text) for text in request.query_params.getlist("filter")]
    except ValueError as error:
        raise BadRequestError(str(error)) from None


def wanted_receiver(request: Request) -> Callable[[str], Any]:
    """Tells whether the name of a receiver matches the regular expression that ``receiver`` gives.

    Raises:
        BadRequestError: it is none.
    """
    try:
        return Regex(request.query_params.get("receiver", "(?s).*")).fullmatch
    except ValueError as error:
        raise BadRequestError(f"failed to parse receiver param: {error}") from None


def wanted_alerts(request: Request) -> Callable[[AlertStatus], bool]:
    """Tells whether an alert was asked for.

    By ``filter``, ``receiver``, ``active``, ``silenced``, ``inhibited`` and ``acknowledged``; no alert of ours is ever
    ``unprocessed``.

    Raises:
        BadRequestError: a parameter cannot be read.
    """
    matchers, receiver, _ = matchers_of(request), wanted_receiver(request), flag(request, "unprocessed")
    names = ("active", "silenced", "inhibited", "acknowledged")
    active, silenced, inhibited, acknowledged = (flag(request, name) for name in names)

    def wanted(one: AlertStatus) -> bool:
        hidden = (
            (not active and one.state == "active")
            # Maintenance is a silence that stands in the configuration.
            or (not silenced and bool(one.muted.silenced_by or one.muted.maintenance))
            or (not inhibited and bool(one.muted.inhibited_by))
            or (not acknowledged and one.acknowledgement is not None)
        )
        return not hidden and any(map(receiver, one.receivers)) and all(m.matches(one.alert.labels) for m in matchers)

    return wanted
