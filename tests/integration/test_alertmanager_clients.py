"""Programs that were written for Alertmanager: amtool with every verb, and Prometheus as a sender."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.peers import Peer, fetch, free_port, mirante, program, running, wait_for
from tests.server.notify.receivers import Receiver, receiving
from tests.tokens import token

pytestmark = pytest.mark.slow

Amtool = Callable[..., str]


def configured(folder: Path, hook: str) -> Path:
    """An ``alertmanager.yml`` with keys of our own."""
    path = folder / "alertmanager.yml"
    document = {
        "route": {
            "receiver": "team",
            "group_wait": "0s",
            "group_by": ["alertname"],
            "routes": [{"receiver": "pager", "matchers": ['severity="page"'], "escalation": "hard"}],
        },
        "receivers": [
            {"name": "team", "webhook_configs": [{"url": hook}]},
            {"name": "pager", "pagerduty_configs": [{"routing_key": "key", "url": hook}]},
        ],
        "escalation_policies": [{"name": "hard", "levels": [{"after": "1h", "receivers": ["team"]}]}],
    }
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture(scope="module")
def hook() -> Iterator[Receiver]:
    """Where notifications arrive."""
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, hook: Receiver) -> Iterator[Peer]:
    """Ours, which asks for tokens."""
    folder = tmp_path_factory.mktemp("alerting")
    config = configured(folder, hook.url)
    flags = ("--alertmanager-config", str(config), "--no-host-metrics", "--auth", "on")
    with mirante(folder, *flags) as peer:
        yield peer


@pytest.fixture(scope="module")
def amtool(server: Peer, tmp_path_factory: pytest.TempPathFactory) -> Amtool:
    """Runs a verb and gives what it prints."""
    http = tmp_path_factory.mktemp("amtool") / "http.yml"
    http.write_text(yaml.safe_dump({"authorization": {"credentials": token(server, "admin")}}))
    common = [program("amtool"), f"--alertmanager.url={server.url}", f"--http.config.file={http}", "--no-version-check"]

    def run(*arguments: str, given: str | None = None, code: int = 0) -> str:
        command = [*common, *arguments]
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def names(amtool: Amtool, *arguments: str) -> set[str]:
    """Names of the alerts that a query finds."""
    found: list[dict[str, Any]] = json.loads(amtool("alert", "query", "-o", "json", *arguments))
    return {one["labels"]["alertname"] for one in found}


def test_amtool_adds_and_finds_alerts(amtool: Amtool) -> None:
    """By label, by receiver, in every form that it prints."""
    amtool("alert", "add", "Found", "severity=page", "--annotation=summary=all of it")
    amtool("alert", "add", "alertname=Other", "job=x", "--generator-url=http://127.0.0.1/g")
    assert names(amtool, "alertname=~Found|Other") == {"Found", "Other"}
    assert names(amtool, "Found") == {"Found"}
    assert names(amtool, "--receiver=pag.*", "alertname=~Found|Other") == {"Found"}
    assert names(amtool, "--inhibited") == set()
    assert "all of it" in amtool("alert", "query", "Found")
    assert "http://127.0.0.1/g" in amtool("alert", "query", "-o", "extended", "Other")


def test_amtool_keeps_silences(amtool: Amtool) -> None:
    """Makes one, finds it, changes it, ends it, and takes a list of them back."""
    amtool("alert", "add", "Quiet")
    made = amtool("silence", "add", "alertname=~Qui.*", "node!=x", "--comment=why", "--author=ann", "-d", "2h").strip()
    assert names(amtool, "--silenced") == {"Quiet"}
    assert names(amtool, "alertname=Quiet") == set()
    assert 'alertname=~"Qui.*"' in amtool("silence", "query", "alertname=~Qui.*")
    assert made in amtool("silence", "query", "-o", "extended", "--created-by=ann")
    assert made in amtool("silence", "update", made, "--comment=another", "-d", "3h")
    exported = amtool("silence", "query", "-o", "json")
    assert [one["comment"] for one in json.loads(exported)] == ["another"]
    amtool("silence", "expire", made)
    assert amtool("silence", "query", "-q").strip() == ""
    assert amtool("silence", "query", "-q", "--expired", "--within=1h").strip() == made
    taken = amtool("silence", "import", "--force", given=exported).strip()
    assert amtool("silence", "query", "-q").strip() == taken
    assert amtool("silence", "import", given=amtool("silence", "query", "-o", "json")).strip() == taken
    amtool("silence", "expire", taken)


def test_amtool_is_told_why_not(amtool: Amtool) -> None:
    """A silence of everything is refused; one that is not there cannot end."""
    assert "this would silence everything" in amtool("silence", "add", "a=", "-c", "x", code=1)
    assert "404" in amtool("silence", "expire", "4f9c0f0a-6f0f-4f0e-8f1a-000000000000", code=1)


def test_amtool_reads_the_configuration(amtool: Amtool) -> None:
    """Without our own keys and without secrets; it finds the receivers that we would tell."""
    shown = amtool("config", "show")
    assert "routing_key: <secret>" in shown
    assert "escalation" not in shown
    assert '{severity="page"}  receiver: pager' in amtool("config", "routes", "show")
    assert amtool("config", "routes", "test", "--verify.receivers=pager", "severity=page").strip() == "pager"
    assert "disabled" in amtool("cluster", "show")


def test_reading_needs_less_than_silencing(server: Peer) -> None:
    """A token that may read sees alerts; one that may write sends them; neither silences."""
    alerts = json.dumps([{"labels": {"alertname": "Sent"}}]).encode()
    for right, got, sent, silenced in (("read", 200, 403, 403), ("write", 403, 200, 403)):
        headers = {"Authorization": f"Bearer {token(server, right)}", "Content-Type": "application/json"}
        assert fetch(f"{server.url}/api/v2/alerts", headers=headers)[0] == got
        assert fetch(f"{server.url}/api/v2/alerts", data=alerts, headers=headers)[0] == sent
        assert fetch(f"{server.url}/api/v2/silences", data=b"{}", headers=headers)[0] == silenced


def test_prometheus_sends_its_alerts_here(server: Peer, hook: Receiver, tmp_path: Path) -> None:
    """What its rules find is listed with the link to it, and people are told."""
    rule = {"alert": "FromPrometheus", "expr": "vector(7)", "annotations": {"summary": "it is {{ $value }}"}}
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": [rule]}]}))
    ours = {
        "static_configs": [{"targets": [server.url.removeprefix("http://")]}],
        "authorization": {"credentials": token(server, "write")},
    }
    config = {
        "global": {"evaluation_interval": "1s", "external_labels": {"site": "lisbon"}},
        "rule_files": [str(tmp_path / "rules.yml")],
        "alerting": {"alertmanagers": [ours]},
    }
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    command = [
        program("prometheus"),
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--rules.alert.resend-delay=1s",  # the first one may go before it knows of us
    ]
    headers = {"Authorization": f"Bearer {token(server, 'read')}"}

    def listed() -> Any:
        path = "/alertmanager/api/v2/alerts?filter=alertname%3DFromPrometheus"
        return json.loads(fetch(server.url + path, headers=headers)[1])

    def told() -> list[Any]:
        bodies = [got.json for got in list(hook.got)]
        return [one for one in bodies if one.get("groupLabels") == {"alertname": "FromPrometheus"}]

    with running(command, f"http://127.0.0.1:{port}", "/-/ready", tmp_path / "prometheus.log"):
        (found,) = wait_for(listed, what="the alert of Prometheus")
        (first, *_) = wait_for(told, what="the notification")
    assert found["labels"] == {"alertname": "FromPrometheus", "site": "lisbon"}
    assert found["annotations"] == {"summary": "it is 7"}
    assert "/graph?g0.expr=vector%287%29" in found["generatorURL"]
    assert [one["labels"]["site"] for one in first["alerts"]] == ["lisbon"]
