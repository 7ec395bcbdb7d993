"""Templates of labels and annotations, beside those of a real Prometheus."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import yaml

from mirante.errors import QueryError, TemplateError
from mirante.server.rules.template import check, expand
from tests.peers import program


def answer(expression: str, _: int) -> Sequence[tuple[Mapping[str, str], float]]:
    """The series of the tests."""
    if expression == "nope":
        return []
    if expression == "(":
        raise QueryError("that is no query")
    if expression == "one":
        return [({"__name__": "one", "job": "j", "instance": "b"}, 1.0)]
    return [
        ({"__name__": "m", "job": "k", "instance": "a"}, 2.0),
        ({"__name__": "m", "job": "j", "instance": "b"}, 1.0),
    ]


def expanded(text: str, value: float = 1234567.0) -> str:
    """A template with the labels of the tests."""
    return expand(
        text,
        labels={"job": "j", "instance": "b"},
        value=value,
        external_labels={"x": "y"},
        external_url="http://ext/pre",
        now_ms=60_000,
        query=answer,
    )


VALUES = (
    "0", "1", "-1", "1.5", "1234567", "0.000123", "1e-9", "999.95", "1023", "1024", "1048576", "86400", "93784.5",
    "59.9995", "3600", "-7325.25", "NaN", "Inf", "-Inf", "0.1234567", "1435065584.128", "-1.5e9", "999.99999", "1e-30",
)  # fmt: skip
OF_VALUES = (
    "{{ $value }}|{{ humanize $value }}|{{ humanize1024 $value }}|{{ humanizeDuration $value }}",
    "{{ humanizePercentage $value }}|{{ humanizeTimestamp $value }}",
    '{{ printf "%.2f %e %g %v %5.1f %d %s %q %x" $value $value $value $value $value $value $value $value $value }}',
)
SAME = (
    "{{ $labels.job }}-{{ $labels.nope }}-{{ .Labels.instance }}-{{ $externalLabels.x }}-{{ len $labels }}",
    '{{ $labels }} {{ .Labels }} {{ printf "%T %#v" $labels $labels }}',
    '{{ query "one" | first | value }} {{ (query "one" | first).Labels.instance }} {{ query "one" | first }}',
    '{{ range query "m" | sortByLabel "instance" }}{{ .Labels.instance }}={{ .Value }};{{ end }}',
    '{{ with query "one" }}{{ . | first | label "instance" }}{{ end }}',
    '{{ range $i, $e := query "m" }}{{ $i }}{{ end }}',
    '{{ with query "nope" }}a{{ else }}b{{ end }} {{ sortByLabel "instance" (query "m") | len }}',
    '{{ strvalue (first (query "one")) }}|{{ label "job" (query "one" | first) }}',
    '{{ title "hello wORLD it\'s a-b c_d 1st é" }}{{ toUpper "aé" }}{{ toLower "AÉ" }}',
    '{{ match "a.*" "cba" }} {{ match "^a" "ba" }} {{ reReplaceAll "(.*):(.*)" "$2/$1" "h:80" }} {{ safeHtml "<b>" }}',
    '{{ stripPort "a:80" }} {{ stripPort "a" }} {{ stripPort "[::1]:80" }} {{ stripPort "::1" }} {{ stripPort "" }}',
    '{{ stripPort "1.2.3.4:5" }} {{ stripPort "a:b:c" }} {{ stripPort "[::1]" }} {{ stripPort "a:" }}',
    '{{ stripDomain "a.b.c:80" }} {{ stripDomain "a.b.c" }} {{ stripDomain "1.2.3.4:80" }} {{ stripDomain "a" }}',
    '{{ stripDomain "[::1]:80" }} {{ stripDomain "::1" }} {{ stripDomain "" }} {{ stripDomain "1.2.3:80" }}',
    '{{ graphLink "up{a=\\"b\\"} > 1" }} {{ tableLink "up" }}',
    '{{ args 1 "a" }} {{ (args 1 "a").arg1 }} {{ (args 1).nope }}',
    '{{ parseDuration "1h30m" }} {{ "5m" | parseDuration }}',
    '{{ humanize "5" }} {{ humanize 5 }} {{ humanizeDuration "90" }} {{ humanizePercentage 0.5 }} {{ humanize "1e3" }}',
    "{{ if gt $value 1.0 }}big{{ else }}small{{ end }}{{ if eq $value 1234567.0 }}eq{{ end }}",
    '{{ (toTime $value).Year }} {{ (toTime $value).Format "15:04" }} {{ toTime $value }}',
    '{{ $value | humanize | printf "%s!" }} {{ printf "%v" $labels.job }} {{ $labels.job | toUpper | printf "%q" }}',
    '{{ .Value }} {{ .ExternalLabels }} {{ index $labels "job" }} {{ index .Labels "zz" }}|',
    '{{ define "x" }}<{{ . }}>{{ end }}{{ template "x" $value }}',
    '{{ if eq $labels.job "j" "k" }}yes{{ end }}{{ range $k, $v := $labels }}{{ $k }}:{{ $v }} {{ end }}',
)
FAILING = (
    ('{{ query "nope" | first | value }}', "error calling first: first() called on vector with no elements"),
    ("{{ humanize true }}", "can't convert bool to float"),
    ("{{ humanizeTimestamp 1e20 }}", "error calling humanizeTimestamp: 1e+20 cannot be represented as a "),
    ('{{ toTime "NaN" }}', "error calling toTime: value is NaN or Inf"),
    ("{{ if gt $value 1 }}{{ end }}", "error calling gt: incompatible types for comparison"),
    ("{{ $value.x }}", "<$value.x>: can't evaluate field x in type float64"),
    ("{{ humanizeDuration }}", "wrong number of args for humanizeDuration: want 1 got 0"),
    ('{{ reReplaceAll "(" "" "" }}', "error calling reReplaceAll: "),
    ('{{ query "(" }}', "error calling query: "),
    ('{{ parseDuration "x" }}', "error calling parseDuration: not a valid duration string"),
    ('{{ humanize "x" }}', "error calling humanize: "),
)


def cases() -> dict[str, tuple[str, str]]:
    """Value and template by the name of an alert."""
    of_values = [(value, text) for value in VALUES for text in OF_VALUES]
    others = [("1234567", text) for text in (*SAME, *(text for text, _ in FAILING))]
    return {f"case{number:03}": case for number, case in enumerate(of_values + others)}


def rendered_by_promtool(folder: Path) -> dict[str, str]:
    """What a real Prometheus makes of the cases: its unit tests show what they got instead of what they wanted."""
    rules, tests = [], []
    for name, (value, text) in cases().items():
        rules.append({"alert": name, "expr": f'm{{job="j"}} * 0 + ({value})', "annotations": {"a": text}})
        tests.append({"eval_time": "1m", "alertname": name, "exp_alerts": [{"exp_labels": {"not": "this"}}]})
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": rules}]}, width=10_000))
    test = {
        "interval": "1m",
        "external_labels": {"x": "y"},
        "input_series": [
            {"series": 'm{job="j",instance="b"}', "values": "1+0x10"},
            {"series": 'm{job="k",instance="a"}', "values": "2+0x10"},
            {"series": 'one{job="j",instance="b"}', "values": "1+0x10"},
        ],
        "alert_rule_test": tests,
    }
    (folder / "test.yml").write_text(yaml.safe_dump({"rule_files": ["rules.yml"], "tests": [test]}, width=10_000))
    command = [program("promtool"), "test", "rules", "test.yml"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    shown = re.split(r"alertname: (case\d+), ", ran.stdout + ran.stderr)
    found = {}
    for name, answer_of in zip(shown[1::2], shown[2::2], strict=True):
        quoted = re.search(r'got:\[.*?Annotations:\{a=("(?:[^"\\]|\\.)*")\}', answer_of, re.DOTALL)
        assert quoted is not None, answer_of
        found[name] = str(ast.literal_eval(re.sub(r"\n\s+", "", quoted[1])))
    return found


@pytest.mark.slow
def test_promtool_renders_the_same(tmp_path: Path) -> None:
    """Numbers, labels, queries and text; errors up to where they stand and to the reason's wording."""
    theirs = rendered_by_promtool(tmp_path)
    ours = {name: expanded(text, float(value)) for name, (value, text) in cases().items()}
    assert set(theirs) == set(ours)
    whole = {name for name in ours if not theirs[name].startswith("<error expanding template: ")}
    assert {name: ours[name] for name in whole} == {name: theirs[name] for name in whole}
    reasons = dict(FAILING)
    for name in set(ours) - whole:
        assert ours[name].startswith("<error expanding template: template: ")
        reason = reasons.get(cases()[name][1], "")
        assert reason in theirs[name]
        assert reason in ours[name]
    assert len(set(ours) - whole) == len(FAILING)


@pytest.mark.parametrize(("text", "reason"), FAILING)
def test_an_error_stands_in_the_place_of_the_text(text: str, reason: str) -> None:
    """As in Prometheus: the alert goes out, and says what is wrong with its template."""
    assert expanded(text).startswith("<error expanding template: template: template:1:")
    assert reason in expanded(text)


RENDERED = [
    ("no template", "no template"),
    ("{{ $labels.job }} {{ $value | humanize }} {{ $labels.nope }}", "j 1.235M "),
    ("{{ externalURL }} {{ pathPrefix }} {{ $externalURL }}", "http://ext/pre /pre http://ext/pre"),
    ("{{ now }} {{ toDuration 5.5 }} {{ toDuration 90 }} {{ humanize (toDuration 2) }}", "60 5.5s 1m30s 2"),
    ('{{ range query "m" | sortByLabel "instance" }}{{ .Labels.instance }}{{ end }}', "ab"),
    ("{{ humanizeDuration 1e21 }}", "11574074074074074d 1h 46m 40s"),
]


@pytest.mark.parametrize(("text", "expected"), [*RENDERED, *((text, None) for text in SAME)])
def test_what_is_rendered(text: str, expected: str | None) -> None:
    """Functions that promtool 2.42 does not have, and those that it has without it."""
    assert "<error" not in expanded(text)
    assert expected in {None, expanded(text)}


@pytest.mark.parametrize(("value", "text"), [(value, text) for value in VALUES for text in OF_VALUES])
def test_every_number_has_a_text(value: str, text: str) -> None:
    """Also what is no number."""
    assert "<error" not in expanded(text, float(value))


def test_too_many_queries_are_refused() -> None:
    """One template cannot keep the store busy."""
    assert "at most 100 queries" in expanded('{{ range 200 }}{{ query "m" }}{{ end }}')


def test_a_template_is_checked_without_being_rendered() -> None:
    """Where it is wrong is told; what would only fail when it runs is not."""
    check('{{ query "nope" | first }}{{ $labels.a }}{{ $externalLabels.b }}{{ $externalURL }}{{ now }}')
    with pytest.raises(TemplateError, match=r'template: Down:2:4: function "tmpl" not defined'):
        check("\n{{ tmpl `a` . }}", name="Down")
