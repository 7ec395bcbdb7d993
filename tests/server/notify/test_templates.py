"""Templates of notifications: what they see, which there are by default, and files of the user's own."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mirante.errors import ConfigError, TemplateError
from mirante.server.alert import Alert
from mirante.server.notify.templates import Templates
from tests.peers import program
from tests.server.gotemplate.data import EXTERNAL_URL, NOTIFICATION

TEMPLATES = Templates((), EXTERNAL_URL)
DATA = TEMPLATES.data(NOTIFICATION)
SHIPPED = Path("/usr/share/prometheus/alertmanager")
SUBJECT = "[FIRING:1] Disk (node)"
LIST = """Labels:
 - alertname = Disk
 - instance = b:1
 - job = node
 - severity = warning
Annotations:
 - summary = Disk <b>full</b> & more
Source: http://g/
"""

DEFAULTS = [
    ("slack.default.title", SUBJECT),
    ("slack.default.username", "mirante"),
    ("slack.default.titlelink", "http://am:9093/#/alerts?receiver=team%5C.x"),
    ("slack.default.fallback", f"{SUBJECT} | http://am:9093/#/alerts?receiver=team%5C.x"),
    ("slack.default.text", ""),
    ("pagerduty.default.description", SUBJECT),
    ("opsgenie.default.message", SUBJECT),
    ("email.default.subject", SUBJECT),
    ("jira.default.priority", "High"),
    ("sms.default.text", f"{SUBJECT}: Disk <b>full</b> & more"),
]


@pytest.mark.parametrize(("name", "expected"), DEFAULTS)
def test_defaults_that_are_one_line(name: str, expected: str) -> None:
    """The names that configurations refer to are there and say what Alertmanager's say."""
    assert TEMPLATES.text(f'{{{{ template "{name}" . }}}}', DATA) == expected


def test_defaults_that_list_alerts() -> None:
    """Labels and annotations of every alert, ``alertname`` first."""
    assert TEMPLATES.text('{{ template "pagerduty.default.instances" .Alerts.Resolved }}', DATA) == LIST
    for name in TEMPLATES.names:
        if ".default." in name and name != "pagerduty.default.instances":
            TEMPLATES.render(f'{{{{ template "{name}" . }}}}', DATA)


def test_a_group_that_has_ended_says_so() -> None:
    """Its subject has no number, its priority is that of what has ended."""
    ended = TEMPLATES.data(replace(NOTIFICATION, alerts=NOTIFICATION.alerts[1:], reason="resolved"))
    text = '{{ template "slack.default.title" . }} {{ template "jira.default.priority" . }}'
    assert TEMPLATES.text(text, ended).startswith("[RESOLVED] Disk (")
    assert TEMPLATES.text(text, ended).endswith(" Medium")


@pytest.mark.slow
def test_defaults_are_those_of_a_real_alertmanager(tmp_path: Path) -> None:
    """Every text that Debian's Alertmanager ships comes out the same, apart from the program's name."""
    if not (SHIPPED / "default.tmpl").exists():
        pytest.skip("prometheus-alertmanager is not installed (.ci/run installs it)")
    shipped = (SHIPPED / "default.tmpl").read_text()
    names = [
        n for n in TEMPLATES.names if ".default." in n and f'"{n}"' in shipped and n != "pagerduty.default.instances"
    ]
    joined = "\x1f".join(f'{{{{ template "{name}" . }}}}' for name in names)
    data = tmp_path / "data.json"
    data.write_text(TEMPLATES.text("{{ toJson . }}", DATA))
    command = [program("amtool"), "template", "render", f"--template.glob={SHIPPED}/*.tmpl"]
    ran = subprocess.run(
        [*command, f"--template.text={joined}", f"--template.data={data}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    theirs = ran.stdout.replace("Alertmanager", "mirante").replace("mirante" + "Url", "AlertmanagerUrl")
    assert dict(zip(names, TEMPLATES.text(joined, DATA).split("\x1f"), strict=True)) == dict(
        zip(names, theirs.split("\x1f"), strict=True)
    )
    assert len(names) > 20


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in {"meta", "br"}:
            self.open.append(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_email_is_whole_and_escaped() -> None:
    """Its tags close, its links lead to the alerts, and what alerts say cannot change it."""
    page = _Tags()
    page.feed(TEMPLATES.html('{{ template "email.default.html" . }}', DATA))
    assert page.open == []
    assert "ZgotmplZ" not in page.text
    assert "Disk <b>full</b> & more" in page.text
    assert "2 alerts for alertname=Disk" in page.text
    assert page.links[1:3] == ["http://am:9093/#/alerts?receiver=team%5C.x", "http://g/?a=1&b=2"]


def test_the_email_links_to_runbooks() -> None:
    """And an alert without a source has no link to it."""
    alert = Alert({"alertname": "A"}, {"runbook_url": "http://run/book"}, 0, 10**15, 0)
    data = TEMPLATES.data(replace(NOTIFICATION, alerts=[alert], group_labels={}))
    page = _Tags()
    page.feed(TEMPLATES.html('{{ template "email.default.html" . }}', data))
    assert page.links[1:] == ["http://am:9093/#/alerts?receiver=team%5C.x", "http://run/book", "http://am:9093"]
    assert "1 alert\n" in page.text + "\n"


def test_the_link_to_acknowledge_names_what_fires() -> None:
    """A hundred of them at most; an e-mail about the end of all has none."""
    many = [Alert({"alertname": "A", "n": str(n)}, {}, 0, 10**15, 0) for n in range(150)]
    for alerts in (many[:1], many[:2], many):
        data = TEMPLATES.data(replace(NOTIFICATION, alerts=alerts))
        query = "&".join(f"alert={one.id}" for one in alerts[:100])
        assert TEMPLATES.text('{{ template "mirante.acknowledge" . }}', data) == f"http://am:9093/acknowledge?{query}"
    ended = TEMPLATES.data(replace(NOTIFICATION, alerts=[replace(many[0], ends_at=1)]))
    assert "acknowledge" not in TEMPLATES.html('{{ template "email.default.html" . }}', ended)


def test_the_email_of_a_storm_stays_readable() -> None:
    """A hundred alerts are shown, and how many there are."""
    alert = NOTIFICATION.alerts[0]
    many = [replace(alert, labels={**alert.labels, "instance": f"i{number}"}) for number in range(2000)]
    ended = [replace(each, ends_at=1) for each in many[:101]]
    data = TEMPLATES.data(replace(NOTIFICATION, alerts=[*many, *ended]))
    page = TEMPLATES.html('{{ template "email.default.html" . }}', data)
    assert "2000 firing" in page
    assert "101 resolved" in page
    assert page.count('class="card firing"') == page.count('class="card resolved"') == 100
    assert page.count("Only the first 100 are shown.") == 2


def test_data_as_json_is_that_of_a_webhook() -> None:
    """The names of its keys, and Go's zero time for what has no end."""
    data = json.loads(TEMPLATES.text("{{ toJson . }}", DATA))
    assert set(data) == {
        "receiver",
        "status",
        "alerts",
        "groupLabels",
        "commonLabels",
        "commonAnnotations",
        "externalURL",
    }
    assert data["alerts"][0]["endsAt"] == "0001-01-01T00:00:00Z"
    assert data["alerts"][1]["endsAt"] == "1970-01-01T00:00:02Z"
    assert data["commonLabels"] == {"alertname": "Disk", "job": "node"}
    assert data["alerts"][0]["fingerprint"] == NOTIFICATION.alerts[0].id


LATE = "{{ $t := (index .Alerts 1).EndsAt }}"
FUNCTIONS = [
    ('{{ "a-_" | base64encode }} {{ "YS1f" | base64decode }}', "YS1f a-_"),
    ('{{ "a%20b+c%zz" | urlUnescape }} {{ trimSpace " a " }}', "a b c%zz a"),
    ('{{ toJson (stringSlice "a<" "b") }} {{ toJson nil }}', '["a\\u003c","b"] null'),
    ("{{ toJson .GroupLabels.SortedPairs }}", '[{"Name":"alertname","Value":"Disk"}]'),
    (LATE + '{{ date "15:04 MST" (tz "Europe/Lisbon" $t) }}', "01:00 CET"),
    (LATE + '{{ tz "UTC" $t }} {{ $t.Local }}', "1970-01-01 00:00:02 +0000 UTC 1970-01-01 00:00:02 +0000 UTC"),
    (LATE + '{{ (tz "Asia/Kolkata" $t).Format "-0700 -07:00 Z07:00 MST" }}', "+0530 +05:30 +05:30 IST"),
    (LATE + '{{ (tz "America/New_York" $t).Format "-07" }}', "-05"),
    (LATE + "{{ now }} {{ since $t | humanizeDuration }}", "2001-09-09 01:46:40 +0000 UTC 11574d 1h 46m 38s"),
    ("{{ .GroupLabels }} {{ .CommonLabels.SortedPairs }}", "alertname=Disk alertname=Disk, job=node"),
    ('{{ join "," nil }}{{ join "-" (stringSlice "a" "b") }}', "a-b"),
    (LATE + "{{ $t.Truncate 0 }}", "1970-01-01 00:00:02 +0000 UTC"),
]


@pytest.mark.parametrize(("text", "expected"), FUNCTIONS)
def test_functions(text: str, expected: str) -> None:
    """What newer Alertmanagers have; the present is the time of the notification."""
    assert TEMPLATES.render(text, DATA) == expected


FAILING = [
    ('{{ tz "Nowhere" (index .Alerts 1).EndsAt }}', "unknown time zone"),
    ('{{ tz "../etc" (index .Alerts 1).EndsAt }}', "unknown time zone"),
    ('{{ base64decode "!" }}', "not base64"),
    ('{{ $x := "ab" }}{{ range 20 }}{{ $x = join $x (stringSlice $x $x) }}{{ end }}', "too long"),
    ('{{ reReplaceAll "(" "" "" }}', "cannot be used"),
]


@pytest.mark.parametrize(("text", "message"), FAILING)
def test_functions_that_fail(text: str, message: str) -> None:
    """They say why."""
    with pytest.raises(TemplateError, match=message):
        TEMPLATES.render(text, DATA)


def test_the_present_is_known_only_to_notifications() -> None:
    """Other data have no time."""
    with pytest.raises(TemplateError, match="outside of a notification"):
        TEMPLATES.render("{{ now }}", {})


def test_deep_values_are_no_json() -> None:
    """A value without end is refused."""
    nested: list[object] = []
    for _ in range(30):
        nested = [nested]
    with pytest.raises(TemplateError, match="too deep"):
        TEMPLATES.render("{{ toJson .x }}", {"x": nested})


def test_an_error_stands_in_the_place_of_the_text() -> None:
    """A notification is sent all the same, and says what is wrong with it; escaped where it is HTML."""
    assert TEMPLATES.text("{{ .Nope }}", DATA).startswith(
        '<error executing template: template: :1:4: executing "" at <.Nope>: can\'t evaluate field Nope'
    )
    assert TEMPLATES.html("{{ nope }}", DATA) == (
        "&lt;error executing template: template: :1:4: function &#34;nope&#34; not defined&gt;"
    )


def test_no_alerts_have_nothing_in_common() -> None:
    """Data can be made of any notification."""
    empty = TEMPLATES.data(replace(NOTIFICATION, alerts=[]))
    assert TEMPLATES.text("{{ len .Alerts }}{{ len .CommonLabels }}{{ .ExternalURL }}", empty) == "00http://am:9093"


def test_files_win_over_defaults(tmp_path: Path) -> None:
    """Paths and patterns; one that matches nothing is no error."""
    (tmp_path / "a.tmpl").write_text('{{ define "slack.default.title" }}mine {{ template "other" . }}{{ end }}')
    (tmp_path / "b.tmpl").write_text('{{ define "other" }}{{ .Status }}{{ end }}')
    templates = Templates([tmp_path / "*.tmpl", tmp_path / "none" / "*"], EXTERNAL_URL)
    assert templates.text('{{ template "slack.default.title" . }}', templates.data(NOTIFICATION)) == "mine firing"
    assert templates.external_url == EXTERNAL_URL


def test_a_file_with_an_error_is_refused_with_its_line(tmp_path: Path) -> None:
    """The whole configuration is, so that the old one stays in force."""
    file = tmp_path / "a.tmpl"
    file.write_text("one\n{{ nope }}")
    with pytest.raises(ConfigError, match='a.tmpl, line 2: .*function "nope" not defined') as caught:
        Templates([file], EXTERNAL_URL)
    assert caught.value.key == "templates"
    assert caught.value.source == str(file)
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="cannot be read"):
        Templates([file], EXTERNAL_URL)
