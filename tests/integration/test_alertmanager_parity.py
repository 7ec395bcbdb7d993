"""The real Alertmanager beside us: the same requests get the same answers."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest
import yaml

from tests.peers import Peer, fetch, free_port, mirante, program, running, wait_for

pytestmark = pytest.mark.slow

CONFIG = {
    "route": {
        "receiver": "team",
        "group_by": ["alertname"],
        "group_wait": "1h",
        "routes": [
            {"receiver": "pager", "matchers": ['severity="page"'], "continue": True},
            {"receiver": "db", "matchers": ['job=~"db.*"'], "group_by": ["job", "instance"]},
            {"receiver": "db", "matchers": ['severity="page"'], "group_by": ["..."]},
        ],
    },
    "receivers": [{"name": name} for name in ("team", "pager", "db")],
    "inhibit_rules": [{"source_matchers": ["alertname=Cause"], "target_matchers": ["job=web"], "equal": ["dc"]}],
}
NOW = datetime.now(UTC).replace(microsecond=0)
JSON = {"Content-Type": "application/json"}


def at(hours: float) -> str:
    """A time so many hours from now."""
    return (NOW + timedelta(hours=hours)).isoformat().replace("+00:00", "Z")


def alert(name: str, starts: float = -1, ends: float = 5, **labels: str) -> dict[str, Any]:
    """An alert in JSON."""
    times = {"startsAt": at(starts), "endsAt": at(ends)}
    return {"labels": {"alertname": name, **labels}, "annotations": {"summary": f"{name} ü"}, **times}


def silence(
    *matchers: tuple[str, str, bool, bool], starts: float = -0.5, ends: float = 2, **more: Any
) -> dict[str, Any]:
    """A silence in JSON; matchers are name, value, whether a regular expression, whether it must match."""
    keys = ("name", "value", "isRegex", "isEqual")
    told = [dict(zip(keys, one, strict=True)) for one in matchers]
    times = {"startsAt": at(starts), "endsAt": at(ends)}
    return {"matchers": told, **times, "createdBy": "ann", "comment": "why", **more}


ALERTS = [
    alert("Cause", dc="a"),
    alert("Slow", job="web", dc="a"),
    alert("Slow", job="web", dc="b", severity="page"),
    alert("Full", job="db1", instance="x", severity="page"),
    alert("Full", job="db2", instance="x"),
    alert("Full", job="db2", instance="y", empty=""),
    alert("Over", starts=-3, ends=-2),
    alert("Later", starts=1, ends=3),
    alert("Odd", text='a"b\\c\nd', severity="page"),
]
WRONG_ALERTS: list[Any] = [
    {},
    [{}],
    [{"labels": {}}],
    [{"labels": {"a": ""}}],
    [{"labels": {"a": 1}}],
    [{"labels": {"alertname": "Wrong"}, "startsAt": at(2), "endsAt": at(1)}],
    [{"labels": {"alertname": "Wrong"}, "startsAt": "now"}],
    [alert("Right"), {"labels": {}, "startsAt": at(1)}],
]
NO_SILENCES: list[Any] = [
    [],
    {},
    silence(),
    silence(("a", "", False, True)),
    silence(("a", ".*", True, True)),
    silence(("a", "(", True, True)),
    silence(("", "b", False, True)),
    silence(("a", "b", False, True), starts=2, ends=1),
    silence(("a", "b", False, True), starts=-2, ends=-1),
    silence(("a", "b", False, True), createdBy=None),
    silence(("a", "b", False, True), id="4f9c0f0a-6f0f-4f0e-8f1a-000000000000"),
]
FILTERS = [
    'alertname="Slow"',
    "severity=page",
    'job=~"db.*"',
    'job!~"db.*"',
    "dc!=a",
    'dc=""',
    'instance!=""',
    "missing=",
]
LIVES = ("Life", "Other")
"""Names in the silence that changes while the others stay."""
FLAGS = ("active", "silenced", "inhibited")


class Pair(NamedTuple):
    """Theirs and ours."""

    theirs: Peer
    ours: Peer

    def send(self, path: str, document: Any, method: str = "POST") -> tuple[int, list[Any]]:
        """The status of their answer, which has to be ours too, and both bodies."""
        body = json.dumps(document).encode()
        answers = [fetch(f"{peer.url}/api/v2/{path}", data=body, headers=JSON, method=method) for peer in self]
        classes = {status // 100 for status, _ in answers}
        assert len(classes) == 1, (document, answers)
        return answers[0][0], [json.loads(text or b"null") for _, text in answers]

    def shown(self, path: str, **parameters: Any) -> list[Any]:
        """What both show."""
        query = urlencode({name: value for name, value in parameters.items() if value is not None}, doseq=True)
        answers = [fetch(f"{peer.url}/api/v2/{path}?{query}") for peer in self]
        assert [status for status, _ in answers] == [200, 200], (path, parameters, answers)
        return [plain(json.loads(text)) for _, text in answers]


def plain(value: Any) -> Any:
    """Without what differs from one moment to the next, with times as such; our ``mutedBy`` is of later versions."""
    if isinstance(value, dict):
        left = {name: one for name, one in value.items() if name not in ("updatedAt", "mutedBy", "id")}
        for name in ("startsAt", "endsAt"):
            if name in left:
                left[name] = datetime.fromisoformat(left[name])
        if "silencedBy" in left:
            left["silencedBy"] = len(left["silencedBy"])
        if "receivers" in left:
            left["receivers"] = sorted({one["name"] for one in left["receivers"]})  # theirs may stand there twice
        if "comment" in left:
            del left["startsAt"]  # of a silence that began at once: when it came
        if not left.get("generatorURL", "x"):
            del left["generatorURL"]  # the other leaves it out
        return {name: plain(one) for name, one in left.items()}
    return [plain(one) for one in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Both, with the same alerts and silences."""
    folder = tmp_path_factory.mktemp("parity")
    config, port = folder / "alertmanager.yml", free_port()
    config.write_text(yaml.safe_dump(CONFIG))
    url = f"http://127.0.0.1:{port}"
    with (
        running(theirs(folder, config, port), url, "/-/ready", folder / "alertmanager.log") as their,
        mirante(folder, "--alertmanager-config", str(config), "--no-host-metrics") as our,
    ):
        both = Pair(their, our)
        assert both.send("alerts", ALERTS)[0] == 200
        for one in (
            silence(("alertname", "Full", False, True), ("instance", "y", False, True)),
            silence(("severity", "p.*", True, True), ("job", "db.*", True, False), ends=3),
            silence(("alertname", "Slow", False, True), starts=1, ends=2, comment="later"),
        ):
            assert both.send("silences", one)[0] == 200
        yield both


def theirs(folder: Path, config: Path, port: int) -> list[str]:
    """The command of the real one, alone."""
    return [
        program("prometheus-alertmanager"),
        f"--config.file={config}",
        f"--storage.path={folder / 'theirs'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]


def test_alerts_are_shown_alike(pair: Pair) -> None:
    """Whatever is asked for: every state, and matchers and receivers at random."""
    rng = random.Random(7)  # noqa: S311 - the same every time
    for flags in itertools.product((None, "true", "false"), repeat=3):
        chosen = rng.sample(FILTERS, rng.choice([0, 0, 1, 2]))
        receiver = rng.choice([None, None, "db", "p.*|team", "nobody"])
        parameters = {**dict(zip(FLAGS, flags, strict=True)), "filter": chosen, "receiver": receiver}
        their, our = pair.shown("alerts", **parameters)
        assert our == their, parameters


def test_groups_are_shown_alike(pair: Pair) -> None:
    """With an alert in each of its routes."""

    def whole() -> bool:
        their, our = (sum(len(one["alerts"]) for one in groups) for groups in pair.shown("alerts/groups"))
        return their == our

    wait_for(whole, what="the real one to group its alerts")
    for parameters in ({}, {"active": "false"}, {"silenced": "false"}, {"filter": "severity=page"}):
        their, our = pair.shown("alerts/groups", **parameters)
        assert our == their, parameters
    their, our = ([one["labels"] for one in groups] for groups in pair.shown("alerts/groups", receiver="db"))
    assert our == their


def test_silences_are_shown_alike(pair: Pair) -> None:
    """In the same order."""

    def kept(one: Any) -> bool:
        return one["matchers"][0]["value"] not in LIVES

    for chosen in (None, 'alertname="Full"', 'severity=~"p.*"', 'severity="p.*"'):
        their, our = (list(filter(kept, found)) for found in pair.shown("silences", filter=chosen))
        assert our == their, chosen


def test_receivers_are_shown_alike(pair: Pair) -> None:
    """By name."""
    their, our = pair.shown("receivers")
    assert our == their


@pytest.mark.parametrize("document", NO_SILENCES, ids=range(len(NO_SILENCES)))
def test_what_is_no_silence_for_one_is_none_for_the_other(pair: Pair, document: Any) -> None:
    """Refused by both."""
    assert pair.send("silences", document)[0] // 100 == 4


@pytest.mark.parametrize("document", WRONG_ALERTS, ids=range(len(WRONG_ALERTS)))
def test_alerts_that_one_refuses_the_other_refuses(pair: Pair, document: Any) -> None:
    """Whole or in part."""
    assert pair.send("alerts", document)[0] // 100 == 4


@pytest.mark.parametrize("query", ["filter=a", "filter=a%3D~(", "receiver=("])
def test_wrong_parameters_are_refused_by_both(pair: Pair, query: str) -> None:
    """As faults of whoever asks."""
    answers = [fetch(f"{peer.url}/api/v2/alerts?{query}")[0] // 100 for peer in pair]
    assert answers == [4, 4]


def test_a_silence_lives_alike(pair: Pair) -> None:
    """A change keeps its id as long as the past stays as it was; an end is final."""
    first = silence(("alertname", "Life", False, True))
    ids = [one["silenceID"] for one in pair.send("silences", first)[1]]

    def change(**changes: Any) -> list[bool]:
        """Whether the silence of each is another one after it."""
        changed = []
        for number, peer in enumerate(pair):
            got = fetch(f"{peer.url}/api/v2/silence/{ids[number]}")[1]
            body = json.dumps({**json.loads(got), **changes}).encode()
            status, answer = fetch(f"{peer.url}/api/v2/silences", data=body, headers=JSON)
            assert status == 200, answer
            made = json.loads(answer)["silenceID"]
            changed.append(made != ids[number])
            ids[number] = made
        return changed

    assert change(endsAt=at(4)) == [False, False]
    assert change(comment="another", createdBy="bob") == [False, False]
    assert change(matchers=[{"name": "alertname", "value": "Other", "isRegex": False}]) == [True, True]
    assert change(startsAt=at(1)) == [True, True]
    assert change(startsAt=at(2)) == [False, False]
    states = []
    for peer, silence_id in zip(pair, ids, strict=True):
        assert fetch(f"{peer.url}/api/v2/silence/{silence_id}", method="DELETE")[0] == 200
        states.append(peer.get(f"/api/v2/silence/{silence_id}")["status"]["state"])
    assert states == ["expired", "expired"]
    assert change(endsAt=at(6)) == [True, True]
    for peer, silence_id in zip(pair, ids, strict=True):
        fetch(f"{peer.url}/api/v2/silence/{silence_id}", method="DELETE")
