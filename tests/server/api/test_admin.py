"""The admin API over parts in memory: what is refused, what is passed on, and how it is answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.applications import Starlette

from mirante.errors import StoreBusyError, StoreFullError
from mirante.server.api.admin import AdminApi
from mirante.server.keeping import changed_retention
from mirante.server.settings import PatternRetention, RetentionSettings
from mirante.server.store.api import Matcher
from mirante.server.store.deletion import RecordSignal, Removal
from tests.server.asgi import Reply, call

JSON = {"content-type": "application/json"}


@dataclass
class Parts:
    """Everything that the API needs, remembering what it was asked for."""

    asked: list[Any] = field(default_factory=list)
    rules: RetentionSettings = field(default_factory=RetentionSettings)
    done: bool = True
    error: Exception | None = None

    def _note(self, *what: Any) -> None:
        self.asked.append(what)
        if self.error:
            raise self.error

    def series(self, matcher_sets: Sequence[Sequence[Matcher]], start: int, end: int) -> bool:
        self._note("series", [list(one) for one in matcher_sets], start, end)
        return self.done

    def clean_tombstones(self) -> bool:
        self._note("clean")
        return self.done

    def records(
        self,
        signal: RecordSignal,
        where: Mapping[str, str],
        start: int | None = None,
        end: int | None = None,
        *,
        dry_run: bool = False,
    ) -> Removal:
        self._note(signal, where, start, end, dry_run)
        return Removal(3, "counted" if dry_run else "gone")

    def change(self, rules: RetentionSettings) -> None:
        self.rules = rules

    def begin(self, signal: str | None = None, kind: str = "native") -> str:
        self._note("begin", signal, kind)
        return "name"

    def create(self) -> str:
        self._note("create")
        return "snap"

    def state(self) -> Mapping[str, Any]:
        return {"backups": []}

    def check(self) -> list[str]:
        return ["samples/part"]


def ask(parts: Parts, method: str, path: str, body: Any = b"", *, enabled: bool = True) -> Reply:
    """One request; a mapping goes as JSON."""
    api = AdminApi(parts, parts, parts, parts.check, changed_retention, enabled=enabled)
    app = Starlette(routes=api.routes())
    headers = JSON if not isinstance(body, bytes) else None
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return asyncio.run(call(app, method, f"/api/v1/admin/{path}", sent, headers))


def test_series_are_removed_as_prometheus_does() -> None:
    """Selectors and times from URL or form; 204 without a body, 202 while it goes on."""
    parts = Parts()
    reply = ask(parts, "POST", "tsdb/delete_series?match[]=up&match[]={a='b'}&start=1&end=2.5")
    assert (reply.status, reply.body) == (204, b"")
    assert parts.asked == [("series", [[Matcher("__name__", "=", "up")], [Matcher("a", "=", "b")]], 1000, 2500)]
    parts.done = False
    assert ask(parts, "PUT", "tsdb/delete_series", b"match[]=up").status == 202
    assert ask(parts, "POST", "tsdb/clean_tombstones").status == 202


@pytest.mark.parametrize(
    ("query", "words"),
    [("", "no match[] parameter"), ("?match[]=up&start=2&end=1", "before start"), ("?match[]=1%2B1", "match[]")],
)
def test_a_wrong_selector_removes_nothing(query: str, words: str) -> None:
    """It is told what is wrong."""
    parts = Parts()
    reply = ask(parts, "POST", f"tsdb/delete_series{query}")
    assert (reply.status, parts.asked) == (400, [])
    assert words in reply.json()["error"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "tsdb/delete_series?match[]=up"),
        ("POST", "tsdb/clean_tombstones"),
        ("POST", "tsdb/snapshot"),
        ("POST", "delete"),
        ("PUT", "retention"),
        ("POST", "check"),
    ],
)
def test_nothing_is_removed_unless_it_is_turned_on(method: str, path: str) -> None:
    """The answer says how, and that a retry does not help."""
    parts = Parts()
    reply = ask(parts, method, path, {}, enabled=False)
    assert (reply.status, reply.json()["errorType"], parts.asked) == (503, "unavailable", [])
    assert "--admin-api" in reply.json()["error"]
    assert "retry-after" not in reply.headers


def test_records_are_removed_by_attributes() -> None:
    """Times as everywhere in the API."""
    parts = Parts()
    wanted = {"signal": "logs", "where": {"a": "b"}, "start": 1, "end": "1970-01-01T00:00:02Z", "dry_run": True}
    reply = ask(parts, "POST", "delete", wanted)
    assert reply.json()["data"] == {"matched": 3, "state": "counted"}
    assert parts.asked == [("logs", {"a": "b"}, 1000, 2000, True)]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"signal": "metrics", "where": {}}, "delete_series"),
        ({"signal": "logs", "where": ["a"]}, "an object of attribute names"),
        ({"signal": "logs", "where": {"a": 1}}, "an object of attribute names"),
        ({"signal": "logs", "where": {"a": "1"}, "start": "soon"}, '"start": cannot parse'),
        ({"signal": "logs", "were": {}}, "unknown key 'were'; known are dry_run"),
        ([], "must be a JSON object"),
    ],
)
def test_a_wrong_request_removes_nothing(body: Any, words: str) -> None:
    """Half understood is not understood."""
    parts = Parts()
    reply = ask(parts, "POST", "delete", body)
    assert (reply.status, parts.asked) == (400, [])
    assert words in reply.json()["error"]


def test_a_body_must_say_that_it_is_json() -> None:
    """A page of another origin cannot say so without asking first."""
    assert "content type" in ask(Parts(), "POST", "backups", b"{}").json()["error"]
    parts = Parts()
    api = AdminApi(parts, parts, parts, parts.check, changed_retention, enabled=True)
    reply = asyncio.run(call(Starlette(routes=api.routes()), "POST", "/api/v1/admin/backups", b"{", JSON))
    assert "is not JSON" in reply.json()["error"]


def test_the_retention_is_shown_and_changed() -> None:
    """What is not named stays; values are written as in the settings file."""
    parts = Parts()
    reply = ask(parts, "PUT", "retention", {"logs": "1d", "metric_patterns": ["a.*=2h"], "size": "1GB"})
    assert reply.json()["data"]["logs"] == 86_400
    assert parts.rules.metric_patterns == (PatternRetention("a.*", 7200.0),)
    shown = ask(parts, "GET", "retention").json()["data"]
    assert shown == {
        "metrics": 30 * 86_400, "logs": 86_400, "traces": 7 * 86_400, "metric_patterns": ["a.*=7200"], "size": 1 << 30,
    }  # fmt: skip
    refused = ask(parts, "PUT", "retention", {"logs": "soon"})
    assert (refused.status, parts.rules.logs) == (400, 86_400)
    assert "logs = 'soon' cannot be used" in refused.json()["error"]


def test_backups_are_begun_and_listed() -> None:
    """A snapshot is a backup that is waited for."""
    parts = Parts()
    reply = ask(parts, "POST", "backups", {"signal": "logs", "format": "parquet"})
    assert (reply.status, reply.json()["data"]) == (202, {"name": "name"})
    assert ask(parts, "POST", "tsdb/snapshot").json()["data"] == {"name": "snap"}
    assert parts.asked == [("begin", "logs", "parquet"), ("create",)]
    assert ask(parts, "GET", "backups").json()["data"] == {"backups": []}
    assert ask(parts, "POST", "backups", {"signal": "smells"}).status == 400
    assert ask(parts, "POST", "backups", {"format": "zip"}).status == 400


def test_broken_parts_are_looked_for() -> None:
    """And named."""
    assert ask(Parts(), "POST", "check", {}).json()["data"] == {"broken_parts": ["samples/part"]}


@pytest.mark.parametrize("error", [StoreFullError("no room"), StoreBusyError("one is being made")])
def test_what_may_pass_is_to_be_tried_again(error: Exception) -> None:
    """503 with Retry-After."""
    reply = ask(Parts(error=error), "POST", "tsdb/clean_tombstones")
    assert reply.status == 503
    assert "retry-after" in reply.headers
    assert str(error) == reply.json()["error"]
