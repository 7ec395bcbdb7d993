"""Which rules of a replay are asked ahead, and in which order they go."""

from __future__ import annotations

import pytest

from mirante.server.backtest.reads import FOREVER, Plan, arrange, reads_of
from mirante.server.rules.model import Expression, Rule, RuleGroup
from tests.server.rules.parts import MINUTE, alert, record


def plan(*groups: tuple[Rule, ...], query_offset: int | None = None) -> Plan:
    """Of groups of these rules; the last of them has that offset."""
    specs = [RuleGroup(f"g{number}", "f", rules) for number, rules in enumerate(groups)]
    specs[-1] = RuleGroup("last", "f", groups[-1], query_offset=query_offset)
    return arrange(specs, 5 * MINUTE)


def ahead(found: Plan) -> list[tuple[tuple[int, int], bool]]:
    """Which of the last ones are asked ahead."""
    return [(one.order, one.ahead) for one in found.last]


def test_what_is_read_goes_first() -> None:
    """In the order in which one depends on the other, over groups; what nobody reads comes last, time by time."""
    found = plan((alert("A", "c > 1"),), (record("c", "b + 1"),), (record("b", "a"), record("d", "a")))
    assert [one.order for one in found.first] == [(2, 0), (1, 0)]
    assert ahead(found) == [((0, 0), True), ((2, 1), True)]
    assert [one.kept for one in (*found.first, *found.last)] == [True, True, False, False]


def test_what_reads_itself_goes_time_by_time() -> None:
    """And so does what reads that."""
    found = plan((record("a", "a offset 1m + 1"), alert("A", "a > 1"), alert("B", "b > 1")))
    assert not found.first
    assert ahead(found) == [((0, 0), False), ((0, 1), False), ((0, 2), True)]


def test_what_reads_a_later_rule_goes_time_by_time() -> None:
    """It sees what that wrote at the time before; the later one itself reads nothing of the kind."""
    found = plan((alert("A", "b > 1"), record("b", "a")))
    assert ahead(found) == [((0, 0), False), ((0, 1), True)]


def test_what_is_written_for_an_earlier_time_is_not_known_before() -> None:
    """A group that looks back writes samples that are older than when others can see them."""
    found = plan((alert("A", "b > 1"),), (record("b", "a"),), query_offset=30_000)
    assert ahead(found) == [((0, 0), False), ((1, 0), True)]


def test_alerts_are_read_by_their_name() -> None:
    """What selects ALERTS depends on the alerts that it may select."""
    found = plan(
        (alert("A", "up == 0", labels={"t": "{{ $value }}"}), alert("B", "up == 1")),
        (alert("C", 'ALERTS{alertname="A", t="x"}'), alert("D", 'ALERTS{alertname="E"}')),
    )
    assert [one.order for one in found.first] == [(0, 0)]


def test_a_selector_without_a_name_may_read_anything() -> None:
    """But for what its other matchers exclude."""
    one = record("a", "x", {"team": "red"}), record("b", "x", {"team": "blue"}), record("c", "x")
    found = plan(one, (alert("A", '{team="red"}'), alert("B", '{__name__=~"c|d"}')))
    assert [planned.order for planned in found.first] == [(0, 0), (0, 2)]


def test_templates_that_ask_keep_everything() -> None:
    """What they read is not known."""
    found = plan((record("a", "x"), alert("A", "up", annotations={"text": '{{ query "a" }}'})))
    assert all(one.kept for one in found.last)


@pytest.mark.parametrize(
    ("text", "reach", "ranged"),
    [
        ("a", 5 * MINUTE, True),
        ("-a + on () (b offset 10m)", 15 * MINUTE, True),
        ("quantile(0.9, rate(a[1h]))", 60 * MINUTE, True),
        ("topk(scalar(a offset 1h), b)", 65 * MINUTE, True),
        ("max_over_time(rate(a[5m])[1h:] offset 1h)", 125 * MINUTE, True),
        ("a @ 1000", FOREVER, True),
        ("max_over_time(a[1h:] @ start())", 65 * MINUTE, False),
        ("a[5m]", 5 * MINUTE, False),
        ("'text'", 0, False),
        ("1 + time()", 0, True),
        ("a offset -1h", 5 * MINUTE, True),
        ("no expression (", 0, False),
    ],
)
def test_reach(text: str, reach: int, ranged: bool) -> None:
    """How far back an expression looks, and whether many times can be asked at once."""
    found = reads_of(Expression(text), 5 * MINUTE)
    assert (found.reach, found.ranged) == (reach, ranged)
