"""The runner of test scripts: what it reads, and that it notices what is wrong."""

from __future__ import annotations

import math
import time

import pytest

from mirante.errors import BadQueryError, QueryCanceledError, QueryTimeoutError
from mirante.server.promql.matchers import matches
from mirante.server.store.api import Matcher, QueryBudget
from mirante.testing.memory_store import MemoryReader
from mirante.testing.promqltest import ScriptError, almost_equal, milliseconds, read_script, run_script
from mirante.testing.series_notation import STALE, UNSUPPORTED, read_points
from tests.server.promql.queries import budget

LOAD = 'load 1m\n  m{a="1"} 1 2 3\n  m{a="2"} 10 20 30\n  n 5\n'


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("eval instant at 1m n\n  n 6", "expected 6.0, got 5.0"),
        ("eval instant at 1m n", "surplus"),
        ("eval instant at 1m n\n  n _", "surplus"),
        ("eval instant at 1m n\n  n 5\n  k 1", "missing"),
        ('eval instant at 1m m\n  expect ordered\n  m{a="2"} 20\n  m{a="1"} 2', "wrong order"),
        ("eval instant at 1m n\n  expect warn\n  n 5", "no warn"),
        ("eval instant at 1m quantile(2, n)\n  expect warn msg: other\n  {} +Inf", "no warn like 'other'"),
        ("eval instant at 1m quantile(2, n)\n  expect no_warn\n  {} +Inf", "unexpected warn"),
        ("eval instant at 1m rate(n[5m])\n  expect info", "no info"),
        ("eval instant at 1m n\n  expect fail\n", "should have failed"),
        ("eval instant at 1m topk(NaN, n)", "it failed: Parameter value is NaN"),
        ("eval instant at 1m topk(NaN, n)\n  expect fail msg: other", "and not with 'other'"),
        ("eval instant at 1m topk(NaN, n)\n  expected_fail_regexp ^other", "and not with '^other'"),
        ("eval instant at 1m 1 + 1\n  3", "expected the scalar 3.0, got scalar 2.0"),
        ("eval instant at 1m n\n  5", "expected the scalar 5.0, got vector nan"),
        ("eval instant at 1m 'x'\n  expect string 'y'", "the string is 'x'"),
        ('eval range from 0 to 2m step 1m m{a="1"}\n  m{a="1"} 1 _ 3', "expected None, got 2.0"),
        ('eval range from 0 to 2m step 1m m{a="1"}\n  m{a="1"} 1 2 3 4', "expected 4.0, got None"),
        ('eval instant at 1m m{a="1"}[2m]\n  expect range vector from 0 to 1m step 1m\n  m{a="1"} 1 9', "expected 9.0"),
    ],
)
def test_a_case_that_does_not_hold_fails_with_its_reason(case: str, reason: str) -> None:
    """Values, series, order, annotations, errors, scalars, strings and raw samples are all compared."""
    report = run_script(LOAD + case)
    assert report.count("failed") == 1
    assert reason in report.failures[0]
    assert report.failures[0].startswith("line 5: ")


def test_instant_cases_are_replayed_as_the_middle_of_a_range(monkeypatch: pytest.MonkeyPatch) -> None:
    """A query that only gives its answer to an instant query does not pass."""
    report = run_script(f'{LOAD}eval instant at 1m sort_by_label_desc(m, \'a\')\n  m{{a="1"}} 2\n  m{{a="2"}} 20')
    assert report.count("passed") == 1
    overlap = "load 1m\n  one 1\n  two _ 2\neval instant at 0 -{__name__=~'one|two'}\n  {} -1\n"
    assert "as a range query it failed: vector cannot contain" in run_script(overlap).failures[0]
    monkeypatch.setattr("mirante.testing.promqltest._OF_BOUNDS", __import__("re").compile("never"))
    report = run_script(f"{LOAD}eval instant at 1m vector(start())\n  {{}} 60")
    assert "as a range query: {} at 60000 ms: expected 60.0, got 0.0" in report.failures[0]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("load 1m\n  h {{sum:1 count:1}}\neval instant at 0 h\n  h {{sum:1 count:1}}", "expects native histograms"),
        ("load 1m\n  h 1 {{sum:1}}+{{sum:2}}x3\neval instant at 0 h\n  h 1", "reads native histograms"),
        ('load_with_nhcb 1m\n  h_bucket{le="1"} 1\neval instant at 0 h', "reads native histograms"),
        ("load 1m\n  c@st -1m\n  c 1\neval instant at 0 c\n  c 1", "reads native histograms or start timestamps"),
        ("eval instant at 0 m[5m] smoothed\n", 'not parsed: unexpected "smoothed"'),
    ],
)
def test_a_case_that_cannot_be_run_is_no_pass(script: str, reason: str) -> None:
    """It is counted apart, with its reason."""
    report = run_script(script)
    assert (report.count("passed"), report.count("failed"), report.count("not run")) == (0, 0, 1)
    assert next(iter(report.not_run)).startswith(reason)


def test_loads_add_up_and_clear_forgets() -> None:
    """Later samples join earlier ones; of two lines for one series in a load the last counts."""
    report = run_script(
        "load 1m\n m 1\n m 2\nload 1m\n m _ 3\neval range from 0 to 1m step 1m m\n m 2 3\nclear\neval instant at 0 m\n"
    )
    assert report.count("passed") == 2


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("1 -2.5 1e3", [1, -2.5, 1000]),
        ("1+2x2", [1, 3, 5]),
        ("5-2x2", [5, 3, 1]),
        ("1x2", [1, 1, 1]),
        ("-1-1x1", [-1, -2]),
        ("_ _x2 3", [None, None, None, 3]),
        ("Inf -Inf +Inf", [math.inf, -math.inf, math.inf]),
        ("{{sum:1 count:2}}x1 4", [UNSUPPORTED, UNSUPPORTED, 4]),
        ("", []),
    ],
)
def test_points_expand(text: str, points: list[object]) -> None:
    """The notation of Prometheus's unit tests."""
    assert read_points(text) == points


def test_a_staleness_marker_keeps_its_bits() -> None:
    """Through the notation, the reader and a query."""
    (point,) = read_points("stale")
    assert isinstance(point, float)
    reader = MemoryReader()
    reader.add({"__name__": "m"}, [(0, point)])
    found = reader.series([Matcher("__name__", "=", "m")], 0, 0, budget())
    assert hex(int(reader.samples(found, -1, 0, budget()).values.view("uint64")[0])) == "0x7ff0000000000002"
    assert math.isnan(STALE)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("m 1\n", "line 1: .* a command is missing"),
        ("clear\nm 1", "line 2: .* a command is missing"),
        ("load 1m\n  m 1 what", 'line 2: .*"what" is no point'),
        ('load 1m\n  m{a=~"1"} 1', "expected a label such as"),
        ("load 1m\n  sum(m) 1", "expected a space behind the series"),
        ('load 1m\n  m{a="1" 1', "expected a label such as job=.* or a closing brace"),
        ("load 1x\n  m 1", "'1x' is no duration"),
        ("eval instant at soon m", "'soon' is no duration"),
    ],
)
def test_a_script_that_cannot_be_read_names_the_line(script: str, message: str) -> None:
    """A mistake in a script is no failing case."""
    with pytest.raises(ScriptError, match=message):
        read_script(script)


@pytest.mark.parametrize(
    ("text", "value"),
    [("90", 90_000), ("1.5", 1500), ("1h2m3s4ms", 3_723_004), ("-1m", -60_000), ("1w1d", 691_200_000)],
)
def test_durations(text: str, value: int) -> None:
    """Prometheus's durations, or seconds."""
    assert milliseconds(text) == value


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        (1, 1 + 1e-7, True),
        (1, 1 + 1e-5, False),
        (math.nan, math.nan, True),
        (math.nan, 1, False),
        (math.inf, math.inf, True),
        (math.inf, -math.inf, False),
        (0, 1e-300, False),
        (0, 0, True),
        (1e-320, 1.1e-320, True),
    ],
)
def test_equality_has_one_tolerance(left: float, right: float, equal: bool) -> None:
    """Relative to the values' sizes; nothing normal is close to zero."""
    assert almost_equal(left, right) is equal


def test_old_spellings_of_expectations_are_understood() -> None:
    """``eval_fail``, ``eval_ordered``, ``eval_warn`` and ``expected_fail_message``."""
    report = run_script(
        f"{LOAD}eval_fail instant at 0 topk(NaN, n)\nexpected_fail_message Parameter value is NaN\n"
        'eval_ordered instant at 1m m\n  m{a="1"} 2\n  m{a="2"} 20\n'
        "eval_warn instant at 0 quantile(2, n)\n  {} +Inf\n"
    )
    assert report.failures == []
    assert report.count("passed") == 3


def test_the_memory_reader_keeps_its_contract() -> None:
    """Of two samples at one time the greatest stays; times ascend; names and values are sorted; limits end a read."""
    reader = MemoryReader()
    reader.add({"__name__": "m", "a": "1", "gone": ""}, [(2000, 1.0), (1000, 5.0), (2000, 3.0), (2000, 2.0)])
    reader.add({"__name__": "k", "b": "2"}, [(0, 1.0)])
    found = reader.series([Matcher("a", "=~", "[0-9]")], 0, 3000, budget())
    block = reader.samples(found, 0, 3000, budget())
    assert (block.timestamps.tolist(), block.values.tolist()) == ([1000, 2000], [5, 3])
    assert reader.label_names([], 0, 5000, budget()) == ["__name__", "a", "b"]
    assert reader.label_values("__name__", [[Matcher("a", "=", "1")], [Matcher("b", "!=", "")]], 0, 5000, budget()) == [
        "k",
        "m",
    ]
    assert reader.label_values("a", [], 2500, 5000, budget()) == []
    assert reader.metadata(None, None) == {}
    cancelled = budget()
    cancelled.canceled = True
    with pytest.raises(QueryCanceledError):
        reader.series([], 0, 1, cancelled)
    with pytest.raises(QueryTimeoutError):
        reader.series([], 0, 1, QueryBudget(deadline=time.monotonic() - 1))


@pytest.mark.parametrize(
    ("matcher", "hit"),
    [
        (Matcher("a", "=", "x"), True),
        (Matcher("a", "!=", "x"), False),
        (Matcher("a", "=~", "X|x"), True),
        (Matcher("a", "=~", ""), False),
        (Matcher("a", "!~", "y.*"), True),
        (Matcher("none", "=", ""), True),
        (Matcher("none", "!~", ".+"), True),
    ],
)
def test_matchers(matcher: Matcher, hit: bool) -> None:
    """A missing label is the empty string; regular expressions match the whole value."""
    assert matches({"a": "x"}, [matcher]) is hit


def test_a_regular_expression_that_re2_refuses() -> None:
    """Is a bad query."""
    with pytest.raises(BadQueryError, match="invalid regular expression"):
        matches({"a": "x"}, [Matcher("a", "=~", "(")])
