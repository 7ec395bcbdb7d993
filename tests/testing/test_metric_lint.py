"""Names, types and help texts of metrics: the same verdicts as promtool's."""

from __future__ import annotations

import subprocess
from contextlib import suppress

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from mirante.errors import FormatError
from mirante.testing.metric_lint import lint_metrics
from tests.peers import program


def found(*lines: str) -> list[str]:
    """What is wrong with a page of these lines."""
    return [str(problem) for problem in lint_metrics("".join(f"{line}\n" for line in lines).encode())]


def test_a_good_page_has_no_problems() -> None:
    """One metric of every type."""
    assert (
        found(
            "# Made by hand.",
            "",
            "# HELP requests_total Requests.",
            "# TYPE requests_total counter",
            'requests_total{method="GET"} 1',
            "# HELP queue_length Length.",
            "# TYPE queue_length gauge",
            "queue_length 1",
            "# HELP latency_seconds Latency.",
            "# TYPE latency_seconds histogram",
            'latency_seconds_bucket{le="1"} 1',
            'latency_seconds_bucket{le="+Inf"} 1',
            "latency_seconds_sum 1",
            "latency_seconds_count 1",
            "# HELP age_seconds Age.",
            "# TYPE age_seconds summary",
            'age_seconds{quantile="0.5"} 1',
            "age_seconds_sum 1",
            "age_seconds_count 1",
        )
        == []
    )


@pytest.mark.parametrize(
    ("name", "type", "text"),
    [
        ("a_requests", "counter", 'counter metrics should have "_total" suffix'),
        ("a_total", "gauge", 'non-counter metrics should not have "_total" suffix'),
        ("a_bucket", "gauge", 'non-histogram metrics should not have "_bucket" suffix'),
        ("a_sum", "gauge", 'non-histogram and non-summary metrics should not have "_sum" suffix'),
        ("a_count", "gauge", 'non-histogram and non-summary metrics should not have "_count" suffix'),
        ("a_milliseconds", "gauge", 'use base unit "seconds" instead of "milliseconds"'),
        ("a_hours_x", "gauge", 'use base unit "seconds" instead of "hours"'),
        ("kilobytes", "gauge", 'use base unit "bytes" instead of "kilobytes"'),
        ("a_gauge_x", "gauge", "metric name should not include type 'gauge'"),
        ("a:b", "gauge", "metric names should not contain ':'"),
        ("aB", "gauge", "metric names should be written in 'snake_case' not 'camelCase'"),
        ("a_ms", "gauge", "metric names should not contain abbreviated units"),
    ],
)
def test_each_problem_has_its_words(name: str, type: str, text: str) -> None:
    """Those of promtool."""
    assert found(f"# HELP {name} x", f"# TYPE {name} {type}", f"{name} 1") == [f"{name} {text}"]


def test_labels_are_looked_at_in_every_series() -> None:
    """Those that belong to another type, and camelCase; a histogram's own not at all."""
    page = ["# HELP a x", "# TYPE a gauge", 'a{le="1",quantile="2"} 1', 'a{someLabel="1"} 1']
    assert found(*page) == [
        "a label names should be written in 'snake_case' not 'camelCase'",
        'a non-histogram metrics should not have "le" label',
        'a non-summary metrics should not have "quantile" label',
    ]
    assert found("# HELP a x", 'a{le="1",quantile="2"} 1') == []


def test_openmetrics_is_known_by_its_end() -> None:
    """Counters have their suffix in the samples there."""
    page = [
        "# HELP a x",
        "# TYPE a counter",
        "a_total 1",
        "a_created 1",
        "# HELP i x",
        "# TYPE i info",
        'i_info{b="c"} 1',
    ]
    assert found(*page, "# EOF") == []
    assert found("# TYPE a counter", "a_total 1", "# EOF") == ["a_total no help text"]


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("a 1", "the last line must end with a line feed"),
        ("a\n", "line 1: expected a value"),
        ("# TYPE a gauge\n# TYPE a gauge\n", 'line 2: second TYPE line for metric name "a"'),
        ("# HELP a x\na 1\n# HELP a y\n", 'line 3: second HELP line for metric name "a"'),
        ("a 1\n# TYPE a gauge\n", 'line 2: TYPE of metric name "a" reported after samples'),
        ("# TYPE a thing\n", "line 1: invalid metric type"),
        ('# TYPE a summary\na{quantile="x"} 1\n', 'line 2: expected a number as value of label "quantile", got "x"'),
        ('# TYPE a histogram\na_bucket{le="x"} 1\n', 'line 2: expected a number as value of label "le", got "x"'),
    ],
)
def test_a_page_that_breaks_the_format_is_refused(page: str, message: str) -> None:
    """With the line."""
    with pytest.raises(FormatError, match=message):
        lint_metrics(page.encode())


PIECES = st.sampled_from(
    [b"# TYPE a ", b"# HELP a ", b"gauge", b"counter\n", b"a_total", b"{", b"}", b'b="c"', b" 1", b"\n"]
)


@given(st.binary(max_size=40) | st.lists(PIECES, max_size=12).map(b"".join))
def test_any_bytes_are_taken_or_refused(page: bytes) -> None:
    """With FormatError and nothing else."""
    with suppress(FormatError):
        assert all(problem.text for problem in lint_metrics(page + b"\n"))


UNITS = {"milliseconds", "seconds", "bits", "kilobytes", "celsius", "days"}
WORDS = [
    "a",
    "total",
    "bucket",
    "sum",
    "count",
    "ms",
    "s",
    "gauge",
    "histogram",
    "someThing",
    "info",
    "h",
    "b:c",
    *UNITS,
]


def has_one_unit(name: str) -> bool:
    """Of several units promtool 2.42 names any."""
    return len(UNITS.intersection(name.split("_"))) < 2


NAMES = st.lists(st.sampled_from(sorted(WORDS)), min_size=1, max_size=3).map("_".join).filter(has_one_unit)
LABELS = st.dictionaries(
    st.sampled_from(["job", "le", "quantile", "someLabel"]), st.sampled_from(["1", "2"]), max_size=2
)


@st.composite
def pages(draw: st.DrawFn) -> str:
    """Families of the simple types, each told apart from the others by its first word."""
    lines = []
    for number, name in enumerate(draw(st.lists(NAMES, max_size=4))):
        family = f"f{number}_{name}"
        if draw(st.booleans()):
            lines.append(f"# HELP {family} {draw(st.sampled_from(['', 'Some help.']))}")
        if draw(st.booleans()):
            lines.append(f"# TYPE {family} {draw(st.sampled_from(['counter', 'gauge', 'untyped']))}")
        sets = draw(st.lists(LABELS, max_size=3, unique_by=lambda labels: tuple(sorted(labels.items()))))
        lines += [family + "{" + ",".join(f'{n}="{v}"' for n, v in labels.items()) + "} 1" for labels in sets]
    return "".join(f"{line}\n" for line in lines)


FIXED = """# HELP h x
# TYPE h histogram
h_bucket{le="1",quantile="1",someLabel="x"} 1
h_bucket{le="+Inf",quantile="1",someLabel="x"} 1
h_sum{quantile="1",someLabel="x"} 1
h_count{quantile="1",someLabel="x"} 1
# TYPE s_total summary
s_total{quantile="1",le="1"} 1
s_total{quantile="2",le="1"} 1
s_total_sum{le="1"} 1
s_total_count{le="1"} 1
"""


@pytest.mark.slow
@settings(max_examples=20, derandomize=True, database=None, phases=[Phase.generate])
@given(st.lists(pages(), min_size=10, max_size=10))
def test_the_problems_are_those_of_promtool(drawn: list[str]) -> None:
    """Line by line, over made-up pages."""
    page = FIXED + "".join(text.replace("f", f"p{number}") for number, text in enumerate(drawn))
    command = [program("promtool"), "check", "metrics"]
    told = subprocess.run(command, input=page, capture_output=True, text=True, timeout=60, check=False)
    assert found(*page.splitlines()) == told.stderr.splitlines()
    assert told.returncode == 3
