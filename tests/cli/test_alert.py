"""``mirante alert`` and ``mirante silence`` against a real server."""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from mirante.cli.main import app, main
from mirante.errors import ConfigError, QueryError
from tests.peers import Peer, fetch, free_port, mirante, wait_for
from tests.server.notify.receivers import receiving

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """One whose notifications arrive."""
    folder = tmp_path_factory.mktemp("alert")
    with receiving() as hook:
        document = {
            "route": {"receiver": "team", "group_wait": "0s", "group_interval": "1s", "group_by": ["..."]},
            "receivers": [{"name": "team", "webhook_configs": [{"url": hook.url}]}, {"name": "ann"}, {"name": "bob"}],
            "on_call": [
                {"name": "ops", "people": ["ann", "bob"], "start": "2026-01-01T09:00:00Z"},
                {"name": "one", "people": ["ann"], "start": "2026-01-01T09:00:00Z"},
            ],
            "escalation_policies": [{"name": "hard", "levels": [{"after": "1d", "receivers": ["ann"]}]}],
            "inhibit_rules": [{"source_matchers": ["alertname=Cause"], "target_matchers": ["alertname=Effect"]}],
        }
        document["route"]["escalation"] = "hard"  # type: ignore[index]
        config = folder / "alertmanager.yml"
        config.write_text(yaml.safe_dump(document))
        with mirante(folder, "--alertmanager-config", str(config), "--no-host-metrics") as peer:
            yield peer


def invoke(server: Peer, *arguments: str, given: str | None = None) -> Result:
    """A verb."""
    return CliRunner().invoke(app, [*arguments, "--server", server.url], input=given)


def done(server: Peer, *arguments: str, given: str | None = None) -> str:
    """What a verb prints that does what it should."""
    result = invoke(server, *arguments, given=given)
    assert result.exit_code == 0, (result.output, result.exception)
    return str(result.stdout)


def fire(server: Peer, **labels: str) -> str:
    """An alert fires; gives a name that no other has."""
    name = f"A{uuid.uuid4().hex}"
    alert = {
        "labels": {"alertname": name, **labels},
        "annotations": {"summary": "it is bad"},
        "generatorURL": "http://g/",
    }
    body, kind = json.dumps([alert]).encode(), {"Content-Type": "application/json"}
    assert fetch(f"{server.url}/api/v2/alerts", data=body, headers=kind)[0] == 200
    return name


def found(server: Peer, name: str) -> dict[str, Any]:
    """The alert of that name."""
    (one,) = json.loads(done(server, "alert", "list", name, "--json"))
    assert isinstance(one, dict)
    return one


def told(server: Peer, alert_id: str) -> list[Any]:
    """Notifications of an alert that arrived."""
    all_of_it = json.loads(done(server, "alert", "history", "--alert", alert_id, "--json"))
    return [one for one in all_of_it if one["state"] == "sent"]


def test_alerts_are_listed_with_their_labels(server: Peer) -> None:
    """In a table; nothing is said so."""
    name = fire(server, job="api")
    line = next(each for each in done(server, "alert", "list", "-r", "team").splitlines() if name in each)
    assert re.fullmatch(rf'[0-9a-f]{{16}}  {name}  [-\d]+ [:\d]+  firing +team +job="api"', line)
    assert done(server, "alert", "list", name, "job=other") == "no such alert fires\n"


def test_whoever_takes_an_alert_on_is_shown(server: Peer) -> None:
    """By id or by matchers, until it is taken back."""
    name = fire(server)
    alert_id = found(server, name)["fingerprint"]
    assert done(server, "alert", "ack", alert_id, "-c", "on it", "-a", "ann") == f"{alert_id}\n"
    assert "acknowledged by ann" in done(server, "alert", "list", name)
    assert done(server, "alert", "list", name, "--open") == "no such alert fires\n"
    assert done(server, "alert", "unack", f"alertname={name}") == f"{alert_id}\n"
    assert found(server, name)["acknowledgement"] is None
    assert name in done(server, "alert", "list", name, "--open")
    refused = invoke(server, "alert", "unack", alert_id)
    assert isinstance(refused.exception, QueryError)
    assert "nobody has acknowledged such an alert" in str(refused.exception)


def test_an_alert_is_snoozed_under_the_name_of_the_login(server: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """For an hour unless told otherwise."""
    monkeypatch.setenv("LOGNAME", "zoe")
    name = fire(server)
    done(server, "alert", "snooze", name)
    taken = found(server, name)["acknowledgement"]
    until, at = (datetime.fromisoformat(taken[key]) for key in ("until", "at"))
    assert (taken["author"], until - at) == ("zoe", timedelta(hours=1))
    assert "snoozed by zoe" in done(server, "alert", "list", name)
    wrong = invoke(server, "alert", "snooze", name, "-d", "0s")
    assert isinstance(wrong.exception, ConfigError)


def test_one_alert_is_shown_whole(server: Peer) -> None:
    """With who was told of it, and what was answered."""
    name = fire(server, job="api")
    alert_id = found(server, name)["fingerprint"]
    wait_for(lambda: told(server, alert_id), what="the notification")
    done(server, "alert", "snooze", alert_id, "-a", "ann", "-c", "later")
    silence = done(server, "silence", "add", name, "-c", "quiet").strip()
    shown = done(server, "alert", "show", alert_id)
    assert f'{name} {{job="api"}}' in shown
    assert "summary    it is bad" in shown
    assert "source     http://g/" in shown
    assert f"silences   {silence}" in shown
    assert re.search(r"taken on   by ann, .*, until .*: later", shown)
    assert "escalation hard: level 0, nothing more" in shown
    assert re.search(r"team +webhook +firing +A[0-9a-f]+ +sent +1 +200", shown)
    done(server, "alert", "unack", alert_id)
    assert "escalation hard: level 0, nothing more" in done(server, "alert", "show", alert_id)
    done(server, "silence", "expire", silence)
    assert "escalation hard: level 0, level 1 " in done(server, "alert", "show", alert_id)
    document = json.loads(done(server, "alert", "show", alert_id, "--json"))
    assert (document["alert"]["fingerprint"], len(document["notifications"]) >= 1) == (alert_id, True)
    unknown = invoke(server, "alert", "show", "0" * 16)
    assert "nothing is known" in str(unknown.exception)


def test_an_alert_that_is_over_still_has_its_history(server: Peer) -> None:
    """What was told of it stays."""
    name = fire(server)
    alert_id = found(server, name)["fingerprint"]
    wait_for(lambda: told(server, alert_id), what="the notification")
    now = datetime.now(UTC).isoformat()
    body = json.dumps([{"labels": {"alertname": name}, "endsAt": now}]).encode()
    fetch(f"{server.url}/api/v2/alerts", data=body, headers={"Content-Type": "application/json"})
    shown = wait_for(
        lambda: "fire any more" in (out := done(server, "alert", "show", alert_id)) and out, what="its end"
    )
    assert re.search(rf"firing +{name}", shown)


def test_history_is_chosen_from(server: Peer) -> None:
    """By receiver and time."""
    alert_id = found(server, fire(server))["fingerprint"]
    wait_for(lambda: told(server, alert_id), what="the notification")
    assert "webhook" in done(
        server, "alert", "history", "-r", "team", "--since", "-1h", "--until", "+1h", "--limit", "1"
    )
    assert done(server, "alert", "history", "-r", "nobody") == "nobody was told of anything\n"
    assert done(server, "alert", "history", "--alert", alert_id, "--until", "2020-01-01T00:00:00Z").startswith("nobody")


def test_an_inhibited_alert_says_so(server: Peer) -> None:
    """Nobody is told of it, and it is not open."""
    body = json.dumps([{"labels": {"alertname": name}} for name in ("Cause", "Effect")]).encode()
    fetch(f"{server.url}/api/v2/alerts", data=body, headers={"Content-Type": "application/json"})
    assert "inhibited" in done(server, "alert", "list", "Effect")
    assert done(server, "alert", "list", "Effect", "--open") == "no such alert fires\n"


def test_who_is_on_call_is_told(server: Peer) -> None:
    """And who comes next, where somebody does."""
    lines = done(server, "alert", "oncall").splitlines()
    assert re.fullmatch(r"ops +(ann|bob) +(ann|bob) +[-\d]+ [:\d]+", lines[1])
    assert re.fullmatch(r"one +ann", lines[2])
    assert [one["name"] for one in json.loads(done(server, "alert", "oncall", "--json"))] == ["ops", "one"]


def test_a_silence_is_made_changed_and_ended(server: Peer) -> None:
    """With amtool's flags."""
    name = fire(server)
    made = done(server, "silence", "add", name, 'env!~"x|y"', "-c", "why", "-a", "ann", "-d", "2h").strip()
    line = next(each for each in done(server, "silence", "list", name).splitlines() if made in each)
    assert f'alertname="{name}" env!~"x|y"  active' in line
    assert "silenced" in done(server, "alert", "list", name)
    assert done(server, "silence", "edit", made, "-c", "because", "-d", "3h").strip() == made
    (one,) = json.loads(done(server, "silence", "list", name, "--json"))
    start, end = (datetime.fromisoformat(one[key]) for key in ("startsAt", "endsAt"))
    assert (one["comment"], one["createdBy"], end - start) == ("because", "ann", timedelta(hours=3))
    done(server, "silence", "expire", made)
    assert done(server, "silence", "list", name) == "no silence\n"
    assert made in done(server, "silence", "list", name, "--expired")
    again = invoke(server, "silence", "expire", made)
    assert "already expired" in str(again.exception)


def test_a_silence_can_begin_later(server: Peer) -> None:
    """At a time, or so long from now; it ends at a time, or so long after its beginning."""
    name = f"B{uuid.uuid4().hex}"
    made = done(server, "silence", "add", name, "-c", "x", "--start", "+1h", "--end", "2099-01-01T00:00:00Z").strip()
    (one,) = json.loads(done(server, "silence", "list", "--json", name))
    assert (one["status"]["state"], one["endsAt"]) == ("pending", "2099-01-01T00:00:00Z")
    done(server, "silence", "edit", made, "--start", "2098-01-01T00:00:00Z", "-d", "1d", "-a", "bob")
    (one,) = json.loads(done(server, "silence", "list", "--json", name))
    assert (one["createdBy"], one["endsAt"]) == ("bob", "2098-01-02T00:00:00Z")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["a=~(", "-c", "x"], "missing )"),
        (["a=b", "-c", "x", "-d", "soon"], "--duration"),
        (["a=b", "-c", "x", "--start", "someday"], "'someday' is no time"),
    ],
)
def test_what_cannot_be_read_is_a_wrong_usage(server: Peer, arguments: list[str], sentence: str) -> None:
    """And says what is wrong with it."""
    result = invoke(server, "silence", "add", *arguments)
    assert isinstance(result.exception, ConfigError)
    assert sentence in str(result.exception)


def test_silences_are_taken_from_a_list(server: Peer, tmp_path: Path) -> None:
    """As they were printed; one that is wrong keeps no other out."""
    name = f"C{uuid.uuid4().hex}"
    made = done(server, "silence", "add", name, "-c", "x").strip()
    printed = done(server, "silence", "list", name, "--json")
    assert done(server, "silence", "import", given=printed).strip() == made
    forced = done(server, "silence", "import", "--force", given=printed).strip()
    assert forced != made
    assert {one["id"] for one in json.loads(done(server, "silence", "list", name, "--json"))} == {made, forced}
    file = tmp_path / "silences.json"
    file.write_text(json.dumps([{}, *json.loads(printed)]))
    result = invoke(server, "silence", "import", str(file))
    assert (result.exit_code, result.stdout.strip()) == (1, made)
    assert "matchers in body is required" in result.stderr
    for content in ("{", "{}", "[1]"):
        file.write_text(content)
        assert isinstance(invoke(server, "silence", "import", str(file)).exception, ConfigError)


def test_no_alert_and_no_schedule(tmp_path: Path) -> None:
    """A quiet server says so; its token is asked for where it needs one."""
    with mirante(tmp_path, "--no-host-metrics", "--auth", "on") as peer:
        refused = invoke(peer, "alert", "list")
        assert "A token is needed" in str(refused.exception)
        data = str(tmp_path / "data")
        token = CliRunner().invoke(app, ["token", "create", "t", "--right", "read", "--data", data]).stdout.strip()
        assert done(peer, "alert", "list", "--token", token) == "no alert fires\n"
        assert done(peer, "alert", "oncall", "--token", token).startswith("there is no schedule")
        assert done(peer, "silence", "list", "--token", token) == "no silence\n"


def test_a_server_that_is_none(
    server: Peer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line and exit code 1, whether nobody listens or somebody else does."""
    for url, sentence in (
        (f"http://127.0.0.1:{free_port()}", "cannot be reached"),
        (f"{server.url}/metrics", "answered 404"),
    ):
        monkeypatch.setattr("sys.argv", ["mirante", "alert", "list", "--server", url])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 1
        assert sentence in capsys.readouterr().err
    assert os.environ.get("MIRANTE_SERVER") is None
