"""Unit tests of rules in promtool's format: what passes, what fails, and what the reports say.

The corpus holds files whose names tell the verdict; ``test_ruletest_promtool.py`` asks promtool for its own.
"""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree as ET

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from mirante.cli.main import app
from mirante.errors import ConfigError
from mirante.testing.ruletest import RuleTestFile, read_rule_tests
from mirante.testing.ruletest_report import shown_failure
from mirante.testing.ruletest_run import Failure, run_rule_tests
from mirante.testing.series_notation import STALE

CORPUS = Path(__file__).parents[1] / "corpus" / "rules"


def passes(path: Path) -> bool:
    """Whether all tests of a file pass."""
    try:
        return not any(result.failures for result in run_rule_tests(read_rule_tests(path)))
    except ConfigError:
        return False


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.pass.yml")), ids=lambda path: path.stem)
def test_what_is_right_passes(path: Path) -> None:
    """Alerts and samples as they are expected."""
    assert passes(path)


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.fail.yml")), ids=lambda path: path.stem)
def test_what_is_wrong_fails(path: Path) -> None:
    """Also a file that cannot be used."""
    assert not passes(path)


def written(folder: Path, text: str, rules: str = "groups: []") -> Path:
    """A file of tests beside its rules."""
    (folder / "rules.yml").write_text(rules)
    path = folder / "tests.yml"
    path.write_text(text)
    return path


def read(folder: Path, text: str) -> RuleTestFile:
    """A file of tests, read."""
    return read_rule_tests(written(folder, text))


def test_every_key_is_read(tmp_path: Path) -> None:
    """With promtool's defaults for what is missing."""
    file = read(
        tmp_path,
        """
rule_files: [rules.yml, none.yml]
evaluation_interval: 30s
group_eval_order: [a, b]
fuzzy_compare: true
tests:
- {}
- name: whole
  interval: 15s
  external_labels: {a: b}
  external_url: http://here
  start_timestamp: 2026-01-31T12:00:00Z
  input_series: [{series: m, values: 1 stale}]
  alert_rule_test: [{eval_time: 1m, alertname: A, exp_alerts: [{exp_labels: {c: d}, exp_annotations: {e: 1}}]}]
  promql_expr_test: [{expr: m, eval_time: 2m, exp_samples: [{labels: m, value: -.inf}, {value: 0.5}]}]
""",
    )
    assert (file.rule_files, file.missing) == ((tmp_path / "rules.yml",), (str(tmp_path / "none.yml"),))
    assert (file.interval, file.order, file.fuzzy) == (30_000, ("a", "b"), True)
    empty, whole = file.tests
    assert (empty.name, empty.named, empty.interval, empty.last) == ("unnamed#0", False, 30_000, 0)
    assert (whole.name, whole.interval, whole.last, whole.start) == ("whole", 15_000, 120_000, 1_769_860_800_000)
    ((labels, points),) = whole.series
    assert (labels, points[0], repr(points[1])) == ({"__name__": "m"}, 1.0, repr(STALE))
    assert (whole.external_labels, whole.external_url) == ({"a": "b"}, "http://here")
    (alerts,), (samples,) = whole.alerts, whole.samples
    assert (alerts.eval_time, alerts.name) == (60_000, "A")
    assert alerts.alerts == (({"c": "d", "alertname": "A"}, {"e": "1"}),)
    assert (samples.expression, samples.eval_time) == ("m", 120_000)
    assert samples.samples == (({"__name__": "m"}, float("-inf")), ({}, 0.5))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("test: []", 'unknown key "test"; did you mean "tests"?'),
        ("tests: [{input_series: [{series: m, values: '{{schema:1}}'}]}]", "native histograms cannot be used"),
        ("tests: [{promql_expr_test: [{expr: m, exp_samples: [{histogram: '{{}}'}]}]}]", "histogram: is not supported"),
        ("tests: [{promql_expr_test: [{expr: m, exp_samples: [{value: x}]}]}]", 'expected a number, got "x"'),
        ("tests: [{start_timestamp: soon}]", "expected a Unix time in seconds or RFC 3339"),
        ("group_eval_order: [a, a]", "group name repeated in evaluation order: a"),
        ("tests: [{input_series: [{values: 1}]}]", "a series needs labels"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, text: str, message: str) -> None:
    """With file, line and key."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'tests.yml'}, line 1: ")


@pytest.mark.parametrize(
    ("given", "start"), [("1.5", 1500), ("1970-01-01T00:00:02", 2000), ("1970-01-01 01:00:00+01:00", 0)]
)
def test_a_test_may_start_at_another_time(tmp_path: Path, given: str, start: int) -> None:
    """Points, evaluations and expressions count from there."""
    text = f"""
tests:
- start_timestamp: "{given}"
  input_series: [{{series: m, values: 7 8}}]
  promql_expr_test:
  - {{expr: timestamp(m), eval_time: 1m, exp_samples: [{{value: {start / 1000 + 60}}}]}}
"""
    file = read(tmp_path, text)
    assert file.tests[0].start == start
    assert passes(file.path)


@pytest.mark.parametrize(("fuzzy", "verdict"), [("true", True), ("false", False)])
def test_values_may_differ_in_their_last_bit_if_that_is_asked(tmp_path: Path, fuzzy: str, verdict: bool) -> None:
    """``fuzzy_compare``."""
    text = f"""
fuzzy_compare: {fuzzy}
tests:
- promql_expr_test: [{{expr: vector(0.1) + 0.2, exp_samples: [{{value: 0.3}}]}}]
"""
    assert passes(written(tmp_path, text)) is verdict


def test_nan_is_nan(tmp_path: Path) -> None:
    """What promtool never takes, as NaN differs from itself there."""
    assert passes(written(tmp_path, "tests: [{promql_expr_test: [{expr: 0 / 0, exp_samples: [{value: .nan}]}]}]"))


def test_rules_that_ask_sql_are_left_out(tmp_path: Path) -> None:
    """The others can be tested; a test of such an alert says why it fails."""
    rules = "groups: [{name: a, rules: [{alert: Logs, sql: SELECT 1}, {alert: One, expr: vector(1)}]}]"
    text = "rule_files: [rules.yml]\ntests: [{alert_rule_test: [{alertname: %s, exp_alerts: [{}]}]}]"
    assert passes(written(tmp_path, text % "One", rules))
    (result,) = run_rule_tests(read_rule_tests(written(tmp_path, text % "Logs", rules)))
    assert [failure.error for failure in result.failures] == [
        "a rule that asks SQL needs a server; unit tests have no logs and traces"
    ]


def test_tests_can_be_chosen_by_name(tmp_path: Path) -> None:
    """Found anywhere in it; one without a name is not called anything."""
    file = read(tmp_path, "tests: [{name: first}, {name: second}, {}]")

    def names(pattern: str) -> list[str]:
        return [result.name for result in run_rule_tests(file, re.compile(pattern))]

    assert names("ir") == ["first"]
    assert names("^$") == ["unnamed#2"]
    assert names("unnamed") == []
    assert names("") == ["first", "second", "unnamed#2"]


def test_a_diff_shows_what_differs() -> None:
    """And what does not, once."""
    failure = Failure("expr: m", ["m 1", "n 2"], ["m 1", "n 3"])
    assert shown_failure(failure, diff=True) == ["expr: m", "      m 1", "    - n 2", "    + n 3"]


def command(*arguments: object) -> Result:
    """Run ``mirante test rules``."""
    return CliRunner().invoke(app, ["test", "rules", *map(str, arguments)])


def test_the_command_tells_what_passes() -> None:
    """And warns of patterns without files."""
    path = CORPUS / "order.pass.yml"
    result = command(path, CORPUS / "alerts.pass.yml")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[:2] == [f"Unit Testing:  {path}", "  SUCCESS"]
    assert result.stderr == f"  WARNING: no file match pattern {CORPUS / 'none*.yml'}\n"


def test_the_command_tells_what_fails_and_goes_on() -> None:
    """With test, time, what was expected and what came."""
    result = command(CORPUS / "value.fail.yml", CORPUS / "broken_rules.fail.yml", CORPUS / "empty.pass.yml")
    assert result.exit_code == 1
    assert result.stdout.count("SUCCESS") == 1
    assert result.stderr.splitlines()[:5] == [
        "  FAILED:",
        "    name: unnamed#0",
        '    expr: "n", time: 1m',
        "        exp: n 1",
        "        got: n 0",
    ]
    assert f"    {CORPUS / 'broken.rules.yml'}, line 1: group" in result.stderr
    failing = command(CORPUS / "failing_rule.fail.yml")
    assert "    rule: both, time: 0s, err: multiple matches for labels" in failing.stderr
    differing = command("--diff", "--run", "^$", CORPUS / "value.fail.yml")
    assert "        - n 1\n        + n 0\n" in differing.stderr
    assert command("--run", "other", CORPUS / "value.fail.yml").exit_code == 0


def test_results_can_be_written_for_machines(tmp_path: Path) -> None:
    """JUnit's XML: a suite for every file, a case for every test."""
    strange = written(tmp_path, 'tests: [{name: "a\\x07<b>", promql_expr_test: [{expr: "vector(1)"}]}]')
    report = tmp_path / "report.xml"
    assert command("--junit", report, CORPUS / "alerts.pass.yml", CORPUS / "shape.fail.yml", strange).exit_code == 1
    suites = ET.fromstring(report.read_bytes())  # noqa: S314 - our own
    assert [suite.attrib for suite in suites] == [
        {"name": str(CORPUS / "alerts.pass.yml"), "tests": "3", "failures": "0", "errors": "0"},
        {"name": str(CORPUS / "shape.fail.yml"), "tests": "0", "failures": "0", "errors": "1"},
        {"name": str(strange), "tests": "1", "failures": "1", "errors": "0"},
    ]
    names = [case.attrib["name"] for suite in suites for case in suite]
    assert names == ["down for two minutes", "keeps firing", "unnamed#2", "file", "a?<b>"]
    (failure,) = suites.iterfind(".//failure")
    assert failure.text == 'expr: "vector(1)", time: 0s\n    exp: nothing\n    got: {} 1'


def test_wrong_options_are_told(tmp_path: Path) -> None:
    """A pattern that is none, a report that cannot be written."""
    path = CORPUS / "empty.pass.yml"
    wrong = command("--run", "(", path)
    assert isinstance(wrong.exception, ConfigError)
    assert "--run is no regular expression" in str(wrong.exception)
    unwritable = command("--junit", tmp_path / "none" / "report.xml", path)
    assert "cannot be written: No such file or directory" in str(unwritable.exception)


def test_a_test_may_be_long(tmp_path: Path) -> None:
    """Two days of evaluations every five minutes."""
    text = """
evaluation_interval: 5m
tests:
- input_series: [{series: m, values: "0+1x576"}]
  promql_expr_test: [{expr: m, eval_time: 2d, exp_samples: [{labels: m, value: 576}]}]
"""
    assert passes(written(tmp_path, text))


KEYS = st.sampled_from([
    "tests", "rule_files", "input_series", "series", "values", "promql_expr_test", "alert_rule_test", "exp_alerts",
    "expr", "alertname", "exp_samples", "labels", "value", "eval_time", "start_timestamp", "x",
])  # fmt: skip
SCALARS = st.none() | st.integers() | st.floats() | st.text("1x_+- m{}=\"'", max_size=8) | st.sampled_from(["m", "5m"])
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=20
)


@given(st.dictionaries(KEYS, st.lists(ANYTHING, max_size=3) | ANYTHING, max_size=3))
def test_any_yaml_is_taken_or_refused(content: object) -> None:
    """With ConfigError, which says where, and nothing else."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "tests.yml"
        path.write_text(yaml.safe_dump(content, allow_unicode=True))
        try:
            said = str(read_rule_tests(path).path)
        except ConfigError as error:
            said = str(error)
        assert said.startswith(str(path))


GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "alerts.md"


def test_the_examples_of_the_guide_work_together(tmp_path: Path) -> None:
    """Each is written where its first line says; the configuration finds the rules, and the tests pass."""
    for text in re.findall(r"^```yaml\n(# .*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL):
        path = tmp_path / text.splitlines()[0].removeprefix("# ")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert passes(tmp_path / "tests" / "shop.yml")
    checked = CliRunner().invoke(app, ["check", "config", str(tmp_path / "prometheus.yml")])
    assert (checked.exit_code, checked.stderr) == (0, "")
    linted = CliRunner().invoke(app, ["check", "rules", "--lint", "all", str(tmp_path / "rules" / "shop.yml")])
    assert (linted.exit_code, linted.stderr) == (0, "")
