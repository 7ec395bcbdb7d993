"""``/livez``, ``/readyz``, ``/healthz`` and ``/startupz`` for ASGI and WSGI.

Source of the body: the Internet draft "Health Check Response Format for HTTP APIs" (``application/health+json``).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, NamedTuple

from mirante.health.checker import HealthChecker
from mirante.health.status import HealthStatus

CONTENT_TYPE = "application/health+json"

_WORDS = {HealthStatus.HEALTHY: "pass", HealthStatus.DEGRADED: "warn", HealthStatus.UNHEALTHY: "fail"}

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
StartResponse = Callable[[str, list[tuple[str, str]]], object]


class Report(NamedTuple):
    """An answer: 200 or 503, and its JSON."""

    code: int
    body: bytes


class HealthReporter:
    """Answers supervisors from the checks of a HealthChecker; an ASGI application, and by ``wsgi`` a WSGI one.

    ``/livez``: the process answers, no check is asked. ``/readyz``: 503 while a critical component is unhealthy.
    ``/healthz``: as ``/readyz``, with every component's details. ``/startupz``: 503 until every critical component has
    been healthy once. The last part of the path counts, so it can be mounted anywhere.

    Args:
        checker: the checks.
        version: of the application, told in the body.
        details: show why a component is ill on ``/healthz``; turn it off where strangers can ask.

    Example:
        >>> report = HealthReporter(HealthChecker()).report("livez")
        >>> report.code, report.body
        (200, b'{"status": "pass"}')
    """

    def __init__(self, checker: HealthChecker, *, version: str = "", details: bool = True) -> None:
        self._checker = checker
        self._version = version
        self._details = details
        self._started = False

    def report(self, path: str) -> Report | None:
        """The answer for a path, or None for one that is not ours."""
        return self._answer(_kind(path), self._checker.check_all)

    async def areport(self, path: str) -> Report | None:
        """As ``report``; async checks run on this loop."""
        kind = _kind(path)
        statuses = await self._checker.acheck_all() if kind in _ASKING else {}
        return self._answer(kind, lambda: statuses)

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Serve one ASGI request."""
        report = await self.areport(scope["path"]) if scope["method"] in _METHODS else Report(405, b"{}")
        code, body = report or Report(404, b"{}")
        headers = [(name.lower().encode(), value.encode()) for name, value in _headers(body)]
        await send({"type": "http.response.start", "status": code, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    def wsgi(self, environ: Mapping[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Serve one WSGI request."""
        method = environ.get("REQUEST_METHOD", "GET")
        report = self.report(environ.get("PATH_INFO", "")) if method in _METHODS else Report(405, b"{}")
        code, body = report or Report(404, b"{}")
        start_response(_PHRASES[code], _headers(body))
        return [b"" if method == "HEAD" else body]

    def _answer(self, kind: str, ask: Callable[[], Mapping[str, HealthStatus]]) -> Report | None:
        if kind == "livez":
            return self._written(HealthStatus.HEALTHY, {})
        if kind not in _ASKING:
            return None
        statuses = ask()
        overall = self._checker.status(statuses)
        self._started = self._started or overall is not HealthStatus.UNHEALTHY
        if kind == "startupz":
            return self._written(HealthStatus.HEALTHY if self._started else HealthStatus.UNHEALTHY, {})
        return self._written(overall, statuses if kind == "healthz" else {})

    def _written(self, overall: HealthStatus, statuses: Mapping[str, HealthStatus]) -> Report:
        body: dict[str, Any] = {"status": _WORDS[overall]}
        if self._version:
            body["version"] = self._version
        if statuses:
            body["checks"] = {name: [self._component(name, status)] for name, status in statuses.items()}
        return Report(503 if overall is HealthStatus.UNHEALTHY else 200, json.dumps(body, default=str).encode())

    def _component(self, name: str, status: HealthStatus) -> dict[str, Any]:
        known = self._checker.get_details(name)
        entry: dict[str, Any] = {"status": _WORDS[status], "time": known["checked_at"], "stale": known["stale"]}
        if known["duration_seconds"] is not None:
            entry |= {"observedValue": known["duration_seconds"], "observedUnit": "s"}
        if self._details:
            entry |= {"output": known["error"], "details": known["details"]}
        return entry


_ASKING = frozenset({"readyz", "healthz", "startupz"})
_METHODS = frozenset({"GET", "HEAD"})
_PHRASES = {
    200: "200 OK",
    404: "404 Not Found",
    405: "405 Method Not Allowed",
    503: "503 Service Unavailable",
}


def _kind(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _headers(body: bytes) -> list[tuple[str, str]]:
    return [("Content-Type", CONTENT_TYPE), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")]
