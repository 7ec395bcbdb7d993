"""The settings API: what is taken is in force and lasts, what is wrong is refused whole."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette

from mirante.errors import ConfigError
from mirante.server.api.body import MAX_BYTES
from mirante.server.api.settings import SettingsApi
from mirante.server.application_settings import ApplicationSettings, rules_name
from mirante.server.rules.read import parse_rules
from mirante.server.settings import AlertingSettings, RetentionSettings
from tests.server.asgi import Reply, call

RULE = {"alert": "Down", "expr": "up == 0", "labels": {"severity": "critical"}, "annotations": {"on": "é \x7f"}}
GROUPS = {"groups": [{"name": "a", "rules": [RULE]}]}
YAML = "groups: [{name: a, rules: [{alert: Down, expr: up == 0}]}]\n"


KEYS = st.sampled_from(["name", "rules", "alert", "record", "expr", "for", "labels", "interval", "limit"])


class Part:
    """What is put in force.

    Attributes:
        reloads: how often.
        refuses: why it is not, if it is not.
    """

    def __init__(self) -> None:
        self.reloads = 0
        self.refuses: str | None = None

    async def reload(self) -> None:
        """Count, or refuse."""
        if self.refuses:
            raise ConfigError(self.refuses)
        self.reloads += 1


class Desk:
    """The API over a folder."""

    def __init__(self, folder: Path) -> None:
        self.kept = ApplicationSettings(folder)
        self.part = Part()
        self.app = Starlette(routes=SettingsApi(self.kept, self.part.reload).routes())

    def ask(self, method: str, path: str, document: Any = None, kind: str = "application/json") -> Reply:
        """One request; text goes as it is."""
        sent = document.encode() if isinstance(document, str) else document
        if not isinstance(sent, bytes):
            sent = b"" if document is None else json.dumps(document).encode()
        return asyncio.run(call(self.app, method, f"/api/v1/settings{path}", sent, {"content-type": kind}))

    def all(self) -> Any:
        """Everything that was asked for."""
        return self.ask("GET", "").json()["data"]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """One where nobody has asked for anything yet."""
    return Desk(tmp_path)


def test_rules_are_one_more_rule_file(desk: Desk) -> None:
    """Sent as JSON they say the same as YAML; they are in force at once, and once: the same again changes nothing."""
    assert desk.ask("PUT", "/rules/shop/orders", GROUPS).json()["data"] == {"changed": True}
    assert desk.ask("PUT", "/rules/shop/orders", GROUPS).json()["data"] == {"changed": False}
    assert desk.part.reloads == 1
    (file,) = desk.kept.rule_files(lambda _text, _source: None)
    assert yaml.safe_load(file.read_text()) == GROUPS
    shown = desk.ask("GET", "/rules/shop/orders")
    assert (shown.headers["content-type"], shown.text) == ("application/yaml", file.read_text())
    assert desk.all() == {"rules": {"shop/orders": file.read_text()}, "retention": {}, "alerts": {}}


def test_rules_are_taken_as_yaml_too_and_kept_as_they_came(desk: Desk) -> None:
    """With their comments; removed they are gone."""
    text = "# ours\n" + YAML
    assert desk.ask("PUT", "/rules/shop", text, "text/yaml; charset=utf-8").status == 200
    assert desk.ask("GET", "/rules/shop").text == text
    assert desk.ask("DELETE", "/rules/shop").json()["data"] == {"changed": True}
    assert desk.ask("DELETE", "/rules/shop").json()["data"] == {"changed": False}
    answer = desk.ask("GET", "/rules/shop")
    assert (answer.status, answer.json()["error"]) == (404, "there are no rules of 'shop'")
    assert desk.part.reloads == 2


@pytest.mark.parametrize(
    ("document", "kind", "told"),
    [
        ({"groups": [{"name": "a", "rules": [{**RULE, "expr": "rat(up[5m])"}]}]}, "application/json", "Down.*rat"),
        ({"groups": [{"name": "a", "rules": [{**RULE, "for": "soon"}]}]}, "application/json", "soon"),
        ({"rules": []}, "application/json", "unknown key 'rules'"),
        (YAML.replace("up == 0", "up =="), "application/yaml", "rules of shop, line 1: .*Down"),
        (b"\xff", "application/yaml", "not UTF-8"),
        ("[" * 100_000, "application/yaml", "nested"),
        ('{"groups":' + "[" * 1020 + "]" * 1020 + "}", "application/json", "nested"),
        ("{", "application/json", "not JSON"),
        ("[]", "application/json", "must be a JSON object"),
        ("{}", "text/plain", "content type must be application/json"),
    ],
)
def test_wrong_rules_are_refused_whole_and_the_old_ones_stay(desk: Desk, document: Any, kind: str, told: str) -> None:
    """With what is wrong, and where."""
    desk.ask("PUT", "/rules/shop", GROUPS)
    before = desk.ask("GET", "/rules/shop").text
    answer = desk.ask("PUT", "/rules/shop", document, kind)
    assert (answer.status, answer.json()["errorType"]) == (400, "bad_data")
    assert re.search(told, answer.json()["error"], re.DOTALL)
    assert desk.ask("GET", "/rules/shop").text == before
    assert desk.part.reloads == 1


def test_what_cannot_be_put_in_force_is_taken_back(desk: Desk) -> None:
    """What was there before stays; where another file has become wrong, the sender may try again later."""
    desk.ask("PUT", "/rules/shop", YAML, "application/yaml")
    desk.part.refuses = "prometheus.yml, line 3: unknown key"
    answer = desk.ask("PUT", "/rules/shop", GROUPS)
    told = "it cannot be put in force, and nothing has changed: prometheus.yml, line 3: unknown key"
    assert (answer.status, answer.json()["error"]) == (503, told)
    desk.part.refuses = f"{desk.kept.path(rules_name('shop'))}, line 3: no such table"
    assert desk.ask("PUT", "/rules/shop", GROUPS).status == 400
    assert desk.kept.read(rules_name("shop")) == YAML


def test_the_retention_of_metrics_is_set_and_taken_back(desk: Desk) -> None:
    """In days, over what the server's own settings say, which count again when it is removed."""
    assert desk.ask("PUT", "/retention", {"metrics_days": 1.5}).status == 200
    assert desk.kept.retention(RetentionSettings()).metrics == 1.5 * 86_400
    assert desk.all()["retention"] == {"metrics_days": 1.5}
    assert desk.ask("DELETE", "/retention").status == 200
    assert desk.kept.retention(RetentionSettings()) == RetentionSettings()
    assert desk.part.reloads == 2


def test_who_is_told_of_alerts_is_set_and_taken_back(desk: Desk) -> None:
    """The webhook's URL, which is a secret, is not shown again."""
    wanted: dict[str, Any] = {"slack_webhook": "https://hooks.example.org/x", "email": "a@b"}
    assert desk.ask("PUT", "/alerts", wanted).status == 200
    assert desk.kept.alerting(AlertingSettings()) == AlertingSettings(**wanted)
    assert desk.all()["alerts"] == {"slack_webhook": "<secret>", "email": "a@b"}
    assert desk.ask("DELETE", "/alerts").status == 200
    assert desk.kept.alerting(AlertingSettings()) == AlertingSettings()


@pytest.mark.parametrize(
    ("path", "document", "told"),
    [
        ("/retention", {"metrics_days": 0}, "metrics_retention_days = 0 cannot be used: expected a number of days"),
        ("/retention", {"metrics_days": True}, "expected a number of days"),
        ("/retention", {}, "says nothing; known are metrics_days"),
        ("/alerts", {"email": "nobody"}, "expected an e-mail address"),
        ("/alerts", {"slack_webhook": "secret"}, "alert_slack_webhook = <secret> cannot be used"),
        ("/alerts", {"slack_webhook": "http://hooks:x/"}, "slack_configs[0]"),
        ("/alerts", {"pager": "1"}, "unknown key 'pager'"),
    ],
)
def test_a_wrong_value_is_refused_with_its_key(desk: Desk, path: str, document: Any, told: str) -> None:
    """And what is secret is not repeated."""
    answer = desk.ask("PUT", path, document)
    assert answer.status == 400
    assert told in answer.json()["error"]
    assert desk.part.reloads == 0


def test_a_body_beyond_all_measure_is_refused(desk: Desk) -> None:
    """It is told how much may be sent."""
    answer = desk.ask("PUT", "/rules/shop", b"#" * (MAX_BYTES + 1), "application/yaml")
    assert (answer.status, answer.json()["error"]) == (400, f"the body is larger than {MAX_BYTES} bytes")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**63) | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9) | KEYS, inner, max_size=4),
    max_leaves=15,
)


@given(
    st.sampled_from(["/rules/shop", "/retention", "/alerts"]),
    st.dictionaries(st.sampled_from(["groups", "metrics_days", "slack_webhook", "email"]), JSON, max_size=2)
    | st.fixed_dictionaries({"groups": JSON})
    | st.binary(max_size=40),
    st.sampled_from(["application/json", "application/yaml", "text/plain", ""]),
)
def test_anything_is_taken_or_refused(path: str, document: Any, kind: str) -> None:
    """Whatever comes, and what was taken can be read after a restart."""
    with TemporaryDirectory() as folder:
        desk = Desk(Path(folder))
        status = desk.ask("PUT", path, document, kind).status
        assert status in {200, 400}
        usable = ApplicationSettings(Path(folder)).rule_files(parse_rules)
        assert len(usable) == (status == 200 and path == "/rules/shop")
        assert desk.ask("GET", "").status == 200
