"""From an expression's text to a checked plan: ``promql-parser`` builds and checks the tree, tokens place its nodes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from difflib import get_close_matches
from functools import lru_cache
from typing import cast

import promql_parser as pp

from mirante.errors import BadQueryError
from mirante.server.promql.functions.signatures import SIGNATURES
from mirante.server.promql.info_selector import info_selector
from mirante.server.promql.locate import error_position
from mirante.server.promql.plan import (
    Aggregate,
    At,
    Binary,
    Call,
    Card,
    Matching,
    Negate,
    Node,
    Number,
    RangeSelector,
    Selector,
    String,
    Subquery,
)
from mirante.server.promql.tokens import Token, tokenize
from mirante.server.store.api import Matcher, MatchOp

MAX_LENGTH = 100_000
FARTHEST = 2**53
"""Milliseconds up to which times and durations are exact in every part of a query."""

MAX_FRAMES = 600
"""Nested calls that reading or evaluating an expression may take: three a bracket, two an operator."""


def parse(expression: str) -> Node:
    """The checked plan of an expression.

    Raises:
        BadQueryError: with the position of what is wrong.

    Example:
        >>> parse("-m").expr.matchers
        (Matcher(name='__name__', op='=', value='m'),)
    """
    return _remembered(expression) if len(expression) <= _REMEMBERED else _placed(expression)


def _placed(expression: str) -> Node:
    """The plan, or an error that says line and column."""
    try:
        return _parse(expression)
    except BadQueryError as error:
        line, column = line_and_column(expression, error.position or 0)
        raise BadQueryError(f"{line}:{column}: parse error: {error}", position=error.position or 0) from None


_REMEMBERED = 2_000  # characters: rules and dashboards ask the same again and again
_remembered = lru_cache(maxsize=10_000)(_placed)


def _parse(expression: str) -> Node:
    if len(expression) > MAX_LENGTH:
        raise BadQueryError(f"the expression is longer than {MAX_LENGTH} characters", position=MAX_LENGTH)
    tokens = tokenize(expression)
    _check_depth(tokens)
    try:
        tree = pp.parse(expression)
    except ValueError as error:
        message = str(error)
        position = error_position(expression, tokens, message)
        raise BadQueryError(_explain(message, tokens, position), position=position) from None
    except OverflowError:
        longest = max((token for token in tokens if token.kind == "number"), key=lambda token: len(token.text))
        raise BadQueryError("duration out of range", position=longest.start) from None
    return _Builder(tokens).build(tree)


def line_and_column(expression: str, position: int) -> tuple[int, int]:
    """Line and column of an offset, both counted from 1."""
    return expression.count("\n", 0, position) + 1, position - expression.rfind("\n", 0, position)


def _check_depth(tokens: Iterable[Token]) -> None:
    frames = 0
    for token in tokens:
        if token.kind == "(":
            frames += 3
        elif token.kind == ")":
            frames -= 3
        elif token.kind == "op" or token.text.lower() in _WORD_OPERATORS:
            frames += 2
        if frames > MAX_FRAMES:
            raise BadQueryError("the expression is nested too deeply", position=token.start)


def _explain(message: str, tokens: Iterable[Token], position: int) -> str:
    """What the parser said, with the culprit where it does not name it, and a known name that is close."""
    if message == "invalid promql query":
        culprit = next(token.text for token in tokens if token.start == position)
        return f'unexpected "{culprit}"' if culprit else "unexpected end of input"
    message = _TYPE_WORD.sub(lambda found: found[1] + _TYPE_NAMES[found[2]], _QUOTED.sub(r'"\1"', message))
    unknown = re.fullmatch(r'unknown function with name "(.*)"', message)
    if unknown and (close := get_close_matches(unknown[1], SIGNATURES, n=1, cutoff=0.7)):
        return f'{message}, did you mean "{close[0]}"?'
    return message


# The parser's words for types and its quotes, in Prometheus's way.
_QUOTED = re.compile(r"'([^']*)'")
_TYPE_WORD = re.compile(r"(expected type |, got:? )(matrix|vector)\b")
_TYPE_NAMES = {"matrix": "range vector", "vector": "instant vector"}


_WORD_OPERATORS = frozenset({"and", "or", "unless", "atan2"})
_MATCHING_WORDS = frozenset({"bool", "on", "ignoring", "group_left", "group_right", "fill", "fill_left", "fill_right"})
_MATCH_OPS: tuple[tuple[pp.MatchOp, MatchOp], ...] = (
    (pp.MatchOp.Equal, "="),
    (pp.MatchOp.NotEqual, "!="),
    (pp.MatchOp.Re, "=~"),
    (pp.MatchOp.NotRe, "!~"),
)


class _Builder:
    """Walks the tree and the tokens together: both are in source order."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.next = 0

    def build(self, tree: pp.Expr) -> Node:
        start = self._here()
        match tree:
            case pp.ParenExpr():
                self._take()
                node = self.build(tree.expr)
                self._take()
                return replace(node, position=start)
            case pp.NumberLiteral():
                self._skip({"+", "-"})
                self._take()
                return Number(start, tree.val)
            case pp.StringLiteral():
                return String(start, unquote(self._take().text, start))
            case pp.UnaryExpr():
                self._skip({"+"})
                self._take()
                return Negate(start, self.build(tree.expr))
            case pp.BinaryExpr():
                return self._binary(tree)
        self._skip({"+"})
        return self._operand(tree, self._here())

    def _operand(self, tree: pp.Expr, start: int) -> Node:
        if isinstance(tree, pp.VectorSelector):
            return self._selector(tree)
        if isinstance(tree, pp.MatrixSelector):
            selector = self._selector(tree.vector_selector)
            self._skip_group("[", "]")
            at = self._modifiers(tree.vector_selector.at)
            selector = replace(selector, at=selector.at if at is None else at)
            return RangeSelector(start, selector, _milliseconds(tree, "range", start))
        if isinstance(tree, pp.SubqueryExpr):
            return self._subquery(tree, start)
        if isinstance(tree, pp.Call):
            return self._call(tree, start)
        return self._aggregate(cast("pp.AggregateExpr", tree), start)

    def _selector(self, tree: pp.VectorSelector) -> Selector:
        start = self._here()
        if tree.matchers.or_matchers:
            raise BadQueryError("'or' between label matchers is not part of PromQL", position=start)
        if self._peek().kind == "name":
            self._take()
        self._skip_group("{", "}")
        at = self._modifiers(tree.at)
        matchers = [Matcher(m.name, _match_op(m.op), m.value) for m in tree.matchers.matchers]
        if tree.name is not None:
            matchers.insert(0, Matcher("__name__", "=", tree.name))
        return Selector(start, tuple(matchers), _milliseconds(tree, "offset", start), at)

    def _subquery(self, tree: pp.SubqueryExpr, start: int) -> Subquery:
        expr = self.build(tree.expr)
        self._skip_group("[", "]")
        at = self._modifiers(tree.at)
        span, step, offset = (_milliseconds(tree, part, start) for part in ("range", "step", "offset"))
        return Subquery(start, expr, span, step or None, offset, at)

    def _call(self, tree: pp.Call, start: int) -> Call:
        name = tree.func.name
        signature = SIGNATURES.get(name)
        if signature is None:  # the parser knows functions that come with start timestamps
            raise BadQueryError(f'function "{name}" is not supported', position=start)
        self._take()
        self._take()
        args = []
        for arg in tree.args:
            args.append(self.build(arg))
            self._skip({","})
        self._take()
        if name == "info":
            args = [args[0], info_selector(args)]
        return Call(start, name, tuple(args), signature.returns)

    def _aggregate(self, tree: pp.AggregateExpr, start: int) -> Aggregate:
        self._take()
        self._skip_grouping()
        self._take()
        param = None
        if tree.param is not None:
            param = self.build(tree.param)
            self._take()
        expr = self.build(tree.expr)
        self._skip({","})
        self._take()
        self._skip_grouping()
        modifier = tree.modifier
        labels = tuple(modifier.labels) if modifier else ()
        without = modifier is not None and modifier.type == pp.AggModifierType.Without
        return Aggregate(start, str(tree.op), expr, param, labels, without)

    def _binary(self, tree: pp.BinaryExpr) -> Binary:
        left = self.build(tree.lhs)
        self._take()
        while self._peek().text.lower() in _MATCHING_WORDS:
            if self._take().text.lower() != "bool":
                self._skip_group("(", ")")
        right = self.build(tree.rhs)
        modifier = tree.modifier
        asks_bool = bool(modifier and modifier.return_bool)
        return Binary(left.position, str(tree.op), left, right, asks_bool, _matching(modifier))

    def _modifiers(self, at: pp.AtModifier | None) -> At:
        """Steps over ``offset`` and ``@``, and reads the latter's time, which the parser cannot give below zero."""
        found: At = None
        while True:
            text = self._peek().text.lower()
            if text == "offset":
                self._take()
                self._skip({"+", "-"})
                self._take()
            elif text == "@" and at is not None:
                self._take()
                found = self._at(at)
            else:
                return found

    def _at(self, at: pp.AtModifier) -> At:
        if at.type != pp.AtModifierType.At:
            bound: At = "start" if at.type == pp.AtModifierType.Start else "end"
            self._take()
            self._skip_group("(", ")")
            return bound
        sign = -1 if self._peek().text == "-" else 1
        self._skip({"+", "-"})
        token = self._take()
        moment = sign * _number(token.text) * 1000
        if abs(moment) > FARTHEST:
            raise BadQueryError("timestamp out of bounds for @ modifier", position=token.start)
        return round(moment)

    def _peek(self) -> Token:
        return self.tokens[self.next]

    def _here(self) -> int:
        return self.tokens[self.next].start

    def _take(self) -> Token:
        token = self.tokens[self.next]
        self.next += 1
        return token

    def _skip(self, texts: set[str]) -> None:
        while self._peek().text in texts:
            self.next += 1

    def _skip_group(self, opening: str, closing: str) -> None:
        if self._peek().kind == opening:
            while self._take().kind != closing:
                pass

    def _skip_grouping(self) -> None:
        if self._peek().text.lower() in {"by", "without"}:
            self._take()
            self._skip_group("(", ")")


def _match_op(op: pp.MatchOp) -> MatchOp:
    return next(text for known, text in _MATCH_OPS if known == op)


def _matching(modifier: pp.BinModifier | None) -> Matching:
    if modifier is None:
        return Matching()
    labels = modifier.matching
    cards: dict[str, Card] = {
        "OneToOne": "one-to-one",
        "ManyToOne": "many-to-one",
        "OneToMany": "one-to-many",
        "ManyToMany": "many-to-many",
    }
    card = cards[str(modifier.card).rpartition(".")[2]]
    return Matching(
        card=card,
        on=labels is not None and labels.type == pp.LabelModifierType.Include,
        labels=tuple(labels.labels) if labels is not None else (),
        include=tuple(modifier.group_labels or ()),
        fill_left=modifier.fill_values.lhs,
        fill_right=modifier.fill_values.rhs,
    )


def _milliseconds(tree: pp.Expr, part: str, position: int) -> int:
    """A duration of the tree, 0 where it has none."""
    duration: timedelta | None = getattr(tree, part)
    milliseconds = 0 if duration is None else duration // timedelta(milliseconds=1)
    if abs(milliseconds) > FARTHEST:
        raise BadQueryError(f"the {part} is out of bounds", position=position)
    return milliseconds


def _number(text: str) -> float:
    if text[:2].lower() == "0x":
        return float(int(text, 16))
    if text[-1].isdigit() or text[-1] == ".":
        return float(text)
    return pp.parse_duration(text).total_seconds()


_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|[0-7]{3}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
_SIMPLE = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


def unquote(literal: str, position: int = 0) -> str:
    r"""The value of a string literal; bytes that are no UTF-8 become lone surrogates, which checks of names refuse.

    Source: the string literals of Go, which PromQL follows.

    Example:
        >>> unquote(r'"a\tb"')
        'a\tb'
    """
    body = literal[1:-1]
    if literal[0] == "`":
        return body

    def one(match: re.Match[bytes]) -> bytes:
        code = match[1]
        if code[:1] == b"x":
            return bytes([int(code[1:], 16)])
        if code[:1] in b"uU" and len(code) > 1:
            return chr(int(code[1:], 16)).encode("utf-8", "surrogatepass")
        if code.isdigit() and len(code) == 3:
            return bytes([int(code, 8) & 0xFF])
        if code in _SIMPLE:
            return _SIMPLE[code]
        if code in {b"\\", b"'", b'"'}:
            return code
        raise BadQueryError(f"unknown escape sequence '\\{code.decode()}'", position=position)

    return _ESCAPE.sub(one, body.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogateescape")
