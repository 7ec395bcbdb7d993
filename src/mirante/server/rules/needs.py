"""What rules are going to read: found in their plans, before anything is evaluated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from mirante.errors import QueryError
from mirante.server.promql.matchers import metric_of
from mirante.server.promql.parse import parse
from mirante.server.promql.plan import Aggregate, Binary, Call, Negate, Node, RangeSelector, Selector
from mirante.server.rules.model import RuleGroup
from mirante.server.store.api import Matcher

LONGEST = 15 * 60_000
"""Windows up to which samples are read as they are, in milliseconds; of longer ones the engine computes one value."""


class Need(NamedTuple):
    """What is read of one metric.

    Attributes:
        span: the longest of the windows that are not longer than LONGEST, in milliseconds; 0 for none.
        longest: the longest of all windows.
        selectors: the matchers of every selector.
    """

    span: int
    longest: int
    selectors: tuple[tuple[Matcher, ...], ...]


def needs_of(groups: Iterable[RuleGroup], lookback: int) -> Mapping[str, Need]:
    """What the PromQL of the groups reads, by metric; subqueries and other times than the present left out.

    Args:
        groups: the groups.
        lookback: how far an instant selector looks back, in milliseconds.

    Example:
        >>> from mirante.server.rules.model import Expression, RecordingRule
        >>> rule = RecordingRule("a:b", Expression("rate(b[10m]) / on () b{x='y'}"))
        >>> found = needs_of([RuleGroup("g", "f", (rule,))], 300_000)
        >>> found["b"].span, len(found["b"].selectors)
        (600000, 2)
    """
    found: dict[str, Need] = {}
    for group in groups:
        for rule in group.rules:
            if rule.expression.language == "promql":
                for selector, span in _selectors(_plan(rule.expression.text), lookback):
                    name = metric_of(selector.matchers)
                    if name and not selector.offset and selector.at is None:
                        before = found.get(name, Need(0, 0, ()))
                        short = max(before.span, span if span <= LONGEST else 0)
                        found[name] = Need(short, max(before.longest, span), (*before.selectors, selector.matchers))
    return found


def _plan(expression: str) -> Node | None:
    try:
        return parse(expression)
    except QueryError:  # its evaluation tells what is wrong
        return None


def _selectors(node: Node | None, lookback: int) -> Iterator[tuple[Selector, int]]:
    match node:
        case Selector():
            yield node, lookback
        case RangeSelector():
            yield node.selector, node.range
        case Call(args=args):
            for arg in args:
                yield from _selectors(arg, lookback)
        case Aggregate(expr=expr, param=param):
            yield from _selectors(expr, lookback)
            yield from _selectors(param, lookback)
        case Binary(left=left, right=right):
            yield from _selectors(left, lookback)
            yield from _selectors(right, lookback)
        case Negate(expr=expr):
            yield from _selectors(expr, lookback)
        case _:
            return
