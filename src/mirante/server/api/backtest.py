"""``POST /api/v1/alerting/backtest``: what rules and routes would have done, as lines of JSON while it is found out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from mirante.errors import BadRequestError, ConfigError, MiranteError
from mirante.server.api.backtest_json import report_json
from mirante.server.api.body import json_object
from mirante.server.api.parameters import now_ms, parse_span, parse_time
from mirante.server.api.problem import with_problems
from mirante.server.api.runner import QueryRunner
from mirante.server.backtest.replay import Outgoing, Question, Source, replay
from mirante.server.backtest.report import Report
from mirante.server.notify.config import parse_config
from mirante.server.notify.model import NotifyConfig
from mirante.server.notify.silence import Silence
from mirante.server.rules.evaluation import RuleOptions
from mirante.server.rules.model import RuleGroup
from mirante.server.rules.read import parse_rules
from mirante.server.store.api import QueryBudget

log = logging.getLogger(__name__)

T = TypeVar("T")

_KEYS = {"rules", "alertmanager", "from", "to", "step", "silences"}


class InForce(NamedTuple):
    """What this server does now; the first three are asked in the event loop's thread.

    Attributes:
        options: what groups of rules share.
        config: who is told.
        silences: all that are remembered.
        outgoing: what is done to alerts before anybody is told.
    """

    options: Callable[[], RuleOptions]
    config: Callable[[], NotifyConfig]
    silences: Callable[[], Sequence[Silence]]
    outgoing: Outgoing


class BacktestApi:
    """The handler.

    Args:
        runner: the pool of queries, whose limits hold for a backtest as a whole.
        source: history.
        in_force: what is not asked for otherwise.
    """

    def __init__(self, runner: QueryRunner, source: Source, in_force: InForce) -> None:
        self._runner, self._source, self._in_force = runner, source, in_force

    def routes(self) -> list[BaseRoute]:
        """The path."""
        return [Route("/api/v1/alerting/backtest", with_problems(self.backtest), methods=["POST"])]

    async def backtest(self, request: Request) -> Response:
        """Lines with ``progress`` from 0 to 1, and last one with ``result`` or with ``error``."""
        question = self._question(await json_object(request, _KEYS))
        lines = self._lines(request, question)
        return StreamingResponse(lines, media_type="application/x-ndjson", headers={"Cache-Control": "no-store"})

    def _question(self, document: dict[str, Any]) -> Question:
        silenced = document.get("silences", True)
        if not isinstance(silenced, bool):
            raise BadRequestError('"silences" must be true or false')
        start, end = _time(document, "from"), now_ms()
        if "to" in document:
            end = min(end, _time(document, "to"))
        if not 0 < start < end:
            raise BadRequestError('"from" must be before "to", and in the past')
        step = _parsed("step", parse_span, document["step"]) if document.get("step") else 0
        if document.get("step") and step < 1:
            raise BadRequestError('"step" must be more than nothing')
        try:
            groups = _groups(document.get("rules"))
            routes = _text(document, "alertmanager")
            config = parse_config(routes, "alertmanager.yml") if routes else self._in_force.config()
        except ConfigError as error:
            raise BadRequestError(str(error)) from None
        return Question(
            groups,
            config,
            start,
            end,
            step,
            options=self._in_force.options(),
            silences=self._in_force.silences() if silenced else (),
            outgoing=self._in_force.outgoing,
        )

    async def _lines(self, request: Request, question: Question) -> AsyncIterator[bytes]:
        loop, parts = asyncio.get_running_loop(), asyncio.Queue[float | None]()
        budgets: list[QueryBudget] = []

        def read(budget: QueryBudget) -> Report:
            budgets.append(budget)
            return replay(question, self._source, budget, told)

        def told(part: float) -> None:
            loop.call_soon_threadsafe(parts.put_nowait, part)

        def ended(work: asyncio.Future[Report]) -> None:
            if not work.cancelled():
                work.exception()  # it may be that nobody waits for it any more
            parts.put_nowait(None)

        work = asyncio.ensure_future(self._runner.run(request, read))
        work.add_done_callback(ended)
        try:
            percent = -1
            while (part := await parts.get()) is not None:
                if int(part * 100) > percent:
                    percent = int(part * 100)
                    yield _line({"progress": round(part, 4)})
            yield _line(await asyncio.to_thread(_outcome, work))
        finally:  # the client may have left: the runner notices too, but later
            for budget in budgets:
                budget.canceled = True


def _outcome(work: asyncio.Future[Report]) -> dict[str, Any]:
    try:
        return {"result": report_json(work.result())}
    except MiranteError as error:
        return {"error": str(error)}
    except Exception as error:
        log.exception("a backtest failed")
        return {"error": f"internal error: {type(error).__name__}: {error}"}


def _line(value: dict[str, Any]) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)


def _groups(given: object) -> tuple[RuleGroup, ...]:
    if not isinstance(given, list) or not given:
        raise BadRequestError('"rules" must be a list of rule files, each with "name" and "text"')
    files: dict[str, str] = {}
    for one in given:
        if not isinstance(one, dict) or set(one) != {"name", "text"} or not all(map(_is_text, one.values())):
            raise BadRequestError('each of "rules" must have "name" and "text" and nothing else')
        if one["name"] in files:
            raise BadRequestError(f'"rules" has {one["name"]} twice')
        files[one["name"]] = one["text"]
    return tuple(group for name, text in files.items() for group in parse_rules(text, name))


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _text(document: dict[str, Any], name: str) -> str:
    value = document.get(name) or ""
    if not isinstance(value, str):
        raise BadRequestError(f'"{name}" must be a text')
    return value


def _time(document: dict[str, Any], name: str) -> int:
    if name not in document:
        raise BadRequestError(f'"{name}" is missing: give a time as RFC 3339 or as Unix seconds')
    return _parsed(name, parse_time, document[name])


def _parsed(name: str, parse: Callable[[str], T], value: object) -> T:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BadRequestError(f'"{name}" must be a text or a number')
    try:
        return parse(str(value))
    except ValueError as error:
        raise BadRequestError(f'"{name}": {error}') from None
