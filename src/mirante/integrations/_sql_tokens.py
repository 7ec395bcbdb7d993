"""SQL in tokens, as far as it takes to tell literals from the rest, for each way of quoting."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

Style = Literal["standard", "postgresql", "mysql", "oracle"]

STYLES: dict[str, Style] = {
    "sqlite": "standard",
    "mssql": "standard",
    "postgresql": "postgresql",
    "cockroachdb": "postgresql",
    "redshift": "postgresql",
    "mysql": "mysql",
    "mariadb": "mysql",
    "oracle": "oracle",
}
"""How SQLAlchemy's dialects quote."""


class Token(NamedTuple):
    """A piece of a statement.

    Attributes:
        kind: ``comment``, ``text``, ``number``, ``placeholder``, ``name`` (keywords too; dotted ones whole), ``cast``,
            ``space`` or ``other``.
        text: as it stands there.
    """

    kind: str
    text: str


def _doubled(mark: str) -> str:
    """Text between two marks, in which two of them stand for one. What is cut off goes on to the end."""
    return f"{mark}(?:[^{mark}]|{mark}{mark})*(?:{mark}|$)"


def _escaped(mark: str) -> str:
    """The same, where a backslash takes the next character too."""
    return rf"{mark}(?:[^{mark}\\]|\\.|{mark}{mark})*(?:{mark}|\\?$)"


def _delimited(opening: str, closing: str) -> str:
    return rf"{opening}.*?(?:{closing}|$)"


_SINGLE, _DOUBLE = "'", '"'
_BLOCK = _delimited(r"/\*", r"\*/")
_COMMENT = rf"--[^\n]*|{_BLOCK}"
_MYSQL_COMMENT = rf"--(?=\s|$)[^\n]*|\#[^\n]*|{_BLOCK}"  # 5--3 is a subtraction there
_NAME = rf"[^\W\d][\w$#]*|{_doubled('`')}|\[[A-Za-z_][\w ]*\]"
_NAMES = f"{_NAME}|{_doubled(_DOUBLE)}"
_PLACEHOLDER = r"%\(\w+\)s|%s|:[A-Za-z_]\w*|:\d+|@\w+|\?"
_DOLLARS = _delimited(r"\$(?P<tag>(?:[A-Za-z_]\w*)?)\$", r"\$(?P=tag)\$")
_BRACKETS = "|".join(_delimited(rf"\{a}", rf"\{b}'") for a, b in ("[]", "{}", "()", "<>"))
_ANY_DELIMITER = _delimited(r"(?P<delimiter>\S)", "(?P=delimiter)'")
_ORACLE = rf"[nN]?[qQ]'(?:{_BRACKETS}|{_ANY_DELIMITER})"


def _pattern(
    text: str, name: str = _NAMES, comment: str = _COMMENT, placeholder: str = _PLACEHOLDER
) -> re.Pattern[str]:
    kinds = (
        ("comment", comment),
        ("text", text),
        ("cast", "::"),  # the second colon begins no placeholder
        ("placeholder", placeholder),
        ("number", r"\.?\d[\w.]*"),
        ("name", rf"(?:{name})(?:\.(?:{name}))*"),
        ("space", r"\s+"),
        ("other", "."),
    )
    return re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in kinds), re.DOTALL)


_PATTERNS: dict[Style, re.Pattern[str]] = {
    "standard": _pattern(_doubled(_SINGLE)),
    "oracle": _pattern(f"{_ORACLE}|{_doubled(_SINGLE)}"),
    "postgresql": _pattern(
        f"[eE]{_escaped(_SINGLE)}|{_doubled(_SINGLE)}|{_DOLLARS}", placeholder=rf"{_PLACEHOLDER}|\$\d+"
    ),
    "mysql": _pattern(f"{_escaped(_SINGLE)}|{_escaped(_DOUBLE)}", name=_NAME, comment=_MYSQL_COMMENT),
}


def tokens(statement: str, style: Style) -> Iterator[Token]:
    """All of a statement, in order.

    Example:
        >>> [token.text for token in tokens("SELECT 'it''s'", "standard")]
        ['SELECT', ' ', "'it''s'"]
    """
    for match in _PATTERNS[style].finditer(statement):
        yield Token(match.lastgroup or "other", match[0])
