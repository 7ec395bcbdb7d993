"""A backtest says what a server would have done, evaluation by evaluation, message by message."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from mirante.formats.remote_write import STALE_NAN
from mirante.server.backtest import replay as replaying
from mirante.server.backtest.replay import Question, Source, replay
from mirante.server.backtest.report import Report
from mirante.server.notify.matchers import parse_matchers
from mirante.server.notify.model import InhibitRule, Route
from mirante.server.rules.evaluation import RuleOptions
from mirante.server.rules.model import AlertingRule, Expression, RecordingRule, Rule, RuleGroup
from tests.server.backtest.live import Episode, Live, Message
from tests.server.notify.world import START, config, receiver
from tests.server.rules.parts import MINUTE, Memory, budget

STEP = 30_000
LENGTH = 30
END = START + LENGTH * MINUTE

PLAIN = (
    "a > 1", "a == 1", "b", "sum by (x) (a)", "rate(b[2m]) > 0", "absent(b)", "a / on (x) b > 1", "vector(1)",
    "time() % 300 < 60", "max_over_time(a[3m:1m]) > 2", "a > on () b", "a offset 1m > 1", "a @ end() > 1", "1",
    "{__name__='a', x='1'} > 2", "count by (x) ({__name__=~'a|b'}) > 1", "a[5m]", "last_over_time(a[90s])",
)  # fmt: skip
OF_OTHERS = (
    "rec{n} > 1", "rec{n}", "sum(rec{n})", "rec{n} offset 1m + 1", "max_over_time(rec{n}[3m]) > 2", "a > on (x) rec{n}",
    "count(ALERTS{{alertname='A{n}'}}) > 0", "ALERTS{{alertname='A{n}', alertstate='firing'}}",
    "sum_over_time(rec{n}[2m:30s]) > 3", "(rec{n} or vector(0)) + 1", "time() - ALERTS_FOR_STATE{{alertname='A{n}'}}",
)  # fmt: skip
OF_ALL = ("count({__name__=~'rec.*'}) > 1", "count by (alertstate) (ALERTS) > 1", "{x='1'} > 2")
TEXTS = ("plain", "{{ $value }}", "{{ $labels.x }}", '{{ with query "sum(a)" }}{{ . | first | value }}{{ end }}')


@st.composite
def samples(draw: st.DrawFn) -> dict[str, list[float | None]]:
    """Values of some series every 30 s."""
    value = st.one_of(st.none(), st.just(STALE_NAN), st.integers(0, 3).map(float))
    length = LENGTH * MINUTE // STEP + 20
    runs = st.lists(st.tuples(value, st.integers(1, 12)), min_size=1, max_size=20)

    def spelt(found: list[tuple[float | None, int]]) -> list[float | None]:
        flat = [one for one, count in found for _ in range(count)]
        return (flat * (length // len(flat) + 1))[:length]

    return draw(st.dictionaries(st.sampled_from(["a1", "a2", "b1", "b2"]), runs.map(spelt), min_size=1))


@st.composite
def groups(draw: st.DrawFn) -> tuple[RuleGroup, ...]:
    """Groups whose rules read each other in every way in which it is clear who comes first."""
    count = draw(st.integers(1, 3))
    return tuple(
        RuleGroup(
            f"g{draw(st.integers(0, 20))}-{number}",
            "rules.yml",
            tuple(draw(st.lists(rules(number, last=number == count - 1), min_size=1, max_size=4))),
            interval=draw(st.sampled_from([30_000, 60_000, 90_000])),
            limit=draw(st.sampled_from([0, 0, 1])),
            query_offset=draw(st.sampled_from([None, 20_000])),
            labels=draw(st.sampled_from([{}, {"team": "x"}])),
        )
        for number in range(count)
    )


@st.composite
def rules(draw: st.DrawFn, group: int, *, last: bool) -> Rule:
    """A rule of that group, which reads what groups up to it write."""
    others = [text.format(n=f"{n}{k}") for n in range(group + 1) for k in range(2) for text in OF_OTHERS]
    text = draw(st.one_of(st.sampled_from(PLAIN), st.sampled_from([*others, *(OF_ALL if last else ())])))
    name = f"{group}{draw(st.integers(0, 1))}"
    if draw(st.booleans()):
        return RecordingRule(f"rec{name}", Expression(text), draw(st.sampled_from([{}, {"y": "1"}])))
    return AlertingRule(
        f"A{name}",
        Expression(text),
        hold=draw(st.sampled_from([0, 60_000, 150_000])),
        keep_firing_for=draw(st.sampled_from([0, 0, 100_000])),
        labels=draw(st.sampled_from([{}, {"severity": "page"}, {"v": "{{ $value }}"}])),
        annotations={"text": draw(st.sampled_from(TEXTS))},
    )


def routes() -> Route:
    """Everything goes to one, pages to another as well."""
    page = Route("page", tuple(parse_matchers('severity="page"')), ("alertname",), group_wait=10_000, continues=True)
    rest = Route("team", group_by=("alertname",), group_interval=2 * MINUTE, repeat_interval=8 * MINUTE)
    return Route("team", children=(page, rest))


def filled(found: dict[str, list[float | None]]) -> Memory:
    """A store with those samples, which begin before the replay."""
    memory = Memory()
    for name, values in found.items():
        for number, value in enumerate(values):
            if value is not None:
                memory.add(START - 5 * MINUTE + number * STEP, value, name[0], x=name[1])
    return memory


def episodes(report: Report) -> Counter[Episode]:
    """Those that fired."""
    return Counter(
        (rule.name, tuple(sorted(one.labels.items())), tuple(sorted(one.annotations.items())),
         one.active_at, one.fired_at, one.ended_at)
        for rule in report.rules
        for one in rule.episodes
        if one.fired_at is not None
    )  # fmt: skip


def messages(report: Report) -> Counter[Message]:
    """Everything that was told."""
    return Counter(
        (told.at, one.name, told.kind, str(told.reason), tuple(told.alerts))
        for one in report.receivers
        for told in one.first
    )


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(samples(), groups(), st.sampled_from([3, 17, 1000]))
def test_like_live(found: dict[str, list[float | None]], specs: Sequence[RuleGroup], steps: int) -> None:
    """Over any samples, any rules do in a backtest what they do live, to the millisecond, and tell the same."""
    inhibit = (InhibitRule(tuple(parse_matchers('alertname="A00"')), tuple(parse_matchers('alertname="A01"'))),)
    told = config(routes(), receiver("team"), receiver("page", "pagerduty"), inhibit=inhibit)
    question = Question(specs, told, START, END, options=RuleOptions(external_labels={"region": "eu"}))
    live = Live(question, filled(found))
    live.run()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replaying, "STEPS", steps)
        # Over what the server wrote, too: that does not count again.
        report = replay(question, Source(live.memory.reader), budget())
    event(f"{min(len(live.episodes), 3)} or more episodes")
    assert episodes(report) == Counter(live.episodes)
    assert sum(one.notifications for one in report.receivers) == len(live.messages)
    if all(one.notifications <= len(one.first) for one in report.receivers):
        assert messages(report) == Counter(live.messages)
