"""Which info series a call of ``info`` reads, and as of when: decided before anything is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mirante.errors import BadQueryError
from mirante.server.promql.plan import At, Call, Node, RangeSelector, Selector, Subquery
from mirante.server.store.api import Matcher

TARGET_INFO = Matcher("__name__", "=", "target_info")
ANY_INFO = Matcher("__name__", "=~", ".+_info")


def info_selector(args: Sequence[Node]) -> Selector:
    """The info series that a call asks for, at the time to which its first argument is moved."""
    at, offset = _moved(args[0])
    if len(args) == 1:
        return Selector(args[0].position, (TARGET_INFO,), offset, at)
    selector = args[1]
    if not isinstance(selector, Selector):
        raise BadQueryError('expected label selectors in call to function "info"', position=selector.position)
    names = [matcher for matcher in selector.matchers if matcher.name == "__name__"]
    added: tuple[Matcher, ...] = ()
    if not names:
        added = (TARGET_INFO,)
    elif all(matcher.op in {"!=", "!~"} for matcher in names):
        added = (ANY_INFO,)
    return replace(selector, matchers=(*selector.matchers, *added), offset=offset, at=at)


def _moved(node: Node) -> tuple[At, int]:
    """The ``@`` and the offset under which a node reads its samples."""
    match node:
        case Selector(at=at, offset=offset):
            return at, offset
        case RangeSelector(selector=selector):
            return _moved(selector)
        case Subquery(expr=expr, at=outer, offset=shift):
            at, offset = _moved(expr)
            return (outer, offset + shift) if at is None else (at, offset)
        case Call(args=args) if args:
            return next((moved for moved in map(_moved, args) if moved != (None, 0)), (None, 0))
    return None, 0
