"""Unit tests of rules have promtool's own verdict: over the corpus, and over made-up rules, series and expectations.

What is made up avoids the known difference of promtool 2.42, where ranges include their start: no window starts exactly
on a sample, and nothing is looked back on for five minutes.
"""

from __future__ import annotations

import copy
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mirante.testing.ruletest import read_rule_tests
from mirante.testing.ruletest_run import Failure, run_rule_tests
from mirante.testing.series_notation import read_metric
from tests.peers import program
from tests.testing.test_ruletest import CORPUS, passes

pytestmark = pytest.mark.slow


def promtool_passes(files: Sequence[Path]) -> dict[Path, bool]:
    """The verdict of promtool on each file."""
    command = [program("promtool"), "test", "rules", *map(str, files)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False).stdout
    verdicts: dict[Path, bool] = {}
    for part in told.split("Unit Testing:  ")[1:]:
        name, _, rest = part.partition("\n")
        verdicts[Path(name)] = "SUCCESS" in rest
    return verdicts


def test_the_corpus_has_the_verdicts_of_promtool() -> None:
    """File by file."""
    files = sorted([*CORPUS.glob("*.pass.yml"), *CORPUS.glob("*.fail.yml")])
    assert promtool_passes(files) == {path: path.name.endswith(".pass.yml") for path in files}


SEGMENT = st.one_of(
    st.integers(-3, 9).map(str),
    st.builds("{}{:+d}x{}".format, st.integers(0, 9), st.integers(-3, 3), st.integers(0, 4)),
    st.builds("{}x{}".format, st.integers(0, 3), st.integers(1, 4)),
    st.builds("_x{}".format, st.integers(1, 3)),
    st.just("stale"),
)
SERIES = st.fixed_dictionaries({f'{name}{{i="{i}"}}': st.lists(SEGMENT, max_size=6) for name in "ab" for i in "xy"})
EXPRESSIONS = st.sampled_from([
    "a", "a > 2", "b == 0", "sum(a)", "sum by (i) (b)", "a + b", "a and on (i) b > 1", "absent(a)", "count(b)", "-a",
    "max_over_time(a[70s])", "count_over_time(b[130s])", "sum_over_time(a[190s])", "a unless b", "a or b", "min(b) * 2",
    "a offset 1m", "changes(b[250s])", "vector(7)", "sum(a) > bool 3", 'ALERTS{alertstate="firing"}', "r1", "r2 > 1",
    "max_over_time(sum(b)[100s:30s])", "topk(1, sum by (i) (a))", 'label_replace(a, "j", "$1", "i", "(.)")', "5",
    "timestamp(b)", "time()", "scalar(vector(3))",
])  # fmt: skip
LABELS = st.dictionaries(
    st.sampled_from(["severity", "i", "v"]), st.sampled_from(["", "x", "{{ $value }}", "{{ $labels.i }}-1"]), max_size=2
)
ANNOTATIONS = st.dictionaries(
    st.sampled_from(["summary", "more"]),
    st.sampled_from(["{{ $value }} of {{ $labels.i }}", '{{ query "sum(a)" | len }}', "{{ $externalLabels.e }}", ""]),
    max_size=2,
)
RECORDING = st.fixed_dictionaries(
    {"record": st.sampled_from(["r1", "r2"]), "expr": EXPRESSIONS},
    optional={"labels": st.sampled_from([{"l": "1"}, {"i": ""}])},
)
ALERTING = st.fixed_dictionaries(
    {"alert": st.sampled_from(["A", "B"]), "expr": EXPRESSIONS, "labels": LABELS, "annotations": ANNOTATIONS},
    optional={
        "for": st.sampled_from(["0s", "1m", "90s", "3m"]),
        "keep_firing_for": st.sampled_from(["30s", "1m", "2m"]),
    },
)
RULES = st.lists(st.one_of(RECORDING, ALERTING), min_size=1, max_size=5)
TIMES = st.lists(st.integers(0, 9).map(lambda halves: f"{halves * 30}s"), min_size=1, max_size=3, unique=True)


Case = tuple[dict[str, Any], dict[str, Any]]
"""What stands in a rule file, and in a file of tests."""


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A rule file, and a file of tests that expects nothing at all."""
    groups: list[dict[str, Any]] = [
        {"name": name, "rules": draw(RULES), "limit": draw(st.sampled_from([0, 0, 0, 2]))}
        for name in ("first", "second")
    ]
    if draw(st.integers(0, 9)):  # two rules that write one series fail everywhere
        recording = [rule for group in groups for rule in group["rules"] if "record" in rule]
        for number, rule in enumerate(recording, 1):
            rule["record"] = f"r{number}"
    times = draw(TIMES)
    test = {
        "interval": draw(st.sampled_from(["30s", "1m"])),
        "external_labels": {"e": "out"},
        "input_series": [{"series": name, "values": " ".join(parts)} for name, parts in draw(SERIES).items()],
        "alert_rule_test": [{"eval_time": time, "alertname": name} for time in times for name in "AB"],
        "promql_expr_test": [
            {"expr": expr, "eval_time": time}
            for time in times
            for expr in ("ALERTS", "ALERTS_FOR_STATE", "r1", "r2", draw(EXPRESSIONS))
        ],
    }
    interval, order = draw(st.sampled_from(["30s", "1m", "45s"])), ["first", "second"]
    return {"groups": groups}, {"evaluation_interval": interval, "group_eval_order": order, "tests": [test]}


def expectations(path: Path, tests: dict[str, Any]) -> dict[str, Any]:
    """The same with what was found as what is expected."""
    (result,) = run_rule_tests(read_rule_tests(path))
    found = {failure.about: failure for failure in result.failures}
    filled = copy.deepcopy(tests)
    for one in filled["tests"][0]["alert_rule_test"]:
        failure = found.get(f"alertname: {one['alertname']}, time: {duration(one['eval_time'])}")
        if failure:
            one["exp_alerts"] = expected_alerts(failure)
    for one in filled["tests"][0]["promql_expr_test"]:
        failure = found.get(f'expr: "{one["expr"]}", time: {duration(one["eval_time"])}')
        if failure:
            one["exp_samples"] = [
                {"labels": labels, "value": float(value)}
                for labels, _, value in (line.rpartition(" ") for line in failure.got)
            ]
    return filled


def duration(text: str) -> str:
    """Seconds as they are shown: ``90s`` is ``1m30s``."""
    minutes, seconds = divmod(int(text[:-1]), 60)
    return "0s" if text == "0s" else (f"{minutes}m" if minutes else "") + (f"{seconds}s" if seconds else "")


def expected_alerts(failure: Failure) -> list[dict[str, Any]]:
    """What fired, as a file of tests has it."""
    lines = [dict(read_metric(line.partition(": ")[2])) for line in failure.got]
    return [
        {"exp_labels": {n: v for n, v in labels.items() if n != "alertname"}, "exp_annotations": annotations}
        for labels, annotations in zip(lines[::2], lines[1::2], strict=True)
    ]


def spoiled(tests: dict[str, Any], place: int) -> dict[str, Any]:
    """The same with one expectation changed."""
    wrong = copy.deepcopy(tests)
    entries = [*wrong["tests"][0]["alert_rule_test"], *wrong["tests"][0]["promql_expr_test"]]
    one = entries[place % len(entries)]
    key, surplus = ("exp_alerts", {}) if "alertname" in one else ("exp_samples", {"labels": "unheard_of"})
    expected = one.setdefault(key, [])
    if expected and place % 2:
        expected.pop()
    else:
        expected.append(surplus)
    return wrong


@settings(
    max_examples=5,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # what differs is shown as files, and to make it smaller would take minutes
    suppress_health_check=list(HealthCheck),
)
@given(st.data())
def test_made_up_rules_have_the_verdicts_of_promtool(data: st.DataObject) -> None:
    """What was found passes there, what is changed fails there, and a rule that fails here fails there."""
    with TemporaryDirectory() as folder:
        verdicts: dict[Path, bool] = {}
        for number in range(20):  # promtool takes longer to start than to test
            right, wrong = write_case(Path(folder), number, data.draw(cases()), data.draw(st.integers(0, 50)))
            verdicts |= {right: passes(right), wrong: passes(wrong)}
            assert not verdicts[wrong]
        told = promtool_passes(list(verdicts))
        different = [path for path, verdict in verdicts.items() if told[path] != verdict]
        assert not different, different[0].read_text() + (different[0].parent / rules_of(different[0])).read_text()
        assert any(verdicts.values())


def rules_of(path: Path) -> str:
    """The name of the rule file beside a file of tests."""
    return f"{path.name.partition('.')[0]}.rules.yml"


def write_case(folder: Path, number: int, case: Case, place: int) -> tuple[Path, Path]:
    """Write a case with what is found as what is expected, and once more with something else."""
    right, wrong = folder / f"{number}.right.yml", folder / f"{number}.wrong.yml"
    rules, tests = case[0], {**case[1], "rule_files": [rules_of(right)]}
    (folder / rules_of(right)).write_text(yaml.safe_dump(rules))
    right.write_text(yaml.safe_dump(tests))
    filled = expectations(right, tests)
    right.write_text(yaml.safe_dump(filled))
    wrong.write_text(yaml.safe_dump(spoiled(filled, place)))
    return right, wrong
