"""Series as scripts and unit tests write them; what promtool refuses is refused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirante.errors import FormatError
from mirante.formats.exposition import series
from mirante.testing.series_notation import Point, read_metric, read_points, read_series

VALUES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=10)
LABELS = st.dictionaries(st.from_regex(r"[a-z_][a-z0-9_]{0,6}", fullmatch=True), VALUES, max_size=4)
NAMES = st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,8}", fullmatch=True)
INTEGERS = st.integers(-1000, 1000)


@given(st.one_of(NAMES, VALUES), LABELS)
def test_any_metric_is_read_back(name: str, labels: dict[str, str]) -> None:
    """Names of either kind, any values."""
    wanted = {"__name__": name, **{label: value for label, value in labels.items() if label != "__name__"}}
    bare = {label: value for label, value in wanted.items() if label != "__name__"}
    assert read_metric(series(name, bare)) == wanted


@given(st.lists(st.tuples(INTEGERS, INTEGERS, st.integers(0, 5))))
def test_what_is_expanded_is_an_arithmetic_series(parts: list[tuple[int, int, int]]) -> None:
    """First value, difference, count of further ones."""
    text = "  ".join(f"{first}{by:+d}x{times}" for first, by, times in parts)
    wanted = [float(first + by * n) for first, by, times in parts for n in range(times + 1)]
    assert read_points(text) == wanted


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("1x3 2", [1, 1, 1, 1, 2]),
        ("0x3", [0, 0, 0, 0]),
        ("inf -Inf", [math.inf, -math.inf]),
        ("_x2 _", [None, None, None]),
        (".5x1 1.x1 1e2x1 +1e+2x1", [0.5, 0.5, 1, 1, 100, 100, 100, 100]),
        ("1-.5x2", [1, 0.5, 0]),
        ("_x0", []),
    ],
)
def test_points_of_every_kind(text: str, points: list[Point]) -> None:
    """As promtool expands them."""
    assert read_points(text) == points


@pytest.mark.parametrize(
    "text",
    [
        "stalex3",
        "Infx3",
        "1_0",
        "infinity",
        "1 + 2x3",
        "_x",
        "1x",
        "1--1x2",
        "1,2",
        "1+1",
        "STALE",
        "1x1.5",
        "0b1",
        "1h",
    ],
)
def test_points_that_promtool_refuses(text: str) -> None:
    """The message names the word."""
    with pytest.raises(FormatError, match="is no point"):
        read_points(text)


@pytest.mark.parametrize("text", ["1x99999999", "_x99999999999999999999"])
def test_more_points_than_fit_are_refused(text: str) -> None:
    """Before they take all memory."""
    with pytest.raises(FormatError, match="is more than 10000000 points"):
        read_points(text)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("{}", {}),
        ("m{}", {"__name__": "m"}),
        (' m{a="b",} ', {"__name__": "m", "a": "b"}),
        ("{__name__='m', a = `b\\`}", {"__name__": "m", "a": "b\\"}),
        ('m{__name__="n"}', {"__name__": "m"}),
        ('m{a=""}', {"__name__": "m"}),
        ('{"my.name", "a.b"="c"}', {"__name__": "my.name", "a.b": "c"}),
        ('m{a="}\\"\\x41"}', {"__name__": "m", "a": '}"A'}),
        ("sum", {"__name__": "sum"}),
    ],
)
def test_metrics_of_every_kind(text: str, labels: dict[str, str]) -> None:
    """Quotes of three kinds, names quoted or not; an empty label is none."""
    assert read_metric(text) == labels


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a metric such as"),
        ("1", "expected a metric such as"),
        ("m 1", 'expected nothing behind the metric, got "1"'),
        ("m{", "expected a label such as"),
        ('m{a!="b"}', "expected a label such as"),
        ('m{a="1",a="2"}', 'label "a" is given twice'),
        ('m{a="\\q"}', "unknown escape sequence"),
        ('m{a="\\UFFFFFFFF"}', "cannot be used: "),
        ('m{a="\\xff"}', "cannot be used: "),
    ],
)
def test_metrics_that_are_none(text: str, message: str) -> None:
    """With what was expected."""
    with pytest.raises(FormatError, match=message):
        read_metric(text)


def test_a_series_has_a_space_before_its_points() -> None:
    """None is needed where there are no points."""
    assert read_series('m{a="b"} 1') == ({"__name__": "m", "a": "b"}, [1])
    assert read_series("m") == ({"__name__": "m"}, [])
    with pytest.raises(FormatError, match='expected a space behind the series, got "1"'):
        read_series("m{}1")
