"""``mirante check rules`` and ``mirante check metrics``: what is wrong, what deserves a look, and the exit codes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from subprocess import run

import pytest
from typer.testing import CliRunner, Result

from mirante.cli.main import app
from mirante.errors import ConfigError
from tests.peers import program


def check(what: str, *arguments: object, body: bytes = b"") -> Result:
    """Run the command."""
    return CliRunner().invoke(app, ["check", what, *map(str, arguments)], input=body)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A file with three rules, two of them alike."""
    path = tmp_path / "good.yml"
    path.write_text(
        'groups: [{name: a, rules: [{record: "a:b", expr: up}, {record: "a:b", expr: up}, {alert: A, expr: up}]}]'
    )
    return path


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """A file with two mistakes."""
    path = tmp_path / "bad.yml"
    path.write_text("groups:\n- name: a\n  rules:\n  - {alert: A}\n  - {alert: B, expr: 'up['}\n")
    return path


def test_rules_are_counted_and_duplicates_told(good: Path) -> None:
    """Nothing is wrong with them."""
    result = check("rules", good)
    assert result.exit_code == 0
    assert result.stdout == f"Checking {good}\n  SUCCESS: 3 rules found\n"
    message = '"a:b" has the name and labels of the rule in line 1: their series may collide'
    assert result.stderr == f"  WARNING: {good}, line 1: {message}\n"


def test_everything_wrong_is_told_of_every_file(good: Path, bad: Path) -> None:
    """The others are checked too."""
    result = check("rules", bad, good, bad.with_name("none.yml"))
    assert result.exit_code == 1
    assert result.stdout.count("SUCCESS") == 1
    failed = [line for line in result.stderr.splitlines() if line.startswith("  FAILED: ")]
    assert [line.removeprefix(f"  FAILED: {bad}")[:32] for line in failed[:2]] == [
        ', line 4: group "a", rule 1, "A"',
        ', line 5: group "a", rule 2, "B"',
    ]
    assert failed[2].endswith("none.yml: cannot be read: No such file or directory")


@pytest.mark.parametrize(
    ("flags", "warnings", "code"),
    [
        (["--lint", "none", "--lint-fatal"], 0, 0),
        (["--lint-fatal"], 1, 3),
        (["--lint", "severity,names"], 1, 0),
        (["--lint", "all", "--lint-fatal"], 2, 3),
    ],
)
def test_what_deserves_a_look_can_be_chosen_and_can_count(
    good: Path, flags: list[str], warnings: int, code: int
) -> None:
    """By name, and with an exit code of its own."""
    result = check("rules", *flags, good)
    assert (result.stderr.count("WARNING"), result.exit_code) == (warnings, code)


def test_an_error_weighs_more_than_a_warning(good: Path, bad: Path) -> None:
    """The exit code is that of the error."""
    assert check("rules", "--lint-fatal", good, bad).exit_code == 1


def test_an_unknown_lint_is_told(good: Path) -> None:
    """With those that there are."""
    result = check("rules", "--lint", "spelling", good)
    assert isinstance(result.exception, ConfigError)
    assert 'expected some of duplicate-rules, names, severity, all, none, got "spelling"' in str(result.exception)


def test_a_configuration_is_checked_with_its_rules(tmp_path: Path, good: Path, bad: Path) -> None:
    """A file that is named should be there, a pattern may wait for its files."""
    path = tmp_path / "prometheus.yml"
    path.write_text(f"rule_files: [{good.name}, {bad.name}, missing.yml, 'later*.yml']")
    result = check("config", path)
    assert result.exit_code == 1
    assert result.stderr.count(f"FAILED: {bad}, line ") == 2
    assert f"FAILED: rule_files: no file matches {tmp_path / 'missing.yml'}" in result.stderr
    assert f"WARNING: rule_files: no file matches {tmp_path / 'later*.yml'}" in result.stderr
    path.write_text(f"rule_files: [{good.name}]\nalerting: {{alertmanagers: [{{bearer_token_file: none}}]}}")
    result = check("config", path)
    assert result.stderr == f"  FAILED: alertmanagers: {tmp_path / 'none'} cannot be read: No such file or directory\n"


WRONG = b"# TYPE requests counter\nrequests 1\n"
SAID = 'requests counter metrics should have "_total" suffix\nrequests no help text\n'


def test_metrics_of_a_page_are_checked(tmp_path: Path) -> None:
    """From standard input, a file or a URL."""
    path = tmp_path / "page"
    path.write_bytes(WRONG)
    results = [check("metrics", body=WRONG), check("metrics", "-", body=WRONG), check("metrics", path)]
    with serving(WRONG) as url:
        results.append(check("metrics", url))
    assert [(result.stderr, result.exit_code) for result in results] == [(SAID, 3)] * 4
    assert check("metrics", body=b"# HELP a x\na 1\n").exit_code == 0


def test_a_page_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """Whether it breaks the format, is not there or not served."""
    results = [check("metrics", body=b"a\n"), check("metrics", tmp_path / "none")]
    with serving(b"no such page", status=404) as url:
        results.append(check("metrics", url))
    assert [result.exit_code for result in results] == [1, 1, 1]
    said = [result.stderr.removeprefix("error while linting: ") for result in results]
    assert said[0].startswith("line 1: expected a value")
    assert "No such file or directory" in said[1]
    assert said[2] == f"{url} answered 404: no such page\n"


@contextmanager
def serving(body: bytes, status: int = 200) -> Iterator[str]:
    """A page at a URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/metrics"
        finally:
            server.shutdown()
            thread.join()


FILES = {
    "good": "groups: [{name: a, rules: [{alert: A, expr: up, for: 1m, annotations: {b: '{{ $value }}'}}]}]",
    "empty": "",
    "nothing": "groups:",
    "name": "groups: [{rules: []}]",
    "twice": "groups: [{name: a}, {name: a}]",
    "both": "groups: [{name: a, rules: [{alert: A, record: B, expr: up}]}]",
    "neither": "groups: [{name: a, rules: [{expr: up}]}]",
    "expr": "groups: [{name: a, rules: [{alert: A}]}]",
    "syntax": "groups: [{name: a, rules: [{alert: A, expr: 'sum('}]}]",
    "type": "groups: [{name: a, rules: [{alert: A, expr: 'rate(up)'}]}]",
    "function": "groups: [{name: a, rules: [{alert: A, expr: 'rat(up[5m])'}]}]",
    "text": "groups: [{name: a, rules: [{alert: A, expr: '\"a\"'}]}]",
    "number": "groups: [{name: a, rules: [{record: A, expr: 5}]}]",
    "for": "groups: [{name: a, rules: [{record: A, expr: up, for: 1m}]}]",
    "zero": "groups: [{name: a, rules: [{record: A, expr: up, for: 0s}]}]",
    "keep": "groups: [{name: a, rules: [{record: A, expr: up, keep_firing_for: 1m}]}]",
    "annotations": "groups: [{name: a, rules: [{record: A, expr: up, annotations: {a: b}}]}]",
    "braces": "groups: [{name: a, rules: [{record: 'A{}', expr: up}]}]",
    "label": "groups: [{name: a, rules: [{record: A, expr: up, labels: {__name__: b}}]}]",
    "template": "groups: [{name: a, rules: [{alert: A, expr: up, labels: {a: '{{'}}]}]",
    "template_function": "groups: [{name: a, rules: [{alert: A, expr: up, labels: {a: '{{ none }}'}}]}]",
    "template_in_recording_rule": "groups: [{name: a, rules: [{record: A, expr: up, labels: {a: '{{'}}]}]",
    "unknown": "groups: [{name: a, rules: [], nothing: 1}]",
    "unknown_top": "group: []",
    "duration": "groups: [{name: a, interval: 5}]",
    "days": "groups: [{name: a, interval: 1d2h, limit: 3}]",
    "limit": "groups: [{name: a, limit: x}]",
    "list": "groups: {}",
    "yaml": "groups: [",
    "key": "groups: [{name: a, name: b}]",
}


@pytest.mark.slow
def test_promtool_has_the_same_verdicts(tmp_path: Path) -> None:
    """File by file: it says SUCCESS of those that are good."""
    verdicts = {}
    for name, text in FILES.items():
        path = tmp_path / f"{name}.yml"
        path.write_text(text)
        verdicts[path] = check("rules", path).exit_code == 0
    command = [program("promtool"), "check", "rules", "--lint=none", *map(str, verdicts)]
    told = run(command, capture_output=True, text=True, timeout=60, check=False).stdout
    parts = dict(part.split("\n", 1) for part in told.split("Checking ")[1:])
    assert {Path(name): "SUCCESS" in rest for name, rest in parts.items()} == verdicts
    assert 3 < sum(verdicts.values()) < len(verdicts)
