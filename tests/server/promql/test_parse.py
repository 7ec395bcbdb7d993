"""Reading expressions: the plan, the places of its nodes, and what is said about wrong ones."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirante.errors import BadQueryError
from mirante.server.promql.parse import MAX_LENGTH, line_and_column, parse, unquote
from mirante.server.promql.plan import (
    Aggregate,
    Binary,
    Call,
    Matching,
    Negate,
    Node,
    Number,
    RangeSelector,
    Selector,
    String,
    Subquery,
    type_of,
)
from mirante.server.store.api import Matcher

M = (Matcher("__name__", "=", "m"),)


@pytest.mark.parametrize(
    ("expression", "plan"),
    [
        ("m", Selector(0, M)),
        ("  m # why", Selector(2, M)),
        ("+m", Selector(1, M)),
        ("m offset 5m", Selector(0, M, 300_000)),
        ("m offset -1500ms @ 10", Selector(0, M, -1500, 10_000)),
        ("m @ start() offset 1", Selector(0, M, 1000, "start")),
        ("m @ end()", Selector(0, M, 0, "end")),
        ("m @ -5.5", Selector(0, M, 0, -5500)),
        ("m @ 0x10", Selector(0, M, 0, 16_000)),
        ("m @ 1h", Selector(0, M, 0, 3_600_000)),
        ("{'a b'}", Selector(0, (Matcher("__name__", "=", "a b"),))),
        (
            'm{a="1",b!="2",c=~"3",d!~"4",}',
            Selector(
                0,
                (*M, Matcher("a", "=", "1"), Matcher("b", "!=", "2"), Matcher("c", "=~", "3"), Matcher("d", "!~", "4")),
            ),
        ),
        ("m[1d2h]", RangeSelector(0, Selector(0, M), 93_600_000)),
        ("(m[1m] offset 1m)", RangeSelector(0, Selector(1, M, 60_000), 60_000)),
        ("m[1m:] @ 3", Subquery(0, Selector(0, M), 60_000, None, 0, 3000)),
        ("(m)[60:5s] offset 1s", Subquery(0, Selector(0, M), 60_000, 5000, 1000)),
        ("1e3", Number(0, 1000.0)),
        ("- -5m", Number(0, 300.0)),
        ("'x'", String(0, "x")),
        ("-m", Negate(0, Selector(1, M))),
        ("time()", Call(0, "time", (), "scalar")),
        ("abs((m))", Call(0, "abs", (Selector(4, M),), "vector")),
        ("sum(m)", Aggregate(0, "sum", Selector(4, M), None, (), without=False)),
        ("SUM BY (a, b) (m)", Aggregate(0, "sum", Selector(15, M), None, ("a", "b"), without=False)),
        ("topk(3, m) without (a)", Aggregate(0, "topk", Selector(8, M), Number(5, 3.0), ("a",), without=True)),
        ("1 + 2", Binary(0, "+", Number(0, 1.0), Number(4, 2.0), bool=False, matching=Matching())),
        (
            "m == bool on (a) group_left (b) m",
            Binary(
                0,
                "==",
                Selector(0, M),
                Selector(32, M),
                bool=True,
                matching=Matching("many-to-one", True, ("a",), ("b",)),
            ),
        ),
        (
            "m - ignoring (a) fill_left (2) m",
            Binary(
                0, "-", Selector(0, M), Selector(31, M), bool=False, matching=Matching(labels=("a",), fill_left=2.0)
            ),
        ),
        (
            "m and on () m",
            Binary(0, "and", Selector(0, M), Selector(12, M), bool=False, matching=Matching("many-to-many", on=True)),
        ),
        ("m >= bool (1)", Binary(0, ">=", Selector(0, M), Number(10, 1.0), bool=True, matching=Matching())),
    ],
)
def test_an_expression_becomes_a_plan_that_knows_its_places(expression: str, plan: Node) -> None:
    """Operands, modifiers and positions are all there; parentheses only move the position."""
    assert parse(expression) == plan


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        ("1", "scalar"),
        ("-time()", "scalar"),
        ("1 + 2", "scalar"),
        ("1 + m", "vector"),
        ("-m", "vector"),
        ("rate(m[1m])", "vector"),
        ("count(m)", "vector"),
        ("m[1m]", "matrix"),
        ("m[1m:]", "matrix"),
        ("'s'", "string"),
    ],
)
def test_every_plan_has_a_type(expression: str, kind: str) -> None:
    """The four types of PromQL."""
    assert type_of(parse(expression)) == kind


@pytest.mark.parametrize(
    ("expression", "culprit", "message"),
    [
        ("", "", "no expression found in input"),
        ("a + ", "", "unexpected end of input"),
        ("a +* b", "* b", 'unexpected "*"'),
        ("a b", "b", 'unexpected "b"'),
        ("m[5m] x", "x", 'unexpected "x"'),
        ("sum(", "", "unclosed left parenthesis"),
        ("sum(a", "(a", "unclosed left parenthesis"),
        ("sum(a))", ")", 'unexpected right parenthesis ")"'),
        ("a, b", ", b", 'unexpected ","'),
        ("m{a=}", "}", 'unexpected "}"'),
        ("m{a='1' b='2'}", "b='2'}", 'unexpected "b"'),
        ("m{='1'}", "='1'}", 'unexpected "="'),
        ("m{a='1'", "", "unexpected end of input inside braces"),
        ("m[5m", "", "unexpected end of input inside brackets"),
        ("m[abc]", "abc]", "unexpected character inside brackets"),
        ("m @ foo", "foo", 'unexpected "foo"'),
        ("m offset x", "x", "unexpected"),
        ("a + on b", "b", 'unexpected "b"'),
        ("a * on(x) group_left * b", "* b", 'unexpected "*"'),
        ("sum by a (m)", "a (m)", 'unexpected "a"'),
        ("sum(m) by (a +)", "+)", 'unexpected "+"'),
        ("1 + m bool 1", "bool 1", 'unexpected "bool"'),
        ("m ! 1", "! 1", "unexpected"),
        ("m ; 1", "; 1", "unexpected character: ';'"),
        ("'abc", "'abc", "unterminated quoted string"),
        ('a + {b="c', '"c', "unterminated quoted string"),
        (" {}", "{}", "at least one non-empty matcher"),
        ("1 + (2 > 3)", "> 3)", "must use BOOL modifier"),
        ("a + (b + bool c)", "bool c)", "bool modifier can only be used on comparison"),
        ("m and 1", "and 1", 'set operator "and" not allowed'),
        (
            "a + (rate(b[5m]) + rate(c))",
            "rate(c))",
            'expected type range vector in call to function "rate", got instant vector',
        ),
        ("a + rat(b[5m])", "rat(b[5m])", 'unknown function with name "rat", did you mean "rate"?'),
        ("sum(floof(m))", "floof(m))", 'unknown function with name "floof"'),
        ("abs()", "abs()", 'expected 1 argument(s) in call to "abs", got 0'),
        ("a or topk(m)", "topk(m)", "wrong number of arguments for aggregate"),
        ("m @ Inf", "@ Inf", "timestamp out of bounds"),
        ("m{a='1' or b='2'}", "m{a='1' or b='2'}", "'or' between label matchers is not part of PromQL"),
        (r"'\q'", r"'\q'", "unknown escape sequence"),
        ("start_timestamp(m)", "start_timestamp(m)", 'function "start_timestamp" is not supported'),
        ("info(m, m + m)", "m + m)", 'expected label selectors in call to function "info"'),
        ("{a=}", "}", 'unexpected "}"'),
        ("m * {a='1',,}", ",}", 'unexpected ","'),
        ("1 + by (a) (", "", "unclosed left parenthesis"),
        ("on", "", "unexpected"),
        ("a * fill(x m", "", "unclosed left parenthesis"),
        ("m offset -x", "x", "unexpected"),
        ("m @ end", "", "unexpected"),
        ("abs(,", ",", "unclosed left parenthesis"),
        (")", ")", "unexpected"),
        ("m[99999999999999999]", "99999999999999999]", "duration out of range"),
        ("{a='1'} b", "b", 'unexpected "b"'),
        ("m{a='1'} b", "b", 'unexpected "b"'),
        ("abs(m,) b", "b", 'unexpected "b"'),
        ("a == bool b c", "c", 'unexpected "c"'),
        ("topk(1, m) b", "b", 'unexpected "b"'),
        ("a +- b c", "c", 'unexpected "c"'),
        ("a offset -5m c", "c", 'unexpected "c"'),
        ("a @ end() c", "c", 'unexpected "c"'),
        ("a * group_left b c", "c", 'unexpected "c"'),
        ("m[400000y]", "m[400000y]", "the range is out of bounds"),
        ("m @ 1e17", "1e17", "timestamp out of bounds"),
    ],
)
def test_an_error_tells_what_is_wrong_and_where(expression: str, culprit: str, message: str) -> None:
    """The position is that of the first character that cannot be right; a close name is suggested."""
    with pytest.raises(BadQueryError) as caught:
        parse(expression)
    position = caught.value.position
    assert position is not None
    assert expression[position:] == culprit
    line, column = line_and_column(expression, position)
    assert str(caught.value).startswith(f"{line}:{column}: parse error: ")
    assert message in str(caught.value)


def test_lines_are_counted_in_positions() -> None:
    """An expression may have many lines; the message gives line and column from 1."""
    with pytest.raises(BadQueryError, match=r"^3:4: parse error: unexpected right parenthesis"):
        parse("m\n+\n  a)")


@pytest.mark.parametrize(
    "expression", ["(" * 5000 + "1" + ")" * 5000, "1" + "+1" * 5000, "-" * 20_000 + "m", "m and " * 1000 + "m"]
)
def test_nesting_is_bounded(expression: str) -> None:
    """What would exhaust the stack is refused before it is parsed."""
    with pytest.raises(BadQueryError, match="nested too deeply"):
        parse(expression)


def test_length_is_bounded() -> None:
    """An expression has a largest length."""
    with pytest.raises(BadQueryError, match="longer than"):
        parse("a" * (MAX_LENGTH + 1))


def test_the_allowed_nesting_can_be_parsed() -> None:
    """The bounds are far enough from what the parser and the evaluator can take."""
    deep = "(" * 190 + "m" + ")" * 190
    assert parse(deep) == Selector(0, M)
    assert type_of(parse("m" + " + m" * 290)) == "vector"


@pytest.mark.parametrize(
    ("literal", "text"),
    [
        (r'"\n\t\\\""', '\n\t\\"'),
        (r"'\''", "'"),
        (r"`\n`", r"\n"),
        (r'"\x41\101\u00e9\U0001F600"', "AAé😀"),
        ('"ü"', "ü"),
        (r'"\xff"', "\udcff"),
        (r'"\a\b\f\r\v"', "\a\b\f\r\v"),
    ],
)
def test_string_literals_are_read_as_go_reads_them(literal: str, text: str) -> None:
    """Escapes give bytes; what is no UTF-8 stays visible as lone surrogates."""
    assert unquote(literal) == text


def test_an_unknown_escape_has_a_place() -> None:
    """That of the literal."""
    with pytest.raises(BadQueryError, match="unknown escape") as caught:
        unquote(r"'\q'", 7)
    assert caught.value.position == 7


names = st.sampled_from(["m", "up", "a:b:c", "_x"])
selectors = st.builds(
    lambda name, tail: name + tail, names, st.sampled_from(["", '{a="1"}', '{a=~"x.*"}', " offset 1m", " @ 5"])
)


def combined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Larger expressions of smaller ones."""
    return st.one_of(
        st.builds(
            lambda a, op, b: f"{a} {op} {b}", inner, st.sampled_from(["+", "*", "> bool", "and", "/ on(a)"]), inner
        ),
        st.builds(lambda a: f"({a})", inner),
        st.builds(lambda a: f"-{a}", inner),
        st.builds(lambda f, a: f"{f}({a})", st.sampled_from(["abs", "sum", "sum by (a)", "max without ()"]), inner),
        st.builds(lambda a: f"sum_over_time(({a})[5m:1m])", inner),
        st.builds(lambda a: f"topk(3, {a})", inner),
    )


@settings(max_examples=200, deadline=None)
@given(st.recursive(selectors, combined, max_leaves=8))
def test_the_place_of_every_node_is_where_it_begins(expression: str) -> None:
    """Whatever the parentheses and signs, a node's text begins at its position."""
    for node in nodes(parse(expression)):
        text = expression[node.position :].lstrip("(")
        begin = text.lstrip("-(")
        match node:
            case Selector(matchers=matchers):
                assert text.startswith(matchers[0].value)
            case Call(function=name):
                assert text.startswith(f"{name}(")
            case Aggregate(op=op):
                assert text.startswith(op)
            case Negate():
                assert text.startswith("-")
            case _:
                assert begin


def nodes(node: Node) -> list[Node]:
    """A plan's nodes, itself first."""
    match node:
        case Call(args=args):
            inner = list(args)
        case Aggregate(expr=expr) | Negate(expr=expr) | Subquery(expr=expr):
            inner = [expr]
        case Binary(left=left, right=right):
            inner = [left, right]
        case _:
            inner = []
    return [node, *(found for part in inner for found in nodes(part))]
