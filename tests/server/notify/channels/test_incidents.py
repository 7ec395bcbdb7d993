"""Whoever keeps incidents: PagerDuty, Opsgenie, VictorOps, Jira, incident.io and plain webhooks."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from mirante.errors import DeliveryError
from mirante.server.http_client.model import Secret
from tests.server.notify.receivers import FIRING, NOW_MS, RESOLVED, Got, Receiver, Reply, alert, receiving, send, told

KEY = hashlib.sha256(told().group_key.encode()).hexdigest()
TITLE = "[{{ .Status }}] {{ .GroupLabels.alertname }}"
RUNBOOK = "https://wiki.example/disk"


def test_a_webhook_gets_version_4() -> None:
    """Key by key as Alertmanager documents it; alerts beyond ``max_alerts`` are counted."""
    alerts = [*FIRING, alert(ended=True, instance="db3", severity="info")]
    with receiving() as hook:
        send("webhook", {"url": Secret(f"{hook.url}/hook"), "max_alerts": 0}, told(alerts))
        send("webhook", {"url": f"{hook.url}/{{{{ .Receiver }}}}", "max_alerts": 1}, told(alerts))
        whole, short = hook.got
    assert (whole.path, short.path) == ("/hook", "/team")
    assert whole.headers["content-type"] == "application/json"
    assert {**whole.json, "alerts": None} == {
        "receiver": "team",
        "status": "firing",
        "alerts": None,
        "groupLabels": {"alertname": "DiskFull"},
        "commonLabels": {"alertname": "DiskFull"},
        "commonAnnotations": {},
        "externalURL": "http://mirante.example:8503",
        "version": "4",
        "groupKey": '{}:{alertname="DiskFull"}',
        "truncatedAlerts": 0,
    }
    assert whole.json["alerts"][2] == {
        "status": "resolved",
        "labels": {"alertname": "DiskFull", "instance": "db3", "severity": "info"},
        "annotations": {"summary": "DiskFull on db3"},
        "startsAt": "2023-11-14T22:08:20Z",
        "endsAt": "2023-11-14T22:12:20Z",
        "generatorURL": "http://prometheus.example/graph?g0.expr=up",
        "fingerprint": alerts[2].id,
    }
    assert whole.json["alerts"][0]["endsAt"] == "0001-01-01T00:00:00Z"
    assert [one["labels"]["instance"] for one in short.json["alerts"]] == ["db1"]
    assert short.json["truncatedAlerts"] == 2


def test_a_webhook_is_told_what_alertmanager_does_not_know() -> None:
    """Under a key of its own, and only then."""
    with receiving() as hook:
        notification = told(reason="acknowledged", author="ana", comment="c", level=2, held_back=3)
        send("webhook", {"url": hook.url}, notification)
    beyond = {"reason": "acknowledged", "level": 2, "author": "ana", "comment": "c", "heldBack": 3}
    assert hook.got[0].json["mirante"] == beyond


def test_a_webhook_may_have_a_body_of_its_own() -> None:
    """In which templates that yield JSON stand for what that says, and others for their text."""
    payload = {
        "n": "{{ len .Alerts }}",
        "labels": "{{ .CommonLabels | toJson }}",
        "list": ("{{ .Status }}", 7, '"quoted"', None),
    }
    with receiving() as hook:
        send("webhook", {"url": hook.url, "payload": payload})
    assert hook.got[0].json == {
        "n": 2,
        "labels": {"alertname": "DiskFull", "severity": "critical"},
        "list": ["firing", 7, '"quoted"', None],
    }


def test_incidentio_gets_a_token() -> None:
    """With the webhook's body; without a token no header stands there."""
    with receiving() as incidentio:
        send("incidentio", {"url": incidentio.url, "alert_source_token": Secret("t0")})
        send("incidentio", {"url": incidentio.url})
        first, second = incidentio.got
    assert first.headers["authorization"] == "Bearer t0"
    assert first.json == second.json
    assert "authorization" not in second.headers


def pagerduty_options(receiver: Receiver, **options: Any) -> dict[str, Any]:
    """What a configuration has."""
    return {
        "routing_key": Secret("R0"),
        "url": f"{receiver.url}/v2/enqueue",
        "client": "mirante",
        "client_url": "{{ .ExternalURL }}",
        "description": TITLE,
        "details": {"num_firing": "{{ len .Alerts.Firing }}", "nested": {"list": ("{{ .Receiver }}", 1)}},
        "severity": "{{ .CommonLabels.severity }}",
        **options,
    }


def test_pagerduty_gets_an_event() -> None:
    """Of version 2, with links and images that are not empty when filled in."""
    with receiving() as pagerduty:
        pagerduty.reply(Reply(202, b'{"status":"success"}'))
        options = pagerduty_options(
            pagerduty,
            **{"class": "disk", "component": "db", "group": "prod", "source": "{{ .CommonLabels.alertname }}"},
            images=({"src": "http://x/{{ .Status }}.png", "alt": "a"}, {"src": ""}),
            links=({"href": "{{ .ExternalURL }}", "text": "page"}, {"href": "{{ .CommonLabels.nothing }}"}),
        )
        assert send("pagerduty", options) == '202 {"status":"success"}'
        [got] = pagerduty.got
    assert got.path == "/v2/enqueue"
    assert got.json == {
        "routing_key": "R0",
        "dedup_key": KEY,
        "event_action": "trigger",
        "client": "mirante",
        "client_url": "http://mirante.example:8503",
        "payload": {
            "summary": "[firing] DiskFull",
            "source": "DiskFull",
            "severity": "critical",
            "class": "disk",
            "component": "db",
            "group": "prod",
            "custom_details": {"num_firing": "2", "nested": {"list": ["team", 1]}},
        },
        "images": [{"src": "http://x/firing.png", "alt": "a", "href": ""}],
        "links": [{"href": "http://mirante.example:8503", "text": "page"}],
    }


@pytest.mark.parametrize(
    ("changes", "action"),
    [
        ({}, "trigger"),
        ({"reason": "acknowledged", "author": "ana"}, "acknowledge"),
        ({"alerts": RESOLVED, "reason": "resolved"}, "resolve"),
        ({"alerts": RESOLVED, "reason": "acknowledged"}, "resolve"),
    ],
)
def test_incidents_are_triggered_acknowledged_and_resolved(
    changes: dict[str, Any], action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the same key in both versions of the interface."""
    with receiving() as pagerduty:
        options = pagerduty_options(pagerduty, severity="")
        send("pagerduty", options, told(**changes))
        monkeypatch.setattr("mirante.server.notify.channels.pagerduty.URL_V1", f"{pagerduty.url}/v1")
        send("pagerduty", {**options, "service_key": Secret("S0")}, told(**changes))
        second, first = (got.json for got in pagerduty.got)
    assert (second["event_action"], second["dedup_key"]) == (action, KEY)
    assert (second["payload"]["severity"], second["payload"]["source"]) == ("error", "mirante")
    assert (first["event_type"], first["incident_key"], first["service_key"]) == (action, KEY, "S0")
    assert first["description"] == second["payload"]["summary"]
    assert ("client" in first) is (action == "trigger")
    if action == "acknowledge":
        assert second["payload"]["custom_details"]["notice"] == "Acknowledged by ana."


def test_pagerduty_links_runbooks() -> None:
    """Where the configuration has no links."""
    with receiving() as pagerduty:
        send("pagerduty", pagerduty_options(pagerduty), told([alert(annotations={"runbook_url": RUNBOOK})]))
    assert pagerduty.got[0].json["links"] == [{"href": RUNBOOK, "text": "Runbook"}]


def test_pagerduty_takes_no_more_than_512_kb(monkeypatch: pytest.MonkeyPatch) -> None:
    """Details that would make it larger are replaced by a word on that."""
    with receiving() as pagerduty:
        options = pagerduty_options(pagerduty, details={"much": "x" * 600_000})
        send("pagerduty", options)
        monkeypatch.setattr("mirante.server.notify.channels.pagerduty.URL_V1", pagerduty.url)
        send("pagerduty", {**options, "service_key": Secret("S0")})
        second, first = (got.json for got in pagerduty.got)
    assert list(second["payload"]["custom_details"]) == list(first["details"]) == ["error"]
    assert "maximum size" in first["details"]["error"]


@pytest.mark.parametrize(
    ("version", "status", "permanent"), [(1, 403, False), (2, 403, True), (2, 429, False), (2, 400, True)]
)
def test_pagerduty_limits_its_rate(version: int, status: int, permanent: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """With 429; version 1 with 403."""
    with receiving() as pagerduty:
        pagerduty.reply(Reply(status, b"slow down"))
        monkeypatch.setattr("mirante.server.notify.channels.pagerduty.URL_V1", pagerduty.url)
        v1 = {"service_key": Secret("S0")} if version == 1 else {}
        with pytest.raises(DeliveryError, match="slow down") as failure:
            send("pagerduty", pagerduty_options(pagerduty, **v1))
    assert failure.value.permanent is permanent


def test_pagerduty_without_a_key() -> None:
    """A key that is empty when filled in is told, not sent."""
    with receiving() as pagerduty, pytest.raises(DeliveryError, match="routing_key is empty"):
        send("pagerduty", pagerduty_options(pagerduty, routing_key=Secret("{{ .CommonLabels.nothing }}")))
    assert pagerduty.got == []


def opsgenie_options(receiver: Receiver, **options: Any) -> dict[str, Any]:
    """What a configuration has."""
    return {
        "api_url": f"{receiver.url}/",
        "api_key": Secret("g0"),
        "message": TITLE,
        "description": "d",
        "source": "mirante",
        "details": {"where": "{{ .ExternalURL }}"},
        **options,
    }


def test_opsgenie_creates_an_alert() -> None:
    """With its labels as details, and for people who may be named by templates."""
    with receiving() as opsgenie:
        opsgenie.reply(Reply(202, b"{}"))
        options = opsgenie_options(
            opsgenie,
            responders=(
                {"name": "{{ .CommonLabels.severity }},db", "type": "teams"},
                {"username": "ana@example.org", "type": "user"},
                {"name": "{{ .CommonLabels.nothing }}", "type": "{{ .CommonLabels.nothing }}"},
            ),
            visible_to=({"id": "7", "type": "team"},),
            tags="a,b,",
            actions="restart",
            note="n",
            priority="P1",
            entity="e",
        )
        send("opsgenie", options)
        [got] = opsgenie.got
    assert (got.path, got.headers["authorization"]) == ("/v2/alerts", "GenieKey g0")
    assert got.json == {
        "alias": KEY,
        "message": "[firing] DiskFull",
        "description": "d",
        "details": {"alertname": "DiskFull", "severity": "critical", "where": "http://mirante.example:8503"},
        "source": "mirante",
        "responders": [
            {"name": "critical", "type": "team"},
            {"name": "db", "type": "team"},
            {"username": "ana@example.org", "type": "user"},
        ],
        "visibleTo": [{"id": "7", "type": "team"}],
        "tags": ["a", "b"],
        "actions": ["restart"],
        "note": "n",
        "priority": "P1",
        "entity": "e",
    }


def test_opsgenie_updates_acknowledges_and_closes() -> None:
    """By the alias; each request has a key of its own."""
    with receiving() as opsgenie:
        options = opsgenie_options(opsgenie, update_alerts=True)
        send("opsgenie", options)
        send("opsgenie", options, told(reason="acknowledged", author="ana"))
        send("opsgenie", options, told(RESOLVED, reason="resolved"))
        _, text, description, acknowledged, closed = opsgenie.got
    base = f"/v2/alerts/{KEY}"
    assert (text.method, text.path) == ("PUT", f"{base}/message?identifierType=alias")
    assert (text.json, description.json) == ({"message": "[firing] DiskFull"}, {"description": "d"})
    assert acknowledged.path == f"{base}/acknowledge?identifierType=alias"
    assert acknowledged.json == {"user": "ana", "note": "Acknowledged by ana.", "source": "mirante"}
    assert (closed.path, closed.json) == (f"{base}/close?identifierType=alias", {"source": "mirante"})
    assert len({got.headers["idempotency-key"] for got in opsgenie.got[:3]}) == 3


@pytest.mark.parametrize(
    ("changes", "type_", "sent"),
    [
        ({}, "{{ .CommonLabels.severity | toUpper }}", "CRITICAL"),
        ({}, "odd", "CRITICAL"),
        ({}, "INFO", "INFO"),
        ({"reason": "acknowledged", "author": "ana"}, "INFO", "ACKNOWLEDGEMENT"),
        ({"alerts": RESOLVED}, "INFO", "RECOVERY"),
    ],
)
def test_victorops_gets_an_event(changes: dict[str, Any], type_: str, sent: str) -> None:
    """Of a type that it knows, with the configured fields."""
    options = {
        "api_key": Secret("k0"), "routing_key": "{{ .CommonLabels.alertname }}", "message_type": type_,
        "state_message": "s", "entity_display_name": "e", "monitoring_tool": "mirante", "custom_fields": {"x": TITLE},
    }  # fmt: skip
    with receiving() as victorops:
        send("victorops", {**options, "api_url": f"{victorops.url}/alert/"}, told(**changes))
        [got] = victorops.got
    assert got.path == "/alert/k0/DiskFull"
    acknowledged = sent == "ACKNOWLEDGEMENT"
    assert got.json == {
        "message_type": sent,
        "entity_id": KEY,
        "entity_display_name": "e",
        "state_message": "Acknowledged by ana.\n\ns" if acknowledged else "s",
        "monitoring_tool": "mirante",
        "x": f"[{'resolved' if changes.get('alerts') else 'firing'}] DiskFull",
        **({"ack_author": "ana"} if acknowledged else {}),
    }


class Jira:
    """A Jira with at most one issue."""

    def __init__(self, receiver: Receiver, status: str = "") -> None:
        self.status = status
        receiver.answer = self.answer

    def answer(self, got: Got) -> Reply:
        """As Jira does."""
        if "/search" in got.path:
            issue = {"key": "OPS-1", "fields": {"status": {"statusCategory": {"key": self.status}}}}
            return _json({"issues": [issue] if self.status else []})
        if got.path.endswith("/transitions") and got.method == "GET":
            return _json({"transitions": [{"id": "11", "name": "Reopen"}, {"id": "12", "name": "Done"}]})
        return _json({"key": "OPS-2"}) if got.method == "POST" else Reply(204, b"")


def _json(body: object) -> Reply:
    return Reply(200, json.dumps(body).encode(), {"Content-Type": "application/json"})


def jira_options(receiver: Receiver, version: int = 2, **options: Any) -> dict[str, Any]:
    """What a configuration has."""
    return {
        "api_url": f"{receiver.url}/rest/api/{version}", "project": "OPS", "issue_type": "Bug", "summary": TITLE,
        "description": "a\nb", "labels": ("x-{{ .Status }}",), "priority": "High", "reopen_transition": "Reopen",
        "resolve_transition": "Done", "reopen_duration": 3_600_000, **options,
    }  # fmt: skip


def test_jira_creates_an_issue() -> None:
    """When none is found by the label of the group."""
    with receiving() as jira:
        Jira(jira)
        options = jira_options(jira, fields={"customfield_1": {"value": "{{ .Status }}"}}, wont_fix_resolution="Won't")
        assert send("jira", options) == "OPS-2"
        search, created = jira.got
    label = f"ALERT{{{KEY}}}"
    assert search.path == "/rest/api/2/search"
    assert search.json == {
        "jql": 'resolution != "Won\'t" and (resolutiondate is EMPTY OR resolutiondate >= -60m) and project="OPS" and '
        f'labels="{label}" order by status ASC,resolutiondate DESC',
        "maxResults": 2,
        "fields": ["status"],
    }
    assert created.json == {
        "fields": {
            "project": {"key": "OPS"},
            "issuetype": {"name": "Bug"},
            "summary": "[firing] DiskFull",
            "description": "a\nb",
            "labels": [label, "x-firing"],
            "priority": {"name": "High"},
            "customfield_1": {"value": "firing"},
        }
    }


@pytest.mark.parametrize(
    ("status", "alerts", "transition"),
    [("done", FIRING, "11"), ("new", FIRING, ""), ("new", RESOLVED, "12"), ("done", RESOLVED, "")],
)
def test_jira_changes_its_issue(status: str, alerts: Any, transition: str) -> None:
    """It is reopened and resolved by the configured transitions."""
    with receiving() as jira:
        Jira(jira, status)
        assert send("jira", jira_options(jira), told(alerts)) == "OPS-1"
        changes = [got.json for got in jira.got if got.method == "POST" and got.path.endswith("transitions")]
    assert [(got.method, got.path) for got in jira.got][1] == ("PUT", "/rest/api/2/issue/OPS-1")
    assert changes == ([{"transition": {"id": transition}}] if transition else [])


def test_jira_leaves_what_people_change() -> None:
    """Fields that are not to be updated are written once."""
    with receiving() as jira:
        Jira(jira, "new")
        send("jira", jira_options(jira, not_updated=("summary", "labels")))
    assert not {"summary", "labels"} & jira.got[1].json["fields"].keys()
    assert jira.got[1].json["fields"]["description"] == "a\nb"


def test_jira_has_nothing_to_resolve() -> None:
    """When no issue is open, none is made."""
    with receiving() as jira:
        Jira(jira)
        assert send("jira", jira_options(jira, reopen_transition=""), told(RESOLVED)) == "no issue is open"
    assert len(jira.got) == 1


def test_jira_names_the_transitions_that_it_has() -> None:
    """When the configured one is not among them; without one nothing is changed."""
    with receiving() as jira:
        Jira(jira, "new")
        with pytest.raises(DeliveryError, match='has no transition "Close", only: Reopen, Done'):
            send("jira", jira_options(jira, resolve_transition="Close"), told(RESOLVED))
        assert send("jira", jira_options(jira, resolve_transition=""), told(RESOLVED)) == "OPS-1"


@pytest.mark.parametrize(
    ("description", "document"),
    [
        ("a\nb", ["a", "b"]),
        ('{"type":"doc","version":1,"content":[]}', []),
    ],
)
def test_jira_3_takes_documents(description: str, document: list[str]) -> None:
    """A text becomes one; the cloud is searched by a path of its own."""
    with receiving() as jira:
        Jira(jira)
        send("jira", jira_options(jira, 3, description=description, api_type="cloud", priority=""))
        search, created = jira.got
    content = created.json["fields"]["description"]["content"]
    assert search.path == "/rest/api/3/search/jql"
    assert [paragraph["content"][0]["text"] for paragraph in content] == document
    assert "priority" not in created.json["fields"]


def test_times_have_their_milliseconds() -> None:
    """Without zeros at the end, as Go writes them."""
    with receiving() as hook:
        one = alert()
        send(
            "webhook",
            {"url": hook.url},
            told([type(one)(one.labels, {}, NOW_MS + 120, NOW_MS + 9, NOW_MS)], created_at=NOW_MS + 9),
        )
    [sent] = hook.got[0].json["alerts"]
    assert (sent["startsAt"], sent["endsAt"]) == ("2023-11-14T22:13:20.12Z", "2023-11-14T22:13:20.009Z")
