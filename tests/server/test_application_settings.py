"""What applications have asked for, on disk: whole or not at all, the same after a restart."""

from __future__ import annotations

import logging
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirante.errors import BadRequestError, ConfigError, StoreFullError
from mirante.server.application_settings import ALERTS, RETENTION, ApplicationSettings, rules_name
from mirante.server.rules.read import parse_rules
from mirante.server.settings import AlertingSettings, RetentionSettings

RULES = "groups: [{name: a, rules: [{alert: Down, expr: up == 0}]}]\n"


def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    """And readable by its owner alone, as a webhook's URL is a secret."""
    kept = ApplicationSettings(tmp_path)
    assert kept.replace(RETENTION, '{"metrics_days": 2}') is None
    assert kept.replace(ALERTS, '{"slack_webhook": "https://hooks.example.org/x", "email": "a@b"}') is None
    again = ApplicationSettings(tmp_path)
    assert again.retention(RetentionSettings(logs=7.0)) == RetentionSettings(metrics=2 * 86_400.0, logs=7.0)
    assert again.alerting(AlertingSettings()) == AlertingSettings("https://hooks.example.org/x", "a@b")
    assert stat.S_IMODE((tmp_path / "settings" / ALERTS).stat().st_mode) == 0o600


def test_without_a_word_the_configuration_holds(tmp_path: Path) -> None:
    """And of alerts it holds anyway, where it says something."""
    kept = ApplicationSettings(tmp_path)
    assert kept.retention(RetentionSettings(metrics=5.0)) == RetentionSettings(metrics=5.0)
    kept.replace(ALERTS, '{"slack_webhook": "https://hooks.example.org/x", "email": "a@b"}')
    own = AlertingSettings("https://hooks.example.org/own", "")
    assert kept.alerting(own) == AlertingSettings("https://hooks.example.org/own", "a@b")


def test_replacing_gives_what_was_there(tmp_path: Path) -> None:
    """So that it can be put back; removing what is not there is nothing."""
    kept = ApplicationSettings(tmp_path)
    name = rules_name("shop")
    assert kept.replace(name, RULES) is None
    assert kept.replace(name, RULES) == RULES
    assert kept.replace(name, None) == RULES
    assert kept.replace(name, None) is None
    assert kept.read(name) is None


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_every_application_has_a_file_of_its_own(application: str) -> None:
    """Below the folder of rules, whatever it is called."""
    name = rules_name(application)
    assert Path(name).parent == Path("rules")
    assert rules_name(application + "x") != name


@pytest.mark.parametrize("application", ["", "é" * 200])
def test_a_name_that_can_be_none_is_refused(application: str) -> None:
    """Because a file's name cannot be empty or of any length."""
    with pytest.raises(BadRequestError, match="1 to 200"):
        rules_name(application)


def test_rules_that_cannot_be_used_any_more_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A new version may know less than the one that took them; the server starts all the same, and tells."""
    kept = ApplicationSettings(tmp_path)
    for application, text in (("shop/a", RULES), ("shop/b", RULES.replace("==", "=!"))):
        kept.replace(rules_name(application), text)
    with caplog.at_level(logging.ERROR):
        usable = kept.rule_files(parse_rules)
    assert [path.name for path in usable] == ["shop%2Fa.yml"]
    assert "shop%2Fb.yml" in caplog.text
    assert kept.applications() == ["shop/a", "shop/b"]


@pytest.mark.parametrize(
    ("name", "content"),
    [(RETENTION, "{"), (RETENTION, '{"metrics_days": 0}'), (ALERTS, '{"email": "?"}'), (ALERTS, '{"pager": "x"}')],
)
def test_what_was_spoilt_is_told_at_the_start(tmp_path: Path, name: str, content: str) -> None:
    """Rather than taken for nothing."""
    ApplicationSettings(tmp_path).replace(name, content)
    with pytest.raises(ConfigError):
        ApplicationSettings(tmp_path)


def test_what_cannot_be_written_is_told_and_changes_nothing(tmp_path: Path) -> None:
    """Such as on a full disk; here a file stands where the folder would be."""
    kept = ApplicationSettings(tmp_path)
    (tmp_path / "settings").write_text("")
    with pytest.raises(StoreFullError, match="cannot write"):
        kept.replace(RETENTION, "{}")
