"""Alertmanager's API: what is taken, what is shown, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mirante.errors import StoreError
from mirante.server.alert import fingerprint
from mirante.server.api.alertmanager_json import read_silence, silence_json
from mirante.server.notify.matchers import make_matcher
from mirante.server.notify.silence import Silence
from tests.server.api.desk import NOON, Desk

SILENCE: dict[str, Any] = {
    "matchers": [{"name": "alertname", "value": "Down", "isRegex": False}],
    "startsAt": "2026-01-01T12:00:00Z",
    "endsAt": "2026-01-01T13:00:00.5Z",
    "createdBy": "ann",
    "comment": "why",
}


def test_an_alert_is_shown_as_it_was_posted(desk: Desk) -> None:
    """With its fingerprint, its receivers and its state; without an end it lasts for the resolve timeout."""
    posted = {"labels": {"alertname": "Down", "x": ""}, "annotations": {"a": "b"}, "generatorURL": "http://here/g"}
    assert desk.send("/api/v2/alerts", [posted]).status == 200
    assert desk.get("/alertmanager/api/v2/alerts") == [
        {
            "annotations": {"a": "b"},
            "endsAt": "2026-01-01T12:05:00Z",
            "fingerprint": fingerprint({"alertname": "Down"}),
            "receivers": [{"name": "team"}],
            "startsAt": "2026-01-01T12:00:00Z",
            "status": {"inhibitedBy": [], "mutedBy": [], "silencedBy": [], "state": "active"},
            "updatedAt": "2026-01-01T12:00:00Z",
            "generatorURL": "http://here/g",
            "labels": {"alertname": "Down"},
        }
    ]


def test_go_writes_a_time_that_is_not_told_as_the_year_one(desk: Desk) -> None:
    """As ``amtool alert add`` does; fractions finer than a millisecond are cut."""
    times = {"startsAt": "2026-01-01T11:00:00.123456789+01:00", "endsAt": "0001-01-01T00:00:00.000Z"}
    desk.send("/api/v2/alerts", [{"labels": {"alertname": "Down"}, **times}])
    (found,) = desk.get("/api/v2/alerts")
    assert (found["startsAt"], found["endsAt"]) == ("2026-01-01T10:00:00.123Z", "2026-01-01T12:05:00Z")


def test_an_alert_that_has_ended_is_shown_no_more(desk: Desk) -> None:
    """From its ``endsAt`` on."""
    desk.fire("Down")
    end = {"labels": {"alertname": "Down"}, "startsAt": "2026-01-01T12:00:00", "endsAt": "2026-01-01T12:01:00"}
    desk.send("/api/v2/alerts", [end])
    desk.clock.advance(61)
    assert desk.names() == set()


def test_what_can_be_taken_is_taken_and_the_rest_named(desk: Desk) -> None:
    """One wrong alert does not keep the others out."""
    wrong = [
        {"labels": {"a": ""}},
        {"labels": {"a": 1}},
        {"labels": {"a": "b"}, "startsAt": "2026-01-02T00:00:00Z", "endsAt": "2026-01-01T00:00:00Z"},
        {"labels": {"a": "b"}, "startsAt": "tomorrow"},
        {"labels": {"a": "b"}, "endsAt": "9999-12-31T23:59:59-12:00"},
        {"labels": {"a": "b"}, "annotations": []},
        {"labels": {"": "b"}},
        "alert",
    ]
    reply = desk.send("/api/v2/alerts", [*wrong, {"labels": {"alertname": "Down"}}])
    assert reply.status == 400
    assert reply.json().split("; ") == [
        "alert 0: at least one label pair required",
        "alert 1: labels must be an object of names and texts",
        "alert 2: start time must be before end time",
        "alert 3: startsAt must be a time such as 2026-01-02T15:04:05Z, not 'tomorrow'",
        "alert 4: endsAt is too far in the future: 9999-12-31T23:59:59-12:00",
        "alert 5: annotations must be an object of names and texts",
        "alert 6: labels must be an object of names and texts",
        "alert 7: it must be an object",
    ]
    assert desk.names() == {"Down"}


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b'"text"', b'[{"labels": {"a": "\\ud800"}}]'])
@pytest.mark.parametrize("path", ["alerts", "silences"])
def test_a_body_that_is_none_is_refused(desk: Desk, path: str, body: bytes) -> None:
    """With a JSON text that says why."""
    reply = desk.call("POST", f"/api/v2/{path}", body, {"content-type": "application/json"})
    assert (reply.status, type(reply.json())) == (400, str)


def test_a_form_of_another_site_is_refused(desk: Desk) -> None:
    """Pages can send forms and plain texts unasked, but no JSON."""
    reply = desk.call("POST", "/api/v2/alerts", b"[]", {"content-type": "text/plain"})
    assert (reply.status, reply.json()) == (400, "the content type must be application/json")


def test_what_is_not_on_the_disk_is_not_acknowledged(desk: Desk) -> None:
    """500, and the sender tries again."""
    desk.state.close()
    reply = desk.send("/api/v2/alerts", [{"labels": {"alertname": "Down"}}])
    assert reply.status == 500
    assert "cannot be used" in reply.json()


def test_alerts_are_chosen_by_matchers_receiver_and_state(desk: Desk) -> None:
    """An alert can be hidden for every reason that there is."""
    desk.fire("Down", "Cause", "Effect", "Disk")
    desk.fire("Page", severity="page")
    desk.fire("Low", severity="low")
    desk.send("/api/v2/silences", SILENCE)
    everything = {"Down", "Cause", "Effect", "Disk", "Page", "Low"}
    assert desk.names() == everything == desk.names(active="true", silenced="true", inhibited="1", unprocessed="false")
    assert desk.names(active="false") == {"Down", "Effect", "Disk", "Low"}
    assert desk.names(silenced="false") == everything - {"Down", "Disk"}
    assert desk.names(inhibited="false") == everything - {"Effect"}
    assert desk.names(filter=['alertname=~"D.*"', "severity="]) == {"Down", "Disk"}
    assert desk.names(receiver="pag.*") == {"Page"}
    assert desk.names(receiver="pag") == set()


def test_the_reasons_stand_in_the_status(desk: Desk) -> None:
    """Silences and inhibiting alerts by id; time intervals and maintenance windows by name."""
    silence = desk.send("/api/v2/silences", SILENCE).json()["silenceID"]
    desk.fire("Down", "Cause", "Effect", "Disk")
    desk.fire("Low", severity="low")
    status = {one["labels"]["alertname"]: one["status"] for one in desk.get("/api/v2/alerts")}
    assert status["Down"]["silencedBy"] == [silence]
    assert status["Effect"]["inhibitedBy"] == [fingerprint({"alertname": "Cause"})]
    assert status["Disk"]["mutedBy"] == ["disks"]
    assert status["Low"]["mutedBy"] == ["always"]
    assert {name for name, one in status.items() if one["state"] == "suppressed"} == status.keys() - {"Cause"}


def test_groups_are_those_of_routes(desk: Desk) -> None:
    """An alert may be in several; groups whose alerts are all hidden are not shown."""
    desk.fire("Page", severity="page")
    desk.fire("Low", severity="low")

    def groups(**parameters: str) -> list[tuple[str, list[str]]]:
        found = desk.get("/api/v2/alerts/groups", **parameters)
        return [(one["receiver"]["name"], [alert["labels"]["alertname"] for alert in one["alerts"]]) for one in found]

    assert groups() == [("night", ["Low"]), ("pager", ["Page"])]
    assert groups(muted="false") == [("pager", ["Page"])]
    assert groups(receiver="night") == [("night", ["Low"])]
    assert groups(active="false") == [("night", ["Low"])]
    assert desk.get("/api/v2/alerts/groups", receiver="pager")[0]["labels"] == {"alertname": "Page"}


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("filter=a", "bad matcher format"),
        ("filter=a%3D~%22(%22", "missing )"),
        ("receiver=(", "failed to parse receiver param"),
        ("active=maybe", "active in query must be true or false, not 'maybe'"),
    ],
)
@pytest.mark.parametrize("path", ["alerts", "alerts/groups"])
def test_a_wrong_parameter_is_refused(desk: Desk, path: str, query: str, sentence: str) -> None:
    """With what is wrong about it."""
    reply = desk.call("GET", f"/api/v2/{path}?{query}")
    assert reply.status == 400
    assert sentence in reply.json()


def test_a_silence_is_made_changed_and_ended(desk: Desk) -> None:
    """What it silenced before stays so: a change that would alter it makes another silence."""
    first = desk.send("/api/v2/silences", SILENCE).json()["silenceID"]
    assert desk.get(f"/api/v2/silence/{first}") == {
        **SILENCE,
        "id": first,
        "matchers": [{"name": "alertname", "value": "Down", "isRegex": False, "isEqual": True}],
        "status": {"state": "active"},
        "updatedAt": "2026-01-01T12:00:00Z",
    }
    desk.clock.advance(60)
    longer = {**SILENCE, "id": first, "endsAt": "2026-01-01T15:00:00Z"}
    assert desk.send("/api/v2/silences", longer).json() == {"silenceID": first}
    assert desk.call("DELETE", f"/api/v2/silence/{first}").status == 200
    assert desk.get(f"/api/v2/silence/{first}")["status"] == {"state": "expired"}
    reply = desk.call("DELETE", f"/api/v2/silence/{first}")
    assert (reply.status, reply.json()) == (500, f"silence {first} already expired")


def test_silences_are_listed_by_state_and_time(desk: Desk) -> None:
    """The next to end first; then the next to begin; then the last that ended. A filter names whole matchers."""

    def make(comment: str, start: int, end: int, matcher: str = "Down") -> str:
        hours = {"startsAt": f"2026-01-01T{start}:00:00Z", "endsAt": f"2026-01-01T{end}:00:00Z"}
        matchers = [{"name": "alertname", "value": matcher, "isRegex": False}]
        made = desk.send("/api/v2/silences", {**SILENCE, **hours, "comment": comment, "matchers": matchers})
        return str(made.json()["silenceID"])

    for comment, start, end in (("b", 12, 20), ("a", 12, 19), ("d", 20, 21), ("c", 19, 22)):
        make(comment, start, end)
    for comment in "fe":
        desk.call("DELETE", f"/api/v2/silence/{make(comment, 12, 13, 'Other')}")
        desk.clock.advance(1)

    def comments(**parameters: str) -> str:
        return "".join(one["comment"] for one in desk.get("/api/v2/silences", **parameters))

    assert comments() == "abcdef"
    assert comments(filter="alertname=Other") == "ef"
    assert comments(filter='alertname=~"Other"') == ""


@pytest.mark.parametrize(
    ("change", "status", "sentence"),
    [
        ({"id": "4f9c0f0a-6f0f-4f0e-8f1a-000000000000"}, 404, "there is no silence"),
        ({"matchers": []}, 400, "at least one matcher"),
        ({"matchers": None}, 400, "matchers in body is required"),
        ({"matchers": ["a"]}, 400, "a matcher must be an object"),
        ({"matchers": [{"name": "a", "value": "b"}]}, 400, "isRegex"),
        ({"matchers": [{"name": "a", "value": "(", "isRegex": True}]}, 400, "the matcher of 'a' cannot be used"),
        ({"matchers": [{"name": "a", "value": "", "isRegex": False}]}, 400, "silence everything"),
        ({"endsAt": "2026-01-01T12:00:00Z"}, 400, "start time must be before end time"),
        ({"startsAt": "2025-01-01T12:00:00Z", "endsAt": "2025-01-02T12:00:00Z"}, 400, "can't be in the past"),
        ({"endsAt": ""}, 400, "startsAt and endsAt in body are required"),
        ({"createdBy": None}, 400, "createdBy in body is required"),
        ({"comment": 1}, 400, "comment must be a text"),
    ],
)
def test_a_silence_that_cannot_be_is_refused(desk: Desk, change: dict[str, Any], status: int, sentence: str) -> None:
    """With the reason as a JSON text."""
    reply = desk.send("/api/v2/silences", {**SILENCE, **change})
    assert reply.status == status
    assert sentence in reply.json()
    assert desk.get("/api/v2/silences") == []


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_silence_that_is_not_there_is_not_found(desk: Desk, method: str) -> None:
    """404."""
    assert desk.call(method, "/api/v2/silence/nowhere").status == 404


def test_the_status_shows_what_alertmanager_would(desk: Desk) -> None:
    """Its configuration without the keys that are ours alone; the version that we speak, and our own."""
    status = desk.get("/api/v2/status")
    assert status == {"cluster": {"status": "disabled", "peers": []}, "config": ANY, "uptime": ANY, "versionInfo": ANY}
    assert status["uptime"] == "2026-01-01T12:00:00Z"
    assert "receiver: pager" in status["config"]["original"]
    assert "escalation" not in status["config"]["original"]
    assert status["versionInfo"]["version"].startswith("0.27.0+mirante.")
    assert [one["name"] for one in desk.get("/api/v2/receivers")] == ["team", "pager", "night", "ann", "bob"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
TIMES = st.sampled_from(
    ["2026-01-01T12:00:00Z", "2026-01-01", "x", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z"]
)
WORDS = st.text(max_size=4) | JSON
ALERTS = st.fixed_dictionaries(
    {},
    optional={
        "labels": st.dictionaries(st.text(max_size=3), WORDS, max_size=3) | JSON,
        "annotations": st.dictionaries(st.text(max_size=3), WORDS, max_size=3) | JSON,
        "startsAt": TIMES | JSON,
        "endsAt": TIMES | JSON,
        "generatorURL": WORDS,
    },
)
MATCHERS = st.fixed_dictionaries(
    {"name": WORDS, "value": WORDS}, optional={"isRegex": st.booleans() | JSON, "isEqual": st.booleans() | JSON}
)
SILENCES = st.fixed_dictionaries(
    {"matchers": st.lists(MATCHERS, max_size=2) | JSON},
    optional={"startsAt": TIMES | JSON, "endsAt": TIMES | JSON, "createdBy": WORDS, "comment": WORDS, "id": WORDS},
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(alerts=st.lists(ALERTS | JSON, max_size=3) | JSON, silence=SILENCES | JSON)
def test_whatever_comes_is_taken_or_refused(desk: Desk, alerts: object, silence: object) -> None:
    """Never a fault of ours; and what was taken can be shown."""
    for path, document in (("alerts", alerts), ("silences", silence)):
        body = json.dumps(document).encode()
        reply = desk.call("POST", f"/api/v2/{path}", body, {"content-type": "application/json"})
        assert reply.status in (200, 400, 404)
        desk.get(f"/api/v2/{path}")
    desk.get("/api/v2/alerts/groups")


@given(
    matchers=st.lists(st.tuples(st.text(min_size=1), st.sampled_from(["=", "!="]), st.text()), max_size=3),
    times=st.tuples(st.integers(1, 200_000_000_000_000), st.integers(1, 200_000_000_000_000)),
    texts=st.tuples(st.text(), st.text(), st.text()),
)
def test_a_silence_that_was_shown_can_be_sent_back(
    matchers: list[tuple[str, Any, str]], times: tuple[int, int], texts: tuple[str, str, str]
) -> None:
    """As ``amtool silence query -o json`` and ``amtool silence import`` do."""
    made = tuple(make_matcher(*one) for one in matchers)
    author, comment, silence_id = texts
    silence = Silence(made, *times, author, comment, silence_id)
    assert read_silence(silence_json(silence, NOON * 1000)) == silence


def test_the_disk_is_named_when_a_silence_cannot_be_kept(desk: Desk, tmp_path: Path) -> None:
    """500, and none is there."""
    desk.state.close()
    reply = desk.send("/api/v2/silences", SILENCE)
    assert reply.status == 500
    assert str(tmp_path) in reply.json()
    with pytest.raises(StoreError):
        desk.notifier.dispatcher.silence(read_silence(SILENCE), desk.notifier.now())
