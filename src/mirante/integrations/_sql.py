"""What may be told of an SQL statement: its text without literals, and a summary of few different words.

Source of the summary: OpenTelemetry's "Generating a summary of the query".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from mirante.integrations._sql_tokens import STYLES, Token, tokens

MAX_LENGTH = 4096
"""Characters of a statement that are looked at: a thousand rows in one INSERT say no more than the first ones."""

MAX_SUMMARY = 255
"""Characters of a summary, as the conventions say."""

_QUOTES = frozenset("'\"`$\\")
_QUERIES = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE"})
_NO_QUERY_AFTER = frozenset({"FOR", "KEY", "DO", "ON", "THEN", "NO"})  # FOR UPDATE, ON DELETE CASCADE, ...
_ABOUT_OBJECTS = frozenset({"CREATE", "ALTER", "DROP", "TRUNCATE"})
_OBJECTS = frozenset({
    "DATABASE", "FUNCTION", "INDEX", "PROCEDURE", "ROLE", "SCHEMA", "SEQUENCE", "TABLE", "TRIGGER", "TYPE", "USER",
    "VIEW",
})  # fmt: skip
_TARGET_FOLLOWS = frozenset({"UPDATE", "CALL", "EXEC", "EXECUTE"})
_NOT_THE_TARGET = frozenset({
    "CONCURRENTLY", "EXISTS", "GLOBAL", "IF", "IGNORE", "LATERAL", "LOCAL", "MATERIALIZED", "NOT", "ONLY", "OR",
    "REPLACE", "TEMP", "TEMPORARY", "UNIQUE", "UNLOGGED", "VIRTUAL",
})  # fmt: skip
_TABLES_END = frozenset({
    "EXCEPT", "GROUP", "HAVING", "INTERSECT", "LIMIT", "ORDER", "RETURNING", "SET", "UNION", "VALUES", "WHERE",
    "WINDOW",
})  # fmt: skip


class Statement(NamedTuple):
    """What is told of one.

    Attributes:
        text: with ``?`` for every literal; placeholders stay. Empty where it is withheld.
        summary: its operations and their targets, such as ``SELECT orders``.
        operation: the outermost operation, in capitals.
    """

    text: str
    summary: str
    operation: str


def describe(statement: str, dialect: str) -> Statement:
    """What may be told of a statement.

    Args:
        statement: with or without placeholders.
        dialect: SQLAlchemy's name of it. Of one whose way of quoting is not known, nothing but the first word is told
            if there is a quotation mark in the statement.

    Example:
        >>> describe("SELECT * FROM orders WHERE name = 'me' AND id = :id", "sqlite")
        Statement(text='SELECT * FROM orders WHERE name = ? AND id = :id', summary='SELECT orders', operation='SELECT')
    """
    return _describe(statement if len(statement) <= MAX_LENGTH else statement[: MAX_LENGTH + 1], dialect)


@lru_cache(1024)
def _describe(statement: str, dialect: str) -> Statement:
    style = STYLES.get(dialect)
    cut = len(statement) > MAX_LENGTH
    if style is None and _QUOTES & set(statement):
        first = statement.split(None, 1)[0]
        operation = first.upper() if first.isalpha() else ""
        return Statement("", operation, operation)
    found = list(tokens(statement[:MAX_LENGTH], style or "standard"))
    reader = _Reader()
    for token in found:
        reader.take(token)
    operation = reader.operation or next(iter(reader.summary), "")
    return Statement(_text(found) + (" ..." if cut else ""), _joined(reader.summary), operation)


def _text(found: Iterable[Token]) -> str:
    shown = ("?" if t.kind in ("text", "number") else " " if t.kind in ("comment", "space") else t.text for t in found)
    return " ".join("".join(shown).split())


def _joined(words: Iterable[str]) -> str:
    """As many whole words as there is room for."""
    summary = ""
    for word in words:
        longer = f"{summary} {word}".lstrip()
        if len(longer) > MAX_SUMMARY:
            break
        summary = longer
    return summary


@dataclass(slots=True)
class _Level:
    """What stands between two parentheses.

    Attributes:
        query: a statement of its own, not a list of arguments.
        tables: they are being listed.
    """

    query: bool = False
    tables: bool = False


class _Reader:
    """Goes through a statement once.

    Attributes:
        summary: operations and targets as they came.
        operation: the first one outside parentheses.
    """

    def __init__(self) -> None:
        self.summary: list[str] = []
        self.operation = ""
        self._levels = [_Level()]
        self._target = False  # the next name is one
        self._object = False  # the next name tells the kind of object, or is a target
        self._before = ""

    def take(self, token: Token) -> None:
        """The next piece."""
        kind, text = token
        if kind in ("space", "comment"):
            return
        word = text.upper()
        if kind == "name":
            self._name(text, word, self._levels[-1])
        elif kind == "other":
            self._mark(text)
        self._before = "" if text == ";" else word

    def _mark(self, text: str) -> None:
        self._target = text == "," and self._levels[-1].tables
        if text == "(":
            self._levels.append(_Level())
        elif text == ")" and len(self._levels) > 1:
            self._levels.pop()
        elif text == ";":
            self._levels = [_Level()]

    def _name(self, text: str, word: str, level: _Level) -> None:
        if (not self._before and word != "WITH") or (word in _QUERIES and self._before not in _NO_QUERY_AFTER):
            self._begin(word, level)
        elif word in _NOT_THE_TARGET:
            return
        elif self._object and word in _OBJECTS:
            self.summary.append(word)
            self._object, self._target = False, True
        elif word in ("JOIN", "INTO"):
            self._target = level.tables = True
        elif word == "FROM":
            self._target = level.tables = level.query and self._before != "DISTINCT"  # IS DISTINCT FROM
        elif word in _TABLES_END:
            self._target = level.tables = False
        elif self._target or self._object:
            self.summary.append(text)
            self._target = self._object = False

    def _begin(self, operation: str, level: _Level) -> None:
        self.summary.append(operation)
        if len(self._levels) == 1 and not self.operation:
            self.operation = operation
        level.query, level.tables = operation in _QUERIES, False
        self._target = operation in _TARGET_FOLLOWS
        self._object = operation in _ABOUT_OBJECTS
