"""Groups: the order of their rules, the series that they write and end, and what a change of the file keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from mirante.errors import StoreError
from mirante.server.rules.evaluation import Point, RuleOptions
from mirante.server.rules.group import Group, same_group
from mirante.server.rules.model import Expression, Rule, RuleGroup
from tests.server.rules.parts import MINUTE, Memory, alert, group, record, states


def test_a_rule_sees_what_those_before_it_recorded() -> None:
    """Rules run in order, and the second reads what the first wrote at the same time."""
    memory = Memory()
    memory.add(MINUTE, 2.0, "m", job="a")
    memory.add(MINUTE, 3.0, "m", job="b")
    one = group(memory, record("sum", "sum(m)"), record("double", "sum * 2"), alert("High", "double > 9"))
    assert [sent.name for sent in one.evaluate(MINUTE, memory)] == ["High"]
    assert memory.now("double", MINUTE) == {"": 10.0}


def test_recorded_series_have_the_rules_labels_over_the_groups() -> None:
    """The group's labels are every rule's; a rule's own win, and an empty one takes a label away."""
    memory = Memory()
    memory.add(MINUTE, 1.0, "m", job="a", env="dev")
    one = group(memory, record("r", "m", {"env": "", "team": "x"}), alert("A", "m"), labels={"team": "y", "dc": "eu"})
    (sent,) = one.evaluate(MINUTE, memory)
    assert memory.now("r", MINUTE) == {"dc=eu,job=a,team=x": 1.0}
    assert sent.labels == {"alertname": "A", "dc": "eu", "env": "dev", "job": "a", "team": "y"}


@pytest.mark.parametrize(
    ("rule", "limit", "error"),
    [
        (
            record("r", "m", {"job": "x"}),
            0,
            "vector contains metrics with the same labelset after applying rule labels",
        ),
        (record("r", "m"), 1, "exceeded limit of 1 with 2 series"),
        (record("r", "m[5m]"), 0, "rule result is not a vector or scalar"),
        (record("r", "sum("), 0, "1:5: parse error: "),
    ],
)
def test_a_rule_that_cannot_be_evaluated_says_why_and_the_next_one_is(rule: Rule, limit: int, error: str) -> None:
    """Equal label sets, too many series, another type and a wrong expression are the rule's last error."""
    memory = Memory()
    memory.add(MINUTE, 1.0, "m", job="a")
    memory.add(MINUTE, 1.0, "m", job="b")
    one = group(memory, rule, record("one", "1"), limit=limit)
    one.evaluate(MINUTE, memory)
    assert [running.health for running in one.rules] == ["err", "ok"]
    assert one.rules[0].error.startswith(error)
    assert (one.counts.evaluations, one.counts.failures, one.counts.samples) == (2, 1, 1)


def test_a_fault_of_our_own_is_told_and_the_next_rule_is_evaluated(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever goes wrong inside is the rule's last error, with its traceback in the log."""

    class Faulty(Memory):
        def vector(self, expression: Expression, at: int) -> Sequence[Point]:
            """See RuleQuery."""
            raise ZeroDivisionError("oh")

    memory = Faulty()
    one = group(memory, record("r", "m"), record("s", "m"))
    one.evaluate(MINUTE, memory)
    assert [running.error for running in one.rules] == ["internal error: ZeroDivisionError: oh"] * 2
    assert "evaluating a rule of group g failed" in caplog.text


def test_series_that_are_no_longer_yielded_end() -> None:
    """A recorded series and an alert's series get a staleness marker when they vanish, not when the rule fails."""
    memory = Memory()
    one = group(memory, record("r", "m > 1"), alert("A", "m > 1"))
    for now, value in ((1, 2.0), (2, 1.0), (3, 1.0)):
        memory.add(now * MINUTE, value, "m")
        one.evaluate(now * MINUTE, memory)
    assert [memory.ended(now * MINUTE) for now in (1, 2, 3)] == [set(), {"r", "ALERTS", "ALERTS_FOR_STATE"}, set()]


def test_pending_that_fires_ends_the_pending_series() -> None:
    """``alertstate`` is a label: one series of ALERTS ends as the other begins."""
    memory = Memory()
    one = group(memory, alert("A", "m", hold=MINUTE))
    for now in (1, 2):
        memory.add(now * MINUTE, 1.0, "m")
        one.evaluate(now * MINUTE, memory)
    assert memory.now("ALERTS", MINUTE) == {"alertname=A,alertstate=pending": 1.0}
    assert memory.now("ALERTS", 2 * MINUTE) == {"alertname=A,alertstate=firing": 1.0}


def test_rules_look_back_by_the_query_offset_and_write_there() -> None:
    """With an offset the question and the answer are of the time before; the alert is active from now on."""
    memory = Memory()
    memory.add(MINUTE, 1.0, "m")
    memory.add(2 * MINUTE, 5.0, "m")
    one = group(memory, record("r", "m"), alert("A", "m"), query_offset=MINUTE)
    (sent,) = one.evaluate(2 * MINUTE, memory)
    assert memory.written[0].time == MINUTE
    assert memory.written[0].value == 1.0
    assert sent.starts_at == 2 * MINUTE


def test_what_cannot_be_written_is_an_error_and_the_ends_are_written_later() -> None:
    """A full disk is the rule's last error; series that vanish meanwhile end as soon as there is room."""
    memory = Memory()
    one = group(memory, record("r", "m > 1"))
    memory.add(MINUTE, 2.0, "m")
    one.evaluate(MINUTE, memory)
    memory.full = True
    memory.add(2 * MINUTE, 1.0, "m")
    one.evaluate(2 * MINUTE, memory)
    assert one.rules[0].error == "no room"
    memory.full = False
    one.evaluate(3 * MINUTE, memory)
    assert (one.rules[0].health, memory.ended(3 * MINUTE)) == ("ok", {"r"})


def test_a_changed_group_keeps_the_state_of_equal_rules_and_ends_the_others() -> None:
    """Rules are the same by name and labels: alerts go on, and the series of what is gone end at the next time."""
    memory = Memory()
    before = group(memory, record("old", "m"), record("kept", "m"), alert("A", "m", hold=MINUTE))
    memory.add(MINUTE, 1.0, "m")
    before.evaluate(MINUTE, memory)
    spec = replace(before.spec, rules=(alert("A", "m > 0", hold=MINUTE), record("kept", "m"), record("new", "m")))
    after = Group(spec, memory, RuleOptions(), predecessor=before)
    assert states(after) == {"": "pending"}
    assert [running.health for running in after.rules] == ["ok", "ok", "unknown"]
    memory.add(2 * MINUTE, 1.0, "m")
    memory.full = True
    after.evaluate(2 * MINUTE, memory)
    memory.full = False
    memory.add(3 * MINUTE, 1.0, "m")
    after.evaluate(3 * MINUTE, memory)
    assert states(after) == {"": "firing"}
    assert memory.ended(3 * MINUTE) >= {"old"}
    assert "kept" not in memory.ended(3 * MINUTE)
    assert after.counts.iterations == 3


def test_a_series_that_another_rule_writes_now_does_not_end() -> None:
    """A rule that was renamed in the file but writes the same series goes on with it."""
    memory = Memory()
    before = group(memory, record("r", "m", {"a": "1"}))
    memory.add(MINUTE, 1.0, "m")
    before.evaluate(MINUTE, memory)
    spec = replace(before.spec, rules=(record("r", "label_replace(m, 'a', '1', '', '')"),))
    Group(spec, memory, RuleOptions(), predecessor=before).evaluate(2 * MINUTE, memory)
    assert memory.now("r", 2 * MINUTE) == {"a=1": 1.0}
    assert memory.ended(2 * MINUTE) == set()


def test_a_group_that_goes_ends_all_its_series() -> None:
    """Its series get their markers at once; a group that never wrote has none to end."""
    memory = Memory()
    one = group(memory, record("r", "m"), alert("A", "m"))
    one.end(MINUTE)
    assert memory.written == []
    memory.add(MINUTE, 1.0, "m")
    one.evaluate(MINUTE, memory)
    one.end(2 * MINUTE)
    assert memory.ended(2 * MINUTE) == {"r", "ALERTS", "ALERTS_FOR_STATE"}
    memory.full = True
    with pytest.raises(StoreError):
        one.end(3 * MINUTE)


def test_groups_are_the_same_wherever_they_stand_in_the_file() -> None:
    """Lines do not count, anything else does."""
    one = RuleGroup("g", "f", (replace(record("r", "m"), line=3),), line=2)
    assert same_group(one, replace(one, line=9, rules=(replace(one.rules[0], line=10),)))
    assert not same_group(one, replace(one, limit=1))
    assert not same_group(one, replace(one, rules=(record("r", "n"),)))
