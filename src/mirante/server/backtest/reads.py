"""What rules read of what others write, and in which order they can be replayed for many times at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from mirante.errors import QueryError
from mirante.server.alert import NAME as ALERT_NAME
from mirante.server.promql.matchers import matches, metric_of
from mirante.server.promql.parse import parse
from mirante.server.promql.plan import (
    Aggregate,
    At,
    Binary,
    Call,
    Negate,
    Node,
    RangeSelector,
    Selector,
    Subquery,
    type_of,
)
from mirante.server.rules.evaluation import NAME
from mirante.server.rules.group import with_group_labels
from mirante.server.rules.model import AlertingRule, Expression, Rule, RuleGroup
from mirante.server.store.api import Labels, Matcher

FOREVER = 1 << 52
"""Farther back than any sample, in milliseconds."""


class Reads(NamedTuple):
    """What an expression reads.

    Attributes:
        selectors: the matchers of each of its selectors.
        reach: how far back from the time of an evaluation, in milliseconds.
        ranged: whether one range query gives what many instant queries do.
    """

    selectors: tuple[tuple[Matcher, ...], ...]
    reach: int
    ranged: bool


def reads_of(expression: Expression, lookback: int) -> Reads:
    """What an expression reads; of SQL it is not known.

    Args:
        expression: of a rule.
        lookback: how far an instant selector looks back, in milliseconds.

    Example:
        >>> reads_of(Expression("rate(a[10m] offset 1h)"), 300_000).reach
        4200000
        >>> reads_of(Expression("a @ end()"), 300_000).ranged
        False
    """
    if expression.language == "sql":
        return Reads((), 0, ranged=False)
    try:
        plan = parse(expression.text)
    except QueryError:  # its evaluation tells what is wrong
        return Reads((), 0, ranged=False)
    leaves = list(_leaves(plan, _Above(0), lookback))
    ranged = type_of(plan) in {"vector", "scalar"} and not any(leaf.moving for leaf in leaves)
    reach = min(FOREVER, max((leaf.reach for leaf in leaves), default=0))
    return Reads(tuple(leaf.matchers for leaf in leaves), reach, ranged)


class _Leaf(NamedTuple):
    matchers: tuple[Matcher, ...]
    reach: int
    moving: bool


@dataclass(frozen=True, slots=True)
class _Above:
    """What stands over a node: how far back it is asked, and whether by the bounds of the query."""

    back: int
    moving: bool = False

    def under(self, offset: int, span: int, at: At) -> _Above:
        fixed = FOREVER if isinstance(at, int) else 0
        return _Above(self.back + max(offset, 0) + span + fixed, self.moving or isinstance(at, str))


def _leaves(node: Node | None, above: _Above, lookback: int) -> Iterator[_Leaf]:
    match node:
        case Selector():
            here = above.under(node.offset, lookback, node.at)
            yield _Leaf(node.matchers, here.back, here.moving)
        case RangeSelector(selector=selector):
            here = above.under(selector.offset, node.range, selector.at)
            yield _Leaf(selector.matchers, here.back, here.moving)
        case Subquery():
            yield from _leaves(node.expr, above.under(node.offset, node.range, node.at), lookback)
        case Call() | Aggregate() | Binary() | Negate():
            for child in _children(node):
                yield from _leaves(child, above, lookback)
        case _:
            return


def _children(node: Call | Aggregate | Binary | Negate) -> tuple[Node | None, ...]:
    match node:
        case Call():
            return node.args
        case Aggregate():
            return node.expr, node.param
        case Binary():
            return node.left, node.right
        case _:
            return (node.expr,)


def written_by(rule: Rule) -> tuple[Labels, ...]:
    """What is known of the labels of the series that a rule writes, one set for each name.

    Example:
        >>> from mirante.server.rules.model import RecordingRule
        >>> written_by(RecordingRule("a:b", Expression("b"), {"team": "x"}))
        ({'team': 'x', '__name__': 'a:b'},)
    """
    if not isinstance(rule, AlertingRule):
        return ({**rule.labels, NAME: rule.record},)
    plain = {name: text for name, text in rule.labels.items() if "{{" not in text}
    known = {**plain, ALERT_NAME: rule.alert}
    return {**known, NAME: "ALERTS"}, {**known, NAME: "ALERTS_FOR_STATE"}


def written(labels: Labels, known: Labels) -> bool:
    """Whether a series may be one of those of which that is known."""
    return all(labels.get(name, "") == value for name, value in known.items())


@dataclass(frozen=True, slots=True)
class Planned:
    """One rule of the replay.

    Attributes:
        spec: a group of this rule alone, otherwise like its own: nothing but what rules write ties those of one
            group together.
        order: number of its group, and its number there.
        reads: what its expression reads.
        ahead: whether what it reads is known for many times before it is evaluated for the first of them.
        kept: whether anybody reads what it writes.
    """

    spec: RuleGroup
    order: tuple[int, int]
    reads: Reads
    ahead: bool = True
    kept: bool = False

    @property
    def rule(self) -> Rule:
        """The rule."""
        return self.spec.rules[0]


class Plan(NamedTuple):
    """An order of replay.

    Attributes:
        first: each for many times at once, one after the other: others read what they write.
        last: time by time, in the order of groups and rules.
    """

    first: Sequence[Planned]
    last: Sequence[Planned]


def arrange(groups: Iterable[RuleGroup], lookback: int, query_offset: int = 0) -> Plan:
    """The order of a replay, in which every rule sees what it sees on a server.

    Rules that read what they, or later ones of their group, wrote before have to go time by time, and so have those
    that depend on them.

    Args:
        groups: the groups; of two that are evaluated at one time, each sees what the other writes.
        lookback: how far an instant selector looks back, in milliseconds.
        query_offset: of groups that say nothing of it, in milliseconds.
    """
    rules = [
        Planned(_alone(group, rule), (number, place), reads_of(rule.expression, lookback))
        for number, group in enumerate(groups)
        for place, rule in enumerate(group.rules)
    ]
    writers = _Writers(rules)
    reads = [writers.read_by(one) for one in rules]
    stuck = [
        {number, source}
        for number, sources in enumerate(reads)
        for source in sources
        if _later(rules[source], rules[number], query_offset)
    ]
    ready = _in_order(reads, set().union(*stuck))
    kept = set().union(*reads)
    first = [number for number in ready if number in kept]
    last = sorted(set(range(len(rules))) - set(first))

    def planned(number: int) -> Planned:
        one = rules[number]
        ahead = one.reads.ranged and reads[number].isdisjoint(last)
        return replace(one, ahead=ahead, kept=number in kept or _asks(rules))

    return Plan([planned(number) for number in first], [planned(number) for number in last])


def _later(source: Planned, reader: Planned, query_offset: int) -> bool:
    """Whether a sample may be written after the evaluation that would see it by its time."""
    if source.order[0] == reader.order[0]:
        return source.order >= reader.order
    return _offset(source.spec, query_offset) > _offset(reader.spec, query_offset)


def _offset(spec: RuleGroup, query_offset: int) -> int:
    return query_offset if spec.query_offset is None else spec.query_offset


def _alone(group: RuleGroup, rule: Rule) -> RuleGroup:
    return replace(group, rules=(with_group_labels(rule, group),), labels={})


def _in_order(reads: Sequence[set[int]], stuck: set[int]) -> list[int]:
    """The rules that can be replayed one after the other; those that are stuck, and what depends on them, cannot."""
    done: dict[int, None] = {}
    waiting = [number for number in range(len(reads)) if number not in stuck]
    while ready := [number for number in waiting if reads[number] <= done.keys()]:
        done.update(dict.fromkeys(ready))
        waiting = [number for number in waiting if number not in done]
    return list(done)


def _asks(rules: Iterable[Planned]) -> bool:
    """Whether a template asks queries of its own; what it may read is not known."""
    texts = (text for one in rules for text in _templates(one.rule))
    return any("{{" in text and "query" in text for text in texts)


def _templates(rule: Rule) -> Iterator[str]:
    yield from rule.labels.values()
    if isinstance(rule, AlertingRule):
        yield from rule.annotations.values()


class _Writers:
    """Finds the rules that write what an expression reads."""

    def __init__(self, rules: Sequence[Planned]) -> None:
        self._by_name: dict[str, list[tuple[int, Labels]]] = defaultdict(list)
        for number, one in enumerate(rules):
            for known in written_by(one.rule):
                self._by_name[known[NAME]].append((number, known))

    def read_by(self, one: Planned) -> set[int]:
        """Numbers of those rules."""
        return {number for matchers in one.reads.selectors for number in self._matching(matchers)}

    def _matching(self, matchers: Sequence[Matcher]) -> Iterator[int]:
        name = metric_of(matchers)
        for found in self._by_name.values() if name is None else (self._by_name.get(name, ()),):
            for number, known in found:
                if matches(known, [matcher for matcher in matchers if matcher.name in known]):
                    yield number


def labels_written(rules: Iterable[Rule]) -> Mapping[str, Sequence[Labels]]:
    """What is known of the labels of all series that rules write, by name."""
    found: dict[str, list[Labels]] = defaultdict(list)
    for rule in rules:
        for known in written_by(rule):
            found[known[NAME]].append(known)
    return found
