"""Regular expressions as Go's programs have them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirante.server import re2


@pytest.mark.parametrize(
    ("pattern", "replacement", "text", "expected"),
    [
        ("b", "[$0]", "abc", "a[b]c"),
        ("(?P<one>a)(b)", "${one}$2$1", "ab", "aba"),
        ("(a)|(b)", "<$1$2>", "ab", "<a><b>"),
        ("(a)", "$1x $nope ${7} $$ $99999 \\1 $", "a", "   $  \\1 $"),
        (r"\Q(\E(b)[(]", "$1", "(b(", "b"),
        ("(?:a)(b)", "$1", "ab", "b"),
    ],
)
def test_groups_are_put_in(pattern: str, replacement: str, text: str, expected: str) -> None:
    """By number and by name; one that is not there is nothing."""
    assert re2.replace_all(pattern, replacement, text, 100) == expected


def test_groups_beyond_the_ninth_cannot_be_put_in() -> None:
    """RE2's own rewriting has one digit; the error says so."""
    with pytest.raises(ValueError, match="only the first nine groups"):
        re2.replace_all("(a)" * 10, "$10", "a" * 10, 100)


@pytest.mark.parametrize("pattern", ["(", "a**", "(?=a)", "\\8"])
def test_what_is_no_pattern_is_an_error(pattern: str) -> None:
    """Also what only other engines have."""
    with pytest.raises(ValueError, match="cannot be used"):
        re2.found(pattern, "a")
    with pytest.raises(ValueError, match="cannot be used"):
        re2.replace_all(pattern, "", "a", 100)


def test_the_result_is_bounded() -> None:
    """Before it is made."""
    with pytest.raises(ValueError, match="too long"):
        re2.replace_all("", "x" * 100, "y" * 1000, 50_000)


def test_a_pattern_that_would_take_ages_elsewhere_does_not() -> None:
    """RE2 needs time in proportion to the text."""
    assert not re2.found("(a+)+$", "a" * 5000 + "b")


@given(text=st.text(), replacement=st.text())
def test_a_pattern_that_matches_nothing_changes_nothing(text: str, replacement: str) -> None:
    """Whatever the replacement says, apart from what is no character."""
    assert re2.replace_all("[^\\x{0}-\\x{10FFFF}]", replacement, text, 10**6) == text
