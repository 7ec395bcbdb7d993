"""``/api/v1/settings``: what applications ask of the server. Asking needs the right to configure.

What is wrong is refused whole, and what was there before stays in force. What is taken lasts over restarts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from mirante.config import SECRET, SdkSettings, resolve
from mirante.errors import BadRequestError, ConfigError
from mirante.formats.yaml import write_yaml
from mirante.server.access.guard import ASKING
from mirante.server.api.body import json_object, media_type, read_body
from mirante.server.api.envelope import Handler, enveloped, failure, success_json
from mirante.server.application_settings import ALERTS, RETENTION, ApplicationSettings, rules_name
from mirante.server.notify.config import default_config
from mirante.server.rules.read import parse_rules

log = logging.getLogger(__name__)

_YAML = frozenset({"application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"})


class SettingsApi:
    """The handlers.

    Args:
        kept: what is asked for, on disk.
        reload: puts it in force; raises ConfigError.
    """

    def __init__(self, kept: ApplicationSettings, reload: Callable[[], Awaitable[None]]) -> None:
        self._kept, self._reload = kept, reload
        self._one_at_a_time = asyncio.Lock()

    def routes(self) -> list[BaseRoute]:
        """Every path with its handler."""
        table: list[tuple[str, Handler, str]] = [
            ("", self.all, "GET"),
            ("/rules/{application:path}", self.rules, "GET"),
            ("/rules/{application:path}", self.put_rules, "PUT"),
            ("/rules/{application:path}", self.remove_rules, "DELETE"),
            ("/retention", self.put_retention, "PUT"),
            ("/retention", self.remove_retention, "DELETE"),
            ("/alerts", self.put_alerts, "PUT"),
            ("/alerts", self.remove_alerts, "DELETE"),
        ]
        return [Route(f"/api/v1/settings{path}", enveloped(handler), methods=[verb]) for path, handler, verb in table]

    async def all(self, _request: Request) -> Response:
        """Everything that applications have asked for; rules as the text of a rule file."""
        return success_json(await run_in_threadpool(self._all))

    def _all(self) -> dict[str, Any]:
        retention, alerts = (orjson.loads(self._kept.read(name) or "{}") for name in (RETENTION, ALERTS))
        if "slack_webhook" in alerts:
            alerts["slack_webhook"] = SECRET
        rules = {name: self._kept.read(rules_name(name)) for name in self._kept.applications()}
        return {"rules": rules, "retention": retention, "alerts": alerts}

    async def rules(self, request: Request) -> Response:
        """The rule file of an application."""
        application = request.path_params["application"]
        text = await run_in_threadpool(self._kept.read, rules_name(application))
        if text is None:
            return failure("not_found", f"there are no rules of {application!r}")
        return PlainTextResponse(text, media_type="application/yaml")

    async def put_rules(self, request: Request) -> Response:
        """Take the rules of an application: a rule file as YAML, or the same as JSON."""
        application = request.path_params["application"]
        name = rules_name(application)
        text = await _rule_file(request)
        try:
            await run_in_threadpool(parse_rules, text, f"rules of {application}")
        except ConfigError as error:
            raise BadRequestError(str(error)) from None
        return await self._change(name, text)

    async def remove_rules(self, request: Request) -> Response:
        """Forget the rules of an application."""
        return await self._change(rules_name(request.path_params["application"]), None)

    async def put_retention(self, request: Request) -> Response:
        """Keep metrics for ``metrics_days``, whatever the server's own settings say."""
        return await self._change(RETENTION, await _checked(request, {"metrics_days": "metrics_retention_days"}))

    async def remove_retention(self, _request: Request) -> Response:
        """Keep metrics as the server's own settings say."""
        return await self._change(RETENTION, None)

    async def put_alerts(self, request: Request) -> Response:
        """Tell ``slack_webhook`` and ``email`` of alerts where the server's own settings say nothing."""
        keys = {"slack_webhook": "alert_slack_webhook", "email": "alert_email"}
        wanted = await _checked(request, keys)
        try:
            default_config(**orjson.loads(wanted))
        except ConfigError as error:
            raise BadRequestError(str(error)) from None
        return await self._change(ALERTS, wanted)

    async def remove_alerts(self, _request: Request) -> Response:
        """Tell only whom the server's own settings name."""
        return await self._change(ALERTS, None)

    async def _change(self, name: str, content: str | None) -> Response:
        async with self._one_at_a_time:
            before = await run_in_threadpool(self._kept.replace, name, content)
            changed = content != before
            if changed:
                try:
                    await self._reload()
                except ConfigError as error:
                    await run_in_threadpool(self._kept.replace, name, before)
                    # What is wrong elsewhere may be put right, and is not the application's fault.
                    reason = str(error).replace(str(self._kept.path(name)), name)
                    kind = "unavailable" if reason == str(error) else "bad_data"
                    return failure(kind, f"it cannot be put in force, and nothing has changed: {reason}")
                asking = ASKING.get()
                log.info("%s changed the settings: %s", asking.name if asking else "somebody", name)
        return success_json({"changed": changed})


async def _rule_file(request: Request) -> str:
    if media_type(request) in _YAML:
        try:
            return (await read_body(request)).decode()
        except UnicodeDecodeError as error:
            raise BadRequestError(f"the body is not UTF-8 text: {error}") from None
    document = await json_object(request, {"groups"})
    try:
        return write_yaml(document)
    except RecursionError:
        raise BadRequestError("the body is nested too deeply") from None


async def _checked(request: Request, keys: dict[str, str]) -> str:
    """The body, whose keys are settings of the SDK under shorter names, in one way to write it."""
    document = await json_object(request, set(keys))
    said = {name: value for name, value in document.items() if value is not None}
    if not said:
        raise BadRequestError(f"the body says nothing; known are {', '.join(keys)}")
    try:
        checked = resolve(SdkSettings, code={keys[name]: value for name, value in said.items()}, environ={})
    except ConfigError as error:
        raise BadRequestError(str(error).partition(": ")[2]) from None
    return orjson.dumps({name: getattr(checked, keys[name]) for name in sorted(said)}).decode()
