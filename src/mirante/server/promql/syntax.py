"""An expression's text in Prometheus's layout, and its tree as JSON, for editors and tools.

Source: Prometheus ``promql/parser/prettier.go`` and ``web/api/v1/translate_ast.go``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import promql_parser as pp

from mirante.server.promql.functions.signatures import SIGNATURES
from mirante.server.promql.gofloat import go_decimal
from mirante.server.promql.parse import parse
from mirante.server.promql.plan import (
    Aggregate,
    At,
    Binary,
    Call,
    Negate,
    Node,
    Number,
    RangeSelector,
    Selector,
    String,
    Subquery,
    type_of,
)


def layout(expression: str) -> str:
    """The expression as Prometheus would write it: spaces, and line breaks where it is long.

    Raises:
        BadQueryError: it is wrong.

    Example:
        >>> layout("sum by(job)(rate(x[5m]))/2")
        'sum by (job) (rate(x[5m])) / 2'
    """
    plan = parse(expression)
    shown = str(pp.parse(expression).prettify())
    # The parser's printer forgets a little, such as the sign of a time after @: what it changes is left as it was.
    return shown if _meaning(parse(shown)) == _meaning(plan) else expression.strip()


def _meaning(node: object) -> object:
    """A plan without the places of its nodes."""
    if is_dataclass(node):
        parts = (_meaning(getattr(node, part.name)) for part in fields(node) if part.name != "position")
        return type(node).__name__, *parts
    return tuple(map(_meaning, node)) if isinstance(node, tuple) else node


def tree(expression: str) -> dict[str, Any]:
    """The tree that ``/api/v1/parse_query`` gives. Brackets that only group are not in it.

    Raises:
        BadQueryError: it is wrong.

    Example:
        >>> tree("-1")
        {'type': 'numberLiteral', 'val': '-1'}
    """
    return _tree(parse(expression))


def _tree(node: Node) -> dict[str, Any]:  # noqa: PLR0911 - one for each kind of node
    match node:
        case Number(value=value):
            return {"type": "numberLiteral", "val": go_decimal(value)}
        case String(value=text):
            return {"type": "stringLiteral", "val": text}
        case Negate(expr=expr):
            return {"type": "unaryExpr", "op": "-", "expr": _tree(expr)}
        case Selector():
            return {"type": "vectorSelector", **_selector(node)}
        case RangeSelector(selector=selector, range=span):
            return {"type": "matrixSelector", **_selector(selector), "range": span}
        case Subquery(expr=expr, range=span, step=step):
            times = {"range": span, "offset": node.offset, "step": step or 0, **_at(node.at)}
            return {"type": "subquery", "expr": _tree(expr), **times}
        case Call():
            return _call(node)
        case Aggregate():
            return _aggregate(node)
        case Binary():
            return _binary(node)


def _selector(node: Selector) -> dict[str, Any]:
    matchers = [{"name": one.name, "value": one.value, "type": one.op} for one in node.matchers]
    name = next((one.value for one in node.matchers if one.name == "__name__" and one.op == "="), "")
    return {"name": name, "offset": node.offset, "matchers": matchers, **_at(node.at)}


def _at(at: At) -> dict[str, Any]:
    bound = at if isinstance(at, str) else None
    return {"timestamp": None if bound else at, "startOrEnd": bound}


def _call(node: Call) -> dict[str, Any]:
    signature = SIGNATURES[node.function]
    function = {
        "name": node.function,
        "argTypes": list(signature.takes),
        "variadic": signature.variadic,
        "returnType": signature.returns,
    }
    return {"type": "call", "func": function, "args": [_tree(arg) for arg in node.args]}


def _aggregate(node: Aggregate) -> dict[str, Any]:
    return {
        "type": "aggregation",
        "op": node.op,
        "expr": _tree(node.expr),
        "param": None if node.param is None else _tree(node.param),
        "grouping": list(node.labels),
        "without": node.without,
    }


def _binary(node: Binary) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": "binaryExpr",
        "op": node.op,
        "lhs": _tree(node.left),
        "rhs": _tree(node.right),
        "matching": None,
        "bool": node.bool,
    }
    if type_of(node.left) == type_of(node.right) == "vector":
        found["matching"] = _matching(node)
    return found


def _matching(node: Binary) -> Mapping[str, Any]:
    how = node.matching
    fills = {"lhs": how.fill_left, "rhs": how.fill_right}
    return {
        "card": how.card,
        "labels": list(how.labels),
        "on": how.on,
        "include": list(how.include),
        **({"fillValues": fills} if set(fills.values()) != {None} else {}),
    }
