"""``/api/v2``: Alertmanager's HTTP API, for ``amtool``, for Prometheus as a sender, for Grafana and karma as readers.

Also below ``/alertmanager``, where Grafana looks for it in other servers than Alertmanager's own. An error is a JSON
text, as there.

Source: github.com/prometheus/alertmanager, ``api/v2/openapi.yaml``.
"""

from __future__ import annotations

import logging
import platform
from importlib.metadata import version

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mirante.errors import BadRequestError, SilenceError, StoreError
from mirante.formats.rfc3339 import rfc3339
from mirante.server.api.alert_filter import flag, matchers_of, wanted_alerts, wanted_receiver
from mirante.server.api.alertmanager_json import alert_json, group_json, read_alerts, read_silence, silence_json
from mirante.server.api.body import media_type, read_body
from mirante.server.api.envelope import Handler
from mirante.server.notify.notifier import Notifier
from mirante.server.notify.silence import Silence

log = logging.getLogger(__name__)

PREFIXES = ("/api/v2", "/alertmanager/api/v2")
_SPOKEN = "0.27.0"
"""Readers choose by the version of Alertmanager what they ask for; ours stands behind it."""

_ORDER = {"active": 0, "pending": 1, "expired": 2}


class AlertmanagerApi:
    """The handlers.

    Args:
        notifier: decides who is told.
    """

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._started = notifier.now()

    def routes(self) -> list[BaseRoute]:
        """Every path with its handler."""
        table: list[tuple[str, Handler, str]] = [
            ("status", self.status, "GET"),
            ("receivers", self.receivers, "GET"),
            ("alerts", self.alerts, "GET"),
            ("alerts", self.post_alerts, "POST"),
            ("alerts/groups", self.groups, "GET"),
            ("silences", self.silences, "GET"),
            ("silences", self.post_silence, "POST"),
            ("silence/{id}", self.silence, "GET"),
            ("silence/{id}", self.expire, "DELETE"),
        ]
        return [
            Route(f"{prefix}/{path}", _answered(handler), methods=[method])
            for prefix in PREFIXES
            for path, handler, method in table
        ]

    async def status(self, _request: Request) -> Response:
        """Version, configuration with its secrets hidden; no cluster."""
        spoken = {
            "version": f"{_SPOKEN}+mirante.{version('mirante')}",
            "revision": "",
            "branch": "",
            "buildUser": "",
            "buildDate": "",
            "goVersion": f"python{platform.python_version()}",
        }
        config = {"original": self._notifier.config.alertmanager_text}
        cluster = {"status": "disabled", "peers": []}
        uptime = rfc3339(self._started)
        return _json({"cluster": cluster, "config": config, "uptime": uptime, "versionInfo": spoken})

    async def receivers(self, _request: Request) -> Response:
        """Names of all receivers."""
        return _json([{"name": name} for name in self._notifier.config.receivers])

    async def alerts(self, request: Request) -> Response:
        """Alerts that fire, in order of their fingerprints."""
        wanted = wanted_alerts(request)
        found = filter(wanted, self._notifier.dispatcher.status(self._notifier.now()).alerts())
        return _json([alert_json(one) for one in sorted(found, key=lambda one: one.id)])

    async def groups(self, request: Request) -> Response:
        """Groups of routes with such a receiver, with their alerts that were asked for."""
        wanted, receiver, muted = wanted_alerts(request), wanted_receiver(request), flag(request, "muted")
        now = self._notifier.now()
        found = []
        for group in self._notifier.dispatcher.status(now).groups():
            alerts = [one for one in group.alerts if wanted(one)]
            if alerts and receiver(group.receiver) and (muted or not group.muted_by):
                found.append(group_json(group, alerts))
        return _json(found)

    async def post_alerts(self, request: Request) -> Response:
        """Take alerts; those that can be taken are, whatever is wrong with the others."""
        alerts, faults = read_alerts(await _body(request))
        self._notifier.dispatcher.put(alerts, self._notifier.now())
        self._notifier.changed()
        if faults:
            raise BadRequestError("; ".join(faults))
        return Response()

    async def silences(self, request: Request) -> Response:
        """All silences that have the given matchers among theirs; those that ended lately are among them."""
        now, wanted = self._notifier.now(), matchers_of(request)
        found = [one for one in self._notifier.dispatcher.silences() if set(wanted) <= set(one.matchers)]
        return _json([silence_json(one, now) for one in sorted(found, key=lambda one: _order(one, now))])

    async def post_silence(self, request: Request) -> Response:
        """Keep a silence, or change one."""
        silence = read_silence(await _body(request))
        try:
            silence_id = self._notifier.dispatcher.silence(silence, self._notifier.now())
        except SilenceError as error:
            return _text(str(error), 404 if error.missing else 400)
        self._notifier.changed()
        return _json({"silenceID": silence_id})

    async def silence(self, request: Request) -> Response:
        """One silence."""
        silence_id = request.path_params["id"]
        found = next((one for one in self._notifier.dispatcher.silences() if one.id == silence_id), None)
        if found is None:
            return _text(f"there is no silence {silence_id}", 404)
        return _json(silence_json(found, self._notifier.now()))

    async def expire(self, request: Request) -> Response:
        """End a silence."""
        try:
            self._notifier.dispatcher.expire(request.path_params["id"], self._notifier.now())
        except SilenceError as error:
            return _text(str(error), 404 if error.missing else 500)
        self._notifier.changed()
        return Response()


def _answered(handler: Handler) -> Handler:
    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except BadRequestError as error:
            return _text(str(error), 400)
        except StoreError as error:
            log.error("%s %s failed: %s", request.method, request.url.path, error)  # noqa: TRY400 - it says it all
            return _text(str(error), 500)

    return answer


def _json(value: object) -> Response:
    return Response(orjson.dumps(value), media_type="application/json", headers={"Cache-Control": "no-store"})


def _text(message: str, status: int) -> Response:
    return Response(orjson.dumps(message), status, media_type="application/json")


async def _body(request: Request) -> object:
    if media_type(request) != "application/json":
        raise BadRequestError("the content type must be application/json")
    try:
        return orjson.loads(await read_body(request))
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"the body is not JSON: {error}") from None


def _order(silence: Silence, now: int) -> tuple[int, int]:
    """The next to end first, then the next to begin, then the last that ended."""
    state = silence.state(now)
    times = {"active": silence.ends_at, "pending": silence.starts_at, "expired": -silence.ends_at}
    return _ORDER[state], times[state]
