"""Acknowledgement, escalation, on call, maintenance and history over HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mirante.server.access.tokens import Identity
from mirante.server.alert import fingerprint
from mirante.server.notify.notification import Attempt
from tests.server.api.desk import Desk
from tests.server.asgi import Reply

BASE = "/api/v1/alerting"
SILENCE = {
    "matchers": [{"name": "alertname", "value": "Page", "isRegex": False}],
    "startsAt": "2026-01-01T12:00:00Z",
    "endsAt": "2026-01-01T13:00:00Z",
    "createdBy": "ann",
    "comment": "why",
}
DOWN = fingerprint({"alertname": "Down"})
PAGE = fingerprint({"alertname": "Page", "severity": "page"})


def refused(reply: Reply, status: int) -> str:
    """Why, by a problem of that status."""
    assert (reply.status, reply.headers["content-type"]) == (status, "application/problem+json"), reply.text
    assert reply.json()["status"] == status
    return str(reply.json()["detail"])


def listed(one: Desk, **parameters: str | list[str]) -> dict[str, Any]:
    """The alerts by name."""
    found = one.get(f"{BASE}/alerts", **parameters)["alerts"]
    return {each["labels"]["alertname"]: each for each in found}


def told(one: Desk, **parameters: str) -> list[str]:
    """Receivers of the notifications."""
    return [each["receiver"] for each in one.get(f"{BASE}/history", **parameters)["notifications"]]


def test_an_acknowledged_alert_says_who_has_it(desk: Desk) -> None:
    """Until it resolves; with Alertmanager's own keys beside."""
    desk.fire("Down", "Other")
    reply = desk.send(f"{BASE}/acknowledge", {"alerts": [DOWN, "unknown"], "author": "ann", "comment": "on it"})
    assert (reply.status, reply.json()) == (200, {"alerts": [DOWN]})
    found = listed(desk)
    taken = {"author": "ann", "comment": "on it", "at": "2026-01-01T12:00:00Z", "until": None}
    assert found["Down"]["acknowledgement"] == taken
    assert found["Down"]["status"]["state"] == "active"
    assert found["Other"]["acknowledgement"] is None
    assert listed(desk, acknowledged="false").keys() == {"Other"}
    assert listed(desk, id=DOWN).keys() == {"Down"}


def test_who_says_nothing_is_named_after_their_token(desk: Desk) -> None:
    """As the access log names them."""
    desk.fire("Down")
    desk.asking = Identity("bob", frozenset({"admin"}))
    desk.send(f"{BASE}/acknowledge", {"matchers": ["alertname=Down"]})
    assert listed(desk)["Down"]["acknowledgement"]["author"] == "bob"


def test_an_acknowledgement_can_be_taken_back(desk: Desk) -> None:
    """Once."""
    desk.fire("Down")
    desk.send(f"{BASE}/acknowledge", {"alerts": [DOWN], "author": "ann"})
    assert desk.send(f"{BASE}/unacknowledge", {"matchers": ['alertname=~"D.*",severity=""']}).json() == {
        "alerts": [DOWN]
    }
    assert listed(desk)["Down"]["acknowledgement"] is None
    assert "nobody has acknowledged" in refused(desk.send(f"{BASE}/unacknowledge", {"alerts": [DOWN]}), 404)


@pytest.mark.parametrize("span", ["2h", 7200, "7200"])
def test_a_snoozed_alert_comes_back(desk: Desk, span: str | int) -> None:
    """After a duration, or a number of seconds."""
    desk.fire("Down")
    assert desk.send(f"{BASE}/snooze", {"alerts": [DOWN], "author": "ann", "for": span}).status == 200
    assert listed(desk)["Down"]["acknowledgement"]["until"] == "2026-01-01T14:00:00Z"


def test_a_snooze_that_is_over_is_shown_no_more(desk: Desk) -> None:
    """Even before anybody has been told again."""
    desk.send("/api/v2/alerts", [{"labels": {"alertname": "Down"}, "endsAt": "2026-01-02T00:00:00Z"}])
    desk.send(f"{BASE}/snooze", {"alerts": [DOWN], "author": "ann", "for": "1h"})
    desk.clock.advance(3600)
    assert listed(desk)["Down"]["acknowledgement"] is None


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({}, "either"),
        ({"alerts": [DOWN], "matchers": ["a=b"]}, "either"),
        ({"alerts": DOWN}, "list of texts"),
        ({"alerts": []}, "one at least"),
        ({"matchers": ["a"]}, "bad matcher"),
        ({"matchers": ["{}"]}, "all alerts would match"),
        ({"alerts": [DOWN], "author": 1}, '"author" must be a text'),
        ({"alerts": [DOWN], "who": "ann"}, "unknown key 'who'"),
        ({"alerts": [DOWN], "for": None}, "a duration such as"),
        ({"alerts": [DOWN], "for": True}, "cannot parse"),
        ({"alerts": [DOWN], "for": "soon"}, "cannot parse"),
        ({"alerts": [DOWN], "for": "0"}, "more than nothing"),
        ({"alerts": [DOWN], "for": "2y"}, "at most a year"),
    ],
)
def test_what_cannot_be_done_is_refused(desk: Desk, document: dict[str, Any], sentence: str) -> None:
    """400 says what was wrong, and nothing has changed."""
    desk.fire("Down")
    assert sentence in refused(desk.send(f"{BASE}/snooze", {"for": "1h", **document}), 400)
    assert listed(desk)["Down"]["acknowledgement"] is None


def test_what_nothing_matches_is_not_found(desk: Desk) -> None:
    """So that a slip of the pen is noticed."""
    reply = desk.send(f"{BASE}/acknowledge", {"matchers": ["alertname=Nothing"], "author": "ann"})
    assert "no such alert fires" in refused(reply, 404)


def test_escalation_shows_what_comes_next(desk: Desk) -> None:
    """And nothing as long as somebody has acknowledged, or a silence hides it."""
    desk.fire("Page", severity="page")
    assert listed(desk)["Page"]["escalations"] == []
    desk.tick(30)
    first = {"policy": "hard", "level": 0, "next": {"level": 1, "at": "2026-01-01T12:10:30Z"}}
    assert listed(desk)["Page"]["escalations"] == [first]
    desk.send(f"{BASE}/acknowledge", {"alerts": [PAGE], "author": "ann"})
    assert listed(desk)["Page"]["escalations"] == [{**first, "next": None}]
    desk.send(f"{BASE}/unacknowledge", {"alerts": [PAGE]})
    assert listed(desk)["Page"]["escalations"] == [first]
    silence = desk.send("/api/v2/silences", SILENCE).json()["silenceID"]
    assert listed(desk)["Page"]["escalations"] == [{**first, "next": None}]
    desk.call("DELETE", f"/api/v2/silence/{silence}")
    desk.fire("Page", severity="page")
    desk.tick(240)
    desk.fire("Page", severity="page")
    desk.tick(240)
    desk.fire("Page", severity="page")
    desk.tick(240)
    assert listed(desk)["Page"]["escalations"] == [{"policy": "hard", "level": 1, "next": None}]


def test_history_tells_what_was_told(desk: Desk) -> None:
    """To whom, why, and what came back at every try."""
    desk.fire("Down")
    desk.tick(30)
    (waiting,) = desk.get(f"{BASE}/history")["notifications"]
    assert (waiting["state"], waiting["attempts"], waiting["settledAt"]) == ("waiting", [], None)
    (one,) = desk.state.waiting(desk.notifier.now())
    desk.state.attempted(one, Attempt(desk.notifier.now() + 1, "503 busy", ok=False), desk.notifier.now() + 2)
    desk.state.attempted(one, Attempt(desk.notifier.now() + 2, "200 OK", ok=True), None)
    (sent,) = desk.get(f"{BASE}/history")["notifications"]
    assert sent == {
        "id": one.id,
        "receiver": "team",
        "integration": "webhook",
        "index": 0,
        "groupKey": '{}:{alertname="Down"}',
        "groupLabels": {"alertname": "Down"},
        "alerts": [{"fingerprint": DOWN, "status": "firing", "labels": {"alertname": "Down"}}],
        "reason": "firing",
        "level": 0,
        "author": "",
        "comment": "",
        "heldBack": 0,
        "createdAt": "2026-01-01T12:00:30Z",
        "state": "sent",
        "settledAt": "2026-01-01T12:00:30.002Z",
        "attempts": [
            {"at": "2026-01-01T12:00:30.001Z", "ok": False, "answer": "503 busy"},
            {"at": "2026-01-01T12:00:30.002Z", "ok": True, "answer": "200 OK"},
        ],
    }


def test_what_was_given_up_is_marked(desk: Desk) -> None:
    """As failed."""
    desk.fire("Down")
    desk.tick(30)
    (one,) = desk.state.waiting(desk.notifier.now())
    desk.state.attempted(one, Attempt(desk.notifier.now(), "404 gone", ok=False), None)
    assert [each["state"] for each in desk.get(f"{BASE}/history")["notifications"]] == ["failed"]


def test_history_is_chosen_from(desk: Desk) -> None:
    """By alert, receiver, group and time; newest first."""
    desk.fire("Down")
    desk.tick(30)
    desk.fire("Page", severity="page")
    desk.tick(30)
    assert told(desk) == ["pager", "team"]
    assert told(desk, alert=DOWN) == told(desk, receiver="team") == ["team"]
    assert told(desk, group='{}:{alertname="Down"}') == ["team"]
    assert told(desk, since="2026-01-01T12:00:31Z") == ["pager"] == told(desk, limit="1")
    assert told(desk, until="2026-01-01T12:00:31Z") == ["team"]
    for query in ("limit=1001", "limit=x", "since=x", "until=x"):
        refused(desk.call("GET", f"{BASE}/history?{query}"), 400)


def test_who_is_on_call_and_who_comes_next(desk: Desk) -> None:
    """By each schedule."""
    (found,) = desk.get(f"{BASE}/oncall")["schedules"]
    assert found == {"name": "ops", "person": "ann", "next": {"person": "bob", "at": "2026-01-08T09:00:00Z"}}


def test_maintenance_windows_say_whether_they_are_in_force(desk: Desk) -> None:
    """As the configuration has them."""
    disks, later = desk.get(f"{BASE}/maintenance")["windows"]
    assert disks == {
        "name": "disks",
        "active": True,
        "matchers": ['alertname="Disk"'],
        "start": "2026-01-01T11:00:00+00:00",
        "end": "2026-01-01T14:00:00+00:00",
        "intervals": [],
        "comment": "",
    }
    assert (later["name"], later["active"]) == ("later", False)


def test_a_disk_that_fails_is_a_fault_of_the_server(desk: Desk) -> None:
    """500; nothing is acknowledged."""
    desk.fire("Down")
    desk.state.close()
    assert "cannot be used" in refused(desk.send(f"{BASE}/acknowledge", {"alerts": [DOWN], "author": "a"}), 500)


def test_a_full_disk_asks_to_try_again(desk: Desk) -> None:
    """503 with Retry-After."""
    desk.fire("Down")
    pages = desk.state._db.execute("PRAGMA page_count").fetchone()[0]
    desk.state._db.execute(f"PRAGMA max_page_count = {pages}")
    reply = desk.send(f"{BASE}/acknowledge", {"alerts": [DOWN], "author": "a", "comment": "x" * 100_000})
    assert "no room" in refused(reply, 503)
    assert reply.headers["retry-after"] == "1"


def post_form(one: Desk, body: str, **headers: str) -> Reply:
    """What the page's form sends."""
    own = {"sec-fetch-site": "same-origin", "content-type": "application/x-www-form-urlencoded"}
    return one.call(
        "POST", "/acknowledge", body.encode(), {**own, **{k.replace("_", "-"): v for k, v in headers.items()}}
    )


def test_a_link_leads_to_a_page_that_acknowledges(desk: Desk) -> None:
    """It shows the alerts that the link names; only its button changes anything."""
    desk.fire("Down", where="<here>")
    alert_id = fingerprint({"alertname": "Down", "where": "<here>"})
    page = desk.call("GET", f"/acknowledge?alert={alert_id}")
    assert page.status == 200
    assert "<strong>Down</strong> where=&lt;here&gt;" in page.text
    assert listed(desk)["Down"]["acknowledgement"] is None
    reply = post_form(desk, f"alert={alert_id}&author=ann&comment=%3Cb%3E&for=2h")
    assert (reply.status, reply.headers["location"]) == (303, f"/acknowledge?alert={alert_id}")
    taken = {"author": "ann", "comment": "<b>", "at": "2026-01-01T12:00:00Z", "until": "2026-01-01T14:00:00Z"}
    assert listed(desk)["Down"]["acknowledgement"] == taken
    assert "taken on by ann: &lt;b&gt;" in desk.call("GET", f"/acknowledge?alert={alert_id}").text


def test_the_page_takes_alerts_on_until_they_resolve(desk: Desk) -> None:
    """Unless it is told for how long."""
    desk.fire("Down")
    post_form(desk, f"alert={DOWN}&author=ann&comment=&for=")
    assert listed(desk)["Down"]["acknowledgement"]["until"] is None


def test_a_late_click_is_told_that_all_is_well(desk: Desk) -> None:
    """In the reader's language."""
    page = desk.call("GET", f"/acknowledge?alert={DOWN}", headers={"accept-language": "pt-PT"})
    assert (page.status, "Nenhum destes alertas continua ativo." in page.text) == (200, True)


def test_a_page_of_another_site_cannot_acknowledge(desk: Desk) -> None:
    """Nor can somebody without a name."""
    desk.fire("Down")
    assert "another site" in refused(post_form(desk, f"alert={DOWN}&author=x", sec_fetch_site="cross-site"), 403)
    assert "say who" in refused(post_form(desk, f"alert={DOWN}&author=+"), 400)
    assert listed(desk)["Down"]["acknowledgement"] is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "alerts": st.lists(st.text(max_size=4), max_size=2) | JSON,
        "matchers": st.lists(st.text(alphabet='ab=~!"{},', max_size=8), max_size=2) | JSON,
        "author": st.text(max_size=4) | JSON,
        "for": st.text(alphabet="0129dhm.-", max_size=5) | JSON,
    },
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES | JSON)
def test_whatever_comes_is_done_or_refused(desk: Desk, body: object) -> None:
    """Never a fault of ours."""
    desk.fire("Down")
    for verb in ("acknowledge", "snooze", "unacknowledge"):
        sent = json.dumps(body).encode()
        reply = desk.call("POST", f"{BASE}/{verb}", sent, {"content-type": "application/json"})
        assert reply.status in (200, 400, 404)
