"""``/api/v1/alerting``: what Alertmanager does not know: acknowledgement, escalation, on call, maintenance, history."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mirante.errors import BadRequestError
from mirante.formats.rfc3339 import rfc3339
from mirante.server.access.guard import ASKING
from mirante.server.api.alert_filter import wanted_alerts
from mirante.server.api.alertmanager_json import alert_json
from mirante.server.api.body import json_object
from mirante.server.api.envelope import Handler
from mirante.server.api.parameters import Parameters, parse_span
from mirante.server.api.problem import problem, with_problems
from mirante.server.notify.matchers import parse_matchers
from mirante.server.notify.model import MaintenanceWindow, OnCallSchedule
from mirante.server.notify.notifier import Notifier
from mirante.server.notify.on_call import next_handover, on_call
from mirante.server.notify.state import Sent, State
from mirante.server.notify.status import AlertStatus, EscalationStatus

T = TypeVar("T")

_MOST = 1000
_LONGEST_MS = 366 * 86_400_000
_WHICH = {"alerts", "matchers"}


class AlertingApi:
    """The handlers.

    Args:
        notifier: decides who is told.
    """

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier

    def routes(self) -> list[BaseRoute]:
        """Every path with its handler."""
        table: list[tuple[str, Handler, str]] = [
            ("alerts", self.alerts, "GET"),
            ("history", self.history, "GET"),
            ("oncall", self.oncall, "GET"),
            ("maintenance", self.maintenance, "GET"),
            ("acknowledge", self.acknowledge, "POST"),
            ("snooze", self.snooze, "POST"),
            ("unacknowledge", self.unacknowledge, "POST"),
        ]
        return [Route(f"/api/v1/alerting/{path}", with_problems(call), methods=[verb]) for path, call, verb in table]

    async def alerts(self, request: Request) -> Response:
        """Alerts that fire, in the order of messages, with who has taken them on and how far escalation has come."""
        wanted = wanted_alerts(request)
        ids = frozenset(request.query_params.getlist("id"))
        found = self._notifier.dispatcher.status(self._notifier.now()).alerts()
        return _json({"alerts": [_alert(one) for one in found if wanted(one) and (not ids or one.id in ids)]})

    async def history(self, request: Request) -> Response:
        """What was told, newest first: to whom, when, and what came back at every try."""
        given = await Parameters.of(request)
        limit = given.limit() or 100
        if limit > _MOST:
            raise BadRequestError(f'invalid parameter "limit": at most {_MOST} are answered at once; use "until"')
        wanted = {
            "since": given.time("since", 0),
            "until": given.time("until") if given.text("until") else None,
            "receiver": given.text("receiver") or None,
            "group_key": given.text("group") or None,
            "alert_id": given.text("alert") or None,
            "limit": limit,
        }
        # Elsewhere, because much may have to be read to find one alert's.
        found = await run_in_threadpool(_read_history, self._notifier.state.path, wanted)
        return _json({"notifications": [_sent(one) for one in found]})

    async def oncall(self, _request: Request) -> Response:
        """Who is on call by each schedule, and who comes next."""
        now = self._notifier.now()
        return _json({"schedules": [_schedule(one, now) for one in self._notifier.config.on_call.values()]})

    async def maintenance(self, _request: Request) -> Response:
        """Every maintenance window, and whether it is in force."""
        active = self._notifier.dispatcher.status(self._notifier.now()).maintenance()
        windows = self._notifier.config.maintenance
        return _json({"windows": [_window(one, active=one.name in active) for one in windows]})

    async def acknowledge(self, request: Request) -> Response:
        """Take alerts on until they resolve."""
        document = await json_object(request, _WHICH | {"author", "comment"})
        return self._take_on(document, None)

    async def snooze(self, request: Request) -> Response:
        """Take alerts on for some time; people are told again if they still fire then."""
        document = await json_object(request, _WHICH | {"author", "comment", "for"})
        span = document.get("for")
        if not isinstance(span, str | int | float):
            raise BadRequestError('"for" must be a duration such as "2h", or a number of seconds')
        return self._take_on(document, span_of(str(span)))

    async def unacknowledge(self, request: Request) -> Response:
        """Take acknowledgements back; people are told again."""
        document = await json_object(request, _WHICH)
        taken = self._notifier.dispatcher.unacknowledge(self._ids(document), self._notifier.now())
        return self._changed(taken, "nobody has acknowledged such an alert")

    def _take_on(self, document: dict[str, Any], span: int | None) -> Response:
        ids, author, comment = self._ids(document), _text(document, "author"), _text(document, "comment")
        now = self._notifier.now()
        until = None if span is None else now + span
        taken = self._notifier.dispatcher.acknowledge(ids, author or asking(), comment, now, until)
        return self._changed(taken, "no such alert fires")

    def _changed(self, ids: list[str], otherwise: str) -> Response:
        if not ids:
            return problem(404, f"{otherwise}; GET /api/v1/alerting/alerts lists those that fire")
        self._notifier.changed()
        return _json({"alerts": ids})

    def _ids(self, document: dict[str, Any]) -> list[str]:
        if len(_WHICH & document.keys()) != 1:
            raise BadRequestError(
                'give either "alerts", a list of their ids, or "matchers", a list of texts like a="b"'
            )
        (name,) = _WHICH & document.keys()
        given = document[name]
        if not isinstance(given, list) or not given or not all(isinstance(one, str) for one in given):
            raise BadRequestError(f'"{name}" must be a list of texts, with one at least')
        if name == "alerts":
            return given
        try:
            matchers = [matcher for text in given for matcher in parse_matchers(text)]
        except ValueError as error:
            raise BadRequestError(str(error)) from None
        if not matchers:
            raise BadRequestError("there is no matcher, and all alerts would match")
        return self._notifier.dispatcher.matching(matchers, self._notifier.now())


def asking() -> str:
    """Name of whoever asks."""
    identity = ASKING.get()
    return identity.name if identity else ""


def _json(value: object) -> Response:
    return Response(orjson.dumps(value), media_type="application/json", headers={"Cache-Control": "no-store"})


def _text(document: dict[str, Any], name: str) -> str:
    value = document.get(name) or ""
    if not isinstance(value, str):
        raise BadRequestError(f'"{name}" must be a text')
    return value


def span_of(text: str) -> int:
    """Milliseconds for which an alert is snoozed.

    Args:
        text: a duration such as ``2h``, or a number of seconds.

    Raises:
        BadRequestError: it is no such duration, or too long.

    Example:
        >>> span_of("1m30s")
        90000
    """
    try:
        milliseconds = parse_span(text)
    except ValueError as error:
        raise BadRequestError(f'"for": {error}') from None
    if not 0 < milliseconds <= _LONGEST_MS:
        raise BadRequestError('"for" must be more than nothing and at most a year')
    return milliseconds


def _read_history(path: Path | str, wanted: dict[str, Any]) -> list[Sent]:
    with closing(State(path)) as state:
        return state.history(**wanted)


def _alert(status: AlertStatus) -> dict[str, Any]:
    taken = status.acknowledgement
    return {
        **alert_json(status),
        "acknowledgement": taken
        and {
            "author": taken.author,
            "comment": taken.comment,
            "at": rfc3339(taken.at),
            "until": _or_none(rfc3339, taken.until),
        },
        "escalations": [_escalation(one) for one in status.escalations],
    }


def _escalation(status: EscalationStatus) -> dict[str, Any]:
    following = status.next
    return {
        "policy": status.policy,
        "level": status.level,
        "next": following and {"level": following.level, "at": rfc3339(following.at)},
    }


def _sent(sent: Sent) -> dict[str, Any]:
    one = sent.notification
    return {
        "id": one.id,
        "receiver": one.receiver,
        "integration": one.kind,
        "index": one.index,
        "groupKey": one.group_key,
        "groupLabels": dict(one.group_labels),
        "alerts": [
            {
                "fingerprint": alert.id,
                "status": "resolved" if alert.resolved(one.created_at) else "firing",
                "labels": dict(alert.labels),
            }
            for alert in one.alerts
        ],
        "reason": one.reason,
        "level": one.level,
        "author": one.author,
        "comment": one.comment,
        "heldBack": one.held_back,
        "createdAt": rfc3339(one.created_at),
        "state": "waiting" if sent.settled_at is None else "sent" if sent.arrived else "failed",
        "settledAt": _or_none(rfc3339, sent.settled_at),
        "attempts": [{"at": rfc3339(each.at), "ok": each.ok, "answer": each.answer} for each in sent.attempts],
    }


def _schedule(schedule: OnCallSchedule, now: int) -> dict[str, Any]:
    following = next_handover(schedule, now)
    return {
        "name": schedule.name,
        "person": on_call(schedule, now),
        "next": following and {"person": following.person, "at": rfc3339(following.at)},
    }


def _window(window: MaintenanceWindow, *, active: bool) -> dict[str, Any]:
    return {
        "name": window.name,
        "active": active,
        "matchers": list(map(str, window.matchers)),
        "start": _or_none(datetime.isoformat, window.start),
        "end": _or_none(datetime.isoformat, window.end),
        "intervals": list(window.intervals),
        "comment": window.comment,
    }


def _or_none(write: Callable[[T], str], value: T | None) -> str | None:
    return None if value is None else write(value)
