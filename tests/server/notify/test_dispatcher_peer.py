"""The same alerts, posted to the real Alertmanager and put into ours, give the same messages."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from mirante.server.alert import Alert
from mirante.server.notify.config import read_config
from mirante.server.notify.dispatcher import Dispatcher
from mirante.server.notify.matchers import parse_matchers
from mirante.server.notify.notification import Attempt
from mirante.server.notify.silence import Silence
from mirante.server.notify.state import MEMORY, State
from tests.peers import Peer, fetch, free_port, program, running, wait_for
from tests.server.notify.receivers import Receiver, receiving

CONFIG = """
global:
  resolve_timeout: 1h
route:
  receiver: all
  group_by: [scenario, alertname]
  group_wait: 1s
  group_interval: 1s
  repeat_interval: 1h
  routes:
    - receiver: audit
      matchers: [severity="critical"]
      group_by: [scenario, alertname, zone]
      continue: true
    - receiver: own
      matchers: [severity="critical", zone="b"]
      group_by: ['...']
    - receiver: plain
      matchers: [alertname="Disk"]
receivers:
  - name: all
    webhook_configs: [{{url: "{url}/all"}}, {{url: "{url}/all-again"}}]
  - name: audit
    webhook_configs: [{{url: "{url}/audit"}}]
  - name: own
    webhook_configs: [{{url: "{url}/own"}}]
  - name: plain
    webhook_configs: [{{url: "{url}/plain", send_resolved: false}}]
inhibit_rules:
  - source_matchers: [alertname="Fire"]
    target_matchers: [alertname="Smoke"]
    equal: [scenario, zone]
"""
SILENCED = 'silenced="yes",alertname=~"S.*"'
SCENARIOS, STEPS = 40, 10
BEGAN = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
Labels = frozenset[tuple[str, str]]
# Receiver, group key, status, and the labels and status of each alert.
Message = tuple[str, str, str, frozenset[tuple[Labels, str]]]


class Scenario:
    """A walk of single changes: an alert fires or resolves; nothing resolves while it is inhibited.

    When a change that nobody is told of reaches a group's next flush depends on the clock, so none is undone.
    """

    def __init__(self, number: int) -> None:
        self._random = Random(number)  # noqa: S311 - a test that repeats
        self._number = str(number)
        self.firing: set[Labels] = set()

    def step(self) -> tuple[Labels, bool]:
        """Labels of an alert, and whether it fires."""
        while True:
            labels = self._labels()
            if labels not in self.firing:
                self.firing.add(labels)
                return labels, True
            if not self._inhibited(labels) and self._random.random() < 0.7:
                self.firing.remove(labels)
                return labels, False

    def _labels(self) -> Labels:
        name, pick = self._random.choice(["Fire", "Smoke", "Disk", "Slow"]), self._random.choice
        labels = {"scenario": self._number, "alertname": name, "zone": pick("ab"), "instance": pick("12")}
        labels["severity"] = "critical" if name in {"Fire", "Slow"} else "warning"
        if self._random.random() < 0.2:
            labels["silenced"] = "yes"
        return frozenset(labels.items())

    def _inhibited(self, labels: Labels) -> bool:
        one = dict(labels)
        fires = [dict(other) for other in self.firing]
        return one["alertname"] == "Smoke" and any(
            other["alertname"] == "Fire" and other["zone"] == one["zone"] for other in fires
        )


@pytest.fixture(scope="module")
def hooks() -> Iterator[Receiver]:
    """Who is told."""
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def peer(hooks: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """The real Alertmanager."""
    folder = tmp_path_factory.mktemp("alertmanager")
    path = folder / "alertmanager.yml"
    path.write_text(CONFIG.format(url=hooks.url))
    url = f"http://127.0.0.1:{free_port()}"
    flags = (
        f"--config.file={path}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--cluster.listen-address=",
    )
    with running([program("prometheus-alertmanager"), *flags], url, "/-/ready", folder / "log") as found:
        yield found


class Ours:
    """Our dispatcher with the same file, under a clock of its own."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self.now = round(BEGAN.timestamp() * 1000) + 3_600_000
        self._state = State(MEMORY)
        stack.callback(self._state.close)
        self.dispatcher = Dispatcher(read_config(path), self._state, self.now)

    def step(self, changes: list[tuple[Labels, bool]]) -> Counter[Message]:
        """What is told within ten intervals."""
        began = round(BEGAN.timestamp() * 1000)
        self.dispatcher.put(
            [
                Alert(dict(labels), {}, began, self.now + 3_600_000 if fires else self.now, 0)
                for labels, fires in changes
            ],
            self.now,
        )
        told: Counter[Message] = Counter()
        end = self.now + 10_000
        while self.dispatcher.due() <= end:
            self.now = self.dispatcher.due()
            self.dispatcher.tick(self.now)
            for one in self._state.waiting(self.now):
                self._state.attempted(one, Attempt(self.now, "", ok=True), None)
                alerts = frozenset(
                    (frozenset(a.labels.items()), "resolved" if a.resolved(self.now) else "firing") for a in one.alerts
                )
                told[one.receiver, one.group_key, one.status, alerts] += 1
        self.now = end
        return told


def post(peer: Peer, path: str, body: object) -> None:
    """Post JSON; it must be taken."""
    headers = {"Content-Type": "application/json"}
    status, answer = fetch(f"{peer.url}/api/v2/{path}", data=json.dumps(body).encode(), headers=headers)
    assert status == 200, answer


def posted(labels: Labels, *, fires: bool) -> dict[str, object]:
    """An alert as the API takes it."""
    now = datetime.now(UTC)
    end = now + timedelta(hours=1) if fires else now
    return {"labels": dict(labels), "startsAt": BEGAN.isoformat(), "endsAt": end.isoformat()}


def messages(hooks: Receiver) -> Counter[Message]:
    """What the real one told."""
    told: Counter[Message] = Counter()
    for got in list(hooks.got):
        body = got.json
        alerts = frozenset((frozenset(one["labels"].items()), one["status"]) for one in body["alerts"])
        told[body["receiver"], body["groupKey"], body["status"], alerts] += 1
    return told


@pytest.mark.slow
def test_the_same_is_told_to_the_same_people(peer: Peer, hooks: Receiver, tmp_path: Path) -> None:
    """Forty random histories side by side, a change of each at a time; nothing more and nothing less is told."""
    path = tmp_path / "alertmanager.yml"
    path.write_text(CONFIG.format(url=hooks.url))
    scenarios = [Scenario(number) for number in range(SCENARIOS)]
    expected: Counter[Message] = Counter()
    with ExitStack() as stack:
        ours = Ours(path, stack)
        silence(peer, ours)
        for number in range(STEPS):
            changes = [scenario.step() for scenario in scenarios]
            expected += ours.step(changes)
            post(peer, "alerts", [posted(labels, fires=fires) for labels, fires in changes])
            count = expected.total()
            wait_for(lambda count=count: messages(hooks).total() >= count, what=f"step {number}")
            assert messages(hooks) == expected
    assert expected.total() > SCENARIOS * STEPS


def silence(peer: Peer, ours: Ours) -> None:
    """Both are told to be silent about the same alerts."""
    matchers = parse_matchers(SILENCED)
    ours.dispatcher.silence(Silence(matchers, ours.now, ours.now + 3_600_000, "ann", "why"), ours.now)
    start = datetime.now(UTC)
    wanted = {
        "matchers": [
            {"name": one.name, "value": one.value, "isRegex": "~" in one.type, "isEqual": not one.type.startswith("!")}
            for one in matchers
        ],
        "startsAt": start.isoformat(),
        "endsAt": (start + timedelta(hours=1)).isoformat(),
        "createdBy": "ann",
        "comment": "why",
    }
    post(peer, "silences", wanted)
