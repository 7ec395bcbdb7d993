"""The same alerts through the real Alertmanager and through our channels: receivers get the same.

Both read one ``alertmanager.yml``. What Alertmanager's webhook was told is what our channels are told, so that the only
difference can be in the bodies.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from mirante.server.alert import Alert
from mirante.server.notify.channels import SENDERS, Message
from mirante.server.notify.channels.caller import Caller
from mirante.server.notify.config import read_config
from mirante.server.notify.kinds import KINDS
from mirante.server.notify.model import NotifyConfig
from mirante.server.notify.notification import Notification
from mirante.server.notify.templates import Templates
from tests.peers import Peer, fetch, free_port, program, running, wait_for
from tests.server.notify.receivers import PAGE, Got, Receiver, Reply, receiving

pytestmark = pytest.mark.slow

KINDS_OF_0_25 = (
    "webhook", "slack", "pagerduty", "opsgenie", "victorops", "sns", "telegram", "discord", "webex", "wechat",
)  # fmt: skip
CONFIG = """
route:
  receiver: team
  group_by: [alertname]
  group_wait: 1s
  group_interval: 1s
receivers:
  - name: team
    webhook_configs:
      - url: {url}/webhook
    slack_configs:
      - api_url: {url}/slack
        channel: '#{{{{ .CommonLabels.severity }}}}'
        send_resolved: true
        fields:
          - {{title: Severity, value: '{{{{ .CommonLabels.severity }}}}'}}
          - {{title: Where, value: '{{{{ range .Alerts }}}}{{{{ .Labels.instance }}}} {{{{ end }}}}', short: true}}
        actions:
          - {{type: button, text: 'Look <here> & now', url: '{{{{ .ExternalURL }}}}'}}
    pagerduty_configs:
      - url: {url}/pagerduty
        routing_key: R0
        severity: '{{{{ if eq .Status "firing" }}}}{{{{ .CommonLabels.severity }}}}{{{{ else }}}}info{{{{ end }}}}'
        class: disk
        links: [{{href: '{{{{ .ExternalURL }}}}', text: page}}]
        images: [{{src: 'http://x/i.png', alt: i}}]
    opsgenie_configs:
      - api_url: {url}/opsgenie/
        api_key: g0
        priority: '{{{{ if eq .CommonLabels.severity "critical" }}}}P1{{{{ else }}}}P3{{{{ end }}}}'
        responders: [{{name: 'a,b', type: teams}}, {{username: u, type: user}}]
        tags: 'x,{{{{ .CommonLabels.severity }}}}'
        details: {{page: '{{{{ .ExternalURL }}}}'}}
    victorops_configs:
      - api_url: {url}/victorops/
        api_key: k0
        routing_key: '{{{{ .CommonLabels.severity }}}}'
        custom_fields: {{team: '{{{{ .Receiver }}}}'}}
    sns_configs:
      - api_url: {url}/sns
        sigv4: {{region: eu-west-1, access_key: A, secret_key: s}}
        topic_arn: arn:aws:sns:eu-west-1:1:ops
        attributes: {{severity: '{{{{ .CommonLabels.severity }}}}'}}
    telegram_configs:
      - api_url: {url}/telegram
        bot_token: 12:ab
        chat_id: -100
    discord_configs:
      - webhook_url: {url}/discord
    webex_configs:
      - api_url: {url}/webex
        room_id: r1
        http_config: {{authorization: {{type: Bearer, credentials: t}}}}
    wechat_configs:
      - api_url: {url}/wechat/
        api_secret: s
        corp_id: c
        to_user: '@all'
        agent_id: '7'
        send_resolved: true
"""


def answer(got: Got) -> Reply:
    """What each service answers to what it takes."""
    telegram = {"ok": True, "result": {"message_id": 1, "date": 1, "chat": {"id": -100, "type": "group"}}}
    bodies: Mapping[str, Any] = {"telegram": telegram, "wechat": {"errcode": 0, "access_token": "tok"}}
    kind = kind_of(got)
    if kind in bodies:
        return Reply(200, json.dumps(bodies[kind]).encode(), {"Content-Type": "application/json"})
    if kind == "sns":
        text = "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>"
        return Reply(200, text.encode(), {"Content-Type": "text/xml"})
    return Reply(200, b"ok", {"Content-Type": "text/plain"})


def kind_of(got: Got) -> str:
    """By its path."""
    return got.path.split("/")[1].split("?")[0]


def sent(got: Got, sender: str) -> tuple[str, str, object]:
    """What of a request must be the same: method, path, body but for the name by which the sender calls itself."""
    kind = kind_of(got)
    if not got.body:
        return got.method, got.path, None
    if kind == "sns":
        return got.method, got.path, got.form
    body = json.loads(got.body, object_pairs_hook=lambda pairs: _nameless(pairs, sender))
    if kind == "telegram":  # a library of Alertmanager's writes every parameter as a string
        body = {name: value if isinstance(value, str) else json.dumps(value) for name, value in body.items()}
    if kind == "wechat":  # one that has nothing to say is left out by us
        body = {name: value for name, value in body.items() if value not in ("", {"content": ""})}
    if kind == "pagerduty":  # Go writes null for what is not there
        body = {name: value for name, value in body.items() if value is not None}
    return got.method, got.path, body


def _nameless(pairs: list[tuple[str, Any]], sender: str) -> dict[str, Any]:
    return {name: "the sender" if value == sender else value for name, value in pairs}


@dataclass
class Told:
    """What Alertmanager sent for one group in one state, by kind."""

    requests: dict[str, list[Got]]

    def notification(self, kind: str) -> Notification:
        """The same for us."""
        body = self.requests["webhook"][0].json
        now = round(time.time() * 1000)
        alerts = [
            Alert(
                one["labels"],
                one["annotations"],
                _milliseconds(one["startsAt"]),
                _milliseconds(one["endsAt"]) if one["status"] == "resolved" else now + 3_600_000,
                now,
                one["generatorURL"],
            )
            for one in body["alerts"]
        ]
        return Notification(
            id="n", receiver=body["receiver"], kind=kind, index=0, group_key=body["groupKey"],
            group_labels=body["groupLabels"], alerts=alerts, reason="firing", created_at=now,
        )  # fmt: skip


def _milliseconds(time_: str) -> int:
    return round(datetime.fromisoformat(time_).timestamp() * 1000)


def _go_time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000).astimezone().isoformat(timespec="milliseconds")


def post(manager: Peer, alerts: list[dict[str, Any]]) -> None:
    """Give Alertmanager alerts."""
    body, json_type = json.dumps(alerts).encode(), {"Content-Type": "application/json"}
    assert fetch(f"{manager.url}/api/v2/alerts", data=body, headers=json_type)[0] == 200


@pytest.fixture(scope="module")
def service() -> Iterator[Receiver]:
    """All services at one address."""
    with receiving() as receiver:
        receiver.answer = answer
        yield receiver


@pytest.fixture(scope="module")
def config(service: Receiver, tmp_path_factory: pytest.TempPathFactory) -> NotifyConfig:
    """As we read the file."""
    path = tmp_path_factory.mktemp("alertmanager") / "alertmanager.yml"
    path.write_text(CONFIG.format(url=service.url))
    return read_config(path)


@pytest.fixture(scope="module")
def told(service: Receiver, config: NotifyConfig, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    """What the real one sends: two alerts that fire, then the same ones ended."""
    folder, port = tmp_path_factory.mktemp("data"), free_port()
    command = [
        program("prometheus-alertmanager"), f"--config.file={config.source}", f"--storage.path={folder}",
        f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=", f"--web.external-url={PAGE}",
        "--web.route-prefix=/",
    ]  # fmt: skip
    now = round(time.time() * 1000)
    firing = [
        {
            "labels": {
                "alertname": "DiskFull",
                "severity": "critical",
                "instance": f"db{number}",
                "path": '/a "b" <c>',
            },
            "annotations": {"summary": f"disk of db{number} & more", "description": "é\nsecond line"},
            "startsAt": _go_time(now - 60_000 - number),
            "endsAt": _go_time(now + 3_600_000),
            "generatorURL": "http://prometheus.example/graph?g0.expr=up&g0.tab=1",
        }
        for number in (1, 2)
    ]
    found = {}
    with running(command, f"http://127.0.0.1:{port}", "/-/ready", folder / "log") as manager:
        for state in ("firing", "resolved"):
            service.got.clear()
            post(manager, firing if state == "firing" else [{**one, "endsAt": _go_time(now)} for one in firing])
            wait_for(lambda state=state: _complete(service, state), what=f"all kinds to be told: {state}")
            requests = defaultdict(list)
            for got in list(service.got):
                requests[kind_of(got)].append(got)
            found[state] = Told(dict(requests))
    service.got.clear()
    return found


def _complete(service: Receiver, state: str) -> bool:
    """Every kind was told of that state; WeChat once more than for its token."""
    got = list(service.got)
    kinds = {kind_of(one) for one in got if one.body}
    webhooks = [one.json for one in got if kind_of(one) == "webhook"]
    return kinds >= set(KINDS_OF_0_25) and all(body["status"] == state for body in webhooks)


@pytest.mark.parametrize("state", ["firing", "resolved"])
@pytest.mark.parametrize("kind", KINDS_OF_0_25)
def test_bodies_are_the_same(
    kind: str, state: str, told: dict[str, Told], service: Receiver, config: NotifyConfig
) -> None:
    """Request by request: method, path and what the body says."""
    notification = told[state].notification(kind)
    integration = next(one for one in config.receivers["team"].integrations if one.kind == kind)
    templates = Templates(config.templates, PAGE)

    async def main() -> None:
        caller = Caller(integration.http)
        if kind == "wechat" and state == "resolved":
            caller.kept |= {"token": "tok"}  # the real one has it from the time before
        try:
            await SENDERS[kind](Message(notification, integration, templates, notification.created_at), caller)
        finally:
            await caller.close()

    service.got.clear()
    asyncio.run(main())
    assert [sent(got, "mirante") for got in service.got] == [
        sent(got, "Alertmanager") for got in told[state].requests[kind]
    ]


def test_every_kind_that_can_be_configured_can_be_sent() -> None:
    """And the other way round."""
    assert set(SENDERS) == set(KINDS)


def test_a_file_of_templates_counts(tmp_path: Path, told: dict[str, Told], config: NotifyConfig) -> None:
    """For every channel alike."""
    file = tmp_path / "own.tmpl"
    file.write_text('{{ define "slack.default.title" }}mine: {{ .Status }}{{ end }}')
    notification = told["firing"].notification("slack")
    integration = next(one for one in config.receivers["team"].integrations if one.kind == "slack")
    message = Message(notification, integration, Templates((file,), PAGE), 0)
    assert message.text("title") == "mine: firing"
