"""``mirante alert backtest`` against a real server that evaluates the same rules meanwhile."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import cramjam
import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner, Result

from mirante.cli.backtest_view import show
from mirante.cli.main import app
from mirante.errors import ConfigError, QueryError
from tests.peers import Peer, fetch, mirante, wait_for
from tests.write_request import write_request

slow = pytest.mark.slow

NOW = int(time.time()) // 60 * 60 * 1000
HOUR = 3_600_000
LIVE = {"alert": "Live", "expr": "vector(time()) % 7 < 4", "labels": {"live": "yes"}}
PAST = [
    {"record": "job:level:max", "expr": "max by (job) (level)"},
    {"alert": "High", "expr": "job:level:max > 1", "for": "2m", "labels": {"severity": "page"}},
    {
        "alert": "Errors",
        "sql": "SELECT toFloat64(toUnixTimestamp({now:DateTime64(3)}) % 600 < 60) AS value WHERE value",
    },
    {"alert": "Never[x]", "expr": "level > 100"},
]
ROUTES = {
    "route": {"receiver": "team", "group_by": ["alertname"]},
    "receivers": [{"name": "team", "webhook_configs": [{"url": "http://127.0.0.1:9/"}]}],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """Three hours of a level, of which the second is high, and a rule that is evaluated every second."""
    folder = tmp_path_factory.mktemp("backtest")
    (folder / "live.yml").write_text(yaml.safe_dump({"groups": [{"name": "g", "interval": "1s", "rules": [LIVE]}]}))
    (folder / "past.yml").write_text(yaml.safe_dump({"groups": [{"name": "g", "interval": "1m", "rules": PAST}]}))
    (folder / "routes.yml").write_text(yaml.safe_dump(ROUTES))
    (folder / "prometheus.yml").write_text(yaml.safe_dump({"rule_files": ["live.yml"]}))
    with mirante(folder, "--prometheus-config", str(folder / "prometheus.yml"), "--no-host-metrics") as peer:
        times = range(NOW - 3 * HOUR, NOW, 60_000)
        level = [(at, 2.0 if NOW - 2 * HOUR <= at < NOW - HOUR else 1.0) for at in times]
        # What was recorded before stands in the store, and does not count.
        stored = [(at, 50.0) for at in times]
        names = ({"__name__": "level", "job": "a"}, level), ({"__name__": "job:level:max", "job": "a"}, stored)
        body = bytes(cramjam.snappy.compress_raw(write_request(list(names))))
        headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
        assert fetch(peer.url + "/api/v1/write", data=body, headers=headers)[0] == 204
        wait_for(lambda: peer.query("job:level:max", time=NOW / 1000 - 60), what="the samples")
        yield peer


def invoke(server: Peer, *arguments: str) -> Result:
    """The verb."""
    return CliRunner().invoke(app, ["alert", "backtest", "--server", server.url, *arguments])


def past(server: Peer, *arguments: str) -> Result:
    """Of the three hours."""
    files = [str(server.output.parent / "past.yml"), "--alertmanager-config", str(server.output.parent / "routes.yml")]
    return invoke(server, *files, "--since", "3h", "--until", str(NOW / 1000), *arguments)


@slow
def test_the_history_is_replayed(server: Peer) -> None:
    """Rules over what they record, SQL, and the routes of a file; the JSON has it all."""
    found = json.loads(past(server, "--json").stdout)
    high, errors, never = found["rules"]
    assert (high["fired"], high["seconds"]["total"]) == (1, HOUR / 1000 - 120)
    assert high["receivers"] == {"team": 2}
    assert errors["fired"] in {18, 19}
    assert never["fired"] == 0
    assert found["failures"] == []


@slow
def test_what_is_shown(server: Peer) -> None:
    """A table of rules, when they fired, and who was told."""
    out = past(server, "--daily", "--no-silences", "--step", "2m").stdout
    assert "3 alerting rules" in out
    assert "Never[x]" in out.partition("never fired: ")[2].splitlines()[0]
    assert "█" in out
    assert "team" in out
    assert "day (UTC)" in out


@slow
def test_it_is_what_the_server_does(server: Peer) -> None:
    """Whenever the server let the alert fire, the backtest says that it fired; the server may miss a time."""
    wait_for(lambda: len(fired(server)) >= 5, what="evaluations")
    seen = fired(server)
    span = f"{int(time.time() - min(seen) / 1000) + 30}s"
    found = json.loads(invoke(server, str(server.output.parent / "live.yml"), "--since", span, "--json").stdout)
    spans = [
        (stamp(one["firingAt"]), stamp(one["endedAt"]) if one["endedAt"] else float("inf"))
        for one in found["rules"][0]["episodes"]
    ]
    for at, since in seen.items():
        assert any(start <= at < end for start, end in spans), (at, spans)
        assert any(start // 1000 * 1000 <= since < end for start, end in spans), (since, spans)


def fired(server: Peer) -> dict[int, int]:
    """When the server evaluated that the alert fired, and since when it then did; milliseconds."""
    found = server.query('ALERTS_FOR_STATE{alertname="Live"}[10m]')
    return {round(at * 1000): int(float(value)) * 1000 for one in found for at, value in one["values"]}


def stamp(text: str) -> int:
    """Milliseconds of a time."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@slow
def test_what_the_server_refuses(server: Peer, tmp_path: Path) -> None:
    """Is said in its words: before it begins, and when it cannot go on."""
    bad = tmp_path / "bad.yml"
    bad.write_text("groups: [{name: g, rules: [{alert: A, expr: '('}]}]")
    refused = invoke(server, str(bad))
    assert isinstance(refused.exception, QueryError)
    assert "bad.yml, line 1" in str(refused.exception)


def test_what_is_no_question(tmp_path: Path) -> None:
    """Files that are not there, spans and times that are none."""
    file = tmp_path / "a.yml"
    file.write_text("groups: []")
    for arguments in (
        [str(tmp_path / "none.yml")],
        [str(file), "--since", "long"],
        [str(file), "--until", "then"],
        [str(file), "--step", "0s"],
    ):
        assert isinstance(CliRunner().invoke(app, ["alert", "backtest", *arguments]).exception, ConfigError)


class Odd(BaseHTTPRequestHandler):
    """Answers what no mirante server does."""

    def do_POST(self) -> None:
        """Some of it."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write({"/a": b"<html>", "/b": b'{"progress": 0.5}\n', "/c": b'{"error": "no"}\n'}[self.path[:2]])

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.mark.parametrize(("path", "says"), [("a", "is it a mirante server"), ("b", "broke off"), ("c", "^no$")])
def test_odd_answers(path: str, says: str, tmp_path: Path) -> None:
    """A page, an answer that breaks off, and an error in the middle."""
    file = tmp_path / "a.yml"
    file.write_text("groups: []")
    with HTTPServer(("127.0.0.1", 0), Odd) as peer:
        threading.Thread(target=peer.serve_forever, kwargs={"poll_interval": 0.05}).start()
        url = f"http://127.0.0.1:{peer.server_port}/{path}"
        try:
            outcome = CliRunner().invoke(app, ["alert", "backtest", str(file), "--server", url, "--token", "secret"])
        finally:
            peer.shutdown()
    assert isinstance(outcome.exception, QueryError)
    with pytest.raises(QueryError, match=says):
        raise outcome.exception


def shown(result: dict[str, Any], *, daily: bool = False) -> str:
    """What is printed of a result, on 100 columns."""
    out = io.StringIO()
    show(Console(file=out, width=100, highlight=False), result, daily=daily)
    return out.getvalue()


def rule(name: str, **changes: Any) -> dict[str, Any]:
    """A rule that fired for half the time."""
    return {
        "name": name, "group": "g", "fired": 3, "firingAtEnd": 0, "onlyPending": 0, "flapped": 0, "notifications": 0,
        "seconds": {"total": 1800, "longest": 900, "median": 600, "anyFiring": 1800},
        "timeline": {"firing": [0.0] * 60 + [30.0] * 60, "pending": [30.0] * 30 + [0.0] * 90},
        **changes,
    }  # fmt: skip


def whole(*rules: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """An hour's result."""
    return {
        "from": "2026-01-01T09:00:00Z", "to": "2026-01-01T10:00:00Z", "evaluations": 1000, "rules": list(rules),
        "receivers": [], "runbooks": {}, "days": [], "failures": [], **changes,
    }  # fmt: skip


def test_the_overview() -> None:
    """What fires at the end, whom nobody hears, what failed, which runbooks ran; long names are cut."""
    failures = [{"group": "g", "rule": "a:b", "count": 7, "error": "bad [x]"}]
    out = shown(
        whole(rule("A" * 60, firingAtEnd=1), rule("B"), failures=failures, runbooks={"restart [it]": 2}),
    )
    assert "A" * 39 + "…" in out
    assert "fires at the end" in out
    assert "nobody would have been told" in out
    assert "a:b of g failed 7 times: bad [x]" in out
    assert "runbook restart [it] would have been started 2 times" in out
    line = next(line for line in out.splitlines() if line.startswith("B") and "█" in line)
    assert line.replace("B", "").strip().strip("▁").strip("█").strip("·") == ""
    assert "15m" in out


def test_who_was_told() -> None:
    """By which way, why and when first, and by which level of an escalation."""
    first = [
        {"at": "2026-01-01T09:10:00Z", "reason": "firing", "level": 0, "alerts": ["Down"]},
        {"at": "2026-01-01T09:30:00Z", "reason": "escalated", "level": 2, "alerts": ["Down", "Slow"]},
    ]
    receivers = [
        {"name": "team", "notifications": 2, "reasons": {"firing": 1, "escalated": 1}, "integrations": {"slack": 2},
         "first": first}
    ]  # fmt: skip
    days = [
        {"day": "2026-01-01", "fired": {"Down": 2}, "notifications": {"team": 2}},
        {"day": "2026-01-02", "fired": {}, "notifications": {}},
    ]
    out = shown(whole(rule("Down"), receivers=receivers, days=days), daily=True)
    assert "team  escalated, level 2: Down, Slow" in out
    assert "2 slack" in out
    assert "2026-01-01" in out.split("day (UTC)")[1]
    assert "2026-01-02" not in out.split("day (UTC)")[1]


def test_nothing_fired() -> None:
    """Is good news, in one line."""
    out = shown(whole(rule("A", fired=0), rule("B", fired=0)))
    assert "never fired: A, B" in out
    assert "messages" not in out
