"""Rule files are taken as Prometheus takes them; what cannot be used is told all at once, with file, line and rule."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mirante.errors import ConfigError
from mirante.formats.duration import format_duration
from mirante.server.rules.model import AlertingRule, Expression, RecordingRule, Rule, RuleGroup
from mirante.server.rules.read import files_of, parse_rules, read_rules

WHOLE = """
groups:
- name: shop
  interval: 30s
  limit: 10
  query_offset: 1m
  labels: {team: shop, tier: 1}
  rules:
  - record: job:requests:rate5m
    expr: sum by (job) (rate(requests_total[5m]))
    labels: {from: rule}
  - alert: HighErrorRate
    expr: |
      job:errors:rate5m
        > 0.1
    for: 10m
    keep_firing_for: 5m
    labels: {severity: critical}
    annotations:
      summary: "{{ $labels.job }} at {{ $value | humanizePercentage }}"
- name: logs
  query_offset: 0s
  rules:
  - alert: Panics
    sql: SELECT count() AS value FROM otel_logs
- name: empty
"""


def test_every_key_arrives() -> None:
    """With its line, and an empty query_offset told from none."""
    shop, logs, empty = parse_rules(WHOLE, "shop.yml")
    recording = RecordingRule(
        "job:requests:rate5m",
        Expression("sum by (job) (rate(requests_total[5m]))"),
        {"from": "rule"},
        line=9,
    )
    alerting = AlertingRule(
        "HighErrorRate",
        Expression("job:errors:rate5m\n  > 0.1\n"),
        600_000,
        300_000,
        {"severity": "critical"},
        {"summary": "{{ $labels.job }} at {{ $value | humanizePercentage }}"},
        line=12,
    )
    labels = {"team": "shop", "tier": "1"}
    assert shop == RuleGroup("shop", "shop.yml", (recording, alerting), 30_000, 10, 60_000, labels, line=3)
    (panics,) = logs.rules
    assert panics.expression == Expression("SELECT count() AS value FROM otel_logs", "sql")
    assert (logs.query_offset, logs.interval, logs.limit) == (0, 0, 0)
    assert empty == RuleGroup("empty", "shop.yml", (), line=26)


@pytest.mark.parametrize("text", ["", "groups:", "groups: []", "---\n# nothing"])
def test_a_file_without_groups_is_valid(text: str) -> None:
    """As in Prometheus."""
    assert parse_rules(text, "a.yml") == ()


ONE = "groups:\n- name: g\n  rules:\n  - {rule}\n"


@pytest.mark.parametrize(
    ("rule", "line", "message"),
    [
        ("{record: a, alert: b, expr: up}", 4, "\"b\": only one of 'record' and 'alert' must be set"),
        ("{expr: up}", 4, "\"\": one of 'record' or 'alert' must be set"),
        ("{alert: b}", 4, "\"b\": field 'expr' must be set in rule"),
        ('{alert: b, expr: ""}', 4, "\"b\": field 'expr' must be set in rule"),
        ("{alert: b, expr: up, sql: SELECT 1}", 4, "\"b\": only one of 'expr' and 'sql' must be set"),
        ("{alert: b, expr: 'up['}", 4, '"b": could not parse expression: 1:4: parse error: '),
        ("{record: a, expr: up, for: 1m}", 4, "\"a\": invalid field 'for' in recording rule"),
        (
            "{record: a, expr: up, keep_firing_for: 1m}",
            4,
            "\"a\": invalid field 'keep_firing_for' in recording rule",
        ),
        ("{record: a, expr: up, annotations: {b: c}}", 4, "\"a\": invalid field 'annotations' in recording rule"),
        ("{record: 'a{b=\"c\"}', expr: up}", 4, '"a{b="c"}": braces present in the recording rule name; should it be'),
        ("alert: b\n    expr: up\n    labels: {__name__: c}", 6, '"b": invalid label name: "__name__"'),
        ("alert: b\n    expr: up\n    labels:\n      '': c", 7, '"b": invalid label name: ""'),
        ("alert: b\n    expr: up\n    annotations: {'': c}", 6, '"b": invalid annotation name: it is empty'),
        ("alert: b\n    expr: up\n    labels: {a: '{{ .X '}", 6, '"b": label "a": template: __alert_b:1:'),
        (
            "alert: b\n    expr: up\n    annotations: {a: '{{ nothing }}'}",
            6,
            '"b": annotation "a": template: __alert_b:1',
        ),
        ('{alert: "b\\nc", expr: ""}', 4, "\"b\\nc\": field 'expr' must be set in rule"),
    ],
)
def test_a_rule_that_cannot_be_used_is_named(rule: str, line: int, message: str) -> None:
    """With file, line, group, number and name."""
    with pytest.raises(ConfigError) as caught:
        parse_rules(ONE.replace("{rule}", rule), "a.yml")
    assert str(caught.value).startswith(f'a.yml, line {line}: group "g", rule 1, {message}')
    assert str(caught.value).count("\n") == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("group: []", 'a.yml, line 1: group: unknown key "group"; did you mean "groups"?'),
        ("group:\n- name: a", 'a.yml, line 1: group: unknown key "group"'),
        ("groups: {}", "a.yml, line 1: groups: expected a list"),
        ("- a", "a.yml, line 1: expected a mapping of keys to values"),
        ("groups: [", "a.yml, line 1: is not YAML"),
        ("groups: [a]", "a.yml, line 1: groups[0]: expected a mapping of keys to values"),
        (
            "groups: [{name: a, intervall: 1m}]",
            'groups[0].intervall: unknown key "intervall"; did you mean "interval"?',
        ),
        ("groups: [{name: a, interval: 5}]", 'groups[0].interval: not a valid duration string: "5"'),
        ("groups: [{name: a, limit: -1}]", "groups[0].limit: expected a whole number that is not negative"),
        ("groups: [{name: a, query_offset: x}]", "groups[0].query_offset: not a valid duration string"),
        ("groups: [{name: a, labels: {__name__: b}}]", 'line 1: group "a": invalid label name: "__name__"'),
        ("groups: [{name: a, labels: {b: []}}]", "groups[0].labels.b: expected text"),
        ("groups: [{name: a, rules: {}}]", "groups[0].rules: expected a list"),
        ("groups: [{name: a, rules: [b]}]", "groups[0].rules[0]: expected a mapping"),
        ("groups:\n- name: a\n- name: a", 'a.yml, line 3: groupname: "a" is repeated in the same file'),
        ("groups:\n- interval: 1m", "a.yml, line 2: a group needs a name"),
        (
            "groups: [{name: a, rules: [{alert: b, expr: up, fro: 1m}]}]",
            'groups[0].rules[0].fro: unknown key "fro"; did you mean "for"?',
        ),
        ("groups: [{name: a, rules: [{alert: b, expr: up, for: x}]}]", "groups[0].rules[0].for: not a valid duration"),
        ("groups: [{name: a, rules: [{alert: b, expr: up, labels: c}]}]", "rules[0].labels: expected a mapping"),
    ],
)
def test_a_file_of_another_shape_is_refused_with_the_key(text: str, message: str) -> None:
    """Unknown keys are named with what may have been meant."""
    with pytest.raises(ConfigError) as caught:
        parse_rules(text, "a.yml")
    assert message in str(caught.value)
    assert caught.value.source == "a.yml"


def test_everything_that_is_wrong_is_told(tmp_path: Path) -> None:
    """Of every file, in one error: a line each."""
    first, second, good = tmp_path / "a.yml", tmp_path / "b.yml", tmp_path / "c.yml"
    first.write_text(
        "groups:\n- name: g\n  limit: x\n  rules:\n  - {alert: b, expr: 'up['}\n  - {record: a}\n- name: g\n"
    )
    second.write_text("groups: [{name: h, rules: [{alert: b, record: b}]}]")
    good.write_text("groups: [{name: h}]")
    with pytest.raises(ConfigError) as caught:
        read_rules([first, good, second, tmp_path / "none.yml"])
    told = str(caught.value).splitlines()
    places = [first] * 4 + [second] * 2
    assert [line.split(", line ")[0] for line in told[:-1]] == [str(path) for path in places]
    assert told[-1] == f"{tmp_path / 'none.yml'}: cannot be read: No such file or directory"
    assert [line.split(": ")[0].rpartition(" ")[2] for line in told[:4]] == ["3", "5", "6", "7"]


def test_the_same_group_name_may_stand_in_two_files(tmp_path: Path) -> None:
    """File and name together are the identity of a group."""
    for name in ("a.yml", "b.yml"):
        (tmp_path / name).write_text("groups: [{name: g}]")
    groups = read_rules([tmp_path / "a.yml", tmp_path / "b.yml"])
    assert [(Path(group.file).name, group.name) for group in groups] == [("a.yml", "g"), ("b.yml", "g")]


def test_patterns_stand_for_files_each_once(tmp_path: Path) -> None:
    """In the order of the patterns, sorted within one; a pattern without files is none."""
    for name in ("b.yml", "a.yml", "c.rules", ".hidden.yml"):
        (tmp_path / name).touch()
    found = files_of([f"{tmp_path}/c.*", f"{tmp_path}/*.yml", f"{tmp_path}/a.yml", f"{tmp_path}/none"])
    assert [path.name for path in found] == ["c.rules", ".hidden.yml", "a.yml", "b.yml"]


WORDS = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,8}", fullmatch=True)
VALUES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=10).filter(
    lambda t: "{{" not in t
)
MAPPINGS = st.dictionaries(WORDS.filter(lambda word: word != "__name__"), VALUES, max_size=3)
DURATIONS = st.integers(0, 10**10)
EXPRESSIONS = st.one_of(
    st.sampled_from(["up", "sum by (job) (rate(a_total[5m])) > 1", "vector(1)", "1 +\n2"]).map(Expression),
    st.just(Expression("SELECT 1", "sql")),
)


def rules() -> st.SearchStrategy[Rule]:
    """Any rule, its line left at 0."""
    recording = st.builds(RecordingRule, WORDS, EXPRESSIONS, MAPPINGS)
    alerting = st.builds(AlertingRule, VALUES.filter(bool), EXPRESSIONS, DURATIONS, DURATIONS, MAPPINGS, MAPPINGS)
    return st.one_of(recording, alerting)


def groups() -> st.SearchStrategy[list[RuleGroup]]:
    """Groups of one file."""
    one = st.builds(
        RuleGroup,
        VALUES.filter(bool),
        st.just("a.yml"),
        st.lists(rules(), max_size=3).map(tuple),
        DURATIONS,
        st.integers(0, 1000),
        st.none() | DURATIONS,
        MAPPINGS,
    )
    return st.lists(one, max_size=3, unique_by=lambda group: group.name)


def written(group: RuleGroup) -> dict[str, object]:
    """A group as a rule file has it."""
    found: dict[str, object] = {
        "name": group.name,
        "interval": format_duration(group.interval),
        "limit": group.limit,
        "labels": dict(group.labels),
        "rules": [written_rule(rule) for rule in group.rules],
    }
    return found if group.query_offset is None else {**found, "query_offset": format_duration(group.query_offset)}


def written_rule(rule: Rule) -> dict[str, object]:
    """A rule as a rule file has it."""
    asked = {"sql" if rule.expression.language == "sql" else "expr": rule.expression.text}
    if isinstance(rule, RecordingRule):
        return {"record": rule.record, **asked, "labels": dict(rule.labels)}
    times = {"for": format_duration(rule.hold), "keep_firing_for": format_duration(rule.keep_firing_for)}
    return {
        "alert": rule.alert, **asked, **times, "labels": dict(rule.labels), "annotations": dict(rule.annotations)
    }  # fmt: skip


@given(groups())
def test_what_is_written_is_read_back(wanted: list[RuleGroup]) -> None:
    """Any names, values, times and expressions."""
    text = yaml.safe_dump({"groups": [written(group) for group in wanted]}, allow_unicode=True)
    found = parse_rules(text, "a.yml")
    assert [written(group) for group in found] == [written(group) for group in wanted]
    assert [group.file for group in found] == ["a.yml"] * len(wanted)


KEYS = st.sampled_from(["groups", "name", "rules", "expr", "alert", "record", "labels", "for", "sql", "interval", "x"])
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), VALUES, st.sampled_from(["up", "5m", "up["]))
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=20
)


@given(st.one_of(ANYTHING, st.lists(ANYTHING, max_size=3).map(lambda found: {"groups": found})))
def test_any_yaml_is_taken_or_refused(content: object) -> None:
    """With ConfigError and nothing else."""
    taken_or_refused(yaml.safe_dump(content, allow_unicode=True))


@given(st.text(alphabet=st.sampled_from("groups: nalert\n-[]{}\"'&*!|>#,\\uDe0\t"), max_size=60))
def test_any_text_is_taken_or_refused(text: str) -> None:
    """YAML or not."""
    taken_or_refused(text)


def test_lone_surrogates_are_refused() -> None:
    """They cannot be stored as UTF-8."""
    with pytest.raises(ConfigError, match="is not valid Unicode"):
        parse_rules('groups: [{name: a, rules: [{alert: "\\ud800", expr: up}]}]', "a.yml")


def taken_or_refused(text: str) -> None:
    """Nothing but ConfigError, which says where."""
    try:
        said = [f"a.yml {group.name}" for group in parse_rules(text, "a.yml")]
    except ConfigError as error:
        said = str(error).splitlines()
    assert all(line.startswith("a.yml") for line in said)
