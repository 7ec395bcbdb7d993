"""Reading ``alertmanager.yml``: what every file of the corpus says, or with which words it is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mirante.errors import ConfigError
from mirante.server.alert import Alert
from mirante.server.http_client.model import Authorization, Secret, Tls
from mirante.server.notify import config_values as values
from mirante.server.notify.config import default_config, read_config
from mirante.server.notify.kinds import KINDS
from mirante.server.notify.model import Integration, NotifyConfig, Route, TimeSpan
from mirante.server.notify.templates import Templates
from mirante.server.yaml_reader import Value, parse_yaml
from tests.server.notify.receivers import TEMPLATES, alert, told

CORPUS = Path(__file__).parents[2] / "corpus" / "alertmanager"
GOOD, BAD = sorted(CORPUS.glob("*.good.yml")), sorted(CORPUS.glob("*.bad.yml"))


def of(config: NotifyConfig, receiver: str, kind: str) -> list[Integration]:
    """The integrations of one kind that a receiver has."""
    return [one for one in config.receivers[receiver].integrations if one.kind == kind]


def read(folder: Path, text: str) -> NotifyConfig:
    """A file with that text."""
    path = folder / "alertmanager.yml"
    path.write_text(text)
    return read_config(path)


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.name)
def test_bad_files_are_refused_with_line_key_and_reason(path: Path) -> None:
    """The first line of each says how; none tells a secret."""
    expected = path.read_text().splitlines()[0].removeprefix("# ")
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    assert str(caught.value) == f"{path}, {expected}"
    assert caught.value.source == str(path)
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.name)
def test_good_files_are_taken_and_show_no_secret(path: Path) -> None:
    """Neither as text nor in any repr; and what is shown can be read again."""
    config = read_config(path)
    assert config.source == str(path)
    for shown in (config.text, config.alertmanager_text, repr(config)):
        assert "s3cr3t" not in shown
    again = parse_yaml(config.text, "text").section()
    assert again.gives("route")
    assert again.gives("receivers")


def test_every_kind_has_its_defaults() -> None:
    """Those of the global section too."""
    config = read_config(CORPUS / "every_kind.good.yml")
    (mail,), (chat,), (page,) = (
        of(config, "email", "email"),
        of(config, "slack", "slack"),
        of(config, "pagerduty", "pagerduty"),
    )
    assert (mail.options["smarthost"], mail.options["from"]) == ("smtp.example.com:587", "alerts@example.com")
    assert mail.options["auth_password"] == Secret("s3cr3t-smtp")
    assert mail.options["require_tls"] is True
    assert mail.options["tls_config"] == Tls()
    assert not mail.send_resolved
    assert chat.options["api_url"].read() == "https://hooks.slack.com/services/s3cr3t-slack"
    assert chat.options["title"] == '{{ template "slack.default.title" . }}'
    assert chat.http.authorization == Authorization("Basic", Secret("s3cr3t-basic"), "me")
    assert page.options["details"]["num_firing"] == "{{ .Alerts.Firing | len }}"
    assert page.options["source"] == page.options["client"]
    assert page.send_resolved
    assert config.route == Route("webhook")
    assert config.resolve_timeout == 300_000


def test_routes_inherit_what_they_do_not_say() -> None:
    """All but matchers, continue and times; an empty group_by groups by nothing."""
    config = read_config(CORPUS / "every_option.good.yml")
    few, rest = config.route.children
    assert (few.receiver, few.group_wait, few.group_by_all, few.group_by) == ("few", 10_000, True, ())
    assert list(map(str, few.matchers)) == ['env!="dev"', 'instance=~"web-[0-9]+"', 'job="api"', 'severity="critical"',
                                            'team=~"db|web"', 'zone!~"x.*"']  # fmt: skip
    assert (few.mute, few.active, few.continues) == (("nights",), ("office",), True)
    (below,) = few.children
    assert (below.group_wait, below.group_by_all, below.mute, below.continues) == (0, True, (), False)
    assert list(map(str, below.matchers)) == ['a=""', 'b="7"']
    assert (rest.receiver, rest.group_by, rest.repeat_interval, rest.index) == (
        "all",
        ("alertname", "cluster"),
        10_800_000,
        1,
    )
    (reset,) = read_config(CORPUS / "newer.good.yml").route.children
    assert reset.group_by == ()
    assert list(map(str, reset.matchers)) == ['ação=~"x|y"', 'foo="bar"', 'k8s.pod="a b"']


def test_intervals_and_inhibitions_are_read() -> None:
    """Of both keys, in every notation."""
    config = read_config(CORPUS / "every_option.good.yml")
    assert config.intervals["nights"] == (TimeSpan(times=((1320, 1440), (0, 360)), location="Europe/Lisbon"),)
    assert config.intervals["office"][0] == TimeSpan(
        times=((540, 1050),), weekdays=((1, 5), (6, 6)), days=((1, 10), (-5, -1), (15, 15)),
        months=((1, 3), (5, 8), (12, 12), (11, 11)), years=((2020, 2040), (2050, 2050)),
    )  # fmt: skip
    assert (config.intervals["office"][1], config.intervals["empty"]) == (TimeSpan(), ())
    assert [(len(rule.source), len(rule.target), rule.equal) for rule in config.inhibit] == [
        (1, 1, ("alertname",)),
        (1, 1, ()),
        (2, 1, ("instance", "job")),
    ]
    assert config.templates == (CORPUS / "templates/*.tmpl", Path("/etc/mirante/more.tmpl"))


def test_options_are_what_the_file_says() -> None:
    """Files for secrets, durations in milliseconds, nothing where nothing is wanted."""
    config = read_config(CORPUS / "every_option.good.yml")
    web, mail, chat = of(config, "all", "webhook")[1], of(config, "all", "email")[0], of(config, "all", "slack")
    assert web.http.oauth2 is not None
    assert not web.http.follow_redirects
    assert mail.options["headers"] == {"Subject": "{{ .Status }}", "X-My-Header": "z"}
    assert mail.options["html"] == ""
    assert chat[0].options["actions"][0]["name"] == ""
    assert chat[0].options["actions"][1]["confirm"]["text"] == "Sure?"
    assert chat[0].options["fields"][1] == {"title": "j", "value": "k", "short": False}
    assert (chat[1].options["title"], chat[1].options["text"]) == ("", "")
    assert chat[1].options["api_url"] == Secret(file=Path("/etc/slack.url"))
    assert of(config, "all", "pushover")[0].options["retry"] == 90_000
    assert of(config, "all", "pagerduty")[0].options["details"]["firing"] == "mine"
    assert of(config, "all", "opsgenie")[0].options["api_url"] == "https://genie.example.com/x/"
    assert of(config, "all", "sns")[0].options["sigv4"]["role_arn"] == "a"
    assert of(config, "all", "telegram")[1].options["parse_mode"] == ""


def test_what_came_later_is_read_too() -> None:
    """Slack's tokens, payloads of webhooks, Jira's two notations."""
    config = read_config(CORPUS / "newer.good.yml")
    hooks, chat, jira = (of(config, "all", kind) for kind in ("webhook", "slack", "jira"))
    assert hooks[0].options["payload"] == {"text": "{{ .Status }}", "list": (1, 2.5, True, None, {"a": "b"})}
    assert [hook.options["timeout"] for hook in hooks] == [90_000, 5_000, 0]
    assert hooks[2].options["url"].text == "<secret>"
    assert chat[0].options["api_url"].text == "https://slack.com/api/chat.postMessage"
    assert chat[0].http.authorization == Authorization("Bearer", Secret("s3cr3t-app"))
    assert chat[1].http.authorization is None
    assert chat[2].http.authorization == Authorization("Bearer", Secret(file=Path("/etc/app")))
    assert chat[2].options["api_url"].text == "https://slack.example.com/api"
    assert (jira[1].options["description"], jira[1].options["labels"]) == ("also mine", ("a",))
    assert jira[1].options["not_updated"] == ("description", "labels")
    assert (jira[2].options["labels"], jira[2].options["description"]) == (("a", "{{ .Status }}"), "")
    assert jira[0].options["summary"] == '{{ template "jira.default.summary" . }}'
    assert of(config, "all", "telegram")[0].options["chat_id_file"] == Path("/etc/chat")
    assert of(config, "all", "pushover")[0].options["ttl"] == 5_400_000


def test_what_mirante_adds_is_read() -> None:
    """Escalation, schedules, maintenance, runbooks; Alertmanager's own text has nothing of it."""
    config = read_config(CORPUS / "own.good.yml")
    assert (config.route.escalation, config.route.children[0].escalation) == ("page", "")
    policy = config.escalations["page"]
    assert [(level.after, level.receivers, level.on_call) for level in policy.levels] == [
        (600_000, (), ("weekly",)),
        (1_800_000, ("chat",), ("weekly",)),
    ]
    assert (policy.repeat, policy.every) == (2, 3_600_000)
    weekly, daily = config.on_call["weekly"], config.on_call["daily"]
    lisbon = ZoneInfo("Europe/Lisbon")
    assert (weekly.people, weekly.start) == (("ana", "rui"), datetime(2026, 1, 5, 9, tzinfo=lisbon))
    assert weekly.start.tzinfo is lisbon
    assert weekly.overrides[0].end == datetime(2026, 2, 2, tzinfo=UTC)
    assert (weekly.turn_days, daily.turn_days) == (7, 1)
    move, sundays = config.maintenance
    assert move.end == datetime(2026, 3, 2, tzinfo=UTC)
    assert sundays.intervals == ("sundays",)
    assert config.runbooks[0].command[0] == "/usr/bin/systemctl"
    assert config.runbooks[1].http.authorization == Authorization("Bearer", Secret("s3cr3t-run"))
    assert (config.storm_limit, config.allowed_commands) == (100, ("/usr/bin/systemctl",))
    assert of(config, "ana", "sms")[0].options["to"] == ("+351",)
    assert [one.text[:4] for one in of(config, "rui", "apprise")[1].options["urls"]] == ["json", "xml:"]
    for word in ("escalation", "on_call", "sms", "apprise", "runbooks", "storm_limit"):
        assert word in config.text
        assert word not in config.alertmanager_text


def test_every_default_template_is_there() -> None:
    """What the tables refer to, the default templates define."""
    known = set(Templates((), "").names)
    for kind in KINDS.values():
        for option in (option for option in kind.options if str(option.default).startswith("{{ template")):
            assert str(option.default).split('"')[1] in known, f"{kind.name}: {option.name}"
    assert {"title", "text", "color"} <= KINDS["slack"].templated
    assert "api_url" not in KINDS["slack"].templated


def test_without_a_file_one_webhook_is_enough() -> None:
    """One route, by the alert's name; the URL is shown nowhere."""
    config = default_config(slack_webhook="https://hooks.slack.com/services/s3cr3t", email="a@example.com")
    assert (config.route.receiver, config.route.group_by, config.source) == ("default", ("alertname",), "")
    chat, mail = of(config, "default", "slack")[0], of(config, "default", "email")[0]
    assert chat.options["api_url"].read() == "https://hooks.slack.com/services/s3cr3t"
    assert (chat.send_resolved, mail.send_resolved, mail.options["smarthost"]) == (True, True, "127.0.0.1:25")
    assert "s3cr3t" not in config.text + repr(config)
    assert default_config().receivers["default"].integrations == ()


def test_without_a_file_slack_hears_what_each_alert_says() -> None:
    """Its summary, else its description, else its labels; a storm is cut short."""
    (chat,) = of(default_config(slack_webhook="https://hooks.slack.com/services/s3cr3t"), "default", "slack")

    def text(*alerts: Alert) -> str:
        return TEMPLATES.text(chat.options["text"], TEMPLATES.data(told(alerts)))

    described = alert(annotations={"description": "It is full."}, ended=True)
    bare = alert(annotations={}, instance="db2")
    assert text(alert(instance="db1"), described, bare) == (
        "• DiskFull on db1\n• resolved: It is full.\n• DiskFull db2\n"
    )
    assert text(*[alert(instance=str(number)) for number in range(21)]).splitlines()[19:] == [
        "• DiskFull on 19",
        "… 21 in all",
    ]


def test_a_slack_webhook_that_is_no_url_is_refused_without_showing_it() -> None:
    """It came from a variable; the message says that."""
    with pytest.raises(ConfigError, match="built-in configuration") as caught:
        default_config(slack_webhook="s3cr3t")
    assert "s3cr3t" not in str(caught.value)


def test_a_user_name_of_a_file_is_taken(tmp_path: Path) -> None:
    """Below the folder of the configuration."""
    config = read(
        tmp_path,
        "global: {http_config: {basic_auth: {username_file: user, password_file: /p}}}\nroute: {receiver: a}\n"
        "receivers: [{name: a, webhook_configs: [{url: 'http://a'}]}]",
    )
    (hook,) = of(config, "a", "webhook")
    assert hook.http.authorization == Authorization("Basic", Secret(file=Path("/p")), username_file=tmp_path / "user")


def test_a_file_that_is_not_there_or_is_no_yaml_is_named(tmp_path: Path) -> None:
    """With the reason."""
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_config(tmp_path / "none.yml")
    with pytest.raises(ConfigError, match=r"line 2: is not YAML"):
        read(tmp_path, "a: b\nc: [")


def test_slack_agrees_with_its_old_way_of_sending_as_a_bot(tmp_path: Path) -> None:
    """A global URL equal to the application's, and authorization in the receiver: it comes before the global token."""
    config = read(
        tmp_path,
        "global: {slack_app_token: t, slack_api_url: 'https://slack.com/api/chat.postMessage'}\nroute: {receiver: a}\n"
        "receivers: [{name: a, slack_configs: [{http_config: {authorization: {credentials: own}}}]}]",
    )
    (chat,) = of(config, "a", "slack")
    assert chat.http.authorization == Authorization("Bearer", Secret("own"))
    assert chat.options["api_url"].text == "https://slack.com/api/chat.postMessage"


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("1h2m3.5s", 3_723_500), (".5s", 500), ("1500us", 2), ("2ms", 2), ("7000000", 7), ("0", 0), ("1m", 60_000)],
)
def test_durations_of_go_are_read(text: str, milliseconds: int) -> None:
    """To the nearest millisecond."""
    assert values.go_duration(scalar(text)) == milliseconds


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text("abc é:#-"),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", min_size=1), inner, max_size=3),
        max_leaves=8,
    )
)
def test_trees_come_back_as_they_were_written(tree: Any) -> None:
    """Of lists tuples are made."""

    def frozen(value: Any) -> Any:
        if isinstance(value, list):
            return tuple(map(frozen, value))
        return {name: frozen(one) for name, one in value.items()} if isinstance(value, dict) else value

    assert values.tree(parse_yaml(yaml.safe_dump(tree), "")) == frozen(tree)


def scalar(text: str) -> Value:
    """A value with that text."""
    return parse_yaml(text, "")
