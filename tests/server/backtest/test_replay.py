"""What a backtest counts, whom it counts as told, and where it stops."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from mirante.errors import QueryCanceledError, QueryLimitError, QueryTimeoutError
from mirante.server.alert import Alert
from mirante.server.backtest.replay import Question, Source, replay
from mirante.server.backtest.report import Report, RuleReport
from mirante.server.notify.matchers import parse_matchers
from mirante.server.notify.model import (
    EscalationLevel,
    EscalationPolicy,
    InhibitRule,
    NotifyConfig,
    OnCallSchedule,
    Route,
    Runbook,
    TimeSpan,
)
from mirante.server.notify.silence import Silence
from mirante.server.rules.evaluation import RuleOptions
from mirante.server.rules.model import AlertingRule, Expression, Rule, RuleGroup
from mirante.server.rules.rounds import place_in
from mirante.server.store.api import QueryBudget
from tests.server.notify.world import HOUR, START, config, receiver
from tests.server.rules.parts import MINUTE, Memory, alert, budget, record


def group(*rules: Rule, limit: int = 0) -> RuleGroup:
    """A group that is evaluated every minute, on the minute."""
    names = (f"g{number}" for number in range(100))
    found = (RuleGroup(one, "rules.yml", rules, interval=MINUTE, limit=limit) for one in names)
    return next(one for one in found if place_in(one, MINUTE) == 0)


def between(*spans: tuple[int, int]) -> str:
    """An expression that holds from one minute after the start up to another."""
    since = f"(vector(time()) - {START // 1000}) / 60"
    return " or ".join(f"({since} >= {first} < {last})" for first, last in spans)


def asked(*groups: RuleGroup, told: NotifyConfig | None = None, hours: int = 2, **rest: object) -> Question:
    """A question about the time from the start on."""
    return Question(groups, told or config(), START, START + hours * HOUR, **rest)  # type: ignore[arg-type] # a short way


def answer(question: Question, memory: Memory | None = None, limits: QueryBudget | None = None) -> Report:
    """What comes of it."""
    return replay(question, Source((memory or Memory()).reader), limits or budget())


def only(report: Report) -> RuleReport:
    """The one rule's."""
    (rule,) = report.rules
    return rule


def reasons(report: Report) -> Mapping[str, Mapping[str, int]]:
    """Number of messages by receiver and reason."""
    return {one.name: {str(why): count for why, count in one.reasons.items()} for one in report.receivers}


def test_counts() -> None:
    """How often it fired, for how long, how often only pending, and how often again soon after its end."""
    spans = (2, 4), (10, 20), (30, 50), (90, 200)
    rule = only(answer(asked(group(alert("Down", between(*spans), hold=5 * MINUTE)))))
    assert (rule.fired, rule.pending_only, rule.ongoing, rule.series) == (3, 1, 1, 1)
    assert (rule.longest, rule.median, rule.total) == (25 * MINUTE, 15 * MINUTE, 45 * MINUTE)
    assert rule.flapped == 1  # at 35, ended at 20
    assert rule.any_firing == rule.total == sum(rule.firing)
    assert sum(rule.pending) == (2 + 3 * 5) * MINUTE
    assert [(one.active_at - START) // MINUTE for one in rule.episodes] == [2, 10, 30, 90]
    assert [one.ended_at for one in rule.episodes][-1] is None
    assert (rule.group[0], rule.file, rule.expression, rule.hold) == ("g", "rules.yml", between(*spans), 5 * MINUTE)


def test_kept_firing() -> None:
    """``keep_firing_for`` bridges what would be two alerts."""
    rule = only(answer(asked(group(alert("Down", between((0, 10), (15, 20)), keep_firing_for=6 * MINUTE)))))
    assert (rule.fired, rule.flapped, rule.total) == (1, 0, 26 * MINUTE)


def test_the_timeline_shows_when() -> None:
    """Its parts are as long as the time divided by their number."""
    rule = only(answer(asked(group(alert("Down", between((30, 60)))))))
    assert {number for number, share in enumerate(rule.firing) if share} == set(range(30, 60))
    assert set(rule.firing) == {0, MINUTE}


def test_a_step_of_ones_own() -> None:
    """Stands in the place of the groups' intervals."""
    report = answer(asked(group(alert("Down", between((30, 60)))), step=10 * MINUTE))
    assert 11 <= report.evaluations <= 13
    assert only(report).total == 30 * MINUTE


def test_days() -> None:
    """Of each day what began to fire, and whom it reached."""
    report = answer(asked(group(alert("Down", between((0, 10), (20 * 60, 20 * 60 + 10)))), hours=24))
    assert [dict(day.fired) for day in report.days] == [{"Down": 1}, {"Down": 1}]
    assert [datetime.fromtimestamp(day.day / 1000, UTC).isoformat()[:10] for day in report.days] == [
        "2026-01-01", "2026-01-02",
    ]  # fmt: skip
    assert [day.notifications["team"] for day in report.days] == [2, 2]


def test_what_the_replay_records_wins() -> None:
    """Over what is stored for that time; before it, and of other series, what is stored counts."""
    memory = Memory()
    for minute in range(-5, 120):
        memory.add(START + minute * MINUTE, 100.0, "level", team="a")
        memory.add(START + minute * MINUTE, 7.0, "level", team="b")
    rules = record("level", "vector(1)", {"team": "a"}), alert("High", "level == 100"), alert("Other", "level == 7")
    early = alert("Before", "level offset 5m == 100")
    high, other, before = answer(asked(group(*rules, early)), memory).rules
    assert (high.fired, other.fired, other.ongoing) == (0, 1, 1)
    assert (before.fired, before.total) == (1, 5 * MINUTE)


def test_series_that_are_recorded_no_more_end() -> None:
    """As on a server: with the first evaluation that does not yield them."""
    rules = record("level", between((10, 20))), alert("High", "level")
    assert only(answer(asked(group(*rules)))).total == 10 * MINUTE


def test_templates_see_their_time() -> None:
    """What an annotation asks is answered as it would have been."""
    asks = '{{ with query "level" }}{{ . | first | value }}{{ end }} at {{ $value }}'
    rules = record("level", "vector(time())"), alert("High", between((7, 9)), annotations={"text": asks})
    (episode,) = only(answer(asked(group(*rules)))).episodes
    assert episode.annotations["text"] == "1.76725842e+09 at 7"


def test_a_part_that_fails_fails_alone() -> None:
    """A rule that cannot be evaluated for some time, is evaluated before and after; how often it failed is told."""
    memory = Memory()
    for minute in range(120):
        memory.add(START + minute * MINUTE, 1.0, "a", x="1")
        if 50 <= minute < 53:
            memory.add(START + minute * MINUTE, 1.0, "a", x="1", y="2")
    report = answer(asked(group(alert("Down", "a > on (x) vector(0) or a == on (x) a"), limit=2)), memory)
    (failure,) = report.failures
    assert failure.rule == "Down"
    assert failure.count == 3 + 4  # and as long as the last of them is looked back on
    assert "many-to-many" in failure.error
    assert only(report).ongoing == 1


def test_a_rule_that_never_can_be_evaluated() -> None:
    """Says so for every time: one whose value is no vector, and SQL where there is no store of it."""
    rows = record("rows", "up[5m]"), AlertingRule("Errors", Expression("SELECT 1 AS value", "sql"))
    report = answer(asked(group(*rows)))
    assert [(one.rule, one.count) for one in report.failures] == [("rows", 121), ("Errors", 121)]
    assert report.failures[0].error == "rule result is not a vector or scalar"


def test_what_is_too_much_at_once_is_asked_in_parts() -> None:
    """The limit of samples is that of a query; a backtest asks many."""
    memory = Memory()
    for number in range(20):
        for minute in range(121):
            memory.add(START + minute * MINUTE, 1.0, "a", x=str(number))
    limits = QueryBudget(time.monotonic() + 60, max_samples=300)
    report = answer(asked(group(alert("Down", "a"))), memory, limits)
    assert (only(report).ongoing, report.failures) == (20, [])


def test_a_bound_of_what_is_recorded() -> None:
    """What rules record is held in memory only up to the limit of samples."""
    rules = record("level", "vector(1)"), alert("High", "max_over_time(level[1d]) > 1")
    with pytest.raises(QueryLimitError, match="100 samples"):
        answer(asked(group(*rules)), limits=QueryBudget(time.monotonic() + 60, max_samples=100))


def test_it_ends_with_its_budget() -> None:
    """When nobody waits any more, and when the time is up."""
    question = asked(group(alert("Down", "vector(1)")))
    with pytest.raises(QueryTimeoutError):
        answer(question, limits=QueryBudget(time.monotonic() - 1))
    limits = budget()

    def leave(_: float) -> None:
        limits.canceled = True

    with pytest.raises(QueryCanceledError):
        replay(question, Source(Memory().reader), limits, leave)


def test_progress() -> None:
    """Goes up to 1."""
    told: list[float] = []
    replay(asked(group(alert("Down", "vector(1)")), hours=40), Source(Memory().reader), budget(), told.append)
    assert told == sorted(told)
    assert (told[0], told[-1]) == (0.0, 1.0)
    assert len(set(told)) > 5


def test_no_rules() -> None:
    """Nothing happens."""
    report = answer(asked())
    assert (report.rules, report.receivers, report.evaluations) == ([], [], 0)


def test_repeats_and_ends() -> None:
    """Whoever is told is told again while it goes on, and of the end."""
    route = Route("team", repeat_interval=HOUR)
    report = answer(asked(group(alert("Down", between((0, 150)))), told=config(route), hours=4))
    assert reasons(report) == {"team": {"firing": 1, "repeat": 2, "resolved": 1}}
    (told, *_) = report.receivers[0].first
    assert (told.at, told.kind, told.reason, told.alerts) == (START + 30_000, "webhook", "firing", ["Down"])
    assert only(report).receivers == {"team": 4}


def test_silences() -> None:
    """Those that are remembered hold for their time; an end that is silenced is not told."""
    silence = Silence(tuple(parse_matchers("alertname=Down")), START, START + HOUR, "ann", "why", id="1")
    rules = group(alert("Down", between((0, 30), (80, 90))), alert("Up", between((0, 30))))
    assert reasons(answer(asked(rules))) == {"team": {"firing": 3, "resolved": 3}}
    report = answer(asked(rules, silences=[silence]))
    assert reasons(report) == {"team": {"firing": 2, "resolved": 2}}
    assert [rule.notifications for rule in report.rules] == [2, 2]
    assert [rule.fired for rule in report.rules] == [2, 1]


def test_inhibition_and_mute_intervals() -> None:
    """They hold as on the server, at the time of the alerts."""
    inhibit = InhibitRule(tuple(parse_matchers("alertname=Cause")), tuple(parse_matchers("alertname=Effect")))
    nine = {"nine": (TimeSpan(times=((9 * 60, 10 * 60),)),)}  # the replay begins at nine
    muted = Route("team", tuple(parse_matchers("alertname=Muted")), mute=("nine",))
    told = config(Route("team", group_by=("alertname",), children=(muted,)), inhibit=(inhibit,), intervals=nine)
    names = "Cause", "Effect", "Muted"
    report = answer(asked(group(*(alert(name, between((0, 50))) for name in names)), told=told))
    assert {rule.name: rule.notifications for rule in report.rules} == {"Cause": 2, "Effect": 0, "Muted": 0}


def test_escalation() -> None:
    """Nobody acknowledges: level after level is told, and whoever was on call then."""
    policy = EscalationPolicy("hard", (EscalationLevel(10 * MINUTE, ("boss",)), EscalationLevel(HOUR, (), ("ops",))))
    turns = OnCallSchedule("ops", ("ann", "bob"), datetime(2025, 12, 31, tzinfo=UTC), turn_days=1)
    told = config(
        Route("team", escalation="hard"),
        *(receiver(name) for name in ("team", "boss", "ann", "bob")),
        escalations={"hard": policy},
        on_call={"ops": turns},
    )
    report = answer(asked(group(alert("Down", between((0, 90)))), told=told))
    assert reasons(report) == {
        "team": {"firing": 1, "resolved": 1},
        "boss": {"escalated": 1, "resolved": 1},
        "bob": {"escalated": 1, "resolved": 1},
    }
    levels = {one.name: (one.first[0].level, (one.first[0].at - START) // MINUTE) for one in report.receivers}
    assert levels == {"boss": (1, 10), "bob": (2, 60), "team": (0, 0)}


def test_runbooks_are_counted_apart() -> None:
    """Starting one tells nobody."""
    runbook = Runbook("restart", tuple(parse_matchers("alertname=Down")), url="http://127.0.0.1:9/")
    report = answer(asked(group(alert("Down", between((0, 10), (60, 70)))), told=config(runbooks=(runbook,))))
    assert report.runbooks == {"restart": 2}
    assert reasons(report) == {"team": {"firing": 2, "resolved": 2}}


def test_alerts_are_told_as_they_leave() -> None:
    """With external labels, and through what relabeling makes of them, which may drop them."""

    def outgoing(alerts: list[Alert]) -> list[Alert]:
        return [one for one in alerts if one.labels["region"] == "eu" and one.name != "Dropped"]

    rules = group(alert("Down", between((0, 10))), alert("Dropped", between((0, 10))))
    options = RuleOptions(external_labels={"region": "eu"})
    report = answer(asked(rules, options=options, outgoing=outgoing))
    assert {rule.name: rule.notifications for rule in report.rules} == {"Down": 2, "Dropped": 0}


def test_many_episodes_are_counted_and_the_first_told() -> None:
    """The list of them is bounded."""
    memory = Memory()
    for number in range(60):
        for minute in range(0, 120, 6):
            memory.add(START + minute * MINUTE, 1.0, "a", x=str(number))
    rule = only(answer(asked(group(alert("Down", "last_over_time(a[1m])"))), memory))
    assert (rule.fired, len(rule.episodes), rule.omitted, rule.series) == (60 * 20, 1000, 200, 60)
