"""Finds the place of an error that ``promql-parser`` reports without one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import promql_parser as pp

from mirante.server.promql.tokens import Token

_SYNTAX = ("invalid promql query", "unclosed", "unexpected", "bad number")
_OPERATORS = frozenset({"+", "-", "*", "/", "%", "^", "==", "!=", ">", "<", ">=", "<=", "and", "or", "unless", "atan2"})
_COMPARISONS = frozenset({"==", "!=", ">", "<", ">=", "<="})
_MATCHES = frozenset({"=", "!=", "=~", "!~"})
_GROUPINGS = frozenset({"group_left", "group_right"})
_WITH_LABELS = frozenset({"on", "ignoring", "by", "without", "fill", "fill_left", "fill_right"}) | _GROUPINGS
MOST_PARTS = 500
"""Parts of an expression that are parsed again in search of the wrong one."""

_CLOSING = {"(": ")", "{": "}", "[": "]"}


def error_position(expression: str, tokens: Sequence[Token], message: str) -> int:
    """Offset of the first token that cannot be right, for a message of the parser.

    A syntax error is the first token that no expression can have there; an error of meaning is searched in the smallest
    bracketed part that, alone, is refused for the same reason.
    """
    if message.startswith(_SYNTAX):
        return _Reader(tokens).first_wrong().start
    first, last = _smallest_part(expression, tokens, message)
    culprits: frozenset[str] = frozenset(re.findall(r"'([^']+)'", message))
    if "@ modifier" in message:
        culprits = frozenset({"@"})
    elif "BOOL modifier" in message:
        culprits = _COMPARISONS
    elif "bool modifier" in message:
        culprits = frozenset({"bool"})
    return next((token.start for token in tokens[first:last] if token.text.lower() in culprits), tokens[first].start)


def _smallest_part(expression: str, tokens: Sequence[Token], message: str) -> tuple[int, int]:
    for first, last in sorted(_parts(tokens), key=lambda part: part[1] - part[0])[:MOST_PARTS]:
        try:
            pp.parse(expression[tokens[first].start : tokens[last - 1].end])
        except ValueError as error:
            if str(error) == message:
                return first, last
    return 0, len(tokens)


def _parts(tokens: Sequence[Token]) -> Iterator[tuple[int, int]]:
    """First and behind-the-last token of every operand in brackets, calls with their name included."""
    starts: list[list[int]] = []
    for index, token in enumerate(tokens):
        if token.kind == "(":
            starts.append([index, index + 1])
        elif token.kind in {",", ")"} and starts:
            opening, since = starts[-1]
            if since < index:
                yield since, index
            starts[-1][1] = index + 1
            if token.kind == ")":
                starts.pop()
                if opening and tokens[opening - 1].kind == "name":
                    yield opening - 1, index + 1


class _WrongTokenError(Exception):
    """The first token that cannot stand where it stands."""

    def __init__(self, token: Token) -> None:
        self.token = token


class _Reader:
    """Reads tokens with one question, does an operand or an operator come next, until one fits neither."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.tokens = tokens
        self.index = 0
        self.open: list[Token] = []

    def first_wrong(self) -> Token:
        """The token that fits neither; the end, or the bracket that it leaves open, where all others fit."""
        wants_operand = True
        try:
            while self._token.kind != "end":
                wants_operand = self._operand() if wants_operand else self._operator()
        except _WrongTokenError as error:
            return error.token
        return self.open[-1] if self.open and not wants_operand else self._token

    @property
    def _token(self) -> Token:
        return self.tokens[self.index]

    def _take(self, *, when: bool = True) -> Token:
        token = self._token
        if not when:
            raise _WrongTokenError(token)
        self.index += 1
        return token

    def _operand(self) -> bool:
        """Reads a part of an operand; whether (the rest of) one is still to come."""
        token, word = self._token, self._token.text.lower()
        if word == "bool" or word in _WITH_LABELS:
            self._modifier()
            return True
        if token.kind == "{":
            self._group()
            return False
        if token.kind == ")":  # a call without arguments, or a comma before the end of them
            self._take(when=bool(self.open) and self.tokens[self.index - 1].kind in {"(", ","})
            self.open.pop()
            return False
        self._take(when=token.kind in {"(", "number", "string", "name"} or word in {"+", "-"})
        if token.kind == "(":
            self.open.append(token)
        calls = token.kind == "name" and (self._token.kind == "(" or self._token.text.lower() in {"by", "without"})
        return calls or token.kind == "(" or word in {"+", "-"}

    def _operator(self) -> bool:
        """Reads an operator, a suffix of the operand before, or a closing bracket; whether an operand comes next."""
        token, word = self._token, self._token.text.lower()
        if word in _WITH_LABELS or word in {"offset", "@"}:
            self._modifier()
            return False
        if token.kind in {"{", "["}:
            self._group()
            return False
        if token.kind in {")", ","}:
            self._take(when=bool(self.open))
            if token.kind == ")":
                self.open.pop()
            return token.kind == ","
        self._take(when=word in _OPERATORS)
        return True

    def _modifier(self) -> None:
        word = self._take().text.lower()
        if word in {"offset", "@"}:
            if self._token.text in {"+", "-"}:
                self._take()
            bound = word == "@" and self._token.text in {"start", "end"}
            self._take(when=bound or self._token.kind == "number")
            if bound:
                self._group()
        elif word in _WITH_LABELS and (word not in _GROUPINGS or self._token.kind == "("):
            self._group()

    def _group(self) -> None:
        closing = _CLOSING.get(self._token.kind, "")
        self._take(when=bool(closing))
        while self._take(when=self._belongs(closing)).kind != closing:
            pass

    def _belongs(self, closing: str) -> bool:
        """Whether the token may stand between these brackets, behind the one before it."""
        before, token = self.tokens[self.index - 1], self._token
        if before.text in _MATCHES:
            return token.kind == "string"
        if token.kind == closing:
            return True
        if closing == "]":
            return token.kind in {"number", ":"} or token.text in {"+", "-"}
        if closing == ")":
            filling = self.tokens[self.index - 2].text.lower().startswith("fill")
            return token.kind in {"name", "number", "string", ","} or (filling and token.text in {"+", "-"})
        if before.kind in {"{", ","}:
            return token.kind in {"name", "string"}
        return token.text in _MATCHES or (token.kind == "," and before.kind == "string")
