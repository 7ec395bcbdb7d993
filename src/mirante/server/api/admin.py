"""``/api/v1/admin``: removing data, backups, the retention.

What removes data is refused unless ``admin_api`` is set, as Prometheus refuses it without ``--web.enable-admin-api``.
Bodies of our own endpoints must be JSON by their content type, which no page of another origin can send unasked.

Source: prometheus.io, "HTTP API", section "TSDB Admin APIs".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mirante.errors import BadRequestError, ConfigError
from mirante.server.api.body import json_object
from mirante.server.api.envelope import Handler, enveloped, failure, success_json
from mirante.server.api.parameters import Parameters, parse_time
from mirante.server.api.selectors import selectors_of
from mirante.server.settings import RetentionSettings
from mirante.server.store.api import Matcher
from mirante.server.store.deletion import RecordSignal, Removal

_EARLIEST, _LATEST = -(1 << 52), 1 << 52
_OFF = (
    "Admin APIs disabled: start the server with --admin-api (or MIRANTE_ADMIN_API=true, or admin_api = true in "
    "mirante.toml)"
)


class Remover(Protocol):
    """What this API needs to remove data; see ``store.deletion.Deleter``."""

    def series(self, matcher_sets: Sequence[Sequence[Matcher]], start: int, end: int) -> bool:
        """Hide the samples of series; false while the engine still works on it."""
        ...

    def clean_tombstones(self) -> bool:
        """Take them from the disk; false while the engine still works on it."""
        ...

    def records(
        self,
        signal: RecordSignal,
        where: Mapping[str, str],
        start: int | None = None,
        end: int | None = None,
        *,
        dry_run: bool = False,
    ) -> Removal:
        """Remove log records or spans by their attributes."""
        ...


class RetentionRules(Protocol):
    """The rules of retention, as the server holds them."""

    @property
    def rules(self) -> RetentionSettings:
        """Those in force."""
        ...

    def change(self, rules: RetentionSettings) -> None:
        """Put others in force."""
        ...


class BackupMaker(Protocol):
    """What this API needs to make backups; see ``store.backup.service.Backups``."""

    def begin(self, signal: str | None = None, kind: str = "native") -> str:
        """Start one and give its name."""
        ...

    def create(self) -> str:
        """Make one and give its name."""
        ...

    def state(self) -> Mapping[str, Any]:
        """Those that exist, and how far the one is that is being made."""
        ...


class AdminApi:
    """The handlers.

    Args:
        remover: removes data.
        retention: the rules.
        backups: makes backups.
        check: reads everything and sets aside what is broken; gives its names.
        parse_retention: rules from JSON over those in force; raises ConfigError.
        enabled: whether data may be removed over HTTP.
    """

    def __init__(
        self,
        remover: Remover,
        retention: RetentionRules,
        backups: BackupMaker,
        check: Callable[[], list[str]],
        parse_retention: Callable[[Mapping[str, Any], RetentionSettings], RetentionSettings],
        *,
        enabled: bool,
    ) -> None:
        self._remover = remover
        self._retention = retention
        self._backups = backups
        self._check = check
        self._parse_retention = parse_retention
        self._enabled = enabled

    def routes(self) -> list[BaseRoute]:
        """Every path with its handler."""
        change = ["POST", "PUT"]
        table: list[tuple[str, Handler, list[str]]] = [
            ("tsdb/delete_series", self._if_enabled(self.delete_series), change),
            ("tsdb/clean_tombstones", self._if_enabled(self.clean_tombstones), change),
            ("tsdb/snapshot", self._if_enabled(self.snapshot), change),
            ("delete", self._if_enabled(self.delete), ["POST"]),
            ("retention", self.retention, ["GET"]),
            ("retention", self._if_enabled(self.change_retention), ["PUT"]),
            ("backups", self.backups, ["GET"]),
            ("backups", self.begin_backup, ["POST"]),
            ("check", self._if_enabled(self.check), ["POST"]),
        ]
        return [Route(f"/api/v1/admin/{path}", enveloped(handler), methods=methods) for path, handler, methods in table]

    def _if_enabled(self, handler: Callable[[Request], Awaitable[Response]]) -> Handler:
        async def answer(request: Request) -> Response:
            return await handler(request) if self._enabled else failure("unavailable", _OFF)

        return answer

    async def delete_series(self, request: Request) -> Response:
        """Hide the samples of series; 202 while the engine still works on it."""
        given = await Parameters.of(request)
        if not given.all("match[]"):
            raise BadRequestError("no match[] parameter provided")
        sets = [selector.matchers for selector in selectors_of(given)]
        start, end = given.time("start", _EARLIEST), given.time("end", _LATEST)
        if end < start:
            raise BadRequestError('invalid parameter "end": end timestamp must not be before start time')
        done = await run_in_threadpool(self._remover.series, sets, start, end)
        return Response(status_code=204 if done else 202)

    async def clean_tombstones(self, _request: Request) -> Response:
        """Take hidden samples from the disk."""
        return Response(status_code=204 if await run_in_threadpool(self._remover.clean_tombstones) else 202)

    async def snapshot(self, _request: Request) -> Response:
        """A backup, under Prometheus's name for it."""
        return success_json({"name": await run_in_threadpool(self._backups.create)})

    async def delete(self, request: Request) -> Response:
        """Remove log records or spans by their attributes."""
        wanted = await json_object(request, {"signal", "where", "start", "end", "dry_run"})
        signal, where = wanted.get("signal"), wanted.get("where")
        if signal not in {"logs", "traces"}:
            raise BadRequestError('"signal" must be "logs" or "traces"; series go by tsdb/delete_series')
        if not isinstance(where, dict) or not all(isinstance(value, str) for value in where.values()):
            raise BadRequestError('"where" must be an object of attribute names and texts')
        start, end = (_time(wanted, name) for name in ("start", "end"))
        removal = await run_in_threadpool(
            self._remover.records, signal, where, start, end, dry_run=bool(wanted.get("dry_run", False))
        )
        return success_json(removal._asdict())

    async def retention(self, _request: Request) -> Response:
        """The rules in force, in seconds and bytes."""
        return success_json(_rules(self._retention.rules))

    async def change_retention(self, request: Request) -> Response:
        """Put other rules in force, until the configuration is loaded again."""
        names = {"metrics", "logs", "traces", "metric_patterns", "size"}
        try:
            rules = self._parse_retention(await json_object(request, names), self._retention.rules)
        except ConfigError as error:
            raise BadRequestError(str(error)) from None
        self._retention.change(rules)
        return success_json(_rules(rules))

    async def check(self, request: Request) -> Response:
        """Read every file of the store and set aside the parts that are broken."""
        await json_object(request, set())
        return success_json({"broken_parts": await run_in_threadpool(self._check)})

    async def backups(self, _request: Request) -> Response:
        """Those that exist, and how far the one is that is being made."""
        return success_json(await run_in_threadpool(self._backups.state))

    async def begin_backup(self, request: Request) -> Response:
        """Start one; 202 with its name."""
        wanted = await json_object(request, {"signal", "format"})
        signal, kind = wanted.get("signal"), wanted.get("format", "native")
        if signal not in {None, "metrics", "logs", "traces"}:
            raise BadRequestError('"signal" must be "metrics", "logs" or "traces"')
        if kind not in {"native", "parquet"}:
            raise BadRequestError('"format" must be "native" or "parquet"')
        response = success_json({"name": await run_in_threadpool(self._backups.begin, signal, kind)})
        response.status_code = 202
        return response


def _rules(rules: RetentionSettings) -> dict[str, Any]:
    return {
        "metrics": rules.metrics,
        "logs": rules.logs,
        "traces": rules.traces,
        "metric_patterns": [f"{one.pattern}={one.seconds:g}" for one in rules.metric_patterns],
        "size": rules.size,
    }


def _time(wanted: Mapping[str, Any], name: str) -> int | None:
    value = wanted.get(name)
    try:
        return None if value is None else parse_time(str(value))
    except ValueError as error:
        raise BadRequestError(f'"{name}": {error}') from None
