"""The drill: a real service breaks, and who should know learns of it once, however often the server is killed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.peers import Peer, fetch, free_port, mirante, running, wait_for
from tests.server.notify.receivers import Got, Receiver, Reply, receiving

pytestmark = pytest.mark.slow

PATIENCE = 180.0
SERVICE = """
import sys, threading
from pathlib import Path

from mirante import metrics
from mirante.exporters.prometheus import start_http_server

metrics.gauge("checkout_broken", "Whether orders fail.").set_function(lambda: float(Path(sys.argv[2]).exists()))
server = start_http_server(int(sys.argv[1]))
threading.Event().wait()
"""
PROMETHEUS = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [rules.yml]
scrape_configs:
  - job_name: checkout
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""
RULES = """
groups:
  - name: checkout
    rules:
      - alert: CheckoutBroken
        expr: checkout_broken == 1
        for: 3s
        labels: {severity: critical}
        annotations: {summary: 'Orders fail at {{ $labels.instance }}'}
"""
ALERTMANAGER = """
route: {{receiver: chat, group_by: [alertname], group_wait: 2s, group_interval: 2s, escalation: page}}
receivers:
  - name: chat
    slack_configs: [{{api_url: '{url}/slack', send_resolved: true}}]
  - name: pager
    pagerduty_configs: [{{routing_key: R0, url: '{url}/pagerduty'}}]
  - name: telephone
    sms_configs: [{{account_sid: AC1, auth_token: t, from: '+15005550006', to: ['+351912345'], api_url: '{url}/sms'}}]
escalation_policies:
  - name: page
    levels: [{{after: 6s, receivers: [pager, telephone]}}]
"""


class Drill:
    """A server that is killed after every step and started again on what it left.

    Args:
        folder: home of everything.
        service: what breaks.
        receiver: who is told.

    Attributes:
        fault: the file that breaks the service while it is there.
        receiver: who is told.
        server: the server that runs now.
    """

    def __init__(self, folder: Path, service: Peer, receiver: Receiver) -> None:
        self._folder, self.receiver, self.fault = folder, receiver, folder / "fault"
        (folder / "prometheus.yml").write_text(PROMETHEUS.format(port=service.url.rpartition(":")[2]))
        (folder / "rules.yml").write_text(RULES)
        (folder / "alertmanager.yml").write_text(ALERTMANAGER.format(url=receiver.url))
        self._running = ExitStack()
        self.start()

    def start(self) -> None:
        """Start the server."""
        flags = ("prometheus", "alertmanager")
        given = [text for one in flags for text in (f"--{one}-config", str(self._folder / f"{one}.yml"))]
        self.server = self._running.enter_context(mirante(self._folder, *given, "--no-host-metrics"))

    def kill(self) -> None:
        """Kill it as a power failure would, and start it again."""
        self.server.process.kill()
        self.server.process.wait(PATIENCE)
        self._running.close()
        self.start()

    def close(self) -> None:
        """End it in order."""
        self._running.close()

    def told(self, path: str) -> list[Got]:
        """What came to a receiver, each message once: a repeated one has the key of the first."""
        return list({got.headers["idempotency-key"]: got for got in self.receiver.got if path in got.path}.values())

    def wait_told(self, path: str, count: int) -> list[Got]:
        """Wait for so many messages, and for that the server has written down that they arrived."""
        wait_for(lambda: len(self.told(path)) >= count, seconds=PATIENCE, what=f"message {count} to {path}")
        wait_for(self.settled, seconds=PATIENCE, what="the outbox to be empty")
        return self.told(path)

    def settled(self) -> bool:
        """Whether nothing waits to be sent."""
        history = self.server.get("/api/v1/alerting/history")
        return all(one["settledAt"] for one in history["notifications"])

    def wait_state(self, *states: str) -> None:
        """Wait until the alert is in one of these states."""
        wait_for(lambda: set(self.states()) & set(states), seconds=PATIENCE, what=f"the alert to be {states}")

    def states(self) -> list[str]:
        """Of the rule's alerts."""
        return [one["state"] for one in self.server.get("/api/v1/alerts")["data"]["alerts"]]


@contextmanager
def drilling(folder: Path) -> Iterator[Drill]:
    """The service, the receiver, the server."""
    port = free_port()
    script = folder / "service.py"
    script.write_text(SERVICE)
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, str(script), str(port), str(folder / "fault")]
    with receiving() as receiver, running(command, url, "/metrics", folder / "service.log") as service:
        receiver.reply_json({"status": "success", "sid": "SM1"}, 200)
        drill = Drill(folder, service, receiver)
        try:
            yield drill
        finally:
            drill.close()


def events(messages: list[Got]) -> list[str]:
    """What each message says: PagerDuty's action, or the word that Slack's and the telephone's messages have."""
    return [_event(message) for message in messages]


def _event(message: Got) -> str:
    if "pagerduty" in message.path:
        return str(message.json["event_action"])
    text = message.form["Body"] if "sms" in message.path else json.dumps(message.json)
    return next(word for word in ("cknowledged by", "RESOLVED", "FIRING") if word in text)


def acknowledge(server: Peer) -> None:
    """As a person would, on the command line."""
    command = [sys.executable, "-m", "mirante", "alert", "ack", "--server", server.url, "--author", "ana"]
    subprocess.run([*command, "--comment", "on it", "alertname=CheckoutBroken"], check=True, timeout=PATIENCE)


def test_everybody_learns_of_it_once_however_often_the_server_is_killed(tmp_path: Path) -> None:
    """Pending, firing, told, escalated, acknowledged, resolved: a kill after each step loses and repeats nothing."""
    with drilling(tmp_path) as drill:
        wait_for(lambda: drill.server.query("checkout_broken"), seconds=PATIENCE, what="the service to be seen")
        drill.kill()
        drill.fault.touch()
        drill.wait_state("pending", "firing")  # whoever looks slowly sees the second only
        drill.kill()
        drill.wait_state("firing")
        drill.kill()
        assert events(drill.wait_told("/slack", 1)) == ["FIRING"]
        drill.kill()
        drill.wait_told("/pagerduty", 1)
        assert events(drill.wait_told("/sms", 1)) == ["FIRING"]
        drill.kill()
        acknowledge(drill.server)
        drill.wait_told("/slack", 2)
        assert events(drill.wait_told("/pagerduty", 2)) == ["trigger", "acknowledge"]
        drill.kill()
        # An end that a server sees which knew of the beginning; what ends while none runs, ends by resolve_timeout.
        wait_for(lambda: evaluations(drill.server) > 5, seconds=PATIENCE, what="the rules to be evaluated again")
        drill.wait_state("firing")
        drill.fault.unlink()
        for path, count in (("/slack", 3), ("/pagerduty", 3), ("/sms", 2)):
            drill.wait_told(path, count)
        drill.kill()
        wait_for(lambda: evaluations(drill.server) > 5, seconds=PATIENCE, what="the rules to be evaluated again")
        assert events(drill.told("/slack")) == ["FIRING", "cknowledged by", "RESOLVED"]
        assert events(drill.told("/pagerduty")) == ["trigger", "acknowledge", "resolve"]
        assert events(drill.told("/sms")) == ["FIRING", "RESOLVED"]
        assert len({got.json["dedup_key"] for got in drill.told("/pagerduty")}) == 1


def evaluations(server: Peer) -> float:
    """How often rules were evaluated since the server started."""
    lines = fetch(f"{server.url}/metrics")[1].decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("prometheus_rule_evaluations_total"))


def test_a_message_that_is_under_way_when_the_server_is_killed_comes_again_under_its_key(tmp_path: Path) -> None:
    """Nobody can know whether it arrived: the receiver tells by the key, and PagerDuty by its own."""
    with drilling(tmp_path) as drill:

        def answer(got: Got) -> Reply:
            if "/pagerduty" in got.path and len(drill.receiver.got) < 3:
                drill.server.process.kill()
            return Reply(body=b'{"status": "success", "sid": "SM1"}')

        drill.receiver.answer = answer
        drill.fault.touch()
        wait_for(lambda: drill.server.process.poll() is not None, seconds=PATIENCE, what="the server to be killed")
        drill.kill()
        drill.wait_told("/pagerduty", 1)
        drill.wait_told("/sms", 1)
        came = [got for got in drill.receiver.got if "/pagerduty" in got.path]
        assert len({(got.headers["idempotency-key"], got.json["dedup_key"]) for got in came}) == 1
        assert events(drill.told("/slack")) == ["FIRING"]
