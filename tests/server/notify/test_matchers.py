"""Matchers: both syntaxes, what they refuse, and that what is printed is read as what it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirante.server.notify.matchers import in_order, make_matcher, parse_arguments, parse_matcher, parse_matchers
from mirante.server.notify.model import Matcher

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
VALUES = st.text(st.characters(codec="utf-8"), max_size=12)
CLASSIC = st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,6}", fullmatch=True)


def shown(text: str) -> list[str]:
    """The matchers of a text, printed."""
    return [str(matcher) for matcher in parse_matchers(text)]


@pytest.mark.parametrize(
    ("text", "matchers"),
    [
        ("", []),
        ("  ", []),
        ("{}", []),
        ("{", []),
        ("}", []),
        ("a=b", ['a="b"']),
        ("a=", ['a=""']),
        ("{a=b", ['a="b"']),
        (' a : = "b"', None),
        ("a:b=c", ['a:b="c"']),
        ('a = " b " , c!=d ,', ['a=" b "', 'c!="d"']),
        ("a==b", ['a="=b"']),
        ("a=b c", ['a="b c"']),
        (r'a="x\"y\\z\n\q"', [r'a="x\"y\\z\n\\q"']),
        ("a=x\\", [r'a="x\\"']),
        (r"a=b\,c=d", [r'a="b\\"', 'c="d"']),
        ('a="b,c",d=~"e|f"', ['a="b,c"', 'd=~"e|f"']),
        ("a='b'", ["a=\"'b'\""]),
        ("a=b,,c=d", None),
        (",a=b", None),
        ("a", None),
        ("=b", None),
        ('a="b', None),
        ('a="', None),
        ('a=b"', None),
        ('a="b"c"', None),
        ('a=~"("', None),
        ("a=~(?=x)", None),
        # Only the newer syntax takes these.
        ("é=c", ['é="c"']),
        ('"a b"="c"', ['"a b"="c"']),
        ('{"a.b"=~"c|d", é!~x}', ['a.b=~"c|d"', 'é!~"x"']),
        ('{"a b"=c,}', ['"a b"="c"']),
        (r'"a\tb"="\u00e9\x41"', ['"a\tb"="éA"']),
        (r'"a\\\"b"=c', [r'"a\\\"b"="c"']),
        (r'"a"="\xff"', None),
        (r'"a"="\q"', None),
        ('{"a b"=c', None),
        ('"a b"=c}', None),
        ('"a b"=', None),
        ('"a b"', None),
        ('"a b" c', None),
        ('"a b"=c d', None),
        ('{,"a b"=c}', None),
        ('{"a b"=c,,}', None),
        ('"a b"=c "d"=e', None),
        ("é='c'", None),
        ('é="c', None),
    ],
)
def test_texts_are_read_or_refused(text: str, matchers: list[str] | None) -> None:
    """Where one syntax refuses, the other may take it."""
    if matchers is None:
        with pytest.raises(ValueError, match=r".+"):
            parse_matchers(text)
    else:
        assert shown(text) == matchers


@given(st.lists(st.tuples(NAMES, st.sampled_from(["=", "!="]), VALUES), max_size=4))
def test_what_is_printed_is_read_as_what_it_was(parts: list[tuple[str, str, str]]) -> None:
    """Any names and values that are no control characters, alone and in a list."""
    matchers = tuple(make_matcher(name, "=" if type == "=" else "!=", value) for name, type, value in parts)
    assert parse_matchers(f"{{{','.join(map(str, matchers))}}}") == matchers


@given(st.text(max_size=30) | st.text('abc={}!~"\\, é', max_size=14))
def test_any_text_is_read_or_refused(text: str) -> None:
    """And what is read can be printed and read again."""
    try:
        matchers = parse_matchers(text)
    except ValueError:
        return
    assert parse_matchers(",".join(map(str, matchers))) == matchers


@pytest.mark.parametrize("space", ["\x85", "\xa0", "\u1680", "\u2003", "\u2028", "\v", "\t", "\r", "\n"])
def test_names_with_any_space_are_printed_in_quotes(space: str) -> None:
    """Without them it would be passed over."""
    matcher = Matcher(f"{space}a", "=", space)
    assert str(matcher).startswith('"')
    assert parse_matchers(str(matcher)) == (matcher,)


@given(CLASSIC, VALUES)
def test_a_matcher_matches_its_value(name: str, value: str) -> None:
    """And its opposite does not; a label that is not there is empty."""
    equal, different = make_matcher(name, "=", value), make_matcher(name, "!=", value)
    assert equal.matches({name: value})
    assert not different.matches({name: value})
    assert equal.matches({}) is (value == "")


@pytest.mark.parametrize(
    ("pattern", "value", "matches"),
    [
        ("a|b", "b", True),
        ("a|b", "ab", False),
        ("", "", True),
        ("", "a", False),
        ("a|", "", True),
        ("[[:alpha:]]+", "abc", True),
        (r"\pL\d", "é1", True),
        ("a.c", "a\nc", False),
        ("(?s)a.c", "a\nc", True),
        ("(?i)ABC", "abc", True),
        ("a+", "aab", False),
        ("x-1 y|z", "x-1 y", True),
    ],
)
def test_regular_expressions_are_those_of_re2_and_match_the_whole(pattern: str, value: str, *, matches: bool) -> None:
    """A choice of words is answered without them, and alike."""
    assert make_matcher("a", "=~", pattern).matches({"a": value}) is matches
    assert make_matcher("a", "!~", pattern).matches({"a": value}) is not matches


def test_one_matcher_is_one() -> None:
    """Not none, not two, not a list in braces."""
    assert parse_matcher("a=b") == Matcher("a", "=", "b")
    for text in ("", "a=b,c=d", "{a=b}", "a"):
        with pytest.raises(ValueError, match=r".+"):
            parse_matcher(text)


def test_a_command_line_may_begin_with_the_bare_name() -> None:
    """Only there."""
    assert parse_arguments([]) == ()
    assert parse_arguments(["Down", 'job=~"a|b",c=d']) == (
        make_matcher("alertname", "=", "Down"),
        make_matcher("job", "=~", "a|b"),
        make_matcher("c", "=", "d"),
    )
    assert parse_arguments(["{a=b}", "c=d"]) == (make_matcher("a", "=", "b"), make_matcher("c", "=", "d"))
    with pytest.raises(ValueError, match="bad matcher format"):
        parse_arguments(["a=b", "Down"])


def test_the_order_is_by_name_value_and_type() -> None:
    """As Alertmanager sorts them."""
    matchers = parse_matchers('b="1",a!~"x",a="x",a="w",a=~"x",a!="x"')
    assert list(map(str, in_order(matchers))) == ['a="w"', 'a="x"', 'a!="x"', 'a=~"x"', 'a!~"x"', 'b="1"']
