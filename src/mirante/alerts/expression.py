"""Whether a text can be PromQL: what can be told of it without an engine.

Brackets, strings, numbers and durations are always checked, and nothing that Prometheus takes is refused for them.
Where ``promql-parser`` is installed, which takes two milliseconds to import, it checks the whole grammar.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"""
    (?P<blank> [ \t\r\n]+ | \#[^\n]* )
  | (?P<string> "(?:[^"\\\n]|\\[^\n])*" | '(?:[^'\\\n]|\\[^\n])*' | `[^`]*` )
  | (?P<number>
      (?: (?:\d+(?:ms|[smhdwy]))+ | 0[xX][0-9a-fA-F_]+ | (?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d[\d_]*)? )
      (?![a-zA-Z0-9_.]) )
  | (?P<word> [a-zA-Z_:][a-zA-Z0-9_:]* )
  | (?P<open> [(\[{] )
  | (?P<close> [)\]}] )
  | (?P<operator> [-+*/%^=!<>~@,] )
    """,
    re.VERBOSE | re.ASCII,
)
_PAIRS = {")": "(", "]": "[", "}": "{"}
_QUOTES = "\"'`"
_DEEPEST = 50
"""Brackets in brackets beyond which the grammar is left to the server: the parser goes down as deep as they do."""


def check(expression: str) -> None:
    """See that a text can be PromQL.

    Raises:
        ValueError: it cannot; the message says what is wrong, and where as ``line:column``.

    Example:
        >>> check('rate(errors_total{job="shop"}[5m]) > 0.1')
        >>> check("rate(errors_total[5x])")
        Traceback (most recent call last):
        ValueError: "5x" at 1:19 is neither a number nor a duration such as 5m
    """
    if _check_tokens(expression) <= _DEEPEST:
        _check_grammar(expression)


def _check_tokens(expression: str) -> int:
    """Check what needs no grammar; gives how deep brackets stand in brackets."""
    opened: list[tuple[str, int]] = []
    place = deepest = 0
    last, last_kind = "", None
    while place < len(expression):
        found = _TOKEN.match(expression, place)
        if found is None:
            raise ValueError(_unknown(expression, place))
        kind, text = found.lastgroup, found[0]
        if kind == "open":
            opened.append((text, place))
            deepest = max(deepest, len(opened))
        elif kind == "close":
            _close(expression, opened, place, empty=text == "]" and last == "[")
        if kind != "blank":
            last, last_kind = text, kind
        place = found.end()
    if opened:
        raise ValueError(f'"{opened[-1][0]}" at {_at(expression, opened[-1][1])} is never closed')
    if not last:
        raise ValueError("it says nothing")
    if last_kind == "operator":
        raise ValueError(f'it ends with "{last}"')
    return deepest


def _close(expression: str, opened: list[tuple[str, int]], place: int, *, empty: bool) -> None:
    bracket = expression[place]
    if not opened or opened[-1][0] != _PAIRS[bracket]:
        what = f'"{opened[-1][0]}" at {_at(expression, opened[-1][1])}' if opened else "nothing"
        raise ValueError(f'"{bracket}" at {_at(expression, place)} closes {what}')
    if empty:
        raise ValueError(f'"[]" at {_at(expression, opened[-1][1])} needs a duration such as [5m]')
    opened.pop()


def _unknown(expression: str, place: int) -> str:
    character, where = expression[place], _at(expression, place)
    if character in _QUOTES:
        return f"the string that begins at {where} is never closed"
    word = re.compile(r"[a-zA-Z0-9_.]+", re.ASCII).match(expression, place)
    if word is not None:
        return f'"{word[0]}" at {where} is neither a number nor a duration such as 5m'
    return f'"{character}" at {where} has no meaning in PromQL'


def _at(expression: str, place: int) -> str:
    return f"{expression.count(chr(10), 0, place) + 1}:{place - expression.rfind(chr(10), 0, place)}"


def _check_grammar(expression: str) -> None:
    try:
        import promql_parser
    except ImportError:  # it comes with the server, which checks what it is sent
        return
    try:
        promql_parser.parse(expression)
    except OverflowError:
        raise ValueError("a duration is out of range") from None
