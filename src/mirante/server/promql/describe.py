"""A node of a plan in a few words, without what is inside it."""

from __future__ import annotations

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
)


def described(node: Node) -> str:  # noqa: PLR0911 - one for each kind of node
    """What a node is.

    Example:
        >>> from mirante.server.promql.parse import parse
        >>> described(parse("sum by (job) (x)")), described(parse('x{a="b"} offset 1m @ end()'))
        ('sum by (job)', 'x{a="b"} offset 60s @ end()')
    """
    match node:
        case Selector():
            return _selector(node)
        case RangeSelector(selector=selector, range=span):
            return f"{_selector(selector)}[{span / 1000:g}s]"
        case Call(function=name):
            return f"{name}(...)"
        case Aggregate(op=op, labels=labels, without=without):
            grouping = f" {'without' if without else 'by'} ({', '.join(labels)})" if labels or without else ""
            return op + grouping
        case Binary(op=op, matching=how):
            words = f" {'on' if how.on else 'ignoring'} ({', '.join(how.labels)})" if how.on or how.labels else ""
            return op + words
        case Subquery(range=span):
            return f"(...)[{span / 1000:g}s:]"
        case Negate():
            return "-"
        case Number(value=value):
            return f"{value:g}"
        case String(value=text):
            return f'"{text}"'


def _selector(node: Selector) -> str:
    name = next((one.value for one in node.matchers if one.name == "__name__" and one.op == "="), "")
    others = [one for one in node.matchers if not (one.name == "__name__" and one.op == "=" and one.value == name)]
    inside = ", ".join(f'{one.name}{one.op}"{one.value}"' for one in others)
    braces = f"{{{inside}}}" if inside or not name else ""
    offset = f" offset {node.offset / 1000:g}s" if node.offset else ""
    return name + braces + offset + _at(node.at)


def _at(at: At) -> str:
    if at is None:
        return ""
    return f" @ {at}()" if isinstance(at, str) else f" @ {at / 1000:.3f}"
