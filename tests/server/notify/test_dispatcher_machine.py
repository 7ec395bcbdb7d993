"""Whatever happens in whatever order, the dispatcher keeps its promises; a simple model watches it."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mirante.server.alert import Alert
from mirante.server.notify.dispatcher import Dispatcher
from mirante.server.notify.matchers import parse_matchers
from mirante.server.notify.model import EscalationLevel, EscalationPolicy, NotifyConfig, OnCallSchedule, Route
from mirante.server.notify.notification import Attempt, Notification
from mirante.server.notify.silence import Silence
from mirante.server.notify.state import MEMORY, State
from tests.server.notify.world import HOUR, MINUTE, SECOND, START, alert, config, receiver

ALERTS = [(name, instance) for name in ("Down", "Slow") for instance in "12"]
WAIT, INTERVAL, REPEAT = 30 * SECOND, 5 * MINUTE, HOUR
QUIET = INTERVAL + 2 * MINUTE


def configured(storm_limit: int = 0) -> NotifyConfig:
    """Grouped by name, escalated after ten minutes."""
    return config(
        Route("team", group_by=("alertname",), repeat_interval=REPEAT, escalation="p"),
        receiver("team", "slack"),
        receiver("lead"),
        escalations={"p": EscalationPolicy("p", (EscalationLevel(10 * MINUTE, ("lead",)),))},
        on_call={"ops": OnCallSchedule("ops", ("lead",), datetime(2026, 1, 1, tzinfo=UTC))},
        storm_limit=storm_limit,
        resolve_timeout=1000 * HOUR,
    )


class Machine(RuleBasedStateMachine):
    """Alerts come and go, people silence and acknowledge, the process restarts; time passes in between."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.state = State(MEMORY)
        self.config = configured()
        self.dispatcher = Dispatcher(self.config, self.state, self.now)
        self.firing: dict[str, int] = {}
        self.silenced: dict[str, str] = {}
        self.acknowledged: set[str] = set()
        # What the people of each receiver believe to fire.
        self.believed: dict[str, set[str]] = {"team": set(), "lead": set()}
        # What was silenced: whether its receivers are told of it again afterwards depends on what else they are told.
        self.unheard: set[str] = set()
        self.last: dict[tuple[str, str], int] = {}
        # Names of groups of which an acknowledgement was taken back: they are told again at once.
        self.given_back: set[str] = set()
        self.changed_at = START

    def teardown(self) -> None:
        """Close the state."""
        self.state.close()

    @rule(one=st.sampled_from(ALERTS))
    def fire(self, one: tuple[str, str]) -> None:
        """An alert begins."""
        found = self._alert(one)
        self.firing.setdefault(found.id, self.now)
        self._changed([found])

    @rule(one=st.sampled_from(ALERTS))
    def resolve(self, one: tuple[str, str]) -> None:
        """An alert ends, if it fires."""
        found = self._alert(one)
        if self.firing.pop(found.id, None) is not None:
            self.acknowledged.discard(found.id)
            self._changed([Alert(found.labels, {}, found.starts_at, self.now, 0)])

    @rule(one=st.sampled_from(ALERTS))
    def acknowledge(self, one: tuple[str, str]) -> None:
        """Somebody takes an alert on."""
        found = self._alert(one).id
        taken = self.dispatcher.acknowledge([found], "ann", "", self.now)
        assert taken == ([found] if found in self.firing else [])
        self.acknowledged.update(taken)
        self._changed()

    @rule(one=st.sampled_from(ALERTS))
    def unacknowledge(self, one: tuple[str, str]) -> None:
        """And gives it back."""
        found = self._alert(one).id
        assert bool(self.dispatcher.unacknowledge([found], self.now)) is (found in self.acknowledged)
        if found in self.acknowledged:
            self.given_back.add(one[0])
        self.acknowledged.discard(found)
        self._changed()

    @rule(one=st.sampled_from(ALERTS))
    def silence(self, one: tuple[str, str]) -> None:
        """An alert is silenced for long, or the silence ends."""
        found = self._alert(one).id
        if found in self.silenced:
            self.dispatcher.expire(self.silenced.pop(found), self.now)
        else:
            matchers = parse_matchers(f"alertname={one[0]},instance={one[1]}")
            wanted = Silence(matchers, self.now, self.now + 1000 * HOUR, "ann", "")
            self.silenced[found] = self.dispatcher.silence(wanted, self.now)
            self.unheard.add(found)
        self._changed()

    @rule(minutes=st.integers(1, 90))
    def wait(self, minutes: int) -> None:
        """Time passes."""
        end = self.now + minutes * MINUTE
        while self.dispatcher.due() <= end:
            self.now = max(self.now, self.dispatcher.due())
            self._tick()
        self.now = end

    @rule()
    def restart(self) -> None:
        """A new process takes up the file."""
        self.dispatcher = Dispatcher(self.config, self.state, self.now)

    @rule(limit=st.sampled_from([0, 1, 2]))
    def reload(self, limit: int) -> None:
        """The same routes, another limit."""
        self.config = configured(limit)
        self.dispatcher.reconfigure(self.config, self.now)
        self._changed()

    @precondition(lambda self: self.now - self.changed_at > QUIET + 8 * MINUTE)
    @invariant()
    def everybody_knows(self) -> None:
        """When nothing happened for a while, the team knows of exactly what fires and is neither silenced nor taken on.

        It may know of more: of what was silenced or taken on after it was told, and of what ended in silence.
        """
        open_ones = self.firing.keys() - self.silenced.keys() - self.acknowledged
        assert open_ones <= self.believed["team"]
        assert self.believed["team"] - self.firing.keys() <= self.unheard

    @invariant()
    def what_is_shown_is_what_fires(self) -> None:
        """Whatever else is remembered."""
        status = {one.id: one for one in self.dispatcher.status(self.now).alerts()}
        assert status.keys() == self.firing.keys()
        assert {one.id for one in status.values() if one.muted} == self.silenced.keys() & status.keys()
        assert {one.id for one in status.values() if one.acknowledgement} == self.acknowledged

    def _alert(self, one: tuple[str, str]) -> Alert:
        found = alert(one[0], {"instance": one[1]}, starts_at=START)
        return alert(one[0], {"instance": one[1]}, starts_at=self.firing.get(found.id, self.now))

    def _changed(self, news: list[Alert] | None = None) -> None:
        self.changed_at = self.now
        if news:
            self.dispatcher.put(news, self.now)
        self._deliver()

    def _tick(self) -> None:
        self.dispatcher.tick(self.now)
        self._deliver()

    def _deliver(self) -> None:
        while waiting := self.state.waiting(self.now):
            for one in waiting:
                self.state.attempted(one, Attempt(self.now, "", ok=True), None)
                self._watch(one)

    def _watch(self, one: Notification) -> None:
        """A message arrives: is it one that may be?"""
        firing = {found.id for found in one.alerts if not found.resolved(one.created_at)}
        ended = {found.id for found in one.alerts} - firing
        assert one.alerts
        if one.reason == "acknowledged":
            assert firing <= self.acknowledged
            return
        assert not (firing | ended) & self.silenced.keys()
        assert firing <= self.firing.keys()
        assert not ended & self.firing.keys()
        believed = self.believed[one.receiver]
        open_ones = firing - self.acknowledged
        if one.reason == "resolved":
            assert not firing
            assert ended & believed or self.silenced, "nobody was told of what ended"
        elif one.reason in {"repeat", "escalated"}:
            assert open_ones, "everything in it was taken on"
        else:
            assert open_ones - (believed - self.unheard) or ended, "there is nothing new in it"
        if one.reason == "repeat":
            before = self.last[one.receiver, one.group_key]
            assert one.created_at - before >= REPEAT or one.group_labels["alertname"] in self.given_back
            self.given_back.discard(one.group_labels["alertname"])
        self.last[one.receiver, one.group_key] = one.created_at
        believed |= firing
        believed -= ended
        self.unheard -= firing | ended


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
