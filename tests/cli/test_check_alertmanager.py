"""``mirante check config`` and ``mirante check routes`` on an alertmanager.yml."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mirante.cli.main import app
from mirante.errors import BadRequestError

TREE = """
route:
  receiver: all
  group_by: [alertname]
  routes:
  - {matchers: [team="db"], receiver: db, continue: true}
  - {matchers: [severity=~"critical|page"], receiver: pager, routes: [{matchers: [env="dev"], receiver: all}]}
receivers: [{name: all}, {name: db}, {name: pager}]
"""


def check(*arguments: str | Path) -> Result:
    """Run the command."""
    return CliRunner().invoke(app, ["check", *map(str, arguments)])


def file(folder: Path, text: str) -> Path:
    """A configuration."""
    path = folder / "alertmanager.yml"
    path.write_text(text)
    return path


def test_it_is_known_by_what_stands_in_it(tmp_path: Path) -> None:
    """The same verb checks both programs' files."""
    path = file(tmp_path, TREE)
    result = check("config", path)
    assert result.exit_code == 0, result.output
    assert f"SUCCESS: {path} is a valid configuration" in result.stdout
    result = check("config", file(tmp_path, "route: {receiver: b}\nreceivers: [{name: a}]"))
    assert result.exit_code == 1
    assert f'FAILED: {path}, line 1: route.receiver: undefined receiver "b"' in result.stderr


def test_templates_that_are_wrong_fail(tmp_path: Path) -> None:
    """With their own file and line."""
    (tmp_path / "a.tmpl").write_text("\n{{ define }}")
    result = check("config", file(tmp_path, TREE + "templates: ['*.tmpl']\n"))
    assert result.exit_code == 1
    assert f"FAILED: {tmp_path}/a.tmpl, line 2: " in result.stderr


def test_what_deserves_a_look_is_told(tmp_path: Path) -> None:
    """Files that are not there, receivers and times that nothing uses."""
    (tmp_path / "good.tmpl").write_text('{{ define "mine" }}{{ end }}')
    text = f"""
global: {{opsgenie_api_key_file: none.key}}
route: {{receiver: a, escalation: p}}
templates: [none.tmpl, good.tmpl]
receivers:
- name: a
  opsgenie_configs: [{{http_config: {{authorization: {{credentials_file: token}}, tls_config: {{ca_file: ca}}}}}}]
- {{name: idle}}
- {{name: level}}
- {{name: rota, apprise_configs: [{{urls: ['json://x'], url_file: more}}]}}
time_intervals: [{{name: used}}, {{name: unused}}]
escalation_policies: [{{name: p, levels: [{{after: 5m, receivers: [level], on_call: [o]}}]}}]
on_call: [{{name: o, people: [rota], start: '2026-01-05T09:00Z'}}]
maintenance: [{{name: m, matchers: [a=b], time_intervals: [used]}}]
allowed_commands: [{tmp_path}/none]
runbooks: [{{name: r, matchers: [a=b], url: 'http://127.0.0.1', http_config: {{bearer_token_file: gone}}}}]
"""
    result = check("config", file(tmp_path, text))
    assert result.exit_code == 0, result.output
    assert [line.removeprefix("  WARNING: ") for line in result.stderr.splitlines()] == [
        f"templates: no file matches {tmp_path}/none.tmpl",
        f'receiver "a": opsgenie_configs[0]: {tmp_path}/token cannot be read: No such file or directory',
        'receiver "a": opsgenie_configs[0]: tls_config cannot be used: [Errno 2] No such file or directory',
        f'receiver "a": opsgenie_configs[0]: {tmp_path}/none.key cannot be read: No such file or directory',
        f'receiver "rota": apprise_configs[0]: {tmp_path}/more cannot be read: No such file or directory',
        f'runbook "r": {tmp_path}/gone cannot be read: No such file or directory',
        f"allowed_commands: {tmp_path}/none is no file",
        'receiver "idle" is told of nothing',
        'time interval "unused" is used nowhere',
    ]


def test_templates_of_receivers_that_will_fail_are_told(tmp_path: Path) -> None:
    """Before an alert finds out: with receiver, key and reason; Alertmanager takes them, so they refuse nothing."""
    (tmp_path / "mine.tmpl").write_text('{{ define "mine" }}{{ end }}')
    text = """
route: {receiver: a}
templates: ['*.tmpl']
receivers:
- name: a
  slack_configs:
  - api_url: http://127.0.0.1/
    title: '{{ template "mine" . }}{{ define "here" }}{{ end }}{{ template "here" . }}'
    text: '{{ if .Alerts }}{{ else }}{{ template "other" . }}{{ end }}'
    fields: [{title: a, value: '{{ .Foo'}, {title: b, value: '{{ shout . }}'}]
"""
    result = check("config", file(tmp_path, text))
    assert result.exit_code == 0, result.output
    place = 'receiver "a": slack_configs[0]'
    assert [line.removeprefix("  WARNING: ") for line in result.stderr.splitlines()] == [
        f'{place}.text: no file of `templates` defines "other"',
        f"{place}.fields[0].value: template: :1:8: unclosed action; close it with }}}}",
        f'{place}.fields[1].value: template: :1:4: function "shout" not defined',
    ]


def test_routes_are_printed_as_a_tree(tmp_path: Path) -> None:
    """With what each says of its own."""
    result = check("routes", file(tmp_path, TREE))
    assert result.stdout == (
        "Routing tree:\n"
        ".\n"
        "└── default-route  receiver: all  grouping: [alertname]\n"
        '    ├── {team="db"}  continue: true  receiver: db  grouping: [alertname]\n'
        '    └── {severity=~"critical|page"}  receiver: pager  grouping: [alertname]\n'
        '        └── {env="dev"}  receiver: all  grouping: [alertname]\n'
        "\n"
    )


def test_labels_say_who_is_told(tmp_path: Path) -> None:
    """In the order of the tree; a wish that is not met fails."""
    path = file(tmp_path, TREE)
    assert check("routes", path, "team=db", 'severity="critical"').stdout == "db,pager\n"
    assert check("routes", path, "team=web").stdout == "all\n"
    assert check("routes", path, "team=db", "--verify-receivers", "db").exit_code == 0
    result = check("routes", path, "--verify-receivers", "db")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "all\n", "WARNING: expected db\n")
    result = check("routes", path, "--tree", "team=db", "severity=page", "env=dev")
    assert result.stdout == (
        "Matching routes:\n"
        ".\n"
        "└── default-route\n"
        '    ├── {team="db"}  receiver: db  grouping: [alertname]\n'
        '    └── {severity=~"critical|page"}\n'
        '        └── {env="dev"}  receiver: all  grouping: [alertname]\n'
        "\n\n"
        "db,all\n"
    )


@pytest.mark.parametrize(("label", "reason"), [("a!=b", "name=value"), ("a", "cannot read the labels: bad matcher")])
def test_labels_are_names_and_values(tmp_path: Path, label: str, reason: str) -> None:
    """What else there is in matchers says nothing of an alert."""
    result = check("routes", file(tmp_path, TREE), label)
    assert isinstance(result.exception, BadRequestError)
    assert reason in str(result.exception)
