"""What can be told of an expression without an engine: much that is wrong is refused, nothing that is right."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import promql_parser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirante.alerts.expression import _check_tokens, check

CORPUS = Path(__file__).parents[2] / "corpus" / "promql"


def corpus() -> list[str]:
    """Every expression of the project's own scripts that the parser takes."""
    found: list[str] = []
    for file in sorted(CORPUS.glob("*.test")):
        texts = re.findall(
            r"^eval(?:_\w+)? (?:instant at \S+|range from \S+ to \S+ step \S+) (.+)$", file.read_text(), re.MULTILINE
        )
        found += [text for text in texts if parsed(text)]
    return found


def parsed(text: str) -> bool:
    """Whether the parser takes it."""
    try:
        promql_parser.parse(text)
    except (ValueError, OverflowError):
        return False
    return True


EXPRESSIONS = corpus()
PIECES = st.sampled_from(
    [
        "m", "a:b", "sum", "rate", "by", "on", "offset", "bool", "and", "1", "2.5", ".5", "1e3", "1E-3", "0x1F", "Inf",
        "5m", "1h30m", "(", ")", "[", "]", "[5m]", "[1h:5m]", "[5m:]", "{", "}", '{a="b"}', "=", "!=", "=~", '"x"',
        "'[('", "`}`", '"\\""', "+", "-", "*", "/", "%", "^", "==", ">", "<=", ",", "@", "start()", "# no ] end\n", " ",
        "\n", "\t", '"é"',
    ]
)  # fmt: skip


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_every_expression_of_the_scripts_is_taken(text: str) -> None:
    """Three hundred of them, of every kind."""
    check(text)


def test_there_are_scripts() -> None:
    """So that the test above is one."""
    assert len(EXPRESSIONS) > 100


@given(st.lists(PIECES, max_size=12).map(" ".join) | st.lists(PIECES, max_size=8).map("".join))
def test_what_the_parser_takes_is_taken_without_it(text: str) -> None:
    """However pieces of the language are put together."""
    if parsed(text):
        _check_tokens(text)


@given(st.sampled_from(EXPRESSIONS), st.data())
def test_a_right_expression_with_one_bracket_less_is_refused(text: str, data: st.DataObject) -> None:
    """Whichever it is, unless it stands in a string or a comment."""
    bare = re.sub(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`[^`]*`|#.*", lambda found: "_" * len(found[0]), text)
    places = [place for place, character in enumerate(bare) if character in "()[]{}"]
    if places:
        place = data.draw(st.sampled_from(places))
        with pytest.raises(ValueError, match="never closed|closes|no meaning"):
            _check_tokens(text[:place] + text[place + 1 :])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("# only a comment", "it says nothing"),
        ("rate(x[5m)", r'"\)" at 1:10 closes "\[" at 1:7'),
        ("up)", r'"\)" at 1:3 closes nothing'),
        ("sum(\n  rate(x[5m])", r'"\(" at 1:4 is never closed'),
        ("rate(x[])", r'"\[\]" at 1:7 needs a duration'),
        ("rate(x[ ])", r'"\[\]" at 1:7 needs a duration'),
        ('x{a="b}', "the string that begins at 1:5 is never closed"),
        ("x{a=`b}", "the string that begins at 1:5 is never closed"),
        ("x offset 5x", '"5x" at 1:10 is neither a number nor a duration'),
        ("x > 0.5.", '"0.5." at 1:5 is neither'),
        ("x && y", '"&" at 1:3 has no meaning'),
        ("x\n> 5 +", r'it ends with "\+"'),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the parser, as an application without the server's packages has it."""
    monkeypatch.setitem(sys.modules, "promql_parser", None)
    with pytest.raises(ValueError, match=reason):
        check(text)


def test_where_the_parser_is_installed_it_checks_the_grammar() -> None:
    """What only a grammar can tell, and durations beyond all measure."""
    with pytest.raises(ValueError, match="unknown function"):
        check("rat(x[5m])")
    with pytest.raises(ValueError, match="out of range"):
        check("x[999999999y]")


def test_without_the_parser_the_server_is_left_to_check_the_grammar(monkeypatch: pytest.MonkeyPatch) -> None:
    """So is what is nested deeper than the parser can go."""
    check("(" * 60 + "rat(x[5m])" + ")" * 60)
    monkeypatch.setitem(sys.modules, "promql_parser", None)
    check("rat(x[5m])")
