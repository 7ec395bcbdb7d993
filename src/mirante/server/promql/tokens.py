"""Splits an expression into tokens that know their place.

``promql-parser`` builds the tree but keeps no positions, which errors and annotations need; these tokens supply them.
Source: the lexical rules of PromQL (Prometheus 3, ``promql/parser/lex.go``).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from mirante.errors import BadQueryError


class Token(NamedTuple):
    """One token.

    Attributes:
        kind: ``name``, ``number``, ``string``, ``op``, or the punctuation itself; ``end`` closes the list.
        text: as written.
        start: offset of its first character.
        end: offset behind its last character.
    """

    kind: str
    text: str
    start: int
    end: int


_PATTERN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
      | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)
      | (?P<number>0[xX][0-9a-fA-F]+
          | (?:[0-9]+(?:ms|[smhdwy]))+
          | (?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
      | (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
      | (?P<op>==|!=|=~|!~|>=|<=|[-+*/%^<>=@])
      | (?P<punctuation>[(){}\[\],])""",
    re.VERBOSE,
)


def tokenize(expression: str) -> list[Token]:
    """Tokens of an expression, blanks and comments left out, an ``end`` token last.

    Raises:
        BadQueryError: at a character that begins no token, or a string that is not closed.

    Example:
        >>> [token.text for token in tokenize("rate(m[5m])")]
        ['rate', '(', 'm', '[', '5m', ']', ')', '']
    """
    tokens: list[Token] = []
    at, brackets = 0, 0
    while at < len(expression):
        match = _PATTERN.match(expression, at)
        kind = match.lastgroup if match else None
        if match is None or kind is None:
            # A subquery's colon stands alone inside brackets; elsewhere a colon may only be part of a name.
            raise _unreadable(expression, at)
        text = match.group()
        if kind == "name" and text.startswith(":") and brackets:
            kind, text = ":", ":"
        elif kind == "punctuation":
            kind = text
            brackets += (text == "[") - (text == "]")
        if kind != "space":
            tokens.append(Token(kind, text, at, at + len(text)))
        at += len(text)
    tokens.append(Token("end", "", len(expression), len(expression)))
    return tokens


def _unreadable(expression: str, at: int) -> BadQueryError:
    if expression[at] in "\"'`":
        return BadQueryError("unterminated quoted string", position=at)
    return BadQueryError(f"unexpected character: {expression[at]!r}", position=at)
