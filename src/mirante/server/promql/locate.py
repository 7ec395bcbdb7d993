"""Finds the place of an error that ``promql-parser`` reports without one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import promql_parser as pp

from mirante.server.promql.tokens import Token

_SYNTAX = ("invalid promql query", "unclosed", "unexpected", "bad number")
_OPERATORS = frozenset(
    {"+", "-", "*", "/", "%", "^", "==", "!=", ">", "<", ">=", "<=", "and", "or", "unless", "atan2"}
)
_WITH_LABELS = frozenset({"on", "ignoring", "group_left", "group_right", "by", "without", "fill", "fill_left", "fill_right"})
_CLOSING = {"(": ")", "{": "}", "[": "]"}


def error_position(expression: str, tokens: Sequence[Token], message: str) -> int:
    """Offset of the first token that cannot be right, for a message of the parser.

    A syntax error is the first token that no expression can have there; an error of meaning is searched in the smallest
    bracketed part that, alone, is refused for the same reason.
    """
    if message.startswith(_SYNTAX):
        return _first_impossible(tokens)
    first, last = _smallest_part(expression, tokens, message)
    named = re.findall(r"'([^']+)'", message)
    if "BOOL" in message or "bool modifier" in message:
        named = ["==", "!=", ">", "<", ">=", "<="] if "BOOL" in message else ["bool"]
    for token in tokens[first:last]:
        if token.text in named or token.text.lower() in named:
            return token.start
    return tokens[first].start


def _smallest_part(expression: str, tokens: Sequence[Token], message: str) -> tuple[int, int]:
    for first, last in sorted(_parts(tokens), key=lambda part: part[1] - part[0]):
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


def _first_impossible(tokens: Sequence[Token]) -> int:
    """Reads the tokens with one question, operand or operator next, until one fits neither."""
    operand = True
    open_brackets: list[Token] = []
    index = 0
    while index < len(tokens):
        token = tokens[index]
        word = token.text.lower()
        if token.kind == "end":
            break
        if operand:
            step, operand = _operand(tokens, index, open_brackets)
        elif word in _OPERATORS:
            step, operand = 1, True
        elif word == "bool" or word in _WITH_LABELS or word in {"offset", "@"} or token.kind in {"{", "["}:
            step, operand = _suffix(tokens, index)
        elif token.kind == ")" and open_brackets:
            open_brackets.pop()
            step, operand = 1, False
        elif token.kind == "," and open_brackets:
            step, operand = 1, True
        else:
            step = 0
        if step <= 0:
            return tokens[index - step].start
        index += step
    return open_brackets[-1].start if open_brackets and not operand else tokens[-1].start


def _operand(tokens: Sequence[Token], index: int, open_brackets: list[Token]) -> tuple[int, bool]:
    """Tokens taken (none or fewer: the wrong one's distance, negative) and whether an operand still comes."""
    token, follower = tokens[index], tokens[min(index + 1, len(tokens) - 1)]
    word = token.text.lower()
    if token.text in {"+", "-"}:
        return 1, True
    if token.kind == "(":
        open_brackets.append(token)
        return 1, True
    if token.kind in {"number", "string"}:
        return 1, False
    if token.kind == "{":
        return _suffix(tokens, index)
    if token.kind == "name" and (word == "bool" or word in _WITH_LABELS):
        return _suffix(tokens, index)[0], True
    if token.kind == "name":
        return 1, follower.kind == "(" or follower.text.lower() in {"by", "without"}
    if token.kind == ")" and open_brackets and tokens[index - 1].kind in {"(", ","}:
        open_brackets.pop()
        return 1, False
    return 0, False


def _suffix(tokens: Sequence[Token], index: int) -> tuple[int, bool]:
    """Tokens of a modifier or a bracketed suffix."""
    word = tokens[index].text.lower()
    if word == "bool":
        return 1, True
    if word in {"offset", "@"}:
        step = 1 + (tokens[index + 1].text in {"+", "-"})
        value = tokens[index + step]
        if value.kind == "number":
            return step + 1, False
        if word == "@" and value.text in {"start", "end"} and tokens[index + step + 1].kind == "(":
            return step + 3, False
        return -step, False
    opening = index + (word in _WITH_LABELS)
    closing = _CLOSING.get(tokens[opening].kind)
    if closing is None:
        return (1, True) if word.startswith("group_") else (-1, False)
    for ahead in range(opening + 1, len(tokens)):
        kind = tokens[ahead].kind
        if kind == closing:
            return ahead + 1 - index, word in _WITH_LABELS
        if not _belongs(closing, tokens[ahead - 1], tokens[ahead]):
            return index - ahead, False
    return 0, False


def _belongs(closing: str, before: Token, token: Token) -> bool:
    if closing == "]":
        return token.kind in {"number", ":"} or token.text in {"+", "-"}
    if closing == ")":
        return token.kind in {"name", "number", "string", ","} or token.text in {"+", "-"}
    if before.text in {"=", "!=", "=~", "!~"}:
        return token.kind == "string"
    if before.kind in {"{", ","}:
        return token.kind in {"name", "string"}
    if before.kind == "name":
        return token.text in {"=", "!=", "=~", "!~"}
    return token.kind == "," or token.text in {"=", "!=", "=~", "!~"}
